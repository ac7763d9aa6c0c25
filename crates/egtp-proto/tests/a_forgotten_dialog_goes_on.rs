//! A receiver that has forgotten a dialog refuses what is bound to its past; all of it goes on under
//! the new binding, however much it is.

mod common;

use common::{World, secs};
use egtp_proto::Outcome;

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
