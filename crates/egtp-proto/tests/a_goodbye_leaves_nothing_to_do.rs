//! Who was told that a peer goes away, and what is left of its requests, does nothing more about it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

mod common;

use bytes::BytesMut;
use common::{Handler, World, millis, secs};
use egtp_proto::wire::Header;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::{Event, Lost, PathId, Sink};

/// A world in which the second machine has answered a request inside its RSP, and the asker says in one
/// record that it has the session, the reply, and enough.
fn answered_and_left() -> World {
    let mut world = World::new(2);
    world.request(0, 1, b"hello");
    let shroud = Shroud::new(&world.key(0));
    let is_answer = |packet: &[u8]| {
        let header = shroud.uncovered_prefix(packet).map(|header| Header::decode(&header));
        matches!(header, Some(Ok(Header::Rsp { .. })))
    };
    let index = loop {
        if let Some(index) = world.network.iter().position(|flight| is_answer(&flight.packet)) {
            break index;
        }
        world.run(millis(1));
    };
    let answer = world.network.remove(index);
    let now = world.at(0);
    let endpoint = &mut world.machines.first_mut().unwrap().endpoint;
    endpoint.receive(now, answer.path, BytesMut::from(&answer.packet[..]));
    endpoint.close();
    world.run(millis(30));
    world
}

/// The reply that was queued again when the session was confirmed is of no use after the goodbye.
#[test]
fn a_reply_that_nobody_awaits_opens_no_session() {
    let mut world = answered_and_left();
    let before = world.recorded.len();
    world.run(secs(20));
    assert_eq!(world.recorded.len(), before, "nothing more is sent");
}

/// Proves EVT-9: an attempt that has no path is not looked at again and again.
#[test]
fn an_attempt_without_a_path_does_not_keep_the_node_awake() {
    let mut world = World::new(2);
    world.request(0, 1, b"hello");
    // The knock is out; its path breaks, and no other is to be had.
    world.tamper = |_| false;
    world.callable = vec![false; 2];
    world.cut(0, Lost::Broken);
    let before = world.steps;
    world.run(secs(8));
    assert!(world.steps - before < 40, "woken {} times", world.steps - before);
}

/// Whoever goes wants no reply any more, and says so: handlers need not go on for nobody.
#[test]
fn what_was_asked_by_somebody_who_leaves_is_withdrawn() {
    for relayed in [false, true] {
        let mut world = World::new(2);
        world.relayed = relayed;
        world.machines[1].handler = Handler::Hold;
        for number in 0..40_u8 {
            world.request(0, 1, &[number]);
        }
        world.run(secs(2));
        assert_eq!(world.machines[1].waiting.len(), 40);
        world.machines[0].endpoint.close();
        world.run(secs(2));
        let closed = |event: &&Event| matches!(event, Event::QueryClosed { .. });
        assert_eq!(world.machines[1].events.iter().filter(closed).count(), 40, "{relayed}");
    }
}

/// Takes packets, up to a hundred.
#[derive(Default)]
struct Counted(usize);

impl Sink for Counted {
    fn room(&self, _: PathId) -> usize {
        if self.0 < 100 { 1 << 20 } else { 0 }
    }

    fn send(&mut self, _: PathId, _: Vec<u8>) {
        self.0 += 1;
    }
}

/// Found by the simulator: what waits for the peer's leave to go on is no reason to say goodbye again and again.
#[test]
fn whoever_goes_in_the_middle_of_a_large_reply_says_so_once() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    world.request(0, 1, b"all of it");
    world.run(secs(1));
    let (query, _) = world.machines[1].waiting.pop_front().unwrap();
    // Nothing arrives any more, so it comes to a stop when as much as may be is under way.
    world.tamper = |_| false;
    world.answer(1, query, Ok(vec![7; 2 * 1024 * 1024].into()));
    let now = world.at(1);
    let closing = &mut world.machines[1].endpoint;
    closing.close();
    let mut sink = Counted::default();
    closing.transmit(now, &mut sink);
    assert_eq!(sink.0, 1);
    closing.transmit(now, &mut sink);
    assert_eq!(sink.0, 1);
}
