//! A sender whose messages were all refused may send on: what is closed gives its credit back.

mod common;

use common::{Handler, World, secs};
use egtp_proto::exchange::outbox::Outbox;
use egtp_proto::wire::Serials;
use egtp_proto::wire::frame::Ack;
use egtp_proto::{MessageClass, SecretKey, StoreKind};

/// Proves.
#[test]
fn after_a_window_of_refusals_the_next_request_is_still_sent() {
    let mut world = World::with(2, |config| config.limits.queries_per_peer = 1);
    world.machines[1].handler = Handler::Hold;
    let held = world.submit(0, 1, b"held", MessageClass::Request, None, secs(3600));
    world.run(secs(1));
    assert!(world.outcome(0, held).is_none());
    for number in 0..1100_u32 {
        let token =
            world.submit(0, 1, &number.to_le_bytes(), MessageClass::Request, None, secs(30));
        world.run(secs(1));
        let outcome = world.outcome(0, token);
        assert!(outcome.is_some(), "request {number} was never sent");
    }
}

#[test]
fn after_the_busy_time_is_over_requests_are_answered_again() {
    let mut world = World::with(2, |config| config.limits.queries_per_peer = 1);
    world.machines[1].handler = Handler::Hold;
    let _held = world.submit(0, 1, b"held", MessageClass::Request, None, secs(3600));
    world.run(secs(1));
    for number in 0..1100_u32 {
        world.submit(0, 1, &number.to_le_bytes(), MessageClass::Request, None, secs(30));
        world.run(egtp_proto::time::Instant::default().since_start() + common::millis(20));
    }
    world.run(secs(60));
    world.machines[1].handler = Handler::Echo;
    let (query, body) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Ok(body));
    world.run(secs(60));
    let token = world.request(0, 1, b"after");
    world.run(secs(40));
    assert!(world.reply_of(0, token).is_some(), "{:?}", world.outcome(0, token));
}

/// Proves: one request is open for long, and a later one was never taken and has timed out; that it is
/// closed got lost. It holds up nobody for that.
#[test]
fn a_lost_word_about_a_closed_request_does_not_hold_back_the_window() {
    let mut world = World::with(2, |_| {});
    world.machines[1].handler = Handler::Hold;
    let ask = |world: &mut World, body: &[u8], seconds: u64| {
        world.submit(0, 1, body, MessageClass::Request, None, secs(seconds))
    };
    let open = ask(&mut world, b"open for long", 3_600);
    world.run(secs(1));
    world.machines[1].handler = Handler::Echo;
    world.tamper = |_| false;
    ask(&mut world, b"never taken", 1);
    world.run(common::millis(1_100));
    world.tamper = |_| true;
    for number in 0..1_500_u32 {
        let token = ask(&mut world, &number.to_le_bytes(), 30);
        world.run(common::millis(100));
        if world.reply_of(0, token).is_none() {
            world.run(secs(30));
            assert!(world.reply_of(0, token).is_some(), "request {number} was never sent");
        }
    }
    assert_eq!(world.outcome(0, open), None);
}

/// Proves X-22: what counts is what the receiver shows now. An earlier life of it may have known more.
#[test]
fn what_an_acknowledgement_misses_is_told_again_whatever_was_known_before() {
    let [us, them] = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]).public());
    let mut outbox = Outbox::new(StoreKind::Ram, 5, &us, &them);
    for code in 0..200 {
        let (serial, _) = outbox.number(MessageClass::Request, "test/1", &[]);
        outbox.open(serial, code, 0);
    }
    let knows = |base| Ack { dialog: 5, serials: Serials::below(base), limit: 1_024, bytes: 0 };
    assert_eq!(outbox.acknowledge(&knows(200)).len(), 200);
    (0..3).chain(5..150).for_each(|serial| outbox.close(serial, 0));
    while outbox.has_news() {
        outbox.take_news();
    }
    outbox.acknowledge(&knows(2));
    assert!(outbox.has_news(), "the low-water mark is 3");
    assert_eq!(outbox.take_news(), Serials::below(3));
    outbox.acknowledge(&knows(3));
    assert!(!outbox.has_news(), "the next one is open");
    outbox.acknowledge(&knows(10));
    outbox.acknowledge(&knows(3));
    let told = outbox.take_news();
    assert_eq!(told.ranges(), [(10, 74)], "64 at a time, and an older word takes nothing back");
    outbox.acknowledge(&knows(u64::MAX));
    assert!(!outbox.has_news(), "nonsense is not answered");
}
