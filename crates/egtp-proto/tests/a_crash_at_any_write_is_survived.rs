//! Each operation that writes to a disk, with a crash at each of its writes in turn: before it is on the
//! disk, and after, at either side.

mod common;

use common::{EARLIER, Handler, World, millis, secs};
use egtp_proto::{MessageClass, Outcome, StoreKind};

/// What is done, from the first packet to the last row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operation {
    Request,
    Send,
    Refused,
    LargeBody,
    GivenUp,
    /// A dialog is forgotten to make room for this one.
    Evicts,
}

const OPERATIONS: [Operation; 6] = [
    Operation::Request,
    Operation::Send,
    Operation::Refused,
    Operation::LargeBody,
    Operation::GivenUp,
    Operation::Evicts,
];

/// Where a machine dies.
#[derive(Clone, Copy, Debug)]
struct Death {
    machine: usize,
    at: u64,
    is_there: bool,
}

const BODY: &[u8] = b"ten nanobux";

fn world(operation: Operation) -> World {
    let mut world = World::with(3, |config| config.limits.dialogs_max = 1);
    for machine in 0..3 {
        world.give_disk(machine);
    }
    (world.wants, world.keeps) = (StoreKind::Durable, true);
    let before = if operation == Operation::Evicts { 2 } else { 0 };
    world.submit(before, 1, b"hello", MessageClass::Request, None, secs(300));
    world.run(secs(10));
    world
}

/// Does it, with a death if there is one; returns the writes of both sides.
fn play(operation: Operation, death: Option<Death>) -> [u64; 2] {
    let mut world = world(operation);
    let commits =
        |world: &World| [0, 1].map(|one| world.machines[one].disk.as_ref().unwrap().commits);
    let before = commits(&world);
    if let Some(Death { machine, at, is_there }) = death {
        world.machines[machine].disk.as_mut().unwrap().dies_at =
            Some((before[machine] + at, is_there));
    }
    if operation == Operation::Refused {
        world.machines[1].handler = Handler::Refuse;
    }
    if operation == Operation::GivenUp {
        world.machines[1].handler = Handler::Hold;
    }
    let body = if operation == Operation::LargeBody { vec![7; 50_000] } else { BODY.to_vec() };
    let class =
        if operation == Operation::Send { MessageClass::Send } else { MessageClass::Request };
    let token = world.submit(0, 1, &body, class, None, secs(300));
    if operation == Operation::GivenUp {
        world.run(millis(300));
        let (to, saved) = (world.key(1), &world.machines[0].disk.as_ref().unwrap().saved);
        let id = saved.asks.last().map(|ask| ask.id);
        if let Some(code) = id.and_then(|id| world.machines[0].endpoint.find(&to, &id)) {
            world.machines[0].endpoint.cancel(code);
        }
    }
    world.run(secs(3));
    if let Some(Death { machine, .. }) = death
        && !world.machines[machine].up
    {
        world.restart(machine, 1);
    }
    world.run(secs(400));
    check(&world, operation, death, token, &body);
    let after = commits(&world);
    [after[0] - before[0], after[1] - before[1]]
}

/// One outcome in all lives of the asker, at most one run in all lives of the receiver, each true.
fn check(world: &World, operation: Operation, death: Option<Death>, token: u64, body: &[u8]) {
    let ran = world.executions(1, body);
    assert!(ran <= 1, "{operation:?} {death:?} ran {ran} times");
    let lives = [token, EARLIER, EARLIER + 1];
    let told = lives.into_iter().filter_map(|token| world.outcome(0, token));
    let told: Vec<&Outcome> = told.collect();
    assert!(told.len() <= 1, "{operation:?} {death:?} ended as {told:?}");
    let saved = &world.machines[0].disk.as_ref().unwrap().saved;
    assert!(saved.asks.is_empty(), "{operation:?} {death:?} is open for ever");
    // An asker that died between writing the outcome down and telling it: the next run has it.
    let kept = saved.outcomes.iter().map(|one| &one.outcome);
    let end = told
        .first()
        .copied()
        .or_else(|| kept.skip(1 - usize::from(operation == Operation::Evicts)).last());
    let asker_forgot =
        death.is_some_and(|death| (death.machine, death.at, death.is_there) == (0, 0, false));
    match (operation, end) {
        // It died before anything was on its disk: nobody was told that it is kept.
        (_, None) => {
            assert!(asker_forgot || operation == Operation::GivenUp, "{operation:?} {death:?}");
        }
        (Operation::Refused, Some(Outcome::Refused(_))) => assert_eq!(ran, 1),
        (Operation::Send, Some(Outcome::Accepted { .. }))
        | (Operation::GivenUp, Some(Outcome::Unknown { .. } | Outcome::TimedOut { .. })) => {}
        (
            Operation::Request | Operation::LargeBody | Operation::Evicts,
            Some(Outcome::Reply { .. }),
        ) => {
            assert_eq!(ran, 1);
        }
        // The receiver died with the request in its hands.
        (_, Some(Outcome::Unknown { .. })) => {
            assert_eq!(death.map(|death| death.machine), Some(1), "{operation:?} {death:?}");
        }
        (_, Some(other)) => panic!("{operation:?} {death:?} ended as {other:?}"),
    }
}

/// Proves RTY-2, LNG-2, X-31, X-33, X-34: wherever in the writing a machine dies.
#[test]
fn a_crash_at_any_write_is_survived() {
    let mut played = 0;
    for operation in OPERATIONS {
        let writes = play(operation, None);
        println!("{operation:?}: {} writes of the asker, {} of the receiver", writes[0], writes[1]);
        assert!(writes[0] >= 2 && writes[1] >= 1, "it writes at both sides");
        for machine in [0, 1] {
            for at in 0..writes[machine] {
                for is_there in [false, true] {
                    play(operation, Some(Death { machine, at, is_there }));
                    played += 1;
                }
            }
        }
    }
    println!("{played} crashes");
    assert!(played >= 50);
}
