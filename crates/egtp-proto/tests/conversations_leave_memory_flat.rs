//! Memory is flat however long a node runs: conversations that were answered or refused, that nobody answers
//! or somebody answers too late, and that cannot be sent leave nothing at either end.
//!
//! The same through the library and a million times: its example `conversations`.

mod common;

use common::{Handler, World, millis, secs};
use egtp_proto::{MessageClass, NotSent, Outcome};

/// Conversations that are begun together.
const TOGETHER: u32 = 1_000;

/// What a peer does with them, in turn.
const HANDLERS: [Handler; 5] =
    [Handler::Echo, Handler::Echo, Handler::Refuse, Handler::Ignore, Handler::Hold];

/// Begins a thousand conversations, waits until all have ended, and lets go of what the world itself keeps.
fn converse(world: &mut World, handler: Handler) {
    world.machines[1].handler = handler;
    for number in 0..TOGETHER {
        // Every third one from the other side, every eighth wants no reply.
        let (from, to) = if number % 3 == 0 { (1, 0) } else { (0, 1) };
        let class = if number % 8 == 0 { MessageClass::Send } else { MessageClass::Request };
        world.submit(from, to, &number.to_le_bytes(), class, Some(millis(50)), millis(400));
    }
    world.run(millis(500));
    let ended: usize = world.machines.iter().map(|one| one.outcomes.len()).sum();
    assert_eq!(ended, usize::try_from(TOGETHER).unwrap(), "one outcome each, within half a second");
    // Too late: who asked has given up.
    while let Some((query, body)) = world.machines[1].waiting.pop_front() {
        world.answer(1, query, Ok(body));
    }
    world.run(millis(100));
    world.recorded = Vec::new();
    for machine in &mut world.machines {
        machine.outcomes.clear();
        (machine.events, machine.executed) = (Vec::new(), Vec::new());
    }
}

/// A hundred thousand conversations over eight hours, with new prekeys, epochs and sessions in between. In the
/// second half of them a table may still grow by a step, and nothing grows with each conversation: 50,000 that
/// left a single byte each would be noticed.
/// Proves B-24.
#[test]
fn a_hundred_thousand_conversations_leave_nothing() {
    const PARTS: usize = 20;
    const STEP: i64 = 16 * 1024;
    let mut world = World::new(2);
    let mut grown = Vec::new();
    for _ in 0..PARTS {
        let memory = allocation_counter::measure(|| {
            for handler in HANDLERS {
                converse(&mut world, handler);
            }
            world.run(secs(24 * 60));
        });
        grown.push(memory.bytes_current);
        let sizes = world.machines.iter().map(|one| one.endpoint.sizes());
        for sizes in sizes {
            assert_eq!((sizes.open, sizes.queries, sizes.held, sizes.dialogs), (0, 0, 0, 1));
            assert!(sizes.confirmed <= 4, "{sizes:?}");
        }
    }
    println!("{grown:?} bytes in {PARTS} parts of {} conversations", TOGETHER * 5);
    // Four sessions, and prekeys for two hours: both are there after the first half.
    let (_, later) = grown.split_at(PARTS / 2);
    assert!(later.iter().sum::<i64>() < STEP, "{grown:?}");
}

/// What goes to a peer that is silent waits up to a bound, and what is beyond it is told at once.
/// Proves B-24.
#[test]
fn a_queue_to_a_silent_peer_is_bounded() {
    let mut world = World::with(2, |config| config.limits.open_max = 1_000);
    world.tamper = |_| false;
    let tokens: Vec<u64> = (0..3_000_u32).map(|n| world.request(0, 1, &n.to_le_bytes())).collect();
    assert_eq!(world.machines[0].endpoint.sizes().open, 1_000);
    let (waiting, refused) = tokens.split_at(1_000);
    let busy = |token: &u64| world.outcome(0, *token) == Some(&Outcome::NotSent(NotSent::Busy));
    assert!(
        refused.iter().all(busy) && waiting.iter().all(|token| world.outcome(0, *token).is_none())
    );
    world.run(secs(31));
    let ended = |token: &u64| matches!(world.outcome(0, *token), Some(Outcome::TimedOut { .. }));
    assert!(waiting.iter().all(ended));
    assert_eq!(world.machines[0].endpoint.sizes().open, 0);
}
