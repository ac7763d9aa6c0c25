//! A message that the receiver has no room for ends soon and by name, or waits without standing in
//! the way of others, also when it travels in parts.

mod common;

use common::{Handler, World, millis, secs};
use egtp_proto::{MessageClass, Outcome, RefusedWhy};

/// Bytes of one peer's messages that the application may have in hand.
const SHARE: usize = 30_000;

/// A body of two parts.
fn body(fill: u8) -> Vec<u8> {
    vec![fill; SHARE * 2 / 3]
}

/// Machine 1 keeps what it is given, and the machines have spoken.
fn world() -> World {
    let mut world = World::with(2, |config| config.limits.query_bytes_per_peer = SHARE);
    world.request(0, 1, b"hello");
    world.run(secs(1));
    world.machines[1].handler = Handler::Hold;
    world
}

fn ask(world: &mut World, body: &[u8]) -> u64 {
    world.submit(0, 1, body, MessageClass::Request, None, secs(600))
}

/// Proves MSG-9, X-29.
#[test]
fn a_message_that_never_fits_is_too_large_at_once() {
    let mut world = world();
    let token = ask(&mut world, &vec![7; SHARE + 1]);
    world.run(secs(1));
    let outcome = world.outcome(0, token);
    assert!(matches!(outcome, Some(Outcome::Refused(RefusedWhy::TooLarge))), "{outcome:?}");
}

/// Two that arrive side by side: there is room when the second begins, and none when it is complete.
/// Proves MSG-9, X-11, X-29.
#[test]
fn a_message_refused_at_its_last_part_ends_as_busy() {
    let mut world = world();
    let tokens = [ask(&mut world, &body(1)), ask(&mut world, &body(2))];
    world.run(secs(5));
    let busy = tokens.iter().filter(|token| {
        matches!(world.outcome(0, **token), Some(Outcome::Refused(RefusedWhy::Busy { .. })))
    });
    assert_eq!(busy.count(), 1, "{:?}", world.machines[0].outcomes);
    assert_eq!(world.executions(1, &body(1)) + world.executions(1, &body(2)), 1);
}

/// Its first transmission is lost, so that no refusal of later ones says that it was never taken.
/// Proves MSG-9, X-30.
#[test]
fn small_messages_pass_a_large_one_that_is_refused_again_and_again() {
    let mut world = world();
    ask(&mut world, &body(1));
    world.run(secs(1));
    assert_eq!(world.executions(1, &body(1)), 1, "most of the share is in hand");

    world.tamper = |flight| flight.from != 0;
    let large = ask(&mut world, &body(2));
    world.run(millis(50));
    world.tamper = |_| true;
    world.run(secs(20));
    assert_eq!(world.outcome(0, large), None, "it is tried until its hard timeout");
    for number in 0..10 {
        ask(&mut world, &[number; 100]);
        world.run(secs(1));
        assert_eq!(world.executions(1, &[number; 100]), 1, "number {number} came through");
    }

    world.machines[1].handler = Handler::Echo;
    let held = std::mem::take(&mut world.machines[1].waiting);
    for (query, body) in held {
        world.answer(1, query, Ok(body));
    }
    world.run(secs(120));
    assert_eq!(world.reply_of(0, large).as_deref(), Some(&body(2)[..]));
    assert_eq!(world.executions(1, &body(2)), 1);
}
