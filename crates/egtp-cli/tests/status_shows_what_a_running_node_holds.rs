//! `status` beside a node that runs, and beside none.

mod common;

use std::io::{BufRead, BufReader};

use common::{LOCAL, Node, Place, kill};
use serde_json::{Value, json};

fn up(place: &Place) -> (Node, String) {
    let data = place.at("data");
    (place.start(&[&["--data", &data, "up"], &LOCAL[..]].concat()), data)
}

#[test]
fn sessions_paths_and_what_waits_are_counted_and_peers_named() {
    let place = Place::new();
    let (node, data) = up(&place);
    let status = || place.run(&["--data", &data, "status", "--json"]).ok().object();
    let idle = status();
    assert_eq!(idle["sessions"], json!({"at_rest": 0, "confirmed": 0, "under_way": 0}));
    assert_eq!(idle["waiting"], json!({"asked": 0, "to_answer": 0, "in_hand": 0}));
    assert_eq!((&idle["connections"], &idle["paths"]), (&json!(0), &json!([])));
    assert_eq!(idle["limits"]["message_bytes_max"], 2 * 1024 * 1024);

    let slow = ["--ephemeral", "serve", "a/1", "--exec", "sleep 600", "--allow-any"];
    let bob = place.start(&[&slow[..], &LOCAL[..]].concat());
    let ask = ["--data", &data, "request", bob.ticket(), "a/1", "--soft", "500ms"];
    let mut asker = place.command(&ask).spawn().expect("it starts");
    let mut talk = BufReader::new(asker.stderr.take().expect("its talk")).lines();
    assert!(talk.any(|line| line.is_ok_and(|line| line.contains("still waiting"))));
    let busy = status();
    assert_eq!(busy["sessions"]["confirmed"], 1, "{busy}");
    assert_eq!(busy["waiting"]["asked"], 1, "{busy}");
    let path = json!([{"path": bob.ready["listen"][0], "peer": bob.key(), "opened_by": "us"}]);
    assert_eq!(busy["paths"], path);
    let plain = place.run(&["--data", &data, "status"]).ok().out;
    for words in ["sessions    1 confirmed", "waiting     1 asked here", "opened here", bob.key()] {
        assert!(plain.contains(words), "{words} is not in {plain}");
    }
    kill(asker.id(), "INT");
    asker.wait().expect("its end");
    common::until("nothing is asked any more", || status()["waiting"]["asked"] == 0);

    // And from the side of who is asked.
    let carol = place.start(&[&["--data", &place.at("carol"), "up"], &LOCAL[..]].concat());
    place.run(&["--data", &place.at("carol"), "request", node.ticket(), "echo/1"]).ok();
    let paths = status()["paths"].clone();
    let hers = paths.as_array().expect("a list").iter().find(|path| path["peer"] == carol.key());
    assert_eq!(hers.expect("hers")["opened_by"], "them");
    assert_eq!(status()["sessions"]["confirmed"], 2);
}

#[test]
fn without_a_node_there_is_nothing_to_count() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let status = place.run(&["status", "--json"]).ok().object();
    assert_eq!(status["running"], false);
    for field in ["sessions", "dialogs", "waiting", "connections", "paths", "kinds"] {
        assert_eq!(status.get(field), Some(&Value::Null), "{field}");
    }
}

#[test]
fn watching_repeats_until_it_is_interrupted_or_checks_until_the_node_ends() {
    let place = Place::new();
    let (mut node, data) = up(&place);
    let watch = ["--data", &data, "status", "--watch", "--json"];
    let checked = [&watch[..], &["--check"]].concat();
    let start = |words: &[&str]| {
        let mut child = place.command(words).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        for _ in 0..2 {
            let line = lines.next().expect("a line").expect("a text");
            let object: Value = serde_json::from_str(&line).expect("an object");
            assert_eq!(object["running"], true);
        }
        (child, lines)
    };
    let (mut watching, _lines) = start(&watch);
    kill(watching.id(), "INT");
    assert_eq!(watching.wait().expect("its end").code(), Some(130));

    let (mut checking, lines) = start(&checked);
    node.stop("TERM");
    let last = lines.map_while(Result::ok).last().expect("a last line");
    assert!(last.contains("needs_node"), "{last}");
    assert_eq!(checking.wait().expect("its end").code(), Some(3));
}

/// Who owns a directory may not be reachable yet, or any more: scripts that wait for a node must not go on then.
#[test]
fn a_node_that_cannot_be_asked_does_not_pass_the_check() {
    let place = Place::new();
    let (_node, data) = up(&place);
    let check = ["--data", &data, "status", "--check"];
    place.run(&check).ok();
    std::fs::remove_file(place.path().join("data/control.sock")).expect("it is there");
    place.run(&check).fails(3).says("does not answer");
}
