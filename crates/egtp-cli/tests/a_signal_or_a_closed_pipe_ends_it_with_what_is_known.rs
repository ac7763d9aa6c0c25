//! Interruptions: what they leave, what is said of what was under way, and who is not asked to stop.

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use common::{LOCAL, Node, Place, kill, until};
use serde_json::Value;

fn slow(place: &Place) -> Node {
    let serve = ["--ephemeral", "serve", "slow/1", "--exec", "sleep 600 & echo $! > child; wait"];
    place.start(&[&serve[..], &["--allow-any"], &LOCAL].concat())
}

fn handler_is_alive(place: &Place) -> bool {
    let id = std::fs::read_to_string(place.path().join("child")).unwrap_or_default();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    id.ends_with('\n') && !state.is_empty() && !state.contains(") Z ")
}

/// Waits until a request has said that it still waits: by then the peer has acknowledged it.
fn waits(asker: &mut Child) {
    let talk = BufReader::new(asker.stderr.as_mut().expect("its talk"));
    let mut lines = talk.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("still waiting")));
}

fn end(child: Child) -> (Option<i32>, Vec<Value>, String) {
    let output = child.wait_with_output().expect("its end");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let objects = out.lines().map(|line| serde_json::from_str(line).expect("an object"));
    (output.status.code(), objects.collect(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_interrupted_request_that_was_taken_is_not_to_be_repeated() {
    let place = Place::new();
    let node = slow(&place);
    let ask = ["request", node.ticket(), "slow/1", "--soft", "1s", "--json"];
    for signal in ["INT", "TERM", "HUP"] {
        let mut asker = place.command(&ask).spawn().expect("it starts");
        waits(&mut asker);
        kill(asker.id(), signal);
        let (code, objects, _) = end(asker);
        assert_eq!((code, objects.len()), (Some(130), 1), "{signal}: {objects:?}");
        let object = &objects[0];
        assert_eq!((&object["outcome"], &object["taken"]), (&"closing".into(), &"yes".into()));
        assert_eq!(object["error"]["code"], "interrupted");
        let next = object["error"]["next"].as_str().expect("an advice");
        assert!(next.contains("do not repeat it"), "{next}");
    }
}

#[test]
fn an_interrupted_request_of_which_nothing_was_heard_is_unknown() {
    let place = Place::new();
    let other = place.run(&["--data", &place.at("other"), "init", "--json"]).ok().object();
    let key = other["public_key"].as_str().expect("a key");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let ticket = format!("egtp:{key}?at=tcp/{address}");
    let ask = ["request", &ticket, "a/1", "--soft", "1s", "--json"];

    let mut asker = place.command(&ask).spawn().expect("it starts");
    let _connection = listener.accept().expect("it connects");
    waits(&mut asker);
    kill(asker.id(), "INT");
    let (code, objects, _) = end(asker);
    assert_eq!((code, &objects[0]["taken"]), (Some(130), &"unknown".into()), "{objects:?}");
    let message = objects[0]["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&format!("tcp/{address} accepts connections")), "{message}");

    // Of several, each has its line; those that were not begun are counted.
    let many = [&ask[..], &["--count", "5", "--concurrency", "2"]].concat();
    let mut asker = place.command(&many).spawn().expect("it starts");
    let _connection = listener.accept().expect("it connects");
    waits(&mut asker);
    kill(asker.id(), "INT");
    let (code, objects, _) = end(asker);
    assert_eq!((code, objects.len()), (Some(130), 3), "{objects:?}");
    let message = objects[2]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("not begun: 3"), "{message}");
}

#[test]
fn a_hangup_stops_a_node_as_sigterm_does_and_its_handlers_end() {
    let place = Place::new();
    let mut node = slow(&place);
    let mut asker =
        place.command(&["request", node.ticket(), "slow/1"]).spawn().expect("it starts");
    until("the handler runs", || handler_is_alive(&place));
    let (status, _) = node.stop("HUP");
    assert_eq!(status.code(), Some(0), "{status}");
    until("the handler ends", || !handler_is_alive(&place));
    asker.kill().expect("it can be ended");
    asker.wait().expect("its end");
}

#[test]
fn a_node_started_with_hangups_ignored_keeps_ignoring_them() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_egtp");
    let script = format!("trap '' HUP; exec {program} --ephemeral --json up {}", LOCAL.join(" "));
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", &script]).env_clear().env("HOME", place.path());
    let mut node = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(node.stdout.take().expect("its output"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a ready line");
    let ready: Value = serde_json::from_str(&line).expect("an object");
    kill(node.id(), "HUP");
    // It answers, after the signal has been delivered.
    let ticket = ready["ticket"].as_str().expect("a ticket");
    place.run(&["ping", ticket, "--count", "1"]).ok();
    kill(node.id(), "TERM");
    assert_eq!(node.wait().expect("its end").code(), Some(0));
}

#[test]
fn when_nobody_reads_any_more_it_ends_quietly_with_141() {
    let place = Place::new();
    for words in [&["errors"][..], &["errors", "--json"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = place.command(words).stdout(writer).spawn().expect("it starts");
        let (code, _, talk) = end(child);
        assert_eq!((code, talk.as_str()), (Some(141), ""), "{words:?}");
    }
}

#[test]
fn a_node_whose_reader_has_gone_still_stops_cleanly() {
    let place = Place::new();
    let mut command = place.command(&[&["--ephemeral", "--json", "up"], &LOCAL[..]].concat());
    let mut node = command.spawn().expect("it starts");
    let mut out = BufReader::new(node.stdout.take().expect("its output"));
    out.read_line(&mut String::new()).expect("a ready line");
    drop(out);
    kill(node.id(), "TERM");
    let (code, _, talk) = end(node);
    assert_eq!(code, Some(0), "{talk}");
}
