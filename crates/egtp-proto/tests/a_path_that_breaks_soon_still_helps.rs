//! Paths that break before much has passed: what did get through is never sent again.

mod common;

use common::{World, millis, secs};
use egtp_proto::Lost;

/// What a path carries in one piece before it breaks.
const PASSES: usize = 4_000;

/// Proves RTY-1, MSG-16: each connection breaks at its first large packet; in the end everything has been
/// executed once and answered.
#[test]
fn connections_that_break_at_the_first_large_packet_bring_everything_over() {
    let mut world = World::new(2);
    world.request(0, 1, b"hello");
    world.run(secs(1));
    world.tamper = |flight| flight.packet.len() <= PASSES;
    let bodies: Vec<Vec<u8>> = (0..64).map(|number| vec![number; 500]).collect();
    let tokens: Vec<u64> = bodies.iter().map(|body| world.request(0, 1, body)).collect();
    let mut cuts = 0;
    for _ in 0..600 {
        let before = world.recorded.len();
        world.run(millis(100));
        if world.recorded[before..].iter().any(|flight| flight.packet.len() > PASSES) {
            world.cut(0, Lost::Broken);
            cuts += 1;
        }
    }
    assert!(cuts > 0);
    for (token, body) in tokens.iter().zip(&bodies) {
        assert_eq!(world.reply_of(0, *token).as_deref(), Some(&body[..]), "after {cuts} cuts");
        assert_eq!(world.executions(1, body), 1);
    }
}
