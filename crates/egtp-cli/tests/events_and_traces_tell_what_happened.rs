//! `events` and `trace` beside a running node.

mod common;

use common::{LOCAL, Node, Place};
use serde_json::{Value, json};

fn up(place: &Place, name: &str) -> (Node, String) {
    let data = place.at(name);
    (place.start(&[&["--data", &data, "up"], &LOCAL[..]].concat()), data)
}

/// The events of this name.
fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn both_sides_tell_of_a_request_and_the_session_that_was_made_for_it() {
    let place = Place::new();
    let ((alice, a), (bob, b)) = (up(&place, "alice"), up(&place, "bob"));
    let ask = ["--data", &a, "request", bob.ticket(), "echo/1", "hello", "--json"];
    let id = place.run(&ask).ok().object()["id"].clone();
    let ls = |data: &str| place.run(&["--data", data, "events", "ls", "--json"]).ok().objects();

    let hers = ls(&a);
    let asked = named(&hers, "asked");
    assert_eq!((asked.len(), &asked[0]["id"], &asked[0]["kind"]), (1, &id, &json!("echo/1")));
    assert_eq!(asked[0]["peer"], bob.key());
    let outcome = named(&hers, "outcome");
    assert_eq!((outcome.len(), &outcome[0]["id"]), (1, &id));
    assert_eq!(
        (&outcome[0]["outcome"], &outcome[0]["path"]),
        (&json!("reply"), &bob.ready["listen"][0])
    );
    assert_eq!(named(&hers, "session")[0]["peer"], bob.key());

    let his = ls(&b);
    let taken = named(&his, "taken");
    assert_eq!((taken.len(), &taken[0]["id"], &taken[0]["peer"]), (1, &id, &json!(alice.key())));
    let replied = named(&his, "replied");
    assert_eq!((replied.len(), &replied[0]["refused"]), (1, &Value::Null));
    assert!(his.iter().all(|event| event["schema"] == 1));
    let at = his[0]["at"].as_str().expect("a time");
    assert!(at.starts_with("20") && at.ends_with('Z') && at.contains('T'), "{at}");

    let id = id.as_str().expect("an id");
    let trace = |data: &str| place.run(&["--data", data, "trace", id, "--json"]).ok().object();
    let (hers, his) = (trace(&a), trace(&b));
    assert_eq!((&hers["id"], &hers["state"]), (&json!(id), &json!("reply")));
    assert_eq!(hers["attempts"][0]["state"], "queued");
    let states = |trace: &Value| {
        let attempts = trace["attempts"].as_array().expect("a list").iter();
        attempts.map(|attempt| attempt["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(states(&his), ["received", "answered"]);
    let plain = place.run(&["--data", &a, "trace", id]).ok().out;
    assert!(plain.lines().next().is_some_and(|line| line.ends_with("  queued")), "{plain}");
}

#[test]
fn waiting_shows_each_event_as_it_happens() {
    let place = Place::new();
    let (node, data) = up(&place, "data");
    place.run(&["--ephemeral", "request", node.ticket(), "echo/1"]).ok();
    let mut waiting = place.start_quietly(&["--data", &data, "events", "wait"]);
    // It is told nothing of what was before; so ask until it says something.
    let mut seen = Vec::new();
    common::until("a refusal is told", || {
        place.run(&["--ephemeral", "request", node.ticket(), "no/1"]).fails(6);
        seen.extend(std::iter::from_fn(|| waiting.try_event()));
        !named(&seen, "replied").is_empty()
    });
    // 2 is the status of an unknown kind.
    assert!(named(&seen, "replied").iter().all(|event| event["refused"] == 2), "{seen:?}");
    assert_eq!(waiting.stop("INT").0.code(), Some(130));

    let mut counted = place.start_quietly(&["--data", &data, "events", "wait", "--count", "1"]);
    common::until("one has happened", || {
        place.run(&["--ephemeral", "ping", node.ticket(), "--count", "1"]).ok();
        counted.has_ended()
    });
    assert_eq!(counted.code(), Some(0));
    assert!(counted.next_event().is_some() && counted.next_event().is_none());
}

#[test]
fn who_gave_up_and_what_was_given_up_is_told_as_well() {
    let place = Place::new();
    let (_node, data) = up(&place, "data");
    let (bob, b) = (place.at("bob"), place.at("bob"));
    let slow = ["--data", &bob, "serve", "a/1", "--exec", "sleep 600", "--allow-any"];
    let bob = place.start(&[&slow[..], &LOCAL[..]].concat());
    place.run(&["--data", &data, "request", bob.ticket(), "a/1", "--hard", "1s"]).fails(7);
    let ls = |data: &str| place.run(&["--data", data, "events", "ls", "--json"]).ok().objects();
    let hers = ls(&data);
    assert_eq!(named(&hers, "outcome")[0]["outcome"], "timed_out");
    assert_eq!(named(&hers, "received").len(), 1);
    common::until("it is withdrawn", || named(&ls(&b), "withdrawn").len() == 1);
}

#[test]
fn without_a_node_there_is_nothing_to_tell() {
    let place = Place::new();
    place.run(&["init"]).ok();
    for words in [&["events", "ls"][..], &["events", "wait"], &["trace", "abc"]] {
        place.run(words).fails(3).says("no node is running");
    }
    let (mut node, data) = up(&place, "data");
    place.run(&["--data", &data, "trace", "abc"]).fails(2).says("egtp events ls");
    let mut waiting = place.start_quietly(&["--data", &data, "events", "wait"]);
    let ended = |node: &mut Node| node.stop("TERM").0.success();
    common::until("it is attached", || {
        place.run(&["--ephemeral", "ping", node.ticket(), "--count", "1"]).ok();
        waiting.try_event().is_some()
    });
    assert!(ended(&mut node));
    assert_eq!(waiting.code(), Some(10));
}
