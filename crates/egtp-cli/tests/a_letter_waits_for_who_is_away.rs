//! Two nodes that are never up together: a message is kept by the relay of the one who is away, which is killed in
//! between, and waits in the inbox until somebody has looked.

mod common;

use common::page::{number, page};
use common::{Node, Place, closed_port, until};
use serde_json::Value;

/// A relay at a port that stays.
fn relay(place: &Place, at: &str) -> Node {
    place.start(&["--data", &place.at("relay"), "relay", "--listen", at])
}

fn up(place: &Place, name: &str, relay: &Node) -> Node {
    place.start(&["--data", &place.at(name), "up", "--listen", "none", "--relay", relay.ticket()])
}

/// Somebody who has been up once, and whose contact alice has. Both are down.
fn acquainted(place: &Place, relay: &Node) -> String {
    let mut bob = up(place, "bob", relay);
    let contact = place.run(&["--data", &place.at("bob"), "contact", "export", "--json"]).ok();
    assert_eq!(contact.object()["takes_letters"], true);
    let text = contact.object()["contact"].as_str().expect("a contact").to_owned();
    bob.stop("INT");
    // Where her own letters go is in what she sends.
    up(place, "alice", relay).stop("INT");
    let alice = place.at("alice");
    place.run_with_input(&["--data", &alice, "contact", "import"], text.as_bytes()).ok();
    bob.key().to_owned()
}

fn inbox(place: &Place, name: &str) -> Vec<Value> {
    place.run(&["--data", &place.at(name), "inbox", "--json"]).ok().objects()
}

/// Proves LNG-5, SPL-2, REL-4, FF-2.
#[test]
fn what_is_sent_to_one_who_is_away_arrives_once_and_its_sender_learns_it() {
    let place = Place::new();
    let at = format!("tcp/127.0.0.1:{}", closed_port());
    let mut kept_by = relay(&place, &at);
    let bob = acquainted(&place, &kept_by);
    let alice = place.at("alice");
    let send = ["--data", &alice, "send", &bob, "note/1", "see you on Monday", "--json"];
    let told = place.run(&send).ok().object();
    assert_eq!(told["state"], "stored");
    let id = told["id"].as_str().expect("an id");
    kept_by.stop("KILL");

    let kept_by = relay(&place, &at);
    let mut there = up(&place, "bob", &kept_by);
    let mut messages = Vec::new();
    until("the letter is fetched", || {
        messages.extend(inbox(&place, "bob"));
        !messages.is_empty()
    });
    assert_eq!(messages.len(), 1);
    let message = messages.first().expect("one");
    assert_eq!((&message["id"], &message["kind"]), (&id.into(), &"note/1".into()));
    assert_eq!(message["body_base64"], "c2VlIHlvdSBvbiBNb25kYXk=");
    assert_eq!(inbox(&place, "bob"), Vec::<Value>::new(), "it was taken off");
    there.stop("INT");

    let mut here = up(&place, "alice", &kept_by);
    let ended = place.run(&["--data", &alice, "events", "take", id, "--json"]).ok();
    assert_eq!(ended.objects().last().expect("an end")["id"], id);
    here.stop("INT");
}

/// Whoever reads JSON alone learns that it has failed, and why.
#[test]
fn a_message_that_is_given_up_says_so_in_json() {
    let place = Place::new();
    let at = format!("tcp/127.0.0.1:{}", closed_port());
    let relay = relay(&place, &at);
    let bob = acquainted(&place, &relay);
    let alice = place.at("alice");
    let send = ["--data", &alice, "send", &bob, "note/1", "x", "--wait", "received"];
    let ran = place.run(&[&send[..], &["--expires", "1s", "--json"]].concat()).fails(7);
    let told = ran.object();
    assert_eq!((&told["state"], &told["error"]["code"]), (&"stored".into(), &"timed_out".into()));
}

/// What a relay keeps, and what became of it, is on its page; who has it, is not.
#[test]
fn what_mailboxes_hold_is_told_as_numbers() {
    let place = Place::new();
    let at = format!("tcp/127.0.0.1:{}", closed_port());
    let watched = ["relay", "--listen", &at, "--metrics", "tcp/127.0.0.1:0"];
    let relay = place.start(&[&["--data", &place.at("relay")], &watched[..]].concat());
    let url = relay.ready["metrics"].as_str().expect("where the page is");
    let bob = acquainted(&place, &relay);
    place.run(&["--data", &place.at("alice"), "send", &bob, "note/1", "see you"]).ok();
    let (_, kept) = page(url, "GET", "/metrics");
    for (name, count) in [
        ("egtp_mailboxes", 1),
        ("egtp_mailbox_letters", 1),
        ("egtp_mailbox_deposits_total{outcome=\"stored\"}", 1),
        ("egtp_mailbox_deposits_total{outcome=\"mailbox_full\"}", 0),
        ("egtp_mailbox_deleted_letters_total{reason=\"collected\"}", 0),
    ] {
        assert_eq!(number(&kept, name), count, "{name}");
    }
    assert!(number(&kept, "egtp_mailbox_bytes") > 0);
    assert!(!kept.contains(&bob), "{kept}");
    let _there = up(&place, "bob", &relay);
    // What tells alice that it has arrived may be a letter as well, which waits for her.
    until("the letter is fetched", || {
        let (_, page) = page(url, "GET", "/metrics");
        number(&page, "egtp_mailbox_deleted_letters_total{reason=\"collected\"}") == 1
    });
}

/// What nobody has looked at survives the node, and so does what a command has failed on.
#[test]
fn a_message_stays_until_somebody_has_looked() {
    let place = Place::new();
    let at = format!("tcp/127.0.0.1:{}", closed_port());
    let relay = relay(&place, &at);
    let bob = acquainted(&place, &relay);
    let mut there = up(&place, "bob", &relay);
    let alice = place.at("alice");
    let send = ["--data", &alice, "send", &bob, "note/1", "important", "--wait", "received"];
    assert!(place.run(&send).ok().out.contains("the peer has it"));
    there.stop("KILL");
    let there = up(&place, "bob", &relay);
    let data = place.at("bob");
    place.run(&["--data", &data, "inbox", "--exec", "exit 3"]).fails(1).says("exit status: 3");
    let note = place.at("note");
    let exec = format!("cat > {note}; test $EGTP_REDELIVERED = 1 && test $EGTP_KIND = note/1");
    let shown = place.run(&["--data", &data, "inbox", "--exec", &exec, "--json"]).ok();
    assert_eq!(shown.objects().first().expect("one")["outcome"], "taken");
    assert_eq!(place.read("note"), "important");
    // What a command prints is nobody's reply.
    place.run(&send).ok();
    let printed = place.run(&["--data", &data, "inbox", "--exec", "cat"]).ok();
    assert_eq!(printed.out, "important");
    assert_eq!(inbox(&place, "bob"), Vec::<Value>::new());
    drop(there);
}

#[test]
fn what_cannot_be_kept_is_not_sent_and_an_inbox_needs_its_node() {
    let place = Place::new();
    let alice = place.at("alice");
    let init = place.run(&["--data", &alice, "init", "--json"]).ok().object();
    let other = place.run(&["--data", &place.at("bob"), "init", "--json"]).ok().object();
    let own = init["public_key"].as_str().expect("a key");
    let bob = other["public_key"].as_str().expect("a key");
    place.run(&["--ephemeral", "send", bob, "note/1"]).fails(2).says("--ephemeral");
    place.run(&["--data", &alice, "send", own, "note/1"]).fails(2).says("oneself");
    place.run(&["--data", &alice, "send", "@nobody", "note/1"]).fails(2).says("nobody");
    place.run(&["--data", &alice, "send", bob, "note/1", "--expires", "15d"]).fails(2).says("14d");
    place.run(&["--data", &alice, "inbox"]).fails(3).says("egtp up");
    // Nobody knows where it is, or where its letters go: it waits here, and that is all there is to say.
    let send = ["--data", &alice, "send", bob, "note/1", "x", "--wait", "queued", "--json"];
    assert_eq!(place.run(&send).ok().object()["state"], "queued");
    let send = ["--data", &alice, "send", bob, "note/1", "x", "--expires", "1s", "--json"];
    let ran = place.run(&send).fails(7);
    assert_eq!(ran.object()["state"], "queued");
}

/// How full a mailbox is, is for its owner to know; which are the largest, for the operators that the relay was told of.
#[test]
fn quotas_are_shown_to_whom_they_concern() {
    let place = Place::new();
    let init = place.run(&["--data", &place.at("op"), "init", "--json"]).ok().object();
    let operator = init["public_key"].as_str().expect("a key");
    let data = place.at("relay");
    let relay = place.start(&[
        "--data",
        &data,
        "relay",
        "--listen",
        "tcp/127.0.0.1:0",
        "--operator",
        operator,
    ]);
    let bob = acquainted(&place, &relay);
    let (alice, bobs) = (place.at("alice"), place.at("bob"));
    place.run(&["--data", &alice, "send", &bob, "note/1", "a"]).ok();
    let quota = place.run(&["--data", &bobs, "mailbox", "quota", relay.ticket(), "--json"]).ok();
    assert_eq!(
        (&quota.object()["letters"], &quota.object()["letters_max"]),
        (&1.into(), &1024.into())
    );
    let listed = place.run(&["--data", &place.at("op"), "mailbox", "ls", relay.ticket(), "--json"]);
    assert_eq!(listed.ok().object()["recipient"], bob);
    let ran = place.run(&["--data", &bobs, "mailbox", "ls", relay.ticket()]).fails(6);
    ran.says("--operator");
    let tried = place.run(&["--data", &bobs, "mailbox", "test", relay.ticket(), "--json"]).ok();
    for took in ["stored_ms", "fetched_ms", "deleted_ms"] {
        assert!(tried.object()[took].as_f64().expect("a number") > 0.0, "{tried:?}");
    }
    let quota = place.run(&["--data", &bobs, "mailbox", "quota", relay.ticket(), "--json"]).ok();
    assert_eq!(quota.object()["letters"], 1, "the other one is as it was");
    let ephemeral = place.start(&["--ephemeral", "relay", "--listen", "tcp/127.0.0.1:0"]);
    let ran = place.run(&["--data", &bobs, "mailbox", "quota", ephemeral.ticket()]).fails(6);
    ran.says("keeps no letters");
    let ran = place.run(&["--data", &bobs, "mailbox", "test", ephemeral.ticket()]).fails(6);
    ran.says("keeps no letters");
    let picky = place.at("picky");
    let picky = ["--data", &picky, "relay", "--listen", "tcp/127.0.0.1:0", "--allow", operator];
    let picky = place.start(&picky);
    place.run(&["--data", &bobs, "mailbox", "test", picky.ticket()]).fails(6).says("--allow");
}
