//! Random walks of machines that write letters: whatever happens to letters, disks and machines, each message is taken
//! once at most, no letter is thrown away too early, and every message comes to an end.

mod common;
mod letter_walk;

use letter_walk::walk;

/// How many walks, and of how many steps. `EGTP_LETTER_WALKS=first..end` names others.
const WALKS: (u64, u64) = (0, 60);
const STEPS: usize = 120;

/// Proves L-5, L-6, L-8, LNG-5, XON-4.
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
