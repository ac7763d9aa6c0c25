//! Replays, reflections, alterations and misdirections of recorded packets.

mod common;

use common::{Flight, Handler, World, secs};
use egtp_proto::{PathId, Sizes};

fn sizes(world: &World) -> [Sizes; 2] {
    [0, 1].map(|machine| world.machines[machine].endpoint.sizes())
}

/// A world in which ten requests were answered, and what was recorded of it.
fn recorded() -> (World, Vec<Flight>) {
    let mut world = World::new(2);
    for n in 0..10_u8 {
        world.request(0, 1, &[n]);
        world.run(secs(1));
    }
    assert_eq!(world.machines[1].executed.len(), 10);
    let recorded = world.recorded.clone();
    (world, recorded)
}

/// The newest open path of a machine.
fn path_of(world: &World, machine: usize) -> PathId {
    world.links.keys().filter(|(at, _)| *at == machine).map(|(_, path)| *path).max().unwrap()
}

/// Proves MSG-9, B-8, RTY-3: every packet of a recording, replayed to its receiver many times,
/// executes nothing and moves nothing.
/// Proves X-3, S-7.
#[test]
fn a_replayed_recording_executes_nothing() {
    let (mut world, recording) = recorded();
    let before = sizes(&world);
    for _ in 0..20 {
        for flight in &recording {
            let path = path_of(&world, flight.to);
            world.inject(flight.to, path, &flight.packet);
        }
    }
    assert_eq!(world.machines[1].executed.len(), 10);
    assert_eq!(sizes(&world), before);
    let counters = world.machines[1].endpoint.counters();
    assert!(counters.dropped.replayed >= 200 && counters.dropped.flight_seen == 20, "{counters:?}");
    let token = world.request(0, 1, b"still fine");
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
}

/// Proves MSG-9, SES-3, PRO-1: the same recording replayed to a receiver that restarted since.
#[test]
fn a_recording_replayed_after_a_restart_executes_nothing() {
    let (mut world, recording) = recorded();
    world.kill(1);
    world.restart(1, 1);
    let (_, there) = world.connect(0, 1);
    let before = world.machines[1].endpoint.sizes();
    for flight in recording.iter().filter(|flight| flight.to == 1) {
        world.inject(1, there, &flight.packet);
    }
    assert_eq!(world.machines[1].executed.len(), 10, "all in its earlier life");
    assert_eq!(world.machines[1].endpoint.sizes(), before);
}

/// Proves B-31, RTY-3: a node's own packets, reflected to it, are refused.
/// Proves W-6.
#[test]
fn reflected_packets_are_refused() {
    let (mut world, recording) = recorded();
    let before = sizes(&world);
    for flight in &recording {
        let path = path_of(&world, flight.from);
        world.inject(flight.from, path, &flight.packet);
    }
    assert_eq!(world.machines[0].executed.len(), 0);
    assert_eq!(world.machines[1].executed.len(), 10);
    assert_eq!(sizes(&world), before);
}

/// Proves RTY-3, SES-15, SEC-7: every packet with one bit changed is refused, and the genuine one is
/// still taken afterwards.
/// Proves H-8, S-8, W-7.
#[test]
fn an_altered_packet_changes_nothing_and_the_genuine_one_is_still_welcome() {
    let mut world = World::new(2);
    let token = world.request(0, 1, b"pay");
    for _ in 0..40 {
        // Each packet is delivered altered in several places first, then as it was.
        let Some(flight) = world.network.first().cloned() else { break };
        let bits = flight.packet.len() * 8;
        for step in 0..64 {
            let bit = step * bits / 64;
            let mut altered = flight.packet.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let (sizes, done) = (sizes(&world), world.machines[1].executed.len());
            world.inject(flight.to, flight.path, &altered);
            assert_eq!(self::sizes(&world), sizes, "bit {bit} of {}", flight.packet.len());
            assert_eq!(world.machines[1].executed.len(), done);
        }
        world.now = world.now.after(world.delay);
        world.run(secs(0));
    }
    world.run(secs(1));
    assert_eq!(world.reply_of(0, token).unwrap(), "pay");
    assert_eq!(world.executions(1, b"pay"), 1);
}

/// Proves MSG-6, MSG-7: a reply that was recorded in one conversation is worth nothing in another.
/// Proves X-19.
#[test]
fn replies_fit_only_their_own_request_and_peer() {
    let mut world = World::new(3);
    world.machines[1].handler = Handler::Hold;
    world.machines[2].handler = Handler::Hold;
    let first = world.request(0, 1, b"same");
    world.run(secs(1));
    let (query, body) = world.machines[1].waiting.pop_front().unwrap();
    let from = world.recorded.len();
    world.answer(1, query, Ok(body));
    world.run(secs(1));
    assert!(world.reply_of(0, first).is_some());
    // An identical request to the same peer and to another one: the old reply answers neither.
    let (again, other) = (world.request(0, 1, b"same"), world.request(0, 2, b"same"));
    world.run(secs(1));
    let old: Vec<Flight> =
        world.recorded[from..].iter().filter(|flight| flight.to == 0).cloned().collect();
    let paths: Vec<PathId> =
        world.links.keys().filter(|(at, _)| *at == 0).map(|(_, path)| *path).collect();
    for flight in &old {
        for path in &paths {
            world.inject(0, *path, &flight.packet);
        }
    }
    assert_eq!((world.outcome(0, again), world.outcome(0, other)), (None, None));
    for machine in [1, 2] {
        let (query, body) = world.machines[machine].waiting.pop_front().unwrap();
        world.answer(machine, query, Ok(body));
    }
    world.run(secs(1));
    assert!(world.reply_of(0, again).is_some() && world.reply_of(0, other).is_some());
}

/// Proves MSG-16, MSG-8: the reply comes over another connection, even another session, than the
/// request went.
/// Proves STR-4.
#[test]
fn the_reply_finds_its_way_over_another_connection() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    let token = world.request(0, 1, b"walk");
    world.run(secs(1));
    world.cut(0, egtp_proto::Lost::Broken);
    let (query, body) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Ok(body));
    world.run(secs(30));
    assert_eq!(world.reply_of(0, token).unwrap(), "walk");
    assert_eq!(world.executions(1, b"walk"), 1);
}
