//! What people mistype, forget or leave behind, and what the program says to it.

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};

use common::{LOCAL, Place, Ran};

#[test]
fn a_body_that_is_too_large_is_a_mistake_found_before_anything_is_sent() {
    let place = Place::new();
    let key = place.run(&["--data", &place.at("other"), "init", "--json"]).ok().object();
    let key = key["public_key"].as_str().expect("a key");
    place.write("large", vec![b'x'; 3_145_728]);
    let file = place.run(&["request", key, "echo/1", "@large"]).fails(2);
    file.says("the body of large has 3145728 bytes; a message may have at most 2097152");
    let input = place.run_with_input(&["request", key, "echo/1", "-"], &vec![b'x'; 2_097_153]);
    input.fails(2).says("the standard input has more than 2097152 bytes");
    // The largest is none too many: then it is the address that is missing.
    let input = place.run_with_input(&["request", key, "echo/1", "-"], &vec![b'x'; 2_097_152]);
    input.fails(4);
}

#[test]
fn words_that_cannot_be_understood_are_answered_with_what_to_write() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let own = place.run(&["id", "--json"]).ok().object();
    let key = own["public_key"].as_str().expect("a key");
    place.write("nobody", "# only a comment\n");
    for (words, answer) in [
        (vec!["request", key, "a/1", "--timeout", "5s"], "--hard D"),
        (vec!["request", key, "a/1", "--hard", "0"], "the shortest is 1ms"),
        (vec!["request", key, "a/1", "--hard", "-1s"], "as in 500ms"),
        (vec!["request", key, "a/1", "--hard-max", "1s"], "--hard-max is shorter than --hard"),
        (vec!["request", key, "a/1", "--count", "0"], "the smallest is 1"),
        (vec!["request", key, "a/1", "--count", "-1"], "next: see the examples: egtp help request"),
        (vec!["ping", "bob"], "a name is written @bob"),
        (vec!["contact"], "export, import, ls, show"),
        (vec!["contact", "list"], "export, import, ls, show"),
        (vec!["contact", "import", "x"], "egtp help contact"),
        (vec!["peers", "frobnicate"], "add, ls, rm"),
        (vec!["--data", "up", "peers", "frobnicate"], "add, ls, rm"),
        (vec!["--config", "up", "peers", "frobnicate"], "add, ls, rm"),
        (vec!["config"], "example, check"),
        (vec!["up", "--config", "x", "--config", "y"], "leave one of them out"),
        (vec!["frobnicate"], "request, send"),
        (vec!["serve", "a/1", "--allow-any"], "--exec"),
        (vec!["serve", "a/1", "--allow-any"], "--echo"),
        (vec!["serve", "a/1", "--exec", "", "--allow-any"], "nothing says how to answer"),
        (vec!["serve", "a/1", "--exec", " ", "--allow-any"], "nothing says how to answer"),
        (vec!["serve", "a/1", "--echo", "--allow", "nobody"], "names nobody"),
        (vec!["serve", "a/1", "--echo", "--allow", "@bob"], "nobody is called @bob"),
    ] {
        let ran = place.run(&[&words[..], &["--ephemeral"]].concat());
        // Some of these work on a directory.
        let ran = if ran.talk.contains("says to use none") { place.run(&words) } else { ran };
        let ran = ran.fails(2).says(answer);
        assert!(!ran.talk.contains("egtp help COMMAND") && !ran.talk.contains("-- --"), "{ran:?}");
    }
}

#[test]
fn a_ticket_may_have_spaces_around_it_or_be_all_in_capitals() {
    let place = Place::new();
    let node = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    for ticket in [format!("  {}\n", node.ticket()), node.ticket().to_ascii_uppercase()] {
        place.run(&["ping", &ticket, "--count", "1"]).ok();
    }
    let mixed = node.ticket().replacen("egtp1", "EGTP1", 1);
    place.run(&["ping", &mixed]).fails(2);
}

#[test]
fn a_name_may_be_allowed_and_an_empty_variable_names_no_directory() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let data = place.at("alice");
    let alice = place.run(&["--data", &data, "init", "--json"]).ok().object();
    place.run(&["peers", "add", "alice", alice["public_key"].as_str().expect("a key")]).ok();
    let node =
        place.start(&[&["serve", "a/1", "--echo", "--allow", "@alice"], &LOCAL[..]].concat());
    place.run(&["--data", &data, "request", node.ticket(), "a/1", "x"]).ok();
    place.run(&["request", node.ticket(), "a/1", "x"]).fails(6);

    let output = place.command(&["id"]).env("EGTP_DATA", "").output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let output = place.command(&["id"]).env("EGTP_DATA", &data).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&data), "{text}");
}

#[test]
fn without_a_home_the_advice_is_one_that_helps() {
    let place = Place::new();
    let output = place.command(&["id"]).env_remove("HOME").output().expect("it runs");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{talk}");
    assert!(talk.contains("next: give --data DIR") && !talk.contains("--ephemeral"), "{talk}");
}

#[test]
fn an_identity_that_is_there_is_named_also_while_a_node_runs() {
    let place = Place::new();
    let data = place.at("data");
    let _node = place.start(&[&["--data", &data, "up"], &LOCAL[..]].concat());
    let ran = place.run(&["--data", &data, "init"]).fails(2).says("already");
    assert!(!ran.talk.contains("stop that process"), "{ran:?}");
}

#[test]
fn a_key_that_is_a_link_to_nothing_or_open_to_others_is_called_so() {
    let place = Place::new();
    let data = place.at("data");
    place.run(&["--data", &data, "init"]).ok();
    let key = place.path().join("data/key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("its mode");
    let next = |ran: &Ran| ran.talk.split("next: ").nth(1).map(ToOwned::to_owned);
    let ran = place.run(&["--data", &data, "id"]).fails(1);
    assert!(next(&ran).is_some_and(|next| next.contains("chmod go-rwx")), "{ran:?}");

    std::fs::remove_file(&key).expect("it can be removed");
    symlink("/nowhere/key", &key).expect("a link");
    for command in ["id", "up", "init"] {
        let ran = place.run(&["--data", &data, command]).fails(1);
        ran.says("is a link to /nowhere/key").says("bring /nowhere/key back");
    }
    assert!(key.is_symlink());
}

#[test]
fn an_address_that_this_machine_has_not_is_not_called_taken() {
    let place = Place::new();
    let up = ["up", "--ephemeral", "--listen", "tcp/192.0.2.1:7700"];
    place.run(&up).fails(1).says("this machine has no such address");
}

#[test]
fn who_can_reach_a_node_is_said_when_it_is_more_than_this_machine() {
    let place = Place::new();
    let anywhere = ["--listen", "tcp/0.0.0.0:0"];
    let serve = ["--ephemeral", "serve", "a/1", "--exec", "cat", "--allow-any"];
    let talk = |words: &[&str]| {
        let mut node = place.start(words);
        node.stop("TERM");
        node.talk()
    };
    let open = talk(&[&serve, &anywhere[..]].concat());
    assert!(open.contains("Warning: ") && open.contains("--allow KEY"), "{open}");
    let up = talk(&[&["--ephemeral", "up"], &anywhere[..]].concat());
    assert!(up.contains("beyond this machine") && up.contains("tcp/127.0.0.1:0"), "{up}");
    for local in [&serve[..], &["--ephemeral", "up"]] {
        let talk = talk(&[local, &LOCAL[..]].concat());
        assert!(!talk.contains("Warning") && !talk.contains("beyond"), "{talk}");
    }
}

#[test]
fn a_reply_alone_is_printed_as_it_is_and_several_are_lines() {
    let place = Place::new();
    let serve = ["--ephemeral", "serve", "a/1", "--echo"];
    let node = place.start(&[&serve, &LOCAL[..]].concat());
    for (body, alone, two) in [("x", "x", "x\nx\n"), ("x\n", "x\n", "x\nx\n"), ("", "", "\n\n")] {
        let ask = ["request", node.ticket(), "a/1", body];
        assert_eq!(place.run(&ask).ok().out, alone);
        assert_eq!(place.run(&[&ask[..], &["--count", "2"]].concat()).ok().out, two);
    }
}

#[test]
fn status_says_what_is_so_now_and_each_thing_once() {
    let place = Place::new();
    let mut node = place.start(&[&["up"], &LOCAL[..]].concat());
    let address = format!("tcp/{}", node.address());
    let line = |name: &str| {
        let text = place.run(&["status"]).ok().out;
        text.lines().find(|line| line.starts_with(name)).expect("a line").to_owned()
    };
    assert!(line("reachable").ends_with(&format!("   {address}")), "{}", line("reachable"));
    node.stop("TERM");
    assert!(line("reachable").contains("not now"), "{}", line("reachable"));

    place.write(".local/share/egtp/contacts", "EGTP2-CONTACT:AAAA;\n");
    let ran = place.run(&["status"]).ok();
    assert_eq!(ran.talk.lines().count(), 1, "{ran:?}");
    ran.says("line 1 is skipped");
}

#[test]
fn contacts_are_listed_and_shown() {
    let place = Place::new();
    let data = place.at("bob");
    let mut node = place.start(&[&["--data", &data, "up"], &LOCAL[..]].concat());
    node.stop("TERM");
    let text = place.run(&["--data", &data, "contact", "export"]).ok().out;
    place.run(&["init"]).ok();
    let imported = place.run(&["contact", "import", text.trim()]).ok();
    assert!(imported.out.contains("with 1 address: kept"), "{imported:?}");
    let listed = place.run(&["contact", "ls", "--json"]).ok().object();
    assert_eq!(
        (&listed["public_key"], &listed["strategies"]),
        (&node.key().into(), &node.ready["listen"])
    );
    let id = node.ready["node_id"].as_str().expect("an id");
    for peer in [node.key(), id] {
        let shown = place.run(&["contact", "show", peer]).ok();
        assert!(shown.out.ends_with(&text) && shown.out.contains(&node.address()), "{shown:?}");
    }
    let own = place.run(&["id", "--json"]).ok().object();
    let own = own["public_key"].as_str().expect("a key");
    place.run(&["contact", "show", own]).fails(4).says("egtp contact ls");
}
