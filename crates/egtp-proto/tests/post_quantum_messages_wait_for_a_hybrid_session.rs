//! A message that wants post-quantum secrecy leaves in a record of a hybrid session or not at all.
//!
//! An old node is one that is made with the suites 0x01 and 0x02 only.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

mod common;

use common::{World, secs};
use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::wire::Header;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::{Assurance, Config, Event, Lost, NotSent, Outcome};

fn old(config: &mut Config) {
    config.suites = Suites::classical(Cipher::Aes256Gcm);
}

fn new(config: &mut Config) {
    config.suites = Suites::all(Cipher::Aes256Gcm);
}

fn pair(alice: fn(&mut Config), bob: fn(&mut Config)) -> World {
    let mut world = World::with(2, alice);
    world.machines[1].config = bob;
    world.restart(1, 1);
    world
}

fn post_quantum(world: &mut World, body: &[u8]) -> u64 {
    world.post_quantum = true;
    let token = world.request(0, 1, body);
    world.post_quantum = false;
    token
}

fn is_refused(world: &World, token: u64) -> bool {
    world.outcome(0, token) == Some(&Outcome::NotSent(NotSent::NoHybridSuite))
}

/// How many packets of this sort went to the second machine.
fn sent(world: &World, wanted: fn(&Header) -> bool) -> usize {
    let shroud = Shroud::new(&world.key(1));
    let headers = world
        .recorded
        .iter()
        .filter(|flight| flight.to == 1)
        .filter_map(|flight| Header::decode(&shroud.uncovered_prefix(&flight.packet)?).ok());
    headers.filter(wanted).count()
}

/// Proves H-29: it does not ride in the first flight, whose keys ML-KEM has no part in.
#[test]
fn between_new_nodes_it_comes_in_a_record() {
    let mut world = pair(new, new);
    let token = post_quantum(&mut world, b"secret");
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
    let assurances: Vec<Assurance> = world.machines[1]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Query(query) => Some(query.message.assurance),
            _ => None,
        })
        .collect();
    assert_eq!(assurances, [Assurance::Confirmed]);
}

/// Proves H-29: large bodies too, in all of their parts.
#[test]
fn a_large_body_goes_whole() {
    let mut world = pair(new, new);
    let body: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let token = post_quantum(&mut world, &body);
    world.run(secs(3));
    assert_eq!(world.reply_of(0, token).unwrap(), body);
}

/// Proves H-29.
#[test]
fn to_an_old_peer_it_is_not_sent_and_all_others_are() {
    let mut world = pair(new, old);
    let token = post_quantum(&mut world, b"secret");
    let other = world.request(0, 1, b"weather");
    world.run(secs(1));
    assert!(is_refused(&world, token));
    assert!(world.reply_of(0, other).is_some());

    // Once more over the session that is there: one question for the list, and no further session.
    let (flights, knocks) = (
        sent(&world, |header| matches!(header, Header::Ini { prekey: 1.., .. })),
        sent(&world, |header| matches!(header, Header::Ini { prekey: 0, .. })),
    );
    let token = post_quantum(&mut world, b"secret");
    let other = world.request(0, 1, b"time");
    world.run(secs(1));
    assert!(is_refused(&world, token));
    assert!(world.reply_of(0, other).is_some());
    assert_eq!(sent(&world, |header| matches!(header, Header::Ini { prekey: 1.., .. })), flights);
    assert_eq!(sent(&world, |header| matches!(header, Header::Ini { prekey: 0, .. })), knocks + 1);
    assert_eq!(world.executions(1, b"secret"), 0);
}

/// Proves H-29.
#[test]
fn from_an_old_node_it_is_not_sent_at_once() {
    let mut world = pair(old, new);
    let token = post_quantum(&mut world, b"secret");
    assert!(is_refused(&world, token));
    assert!(world.recorded.is_empty());
}

/// Proves H-29: what is known is asked for anew, so nobody is held to what he was.
#[test]
fn a_peer_that_has_become_new_is_noticed() {
    let mut world = pair(new, old);
    let token = post_quantum(&mut world, b"too early");
    world.run(secs(1));
    assert!(is_refused(&world, token));
    world.kill(1);
    world.machines[1].config = new;
    world.restart(1, 2);
    let token = post_quantum(&mut world, b"now");
    world.run(secs(10));
    assert!(world.reply_of(0, token).is_some());
}

/// Proves H-29: a message that began to wait for a hybrid session does not settle for a weaker one.
#[test]
fn it_is_not_sent_to_a_peer_that_has_become_old_meanwhile() {
    let mut world = pair(new, new);
    let token = world.request(0, 1, b"hello");
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
    // The path breaks, and no sign of life comes on the next one, until the peer has begun anew.
    world.tamper = |_| false;
    world.cut(0, Lost::Broken);
    let token = post_quantum(&mut world, b"secret");
    let other = world.request(0, 1, b"weather");
    world.run(secs(2));
    assert_eq!(world.outcome(0, token), None);
    world.machines[1].config = old;
    world.restart(1, 2);
    world.tamper = |_| true;
    world.run(secs(20));
    assert!(world.reply_of(0, other).is_some());
    assert!(is_refused(&world, token), "{:?}", world.outcome(0, token));
    assert_eq!(world.executions(1, b"secret"), 0);
}

/// Proves H-29: a session with the old node is there, because the other side has opened it.
#[test]
fn it_does_not_use_a_weaker_session_that_the_peer_has_opened() {
    let mut world = pair(new, old);
    let asked = world.request(1, 0, b"are you there?");
    world.run(secs(1));
    assert!(world.reply_of(1, asked).is_some());
    let token = post_quantum(&mut world, b"secret");
    world.run(secs(1));
    assert!(is_refused(&world, token));
    assert_eq!(world.executions(1, b"secret"), 0);
}
