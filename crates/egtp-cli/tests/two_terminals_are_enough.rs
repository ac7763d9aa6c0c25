//! The first minute with the program: a node in one terminal, questions in another, no files.

mod common;

use std::time::Duration;

use common::{LOCAL, Place, closed_port, files_below};

/// Proves STA-1, STA-2, STA-3, PER-1.
#[test]
fn a_bare_node_is_pinged_and_asked_by_its_ticket_alone() {
    let place = Place::new();
    let node = place.start(&[&["up", "--ephemeral"], &LOCAL[..]].concat());

    let ping = place.run(&["ping", node.ticket(), "--count", "2", "--json"]).ok();
    assert_eq!(ping.objects().len(), 2);
    for object in ping.objects() {
        assert!(object["rtt_ms"].as_f64().expect("a number") > 0.0);
        assert_eq!(object["path"], node.ready["listen"][0]);
    }

    let request = place.run(&["request", node.ticket(), "echo/1", "hello"]).ok();
    assert_eq!(request.out, "hello");
    request.says("fresh identity in memory");
}

/// Proves H-29: nodes of today have a hybrid suite, without being told.
#[test]
fn a_post_quantum_request_is_answered() {
    let place = Place::new();
    let node = place.start(&[&["up", "--ephemeral"], &LOCAL[..]].concat());
    let ask = ["request", node.ticket(), "echo/1", "until 2050", "--post-quantum"];
    assert_eq!(place.run(&ask).ok().out, "until 2050");
}

/// Proves SCENARIO-2, PER-2, FF-1 and LOOK-1.
#[test]
fn in_memory_no_file_is_written_and_a_closed_port_fails_at_once() {
    let place = Place::new();
    let mut first = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    let mut second =
        place.start(&[&["--ephemeral", "serve", "copy/1", "--echo"], &LOCAL[..]].concat());

    for node in [&first, &second] {
        place.run(&["ping", node.ticket()]).ok();
    }
    place.run(&["request", second.ticket(), "copy/1", "x", "--ephemeral"]).ok();
    let nowhere = format!("egtp:{}?at=tcp/127.0.0.1:{}", first.key(), closed_port());
    let failed = place.run(&["request", &nowhere, "echo/1", "x"]).fails(5).says("not sent");
    assert!(failed.took < Duration::from_secs(1), "{failed:?}");
    let object = place.run(&["request", &nowhere, "echo/1", "x", "--json"]).fails(5).object();
    assert_eq!(
        (&object["outcome"], &object["reason"]),
        (&"not_sent".into(), &"unreachable".into())
    );

    assert!(first.stop("TERM").0.success() && second.stop("TERM").0.success());
    assert_eq!(files_below(place.path()), []);
}

/// Proves LOOK-1: the contact travels beforehand, the key alone is named.
#[test]
fn look_1_a_key_alone_is_enough_once_its_contact_is_known() {
    let place = Place::new();
    let (alice, bob) = (place.at("alice"), place.at("bob"));
    place.run(&["--data", &alice, "init"]).ok();
    let node = place.start(&[&["--data", &bob, "up"], &LOCAL[..]].concat());
    let contact = place.run(&["--data", &bob, "contact", "export"]).ok().out;

    place.run(&["--data", &alice, "request", node.key(), "echo/1", "hi"]).fails(4);
    place.run_with_input(&["--data", &alice, "contact", "import"], contact.as_bytes()).ok();
    let peer_id = node.ready["node_id"].as_str().expect("an id");
    for peer in [node.key(), peer_id] {
        let ran = place.run(&["--data", &alice, "request", peer, "echo/1", "hi"]).ok();
        assert_eq!(ran.out, "hi");
    }
}

#[test]
fn b_13_an_unknown_peer_is_reported_at_once() {
    let place = Place::new();
    let stranger = place.run(&["--data", &place.at("other"), "init", "--json"]).ok().object();
    for field in ["public_key", "node_id"] {
        let peer = stranger[field].as_str().expect("a text");
        let ran = place.run(&["request", peer, "echo/1", "hi"]).fails(4);
        assert!(ran.took < Duration::from_secs(2), "{ran:?}");
    }
}

#[test]
fn petnames_lead_to_their_keys_and_never_change_by_accident() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let node = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    place.run(&["peers", "add", "bob", node.ticket()]).ok();
    place.run(&["ping", "@bob", "--count", "1"]).ok();
    let listed = place.run(&["peers", "ls", "--json"]).ok().object();
    assert_eq!(listed["name"], "@bob");
    assert_eq!(listed["peer_id"], node.ready["node_id"]);

    let own = place.run(&["id", "--json"]).ok().object();
    let own = own["public_key"].as_str().expect("a key");
    place.run(&["peers", "add", "@bob", own]).fails(2).says("somebody else's name");
    place.run(&["peers", "rm", "bob"]).ok();
    place.run(&["ping", "@bob"]).fails(2).says("nobody is called @bob");
}

#[test]
fn the_plain_ready_text_shows_what_to_type_on_the_other_side() {
    let place = Place::new();
    let mut command = place.command(&[&["up", "--ephemeral"], &LOCAL[..]].concat());
    let mut child = command.spawn().expect("a node starts");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("its output"));
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        let read = std::io::BufRead::read_line(&mut out, &mut text).expect("a line");
        assert!(read > 0, "{text}");
    }
    common::kill(child.id(), "INT");
    assert!(child.wait().expect("its end").success());
    let ping = text.lines().find(|line| line.contains(" ping 'egtp:egtp1")).expect(&text);
    assert!(ping.contains("at=tcp/127.0.0.1:"), "{ping}");
    assert!(text.contains(" request 'egtp:egtp1") && text.contains("echo/1 hello"));
    assert!(text.contains("at most once"), "{text}");
}
