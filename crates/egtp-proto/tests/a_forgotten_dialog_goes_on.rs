//! A receiver that has forgotten a dialog refuses what is bound to its past; all of it goes on under
//! the new binding, however much it is.

mod common;

use common::{Handler, World, secs};
use egtp_proto::{MessageClass, Outcome, Taken};

/// Machine 1 remembers one dialog: that of machine 2, who came after machine 0.
fn world() -> World {
    let mut world = World::with(3, |config| config.limits.dialogs_max = 1);
    for from in [0, 2] {
        world.request(from, 1, b"hello");
        world.run(secs(1));
    }
    world
}

fn replies(world: &mut World, count: usize, bytes: usize) -> (usize, usize) {
    let tokens: Vec<u64> = (0..count)
        .map(|number| {
            let mut body = vec![0; bytes];
            body[..8].copy_from_slice(&number.to_le_bytes());
            world.request(0, 1, &body)
        })
        .collect();
    world.run(secs(20));
    let count = |wanted: fn(Option<Outcome>) -> bool| {
        tokens.iter().filter(|token| wanted(world.outcome(0, **token).cloned())).count()
    };
    (
        count(|outcome| matches!(outcome, Some(Outcome::Reply { .. }))),
        count(|outcome| matches!(outcome, Some(Outcome::Unknown { .. }))),
    )
}

/// More than the window of the dialog holds, so that some wait behind those that are bound anew. Proves
/// MSG-9, X-10.
#[test]
fn more_than_a_window_goes_on_after_the_dialog_was_forgotten() {
    assert_eq!(replies(&mut world(), 1152, 200), (1152, 0));
}

/// One record carries more than a thousand such messages. Proves MSG-9, X-10.
#[test]
fn a_record_full_of_small_messages_is_refused_whole() {
    assert_eq!(replies(&mut world(), 600, 8), (600, 0));
}

/// Proves MSG-9, X-10.
#[test]
fn a_few_go_on() {
    assert_eq!(replies(&mut world(), 200, 200), (200, 0));
}

/// A request was taken, and its handler never answers; then its dialog is forgotten. The new memory does not wait
/// for it, so that it keeps nobody's window back until its hard timeout. Proves.
#[test]
fn what_was_taken_before_holds_up_nothing_after_the_dialog_was_forgotten() {
    let mut world = World::with(3, |config| config.limits.dialogs_max = 1);
    world.machines[1].handler = Handler::Ignore;
    let ignored = world.submit(0, 1, b"ignored", MessageClass::Request, None, secs(600));
    world.run(secs(1));
    world.machines[1].handler = Handler::Echo;
    world.request(2, 1, b"hello");
    world.run(secs(1));
    assert_eq!(replies(&mut world, 3_000, 20), (3_000, 0));
    assert_eq!(world.outcome(0, ignored), None);
    world.run(secs(600));
    assert_eq!(world.outcome(0, ignored), Some(&Outcome::TimedOut { taken: Taken::Yes }));
    assert_eq!(replies(&mut world, 3, 20), (3, 0));
}
