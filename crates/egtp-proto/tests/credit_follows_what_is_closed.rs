//! A sender whose messages were all refused may send on: what is closed gives its credit back.

mod common;

use common::{Handler, World, secs};

/// Proves.
#[test]
fn after_a_window_of_refusals_the_next_request_is_still_sent() {
    let mut world = World::with(2, |config| config.limits.queries_per_peer = 1);
    world.machines[1].handler = Handler::Hold;
    let held = world.submit(0, 1, b"held", egtp_proto::MessageClass::Request, None, secs(3600));
    world.run(secs(1));
    assert!(world.outcome(0, held).is_none());
    for number in 0..1100_u32 {
        let token = world.submit(
            0,
            1,
            &number.to_le_bytes(),
            egtp_proto::MessageClass::Request,
            None,
            secs(30),
        );
        world.run(secs(1));
        let outcome = world.outcome(0, token);
        assert!(outcome.is_some(), "request {number} was never sent");
    }
}

#[test]
fn after_the_busy_time_is_over_requests_are_answered_again() {
    let mut world = World::with(2, |config| config.limits.queries_per_peer = 1);
    world.machines[1].handler = Handler::Hold;
    let _held = world.submit(0, 1, b"held", egtp_proto::MessageClass::Request, None, secs(3600));
    world.run(secs(1));
    for number in 0..1100_u32 {
        world.submit(
            0,
            1,
            &number.to_le_bytes(),
            egtp_proto::MessageClass::Request,
            None,
            secs(30),
        );
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
