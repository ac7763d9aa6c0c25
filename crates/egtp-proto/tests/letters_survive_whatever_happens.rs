//! Random walks of machines that write letters: whatever happens to letters, disks and machines, each message is taken
//! once at most, no letter is thrown away too early, and every message comes to an end.

mod common;
mod letter_walk;

use letter_walk::walk;

/// How many walks, and of how many steps. `EGTP_LETTER_WALKS=first..end` names others.
#[cfg(not(planted))]
const WALKS: (u64, u64) = (0, 60);
const STEPS: usize = 120;
/// Walks within which each planted bug is to be found.
#[cfg(planted)]
const HUNTED: u64 = 600;

/// The control: each planted bug is found.
#[cfg(planted)]
#[test]
fn each_planted_bug_of_letters_is_found() {
    let mut missed = Vec::new();
    for (bug, name) in egtp_proto::planted::OF_LETTERS {
        egtp_proto::planted::plant(Some(bug));
        let is_found = |seed: &u64| std::panic::catch_unwind(|| walk(*seed, STEPS)).is_err();
        match (0..HUNTED).find(is_found) {
            Some(seed) => println!("{name}: found by seed {seed}"),
            None => missed.push(name),
        }
    }
    egtp_proto::planted::plant(None);
    assert!(missed.is_empty(), "not found within {HUNTED} walks: {missed:?}");
}

/// Proves L-5, L-6, L-8, LNG-5, XON-4.
#[cfg(not(planted))]
#[test]
fn letters_survive_whatever_happens() {
    let (from, to) = std::env::var("EGTP_LETTER_WALKS").map_or(WALKS, |walks| {
        let (from, to) = walks.split_once("..").expect("two numbers");
        (from.parse().expect("a number"), to.parse().expect("a number"))
    });
    let (mut letters, mut executed, mut thrown_away) = (0, 0, 0);
    for seed in from..to {
        let tally = walk(seed, STEPS);
        println!("{seed}: {tally:?}");
        letters += tally.letters;
        executed += tally.executed;
        thrown_away += tally.thrown_away;
    }
    let walks = usize::try_from(to - from).expect("few");
    assert!(letters > 10 * walks && executed > 10 * walks && thrown_away > 5 * walks, "it walks");
}
