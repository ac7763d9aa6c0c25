//! `serve` on a data directory that a node uses: the kind is answered there while the command runs.

mod common;

use std::process::Child;

use common::{LOCAL, Node, Place, kill, until};
use serde_json::Value;

fn up(place: &Place) -> Node {
    place.start(&[&["--data", &place.at("data"), "up"], &LOCAL[..]].concat())
}

/// Serves `a/1` by this command for the node that runs.
fn serve(place: &Place, command: &str) -> Node {
    let data = place.at("data");
    place.start(&["--data", &data, "serve", "a/1", "--exec", command, "--allow-any"])
}

fn ask(place: &Place, node: &Node, kind: &str) -> common::Ran {
    place.run(&["--ephemeral", "request", node.ticket(), kind, "hello", "--json"])
}

fn begin_to_ask(place: &Place, node: &Node) -> Child {
    let ask = ["--ephemeral", "request", node.ticket(), "a/1", "--json"];
    place.command(&ask).spawn().expect("it starts")
}

fn end(child: Child) -> (Option<i32>, Value) {
    let output = common::output_of(child);
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("an object"))
}

/// The command starts another process; both write down who they are.
const FAMILY: &str = "sleep 600 & echo $! > child; echo $$ > shell; wait";

fn is_alive(place: &Place, name: &str) -> bool {
    let id = std::fs::read_to_string(place.path().join(name)).unwrap_or_default();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    id.ends_with('\n') && !state.is_empty() && !state.contains(") Z ")
}

fn family_at_work(place: &Place) {
    until("the command runs", || is_alive(place, "child") && is_alive(place, "shell"));
}

#[test]
fn a_kind_is_answered_by_the_process_that_serves_it_and_by_nobody_when_that_has_ended() {
    let place = Place::new();
    let node = up(&place);
    assert_eq!(ask(&place, &node, "a/1").object()["reason"], "unknown_kind");

    let print = r#"cat; printf "|$EGTP_PEER|$EGTP_KIND|$EGTP_ID|$EGTP_REDELIVERED""#;
    let mut served = serve(&place, print);
    assert_eq!(served.ready["kinds"], serde_json::json!(["a/1", "echo/1"]));
    for field in ["ticket", "public_key", "node_id", "listen", "guarantee"] {
        assert_eq!(served.ready[field], node.ready[field], "{field}");
    }
    let data = place.at("asker");
    let asker = place.run(&["--data", &data, "init", "--json"]).ok().object();
    let ran = place.run(&["--data", &data, "request", node.ticket(), "a/1", "body"]).ok();
    let fields: Vec<&str> = ran.out.split('|').collect();
    assert_eq!(fields[..3], ["body", asker["public_key"].as_str().expect("a key"), "a/1"]);
    assert_eq!((fields[3].len(), fields[4]), (64, "0"));
    let event = served.next_event().expect("an event");
    assert_eq!((&event["outcome"], &event["id"]), (&"replied".into(), &fields[3].into()));

    assert!(served.stop("INT").0.success());
    assert_eq!(served.next_event().expect("an event")["event"], "closing");
    until("the kind is gone", || ask(&place, &node, "a/1").object()["reason"] == "unknown_kind");
    // What the node itself answers was never touched.
    ask(&place, &node, "echo/1").ok();
}

#[test]
fn a_kind_is_refused_while_somebody_answers_it_and_it_is_said_who() {
    let place = Place::new();
    let (node, data) = (up(&place), place.at("data"));
    let first = serve(&place, "cat");
    for (kind, owner) in [
        ("a/1", format!("process {} (egtp serve)", first.id())),
        ("echo/1", format!("process {} (egtp up)", node.id())),
    ] {
        place.run(&["--data", &data, "serve", kind, "--echo"]).fails(2).says(&owner);
    }
    let status = place.run(&["--data", &data, "status", "--json"]).ok().object();
    assert_eq!(status["kinds"][0]["kind"], "a/1");
    assert_eq!(status["kinds"][0]["answered_by"], format!("process {} (egtp serve)", first.id()));
    // Another kind is free; where the node listens was chosen when it was started.
    let _second = place.start(&["--data", &data, "serve", "b/1", "--echo"]);
    assert_eq!(ask(&place, &node, "b/1").ok().object()["reply_base64"], "aGVsbG8=");
    let listen = ["--data", &data, "serve", "c/1", "--echo", "--listen", "tcp/127.0.0.1:0"];
    place.run(&listen).fails(2).says("leave --listen out");
}

#[test]
fn only_who_is_allowed_is_answered() {
    let place = Place::new();
    let (node, data) = (up(&place), place.at("data"));
    let asker = place.at("asker");
    let key = place.run(&["--data", &asker, "init", "--json"]).ok().object();
    let key = key["public_key"].as_str().expect("a key");
    let _served = place.start(&["--data", &data, "serve", "a/1", "--exec", "cat", "--allow", key]);
    assert_eq!(ask(&place, &node, "a/1").fails(6).object()["reason"], "not_allowed");
    let ran = place.run(&["--data", &asker, "request", node.ticket(), "a/1", "x"]).ok();
    assert_eq!(ran.out, "x");
}

#[test]
fn a_killed_process_takes_its_kind_along_and_what_it_had_in_hand_is_refused() {
    let place = Place::new();
    let node = up(&place);
    let mut served = serve(&place, FAMILY);
    let asker = begin_to_ask(&place, &node);
    family_at_work(&place);
    served.stop("KILL");
    let (code, object) = end(asker);
    assert_eq!((code, &object["reason"]), (Some(6), &"failed".into()), "{object}");
    until("the kind is gone", || ask(&place, &node, "a/1").object()["reason"] == "unknown_kind");
    kill(place.read("child").trim().parse().expect("an id"), "KILL");
    // And free for the next one.
    let _served = serve(&place, "cat");
    ask(&place, &node, "a/1").ok();
}

#[test]
fn when_the_asker_gives_up_the_command_ends() {
    let place = Place::new();
    let node = up(&place);
    let mut served = serve(&place, FAMILY);
    place.run(&["--ephemeral", "request", node.ticket(), "a/1", "--hard", "2s"]).fails(7);
    until("its child ends", || !is_alive(&place, "child"));
    assert_eq!(served.next_event().expect("an event")["outcome"], "withdrawn");
}

#[test]
fn when_the_node_ends_who_serves_for_it_ends_too_and_its_commands() {
    for signal in ["TERM", "KILL"] {
        let place = Place::new();
        let mut node = up(&place);
        let mut served = serve(&place, FAMILY);
        let mut asker = begin_to_ask(&place, &node);
        family_at_work(&place);
        node.stop(signal);
        let talk = served.talk();
        assert!(talk.contains("next: start it again"), "{signal}: {talk}");
        // It has ended already; a signal to it would find nobody.
        assert_eq!(served.code(), Some(10), "{signal}: {talk}");
        until("its child ends", || !is_alive(&place, "child"));
        asker.kill().expect("it can be ended");
        asker.wait().expect("its end");
    }
}

#[test]
fn no_more_are_given_to_a_process_than_it_wants_at_once() {
    let place = Place::new();
    let (node, data) = (up(&place), place.at("data"));
    let count = "echo >> all; mkdir one || echo >> twice; rmdir one; cat";
    let serve = ["--data", &data, "serve", "a/1", "--exec", count, "--allow-any"];
    let _served = place.start(&[&serve[..], &["--concurrency", "1"]].concat());
    let ask = ["--ephemeral", "request", node.ticket(), "a/1", "x", "--count", "40"];
    place.run(&[&ask[..], &["--concurrency", "10"]].concat()).ok();
    assert_eq!(place.read("all").lines().count(), 40);
    assert!(!place.path().join("twice").exists());
}
