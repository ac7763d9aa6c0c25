//! Durable requests that outlive who asked: they are listed, taken up in a later run, and given up.

mod common;

use std::io::{BufRead, BufReader};

use common::{LOCAL, Node, Place, closed_port, kill, until};
use serde_json::Value;

/// A peer whose address stays.
struct Bob {
    data: String,
    at: String,
}

impl Bob {
    fn new(place: &Place) -> Self {
        Self { data: place.at("bob"), at: format!("tcp/127.0.0.1:{}", closed_port()) }
    }

    fn up(&self, place: &Place) -> Node {
        place.start(&["--data", &self.data, "up", "--listen", &self.at])
    }
}

fn alice(place: &Place) -> Node {
    place.start(&[&["--data", &place.at("alice"), "up"], &LOCAL[..]].concat())
}

fn events(place: &Place, rest: &[&str]) -> common::Ran {
    place.run(&[&["--data", &place.at("alice"), "events"], rest].concat())
}

fn kept(place: &Place) -> Vec<Value> {
    let listed = events(place, &["kept", "--json"]).ok().objects();
    listed.into_iter().map(|one| one["id"].clone()).collect()
}

/// Asks a peer that is not there until it is interrupted, and returns the id.
fn ask_and_go(place: &Place, ticket: &str) -> String {
    let data = place.at("alice");
    let ask = ["--data", &data, "request", ticket, "echo/1", "hello", "--durable", "--hard", "1h"];
    let mut asker = place
        .command(&[&ask[..], &["--soft", "1s", "--json"]].concat())
        .spawn()
        .expect("it starts");
    let talk = BufReader::new(asker.stderr.as_mut().expect("its talk"));
    assert!(talk.lines().map_while(Result::ok).any(|line| line.contains("still waiting")));
    kill(asker.id(), "INT");
    let output = common::output_of(asker);
    assert_eq!(output.status.code(), Some(130));
    let object: Value = serde_json::from_slice(&output.stdout).expect("an object");
    let id = object["id"].as_str().expect("an id").to_owned();
    let next = object["error"]["next"].as_str().expect("an advice");
    assert!(next.ends_with(&format!("egtp events take {id}")), "{next}");
    id
}

fn catches_interrupts(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // SIGINT is 2, and signals are counted from 1.
    caught.is_some_and(|signals| signals & 0b10 != 0)
}

/// Proves LNG-3: what was asked before a restart is there after it, under its id, and is answered.
#[test]
fn a_later_run_gives_the_reply_once() {
    let place = Place::new();
    let bob = Bob::new(&place);
    let ticket = bob.up(&place).ticket().to_owned();
    let mut first = alice(&place);
    let id = ask_and_go(&place, &ticket);
    assert_eq!(kept(&place), [&*id]);
    first.stop("KILL");

    let _second = alice(&place);
    assert_eq!(kept(&place), [&*id], "also in the next run");
    let _bob = bob.up(&place);
    let taken = events(&place, &["take", &id]).ok();
    assert_eq!(taken.out, "hello");
    until("it is kept no more", || kept(&place).is_empty());
    events(&place, &["take", &id]).fails(2).says("keeps no durable request");
}

#[test]
fn an_interrupted_take_leaves_it_and_a_cancelled_one_is_gone() {
    let place = Place::new();
    let ticket = Bob::new(&place).up(&place).ticket().to_owned();
    let _alice = alice(&place);
    let id = ask_and_go(&place, &ticket);
    let data = place.at("alice");
    let mut taking = place.start_quietly(&["--data", &data, "events", "take", &id]);
    until("it expects signals", || catches_interrupts(taking.id()));
    assert_eq!(taking.stop("INT").0.code(), Some(130));
    assert_eq!(kept(&place), [&*id], "it goes on");
    let cancelled = events(&place, &["cancel", &id, "--json"]).ok().object();
    assert_eq!(cancelled["id"], id);
    until("it is given up", || kept(&place).is_empty());
    events(&place, &["cancel", &id]).fails(2).says("keeps no durable request");
    events(&place, &["cancel", "4711"]).fails(2).says("64 hexadecimal digits");
}

/// A peer without a directory has no disk: who wants one is told so and served, as owner and as guest alike.
#[test]
fn a_peer_without_a_disk_is_named_as_such() {
    let place = Place::new();
    let peer = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    let ask = |peer: &Node| {
        let data = place.at("alice");
        let words = ["--data", &data, "request", peer.ticket(), "echo/1", "hello", "--durable"];
        let ran = place.run(&words).ok();
        assert_eq!(ran.out, "hello");
        ran.talk.contains("keeps no store on a disk")
    };
    place.run(&["--data", &place.at("alice"), "init"]).ok();
    assert!(ask(&peer));
    let bob = Bob::new(&place).up(&place);
    assert!(!ask(&bob));
    let _alice = alice(&place);
    assert!(ask(&peer));
    assert!(!ask(&bob));
}
