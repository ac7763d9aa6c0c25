//! Old nodes and new ones, and somebody on the way who would like them to use less than they could.
//!
//! An old node is one that is made with the suites 0x01 and 0x02 only.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

mod common;

use common::{Flight, World, millis, secs};
use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, RetryKind};
use egtp_proto::{Config, Contact, ContactDraft, Outcome, SecretKey};

fn old(config: &mut Config) {
    config.suites = Suites::classical(Cipher::Aes256Gcm);
}

fn new(config: &mut Config) {
    config.suites = Suites::all(Cipher::Aes256Gcm);
}

/// A world of two, whose second machine begins anew as `bob`.
fn pair(alice: fn(&mut Config), bob: fn(&mut Config)) -> World {
    let mut world = World::with(2, alice);
    become_(&mut world, 1, bob, 1);
    world
}

fn become_(world: &mut World, machine: usize, config: fn(&mut Config), generation: u8) {
    world.machines[machine].config = config;
    world.restart(machine, generation);
}

/// The suites of all first flights so far, knocks left out.
fn flights(world: &World) -> Vec<u8> {
    let headers = world.recorded.iter().filter_map(|flight| {
        let shroud = Shroud::new(&world.key(flight.to));
        Header::decode(&shroud.uncovered_prefix(&flight.packet)?).ok()
    });
    headers
        .filter_map(|header| match header {
            Header::Ini { suite, prekey: 1.., .. } => Some(suite),
            _ => None,
        })
        .collect()
}

/// Proves CIP-1, H-22: old nodes and new ones in all combinations, and a hybrid suite where both have it.
#[test]
fn cip_1_old_and_new_nodes_talk_and_two_new_ones_use_the_new_suite() {
    let kinds: [fn(&mut Config); 2] = [old, new];
    for (alice, bob, expected) in [(0, 0, 0x02), (0, 1, 0x02), (1, 0, 0x02), (1, 1, 0x12)] {
        let mut world = pair(kinds[alice], kinds[bob]);
        let token = world.request(0, 1, b"there");
        world.run(secs(1));
        assert!(world.reply_of(0, token).is_some(), "{alice} asks {bob}");
        assert_eq!(flights(&world), [expected], "{alice} asks {bob}");
        let operations = [0, 1].map(|one| world.machines[one].endpoint.counters().encapsulations);
        assert_eq!(operations, if expected == 0x12 { [2, 1] } else { [0, 0] });
    }
}

/// Proves CIP-1: what is new about a peer is noticed when it begins anew, and so is what is gone.
#[test]
fn cip_1_a_node_may_learn_or_lose_a_suite_when_it_restarts() {
    let mut world = pair(new, old);
    let kinds: [fn(&mut Config); 4] = [old, new, old, new];
    for (generation, kind) in (2..).zip(kinds) {
        world.kill(1);
        become_(&mut world, 1, kind, generation);
        let token = world.request(0, 1, b"and now?");
        world.run(secs(8));
        assert!(world.reply_of(0, token).is_some());
    }
    let mut suites = flights(&world);
    suites.dedup();
    assert_eq!(suites, [0x02, 0x12, 0x02, 0x12]);
}

/// Proves PRO-4, H-22: whoever drops every packet of the new suite gets silence, not the old suite.
#[test]
fn pro_4_dropping_hybrid_flights_leads_to_no_weaker_one() {
    let mut world = pair(new, new);
    world.tamper = |flight| flight.packet.len() < 1400;
    let token = world.request(0, 1, b"there");
    world.run(secs(31));
    assert!(matches!(world.outcome(0, token), Some(Outcome::TimedOut { .. })));
    let suites = flights(&world);
    assert!(suites.len() > 2 && suites.iter().all(|suite| *suite == 0x12), "{suites:?}");
    assert_eq!(world.executions(1, b"there"), 0);
}

/// Proves PRO-4, H-6: the list of an earlier life, replayed, does not belong to this knock.
#[test]
fn pro_4_an_old_retry_replayed_is_refused() {
    let mut world = pair(new, old);
    world.request(0, 1, b"first");
    world.run(secs(1));
    let recorded = world.recorded.iter().find(|flight| is_retry(&world, flight)).unwrap().clone();
    world.kill(1);
    become_(&mut world, 1, new, 2);
    world.kill(0);
    become_(&mut world, 0, new, 3);
    let sent_before = flights(&world).len();
    let token = world.request(0, 1, b"second");
    // The attacker's comes first, and the genuine one after it.
    let path = world.links.iter().find(|((at, _), _)| *at == 0).map(|((_, path), _)| *path);
    world.inject(0, path.unwrap(), &recorded.packet);
    assert_eq!(world.machines[0].endpoint.counters().dropped.retry, 1);
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
    assert_eq!(flights(&world)[sent_before..], [0x12]);
}

/// Proves PRO-4, H-3, H-8: whoever writes another suite into a flight, with a right mac, has broken it.
#[test]
fn pro_4_a_flight_whose_suite_was_changed_does_not_authenticate() {
    let mut world = pair(new, new);
    let token = world.request(0, 1, b"there");
    let flight = loop {
        let is_flight = |flight: &&Flight| flight.to == 1 && flight.packet.len() >= 1400;
        if let Some(found) = world.network.iter().find(is_flight) {
            break found.clone();
        }
        world.run(millis(5));
    };
    let before = world.machines[1].endpoint.fingerprint();
    for suite in [0x01, 0x02, 0x11] {
        let packet = with_suite(&world, &flight, suite);
        world.inject(1, flight.path, &packet);
    }
    assert_eq!(world.machines[1].endpoint.counters().dropped.handshake, 3);
    assert!(world.machines[1].endpoint.fingerprint() == before);
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
    assert_eq!(flights(&world), [0x12]);
}

/// Proves PRO-4, H-28: an older contact that is shown again takes nothing away; nor does a running copy of
/// the node that answers with less than its newest contact says.
#[test]
fn pro_4_an_old_contact_replayed_changes_nothing() {
    // A new contact is known, then the old one is shown; both before the first packet.
    let mut world = pair(new, new);
    meet(&mut world);
    for (sequence, suites) in [(6, &[0x12, 0x02, 0x01][..]), (5, &[0x02, 0x01])] {
        let contact = contact(2, sequence, suites);
        world.machines[0].endpoint.learn_contact(&contact);
    }
    world.kill(1);
    become_(&mut world, 1, new, 9);
    let token = world.request(0, 1, b"there");
    world.run(secs(8));
    assert!(world.reply_of(0, token).is_some());
    assert!(flights(&world).iter().all(|suite| *suite == 0x12));

    // The peer answers without the suite that its newest contact lists: no session rather than a weak one.
    let mut world = pair(new, new);
    meet(&mut world);
    let met = flights(&world).len();
    world.machines[0].endpoint.learn_contact(&contact(2, 6, &[0x12, 0x02, 0x01]));
    world.machines[0].endpoint.learn_contact(&contact(2, 5, &[0x02, 0x01]));
    world.kill(1);
    become_(&mut world, 1, old, 9);
    let token = world.request(0, 1, b"there");
    world.run(secs(31));
    assert!(world.reply_of(0, token).is_none());
    assert!(flights(&world)[met..].iter().all(|suite| *suite == 0x12));
    assert_eq!(world.executions(1, b"there"), 0);

    // Until its owner signs that it is so.
    world.machines[0].endpoint.learn_contact(&contact(2, 7, &[0x02, 0x01]));
    let token = world.request(0, 1, b"and now?");
    world.run(secs(20));
    assert!(world.reply_of(0, token).is_some());
    assert_eq!(flights(&world).last(), Some(&0x02));
}

/// Makes the two known to each other.
fn meet(world: &mut World) {
    let token = world.request(0, 1, b"hello");
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
}

fn contact(seed: u8, sequence: u64, suites: &[u8]) -> Contact {
    let draft = ContactDraft {
        sequence,
        strategies: Vec::new(),
        suites: suites.to_vec(),
        mailbox_prekey: None,
        letter_store: None,
        instance: 1,
        message_bytes_max: 1 << 21,
        idle_out_seconds: 3600,
        expiry_day: 20_000,
        parent: None,
    };
    draft.sign(&SecretKey::from_seed([seed; 32]), 20_000).unwrap()
}

fn is_retry(world: &World, flight: &Flight) -> bool {
    let header = Shroud::new(&world.key(flight.from)).uncovered_prefix(&flight.packet);
    header.is_some_and(|header| {
        matches!(Header::decode(&header), Ok(Header::Retry { kind: RetryKind::Prekey, .. }))
    })
}

fn with_suite(world: &World, flight: &Flight, suite: u8) -> Vec<u8> {
    let shroud = Shroud::new(&world.key(flight.to));
    let header = Header::decode(&shroud.uncovered_prefix(&flight.packet).unwrap()).unwrap();
    let mut packet = flight.packet.clone();
    shroud.uncover(&mut packet, header.masked_bytes());
    packet[1] = suite;
    let end = packet.len() - 16;
    let mac = shroud.mac(&[&packet[..end]]);
    packet[end..].copy_from_slice(&mac);
    shroud.cover(&mut packet, header.masked_bytes());
    packet
}
