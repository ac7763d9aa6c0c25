//! A node that listens nowhere is asked by the ticket that it prints, through a relay; and says where it is.

mod common;

use common::{LOCAL, Place, closed_port};

fn relay(place: &Place, data: &str) -> common::Node {
    place.start(&[&["--data", data, "relay"], &LOCAL[..]].concat())
}

/// Proves REL-3, REL-4, STR-3.
#[test]
fn a_node_that_listens_nowhere_is_asked_by_its_ticket_alone() {
    let place = Place::new();
    let relay = relay(&place, &place.at("relay"));
    assert_eq!(relay.ready["role"], "relay");
    let up = ["--data", &place.at("bob"), "up", "--listen", "none", "--relay", relay.ticket()];
    let bob = place.start(&up);
    assert_eq!(bob.ready["role"], "node");
    assert_eq!(bob.ready["listen"].as_array().expect("a list").len(), 0);
    let by = format!("relay/{}", relay.key());
    assert!(bob.ticket().contains(&format!("at={by}@127.0.0.1:")), "{}", bob.ticket());

    let ran = place.run(&["request", bob.ticket(), "echo/1", "hello", "--json"]).ok();
    assert_eq!(ran.object()["path"], by);
    assert_eq!(ran.object()["outcome"], "reply");
    // Its contact says it as well, and then its key is enough.
    let contact = place.run(&["--data", &place.at("bob"), "contact", "export"]).ok().out;
    let alice = place.at("alice");
    place.run(&["--data", &alice, "init"]).ok();
    place.run_with_input(&["--data", &alice, "contact", "import"], contact.as_bytes()).ok();
    let ran = place.run(&["--data", &alice, "request", bob.key(), "echo/1", "by contact"]).ok();
    assert_eq!(ran.out, "by contact");
}

/// Proves B-14: its relay calls it back, and an address that looks right and leads nowhere is not told.
#[test]
fn a_node_that_cannot_be_called_finds_out_and_tells_its_relay_instead_of_its_address() {
    let place = Place::new();
    let relay = relay(&place, &place.at("relay"));
    let up = |name: &str, listen: &str| {
        let data = place.at(name);
        place.start(&["--data", &data, "up", "--listen", listen, "--relay", relay.ticket()])
    };
    let bob = up("bob", "tcp/127.0.0.1:0");
    assert_eq!(bob.ready["callable"], true);
    assert!(bob.ticket().contains(&format!("at=tcp/{}", bob.address())), "{}", bob.ticket());
    // It listens where nobody gets through to from where the relay is.
    let carol = up("carol", "tcp/[::1]:0");
    assert_eq!(carol.ready["callable"], false);
    assert!(!carol.ticket().contains("at=tcp/"), "{}", carol.ticket());
    let ran = place.run(&["request", carol.ticket(), "echo/1", "hello", "--json"]).ok();
    assert_eq!(ran.object()["path"], format!("relay/{}", relay.key()));
    let hidden = up("dave", "none");
    assert!(hidden.ready["callable"].is_null(), "{}", hidden.ready);
}

/// Proves DISC-2: a file that its user edits says which relays there are.
/// The next relay of several is used while one does not answer, and the node says so.
#[test]
fn the_relays_of_a_file_are_used_and_a_change_is_told() {
    let place = Place::new();
    let (mut first, second) = (relay(&place, &place.at("r1")), relay(&place, &place.at("r2")));
    let bob = place.at("bob");
    place.run(&["--data", &bob, "init"]).ok();
    let lines = format!("# the relays that we like\n{}\n{}\n", first.ticket(), second.ticket());
    place.write("bob/relays", lines);
    let mut node = place.start(&["--data", &bob, "up", "--listen", "none"]);
    // The next one is in the ticket, too: whoever has it finds the node there.
    for relay in [&first, &second] {
        assert!(node.ticket().contains(&format!("at=relay/{}@", relay.key())), "{}", node.ticket());
    }
    first.stop("KILL");
    let event = node.next_event().expect("an event");
    assert_eq!((&event["event"], &event["relay"]), (&"relay".into(), &serde_json::Value::Null));
    let event = node.next_event().expect("an event");
    assert_eq!((&event["event"], &event["relay"]), (&"relay".into(), &second.key().into()));
    assert_eq!(place.run(&["request", node.ticket(), "echo/1", "moved"]).ok().out, "moved");
}

/// Proves B-30: what nobody could reach is not started.
#[test]
fn what_cannot_work_is_refused_and_explained() {
    let place = Place::new();
    place.run(&["--ephemeral", "up", "--listen", "none"]).fails(2).says("--relay TICKET");
    let both = ["--ephemeral", "up", "--listen", "none", "--listen", "tcp/127.0.0.1:0"];
    let key = place.run(&["--data", &place.at("r"), "init", "--json"]).ok().object();
    let key = key["public_key"].as_str().expect("a key").to_owned();
    place.run(&[&both[..], &["--relay", &key]].concat()).fails(2).says("leave one of them out");
    place.run(&["--ephemeral", "relay", "--relay", &key]).fails(2).says("reached directly");
    place
        .run(&["--ephemeral", "up", "--relay", "egtp1misspelt"])
        .fails(2)
        .says("a peer is a ticket");
    place.run(&["--ephemeral", "up", "--relay", "@nobody"]).fails(2).says("nobody");
    place.run(&["--ephemeral", "up", "--listen", &format!("relay/{key}")]).fails(2).says("--relay");
    place.run(&["--ephemeral", "relay", "--listen", "none"]).fails(2).says("listens nowhere");
    let bob = place.at("bob");
    place.run(&["--data", &bob, "init"]).ok();
    place.write("bob/relays", "not a ticket\n");
    place.run(&["--data", &bob, "up"]).fails(1).says("line 1");
    // A second relay in the same directory.
    let data = place.at("relay");
    let _running = relay(&place, &data);
    place.run(&["--data", &data, "relay"]).fails(1).says("one owner at a time");
}

#[test]
fn a_relay_that_is_not_there_is_named_and_so_is_a_peer_that_is_not_at_it() {
    let place = Place::new();
    let relay = relay(&place, &place.at("relay"));
    let key = place.run(&["--data", &place.at("bob"), "init", "--json"]).ok().object();
    let key = key["public_key"].as_str().expect("a key").to_owned();
    let at = relay.ready["listen"][0].as_str().expect("an address").replace("tcp/", "");
    let absent = format!("egtp:{key}?at=relay/{}@{at}", relay.key());
    let ran = place.run(&["request", &absent, "echo/1", "x"]).fails(5);
    ran.says("the peer is not connected to that relay");
    let nowhere = format!("egtp:{key}?at=relay/{}@127.0.0.1:{}", relay.key(), closed_port());
    let ran = place.run(&["--ephemeral", "request", &nowhere, "echo/1", "x"]).fails(5);
    ran.says("that relay cannot be reached");
}

/// Who may register is said; whoever else tries starts all the same, and hears that no relay answers.
#[test]
fn a_relay_for_some_takes_only_those() {
    let place = Place::new();
    let bob = place.run(&["--data", &place.at("bob"), "init", "--json"]).ok().object();
    let bob = bob["public_key"].as_str().expect("a key");
    let relay = place.start(&[&["--ephemeral", "relay", "--allow", bob], &LOCAL[..]].concat());
    let up = ["up", "--listen", "none", "--relay", relay.ticket()];
    let node = place.start(&[&["--data", &place.at("bob")], &up[..]].concat());
    assert_eq!(place.run(&["request", node.ticket(), "echo/1", "x"]).ok().out, "x");
    let mallory = place.start(&[&["--ephemeral"], &up[..]].concat());
    place.run(&["request", mallory.ticket(), "echo/1", "x"]).fails(5);
}
