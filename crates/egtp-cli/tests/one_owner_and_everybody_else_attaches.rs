//! Commands on a data directory that a node uses: they ask through that node, as if it were theirs.

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::{Child, Command};

use common::{LOCAL, Node, Place, closed_port, kill, until};
use serde_json::Value;

/// A node with a data directory, and the words that name it.
fn up(place: &Place) -> (Node, String) {
    let data = place.at("data");
    (place.start(&[&["--data", &data, "up"], &LOCAL[..]].concat()), data)
}

/// Another node, which runs this command for everybody.
fn other(place: &Place, command: &str) -> Node {
    let serve = ["--ephemeral", "serve", "a/1", "--exec", command, "--allow-any"];
    place.start(&[&serve, &LOCAL[..]].concat())
}

fn names(object: &Value) -> Vec<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}

/// Waits until a request has said that it still waits: by then the peer has acknowledged it.
fn waits(asker: &mut Child) {
    let talk = BufReader::new(asker.stderr.as_mut().expect("its talk"));
    let mut lines = talk.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("still waiting")));
}

fn end(child: Child) -> (Option<i32>, Vec<Value>) {
    let output = common::output_of(child);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let objects = out.lines().map(|line| serde_json::from_str(line).expect("an object"));
    (output.status.code(), objects.collect())
}

#[test]
fn a_request_is_asked_by_the_running_node_and_looks_like_any_other() {
    let place = Place::new();
    let (node, data) = up(&place);
    let bob = other(&place, r#"cat; echo "|$EGTP_PEER""#);
    let ask = ["request", bob.ticket(), "a/1", "body"];
    let attached = place.run(&[&["--data", &data], &ask[..]].concat()).ok();
    assert_eq!(attached.out, format!("body|{}\n", node.key()));
    assert_eq!(attached.talk, "");

    let ask = [&ask[..], &["--json"]].concat();
    let attached = place.run(&[&["--data", &data], &ask[..]].concat()).ok().object();
    let alone = place.run(&[&["--ephemeral"], &ask[..]].concat()).ok().object();
    assert_eq!(names(&attached), names(&alone));
    assert_eq!((&attached["outcome"], &attached["path"]), (&alone["outcome"], &alone["path"]));

    let ping = place.run(&["--data", &data, "ping", bob.ticket(), "--count", "2", "--json"]).ok();
    for object in ping.objects() {
        assert!(object["rtt_ms"].as_f64().expect("a number") > 0.0);
        assert_eq!(object["path"], bob.ready["listen"][0]);
    }
    assert_eq!(ping.objects().len(), 2);
}

#[test]
fn every_end_has_the_exit_code_that_it_has_elsewhere() {
    let place = Place::new();
    let (node, data) = up(&place);
    let bob = other(&place, "sleep 60");
    let key = |name: &str| {
        let made = place.run(&["--data", &place.at(name), "init", "--json"]).ok().object();
        made["public_key"].as_str().expect("a key").to_owned()
    };
    let nowhere = format!("egtp:{}?at=tcp/127.0.0.1:{}", key("nowhere"), closed_port());
    let ask = |words: &[&str]| place.run(&[&["--data", &data, "request"], words].concat());
    ask(&[bob.ticket(), "b/1"]).fails(6).says("does not serve this kind");
    ask(&[&nowhere, "a/1"]).fails(5).says("nobody listens at that address");
    ask(&[&key("stranger"), "a/1"]).fails(4).says("contact import");
    ask(&[node.ticket(), "a/1"]).fails(2).says("oneself");
    ask(&["@nobody", "a/1"]).fails(2).says("nobody is called @nobody");
    let slow = ask(&[bob.ticket(), "a/1", "--soft", "100ms", "--hard", "1s", "--json"]).fails(7);
    let object = slow.says("No reply yet").object();
    assert_eq!((&object["outcome"], &object["taken"]), (&"timed_out".into(), &"yes".into()));
    assert_eq!(
        (&object["soft_timeouts"], &object["error"]["code"]),
        (&1.into(), &"timed_out".into())
    );
}

#[test]
fn the_largest_body_goes_through_and_its_reply_comes_back() {
    let place = Place::new();
    let (_node, data) = up(&place);
    let bob = place.start(&[&["--ephemeral", "serve", "a/1", "--echo"], &LOCAL[..]].concat());
    let body = vec![b'x'; 2 * 1024 * 1024];
    let ask = ["--data", &data, "request", bob.ticket(), "a/1", "-"];
    let ran = place.run_with_input(&ask, &body).ok();
    assert!(ran.out.as_bytes() == body, "{} bytes came back", ran.out.len());
}

#[test]
fn several_commands_ask_at_once_and_each_many_times() {
    let place = Place::new();
    let (_node, data) = up(&place);
    let bob = place.start(&[&["--ephemeral", "serve", "a/1", "--echo"], &LOCAL[..]].concat());
    let start = |body: &'static str| {
        let ask =
            ["--data", &data, "request", bob.ticket(), "a/1", body, "--json", "--count", "50"];
        place.command(&[&ask[..], &["--concurrency", "8"]].concat()).spawn().expect("it starts")
    };
    let children = ["one", "two", "three"].map(|body| (body, start(body)));
    for (body, child) in children {
        let (code, objects) = end(child);
        assert_eq!((code, objects.len()), (Some(0), 50), "{body}");
        let reply = &objects[0]["reply_base64"];
        assert!(objects.iter().all(|object| &object["reply_base64"] == reply), "{body}");
    }
}

#[test]
fn who_interrupts_or_kills_an_attached_command_cancels_its_request_in_the_node() {
    let place = Place::new();
    let (_node, data) = up(&place);
    let mut bob = other(&place, "sleep 600");
    let ask = ["--data", &data, "request", bob.ticket(), "a/1", "--soft", "500ms", "--json"];
    let ask: Vec<String> = ask.map(ToOwned::to_owned).to_vec();
    for (signal, expected) in [("INT", Some(130)), ("TERM", Some(130)), ("KILL", None)] {
        let words: Vec<&str> = ask.iter().map(String::as_str).collect();
        let mut asker = place.command(&words).spawn().expect("it starts");
        waits(&mut asker);
        kill(asker.id(), signal);
        let (code, objects) = end(asker);
        assert_eq!(code, expected, "{signal}: {objects:?}");
        if expected.is_some() {
            let object = &objects[0];
            assert_eq!((&object["outcome"], &object["taken"]), (&"closing".into(), &"yes".into()));
            assert_eq!(object["error"]["code"], "interrupted");
        }
        assert_eq!(bob.next_event().expect("an event")["outcome"], "withdrawn", "{signal}");
    }
}

#[test]
fn when_the_owner_goes_what_was_asked_through_it_ends_and_the_next_one_starts() {
    let place = Place::new();
    let bob = other(&place, "sleep 600");
    let data = place.at("data");
    let ask = ["--data", &data, "request", bob.ticket(), "a/1", "--soft", "500ms", "--json"];
    for (signal, words) in [("KILL", "has ended without a word"), ("TERM", "this node is closing")]
    {
        let (mut node, _) = up(&place);
        let mut asker = place.command(&ask).spawn().expect("it starts");
        waits(&mut asker);
        node.stop(signal);
        let (code, objects) = end(asker);
        assert_eq!((code, objects.len()), (Some(10), 1), "{signal}: {objects:?}");
        let object = &objects[0];
        assert_eq!(
            (&object["outcome"], &object["error"]["code"]),
            (&"closing".into(), &"closing".into())
        );
        let message = object["error"]["message"].as_str().expect("a message");
        assert!(message.contains(words), "{message}");
    }
    // What a killed owner leaves behind is in nobody's way.
    let (mut node, _) = up(&place);
    node.stop("KILL");
    assert!(place.path().join("data/control.sock").exists());
    place.run(&["--data", &data, "status", "--check"]).fails(3);
    place.run(&["--data", &data, "ping", bob.ticket(), "--count", "1"]).ok();
}

#[test]
fn the_socket_is_its_users_alone_and_goes_with_the_owner() {
    let place = Place::new();
    let (mut node, _) = up(&place);
    let socket = place.path().join("data/control.sock");
    let metadata = std::fs::symlink_metadata(&socket).expect("it is there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    node.stop("TERM");
    assert!(!socket.exists());
}

#[test]
fn a_directory_with_a_name_too_long_for_a_socket_works_all_the_same() {
    let place = Place::new();
    let long = place.at(&"long-".repeat(40));
    let node = place.start(&[&["--data", &long, "up"], &LOCAL[..]].concat());
    let bob = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    place.run(&["--data", &long, "ping", bob.ticket(), "--count", "1"]).ok();
    let status = place.run(&["--data", &long, "status", "--json"]).ok().object();
    assert_eq!(status["kinds"][0]["answered_by"], format!("process {} (egtp up)", node.id()));
}

#[test]
fn without_a_named_directory_the_usual_node_is_asked_through_unless_it_is_the_one_asked() {
    let place = Place::new();
    let bob = other(&place, r#"echo "$EGTP_PEER""#);
    let node = place.start(&[&["up"], &LOCAL[..]].concat());
    let ran = place.run(&["request", bob.ticket(), "a/1"]).ok();
    assert_eq!(ran.out, format!("{}\n", node.key()));
    ran.says(&format!("Asking through process {}", node.id())).says("--ephemeral");
    let ran = place.run(&["request", bob.ticket(), "a/1", "--ephemeral"]).ok();
    assert_ne!(ran.out, format!("{}\n", node.key()));
    place.run(&["ping", node.ticket(), "--count", "1"]).ok().says("fresh identity in memory");
}

#[test]
fn a_command_that_asks_for_itself_lets_others_ask_and_waits_for_them() {
    let place = Place::new();
    let data = place.at("data");
    place.run(&["--data", &data, "init"]).ok();
    // Each request comes to a gate of its own, and is answered when that is opened.
    for gate in ["gate1", "gate2"] {
        let made = Command::new("mkfifo").arg(place.at(gate)).status();
        assert!(made.expect("mkfifo can be run").success());
    }
    let bob = other(&place, "read n; echo > came$n; cat gate$n; echo $n");
    let ask = |body: &str| {
        let ask = ["--data", &data, "request", bob.ticket(), "a/1", body];
        place.command(&ask).spawn().expect("it starts")
    };
    let came = |name: &str| until(name, || place.path().join(name).exists());
    let mut first = ask("1\n");
    came("came1");
    place.run(&["--data", &data, "serve", "a/1", "--echo"]).fails(1).says("egtp request");
    let second = ask("2\n");
    came("came2");
    place.write("gate1", "");
    let mut talk = BufReader::new(first.stderr.take().expect("its talk")).lines();
    assert!(
        talk.any(|line| line.is_ok_and(|line| line.contains("Others ask through this process")))
    );
    place.write("gate2", "");
    for (child, reply) in [(first, "1\n"), (second, "2\n")] {
        let output = common::output_of(child);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, reply.as_bytes());
    }
}

#[test]
fn what_is_kept_in_files_is_read_and_written_while_a_node_runs() {
    let place = Place::new();
    let (node, data) = up(&place);
    let bob = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    let run = |words: &[&str]| place.run(&[&["--data", &data], words].concat()).ok();
    assert_eq!(run(&["id", "--json"]).object()["public_key"], node.key());
    run(&["peers", "add", "bob", bob.ticket()]);
    run(&["ping", "@bob", "--count", "1"]);
    let contact = run(&["contact", "export", "--json"]).object();
    assert_eq!(contact["strategies"], node.ready["listen"]);
}
