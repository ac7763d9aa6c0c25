//! Worlds of endpoints under every fault at once: the promises hold, and a world can be repeated.

use std::path::Path;

use egtp_sim::world::{Plan, Run, Story, regressions, run};

/// Proves RTY-2, MSG-9, X-3, X-19, X-25 and X-27: in each of these worlds, whatever the network, the clocks,
/// the crashes, a hostile peer and a stranger do.
#[test]
fn every_promise_holds_in_fresh_worlds() {
    for seed in FRESH {
        let plan = Plan::draw(seed);
        let Run { violation, tally, .. } = run(&plan, Story::Untold);
        assert!(violation.is_none(), "{}", violation.unwrap());
        assert!(tally.delivered > 0, "seed {seed} delivered nothing");
    }
}

/// Proves: what was once broken stays whole.
#[test]
fn every_promise_holds_in_the_worlds_that_once_broke_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reliability/seeds.toml");
    let kept = regressions(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(!kept.is_empty());
    for one in kept {
        let plan = one.plan().expect("a seed or a plan");
        let violation = run(&plan, Story::Untold).violation;
        assert!(violation.is_none(), "kept because {}: {}", one.reason, violation.unwrap());
    }
}

#[test]
fn the_same_plan_gives_the_same_world_to_the_last_event() {
    for seed in REPEATED {
        let plan = Plan::draw(seed);
        let (one, two) = (run(&plan, Story::Untold), run(&plan, Story::Untold));
        assert_eq!((one.hash, one.tally), (two.hash, two.tally), "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_world() {
    let hash = |seed| run(&Plan::draw(seed), Story::Untold).hash;
    assert_ne!(hash(1), hash(3));
}

/// Ten seeds of short plans, so that the check stays quick.
const FRESH: [u64; 10] = [0, 1, 3, 5, 8, 10, 11, 12, 13, 14];
const REPEATED: [u64; 2] = [1, 3];
