//! Exit codes and the objects that go with them, each reached by the real program.

mod common;

use std::time::Duration;

use common::{LOCAL, Place, Ran};
use serde_json::Value;

fn error_code(ran: &Ran) -> Value {
    let (object, text) =
        (ran.object(), |value: Option<&Value>| value.is_some_and(Value::is_string));
    assert!(
        text(object.pointer("/error/message")) && text(object.pointer("/error/next")),
        "{ran:?}"
    );
    object.pointer("/error/code").cloned().unwrap_or_default()
}

#[test]
fn a_reply_is_0_and_its_object_has_every_field() {
    let place = Place::new();
    let node = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    let object = place.run(&["request", node.ticket(), "echo/1", "hello", "--json"]).ok().object();
    let mut fields: Vec<&str> =
        object.as_object().expect("an object").keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = [
        "attempts",
        "id",
        "outcome",
        "path",
        "reason",
        "reply_base64",
        "schema",
        "soft_timeouts",
        "taken",
        "took_ms",
    ];
    assert_eq!(fields, expected);
    assert_eq!(object["schema"], 1);
    assert_eq!(object["outcome"], "reply");
    assert_eq!(object["reply_base64"], "aGVsbG8=");
    assert_eq!(object["id"].as_str().map(str::len), Some(64));
    assert_eq!(object["attempts"], 1);
    assert_eq!((&object["reason"], &object["taken"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_command_line_that_makes_no_sense_is_2_and_says_how_to_write_it() {
    let place = Place::new();
    let node = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    let ticket = node.ticket();
    let cut = ticket.get(..40).expect("a longer ticket");
    for (arguments, words) in [
        (vec!["request", ticket, "echo/1", "x", "--hard", "5"], "write 5s"),
        (vec!["request", ticket, "no kind"], "without spaces"),
        (vec!["request", cut, "echo/1"], "copy the whole key"),
        (vec!["request", "http://example.org", "echo/1"], "a ticket, a key"),
        (vec!["ping", "@Bob"], "a name has"),
        (vec!["up", "--listen", "udp/127.0.0.1:1", "--ephemeral"], "tcp/127.0.0.1:7700"),
        (vec!["up", "--ephemeral", "--data", "x"], "leave one of them out"),
        (vec!["serve", "a/1"], "--echo"),
        (vec!["serve", "a/1", "--exec", "cat", "--ephemeral"], "--allow-any"),
        (vec!["serve", "a/1", "--exec", "cat", "--allow", "nobody", "--ephemeral"], "no such file"),
        (vec!["serve", "a/1", "--echo", "--redeliver", "--ephemeral"], "a data directory"),
        (vec!["contact", "import", "hello"], "not a contact"),
        (vec!["errors", "99"], "egtp errors"),
        (vec!["frobnicate"], "frobnicate"),
    ] {
        // Some of these work on a directory, which must be there.
        let data = place.at("data");
        if arguments.first() == Some(&"contact") {
            place.run(&["--data", &data, "init"]).ok();
            place.run(&[&["--data", &data], &arguments[..]].concat()).fails(2).says(words);
            continue;
        }
        place.run(&arguments).fails(2).says(words);
        let ran = place.run(&[&arguments[..], &["--json"]].concat()).fails(2);
        assert_eq!(error_code(&ran), "usage", "{ran:?}");
    }
}

#[test]
fn a_session_with_oneself_is_2() {
    let place = Place::new();
    let data = place.at("data");
    let own = place.run(&["--data", &data, "init", "--json"]).ok().object();
    let own = own["public_key"].as_str().expect("a key");
    let ran = place.run(&["--data", &data, "request", own, "echo/1", "--json"]).fails(2);
    assert_eq!(error_code(&ran), "oneself");
}

#[test]
fn no_running_node_is_3() {
    let place = Place::new();
    place.run(&["init"]).ok();
    place.run(&["status"]).ok();
    place.run(&["status", "--check"]).fails(3).says("no node is running");
    // One object, which says all of it.
    let object = place.run(&["status", "--check", "--json"]).fails(3).object();
    assert_eq!(
        (&object["running"], &object["error"]["code"]),
        (&false.into(), &"needs_node".into())
    );
    let nowhere = place.at("nowhere");
    let ran = place.run(&["--data", &nowhere, "status", "--check", "--json"]).fails(3);
    assert_eq!(error_code(&ran), "needs_node");
}

#[test]
fn a_refusal_is_6_and_names_its_reason() {
    let place = Place::new();
    let other = place.run(&["--data", &place.at("other"), "init", "--json"]).ok().object();
    let other = other["public_key"].as_str().expect("a key");
    let only = [&["--ephemeral", "serve", "a/1", "--exec", "cat", "--allow", other], &LOCAL[..]];
    let node = place.start(&only.concat());
    for (kind, reason) in [("b/1", "unknown_kind"), ("a/1", "not_allowed")] {
        let ran = place.run(&["request", node.ticket(), kind, "x", "--json"]).fails(6);
        assert_eq!(ran.object()["outcome"], "refused");
        assert_eq!(ran.object()["reason"], reason);
        assert_eq!(error_code(&ran), "refused");
    }
    place.run(&["ping", node.ticket(), "--count", "1"]).ok();
    // Who was named may ask.
    let data = place.at("other");
    let ran = place.run(&["--data", &data, "request", node.ticket(), "a/1", "x"]).ok();
    assert_eq!(ran.out, "x");
}

#[test]
fn a_hard_timeout_is_7_and_says_whether_the_peer_has_taken_it() {
    let place = Place::new();
    let slow = ["--ephemeral", "serve", "slow/1", "--exec", "sleep 60", "--allow-any"];
    let node = place.start(&[&slow, &LOCAL[..]].concat());
    let limits = ["--soft", "100ms", "--hard", "1s", "--json"];
    let ran = place.run(&[&["request", node.ticket(), "slow/1"], &limits[..]].concat()).fails(7);
    assert!(ran.took >= Duration::from_secs(1), "{ran:?}");
    let object = ran.object();
    assert_eq!((&object["outcome"], &object["taken"]), (&"timed_out".into(), &"yes".into()));
    assert_eq!(object["soft_timeouts"], 1);
    assert_eq!(error_code(&ran), "timed_out");
    ran.says("do not repeat it");
}

#[test]
fn with_count_the_highest_code_counts_and_each_has_its_line() {
    let place = Place::new();
    // The second one fails, the others do not.
    let command = "printf x >> n; [ $(wc -c < n) != 2 ]";
    let serve = ["--ephemeral", "serve", "a/1", "--exec", command, "--allow-any"];
    let node = place.start(&[&serve, &LOCAL[..]].concat());
    let many = ["request", node.ticket(), "a/1", "x", "--count", "4", "--json"];
    let ran = place.run(&many);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    let outcomes: Vec<Value> =
        ran.objects().iter().map(|object| object["outcome"].clone()).collect();
    assert_eq!(outcomes, ["reply", "refused", "reply", "reply"]);
    ran.says("4 requests").says("3 reply").says("1 refused");
    let many = [&many[..], &["--concurrency", "4"]].concat();
    assert_eq!(place.run(&many).ok().objects().len(), 4);
}

#[test]
fn errors_explain_every_exit_code_that_is_documented() {
    let place = Place::new();
    let all = place.run(&["errors", "--json"]).ok();
    let exits: Vec<i64> =
        all.objects().iter().filter_map(|object| object["exit"].as_i64()).collect();
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 130, 141] {
        assert!(exits.contains(&code), "{code}");
    }
    assert!(place.run(&["errors", "130"]).ok().out.contains("repeat only if `taken` is `no`"));
    let busy = place.run(&["errors", "busy", "--json"]).ok().objects();
    let codes: Vec<&Value> = busy.iter().map(|object| &object["code"]).collect();
    assert_eq!(codes, ["not_sent", "refused"]);
    assert!(place.run(&["errors", "not_found"]).ok().out.contains("contact import"));
}

#[test]
fn every_command_shows_three_examples_and_the_version_names_commit_and_protocol() {
    let place = Place::new();
    for verb in [
        "init",
        "id",
        "up",
        "serve",
        "request",
        "ping",
        "peers",
        "contact",
        "status",
        "events",
        "trace",
        "demo",
        "config",
        "completions",
        "errors",
    ] {
        let help = place.run(&[verb, "--help"]).ok().out;
        let examples = help.split("Examples:").nth(1).expect("examples");
        assert!(examples.matches("\n  egtp ").count() >= 3, "{help}");
    }
    let version = place.run(&["--version"]).ok().out;
    let expected = concat!("egtp ", env!("CARGO_PKG_VERSION"), ", EGTP v2, wire version ");
    assert!(version.starts_with(expected) && version.contains("commit"), "{version}");
    assert!(place.run(&["completions", "bash"]).ok().out.contains("egtp"));
}

/// Proves ID-3.
#[test]
fn own_ids_are_node_ids_and_those_of_others_peer_ids() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let own = place.run(&["id"]).ok().out;
    assert!(own.contains("node id") && !own.contains("peer id"), "{own}");
    let other = place.run(&["--data", &place.at("other"), "init", "--json"]).ok().object();
    let other = other["public_key"].as_str().expect("a key");
    place.run(&["peers", "add", "other", other]).ok();
    let listed = place.run(&["peers", "ls"]).ok().out;
    assert!(listed.contains("peer id") && !listed.contains("node id"), "{listed}");
    assert!(place.run(&["request", "--help"]).ok().out.contains("peer id"));
}
