//! What whoever runs a relay sees of it, and can change while it runs.

mod common;

use std::time::{Duration, Instant};

use common::page::{number, page};
use common::{LOCAL, Place, kill};

#[test]
fn a_page_on_this_machine_says_how_a_relay_is_and_what_it_has_done() {
    let place = Place::new();
    let data = place.at("relay");
    let watched = ["--data", &data, "relay", "--metrics", "tcp/127.0.0.1:0"];
    let relay = place.start(&[&watched[..], &LOCAL[..]].concat());
    let url = relay.ready["metrics"].as_str().expect("where the page is").to_owned();
    assert_eq!(page(&url, "GET", "/healthz"), (200, "ok\n".to_owned()));
    let status = place.run(&["--data", &data, "status"]).ok();
    assert!(status.out.contains(&format!("reachable   tcp/{}", relay.address())), "{status:?}");
    let (_, before) = page(&url, "GET", "/metrics");
    assert_eq!(number(&before, "egtp_relay_registered"), 0);

    let bob = ["--data", &place.at("bob"), "up", "--listen", "none", "--relay", relay.ticket()];
    let bob = place.start(&bob);
    let ran = place.run(&["request", bob.ticket(), "echo/1", "hello"]).ok();
    assert_eq!(ran.out, "hello");
    let (status, after) = page(&url, "GET", "/metrics");
    assert_eq!(status, 200);
    assert_eq!(number(&after, "egtp_relay_registered"), 1);
    assert!(number(&after, "egtp_relay_passed_packets_total") > 1, "{after}");
    assert_eq!(number(&after, "egtp_relay_registrations_total{outcome=\"entered\"}"), 1);
    assert_eq!(number(&after, "egtp_sessions{state=\"at_rest\"}"), 0);
    assert!(number(&after, "egtp_connections") > 0, "{after}");
    // It looks for letters when it comes.
    assert_eq!(number(&after, "egtp_mailbox_letters"), 0);
    assert!(after.ends_with("# EOF\n"), "{after}");
    for secret in [bob.key(), "egtp1", "127.0.0.1"] {
        assert!(!after.contains(secret), "{secret} is in {after}");
    }
    assert_eq!(page(&url, "POST", "/metrics").0, 405);
    assert_eq!(page(&url, "GET", "/elsewhere").0, 404);
}

#[test]
fn the_page_is_where_it_is_asked_for_and_nowhere_else() {
    let place = Place::new();
    let up = ["--ephemeral", "up", "--listen", "tcp/127.0.0.1:0"];
    let node = place.start(&up);
    assert!(node.ready["metrics"].is_null(), "{}", node.ready);
    place.run(&[&up[..], &["--metrics", "tcp/0.0.0.0:0"]].concat()).fails(2).says("this machine");
    let taken = format!("tcp/{}", node.address());
    place.run(&[&up[..], &["--metrics", &taken]].concat()).fails(1).says("cannot listen");
}

/// Proves that an operator can turn somebody out, and let him in again, without a restart.
#[test]
fn lists_are_read_again_at_a_sighup_and_count_for_those_who_are_there() {
    let place = Place::new();
    place.write("banned", "# nobody yet\n");
    let (data, banned) = (place.at("relay"), place.at("banned"));
    let mut relay =
        place.start(&[&["--data", &data, "relay", "--ban", &banned], &LOCAL[..]].concat());
    let bob = ["--data", &place.at("bob"), "up", "--listen", "none", "--relay", relay.ticket()];
    let mut bob = place.start(&bob);
    let ticket = bob.ticket().to_owned();
    let ask = ["request", &ticket, "echo/1", "hello", "--hard", "3s"];
    place.run(&ask).ok();
    let carol = ["--data", &place.at("carol")];
    let carols = place.run(&[&carol[..], &["init", "--json"]].concat()).ok().object();
    let carols_ask = [&carol[..], &ask[..]].concat();
    place.run(&carols_ask).ok();

    // One who is registered nowhere may not talk to others either.
    place.write("banned", carols["public_key"].as_str().expect("a key"));
    kill(relay.id(), "HUP");
    assert_eq!(relay.next_event().expect("an event")["event"], "reloaded");
    assert_ne!(place.run(&carols_ask).code, Some(0), "she is banned");
    place.run(&ask).ok();

    place.write("banned", bob.key());
    let turned_out = Instant::now();
    kill(relay.id(), "HUP");
    assert_eq!(relay.next_event().expect("an event")["event"], "reloaded");
    let moved = bob.next_event().expect("an event");
    assert!(turned_out.elapsed() < Duration::from_secs(15), "he looks for himself every 25 s");
    assert_eq!((&moved["event"], &moved["relay"]), (&"relay".into(), &serde_json::Value::Null));
    assert_ne!(place.run(&ask).code, Some(0), "he is not reached any more");

    place.write("banned", "not a key\n");
    kill(relay.id(), "HUP");
    let kept = relay.next_event().expect("an event");
    assert_eq!(kept["event"], "not_reloaded");
    assert!(kept["error"]["message"].as_str().expect("words").contains("line 1"), "{kept}");

    place.write("banned", "");
    kill(relay.id(), "HUP");
    assert_eq!(relay.next_event().expect("an event")["event"], "reloaded");
    let back = bob.next_event().expect("an event");
    assert_eq!((&back["event"], &back["relay"]), (&"relay".into(), &relay.key().into()));
    place.run(&ask).ok();
}

#[test]
fn a_configuration_file_is_read_again_at_a_sighup_as_well() {
    let place = Place::new();
    let key = |name| {
        let made = place.run(&["--data", &place.at(name), "init", "--json"]).ok().object();
        made["public_key"].as_str().expect("a key").to_owned()
    };
    let (bob, carol) = (key("bob"), key("carol"));
    place.write("relay.toml", format!("[relay]\nallow = ['{carol}']\n"));
    let (data, file) = (place.at("relay"), place.at("relay.toml"));
    let mut relay =
        place.start(&[&["--data", &data, "--config", &file, "relay"], &LOCAL[..]].concat());
    let up = ["--data", &place.at("bob"), "up", "--listen", "none", "--relay", relay.ticket()];
    let mut bobs = place.start(&up);
    assert_eq!(bobs.ready["public_key"], bob.as_str());

    place.write("relay.toml", "[relay]\nalow = []\n");
    kill(relay.id(), "HUP");
    let kept = relay.next_event().expect("an event");
    assert_eq!(kept["event"], "not_reloaded");
    assert!(kept["error"]["message"].as_str().expect("words").contains("relay.alow"), "{kept}");

    place.write("relay.toml", format!("[relay]\nallow = ['{bob}']\n"));
    kill(relay.id(), "HUP");
    assert_eq!(relay.next_event().expect("an event")["event"], "reloaded");
    let event = bobs.next_event().expect("he asks every three seconds");
    assert_eq!((&event["event"], &event["relay"]), (&"relay".into(), &relay.key().into()));
}

#[test]
fn a_relay_that_ends_sends_its_nodes_to_the_next_one() {
    let place = Place::new();
    let relay = |name| place.start(&[&["--data", &place.at(name), "relay"], &LOCAL[..]].concat());
    let (mut first, second) = (relay("r1"), relay("r2"));
    let up = ["up", "--listen", "none", "--relay", first.ticket(), "--relay", second.ticket()];
    let mut bob = place.start(&[&["--data", &place.at("bob")], &up[..]].concat());
    let (status, took) = first.stop("TERM");
    assert!(status.success() && took.as_secs() < 5, "{status} after {took:?}");
    for standing in [serde_json::Value::Null, second.key().into()] {
        let event = bob.next_event().expect("an event");
        assert_eq!((&event["event"], &event["relay"]), (&"relay".into(), &standing));
    }
    assert_eq!(place.run(&["request", bob.ticket(), "echo/1", "moved"]).ok().out, "moved");
}
