//! Worlds of endpoints under every fault at once: the promises hold, and a world can be repeated.

use std::path::Path;

use egtp_sim::world::{Fault, Plan, Promise, Run, STRENGTH_MAX, Story, regressions, run};

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

/// Proves REL-7: relays that read what they can, drop, keep back, alter and repeat what passes them, to whomever, and again
/// after the ends have begun anew. What they do is seen to happen, and what is looked for in what they see would be found
/// (see the reader of the simulator); a receiver whose replay window is off is a bug that can be planted.
#[test]
fn every_promise_holds_where_relays_are_hostile() {
    for seed in BEHIND_RELAYS {
        let Run { violation, tally, .. } = run(&behind_hostile_relays(seed), Story::Untold);
        assert!(violation.is_none(), "{}", violation.unwrap());
        for fault in HOSTILE {
            let fired = tally.fired.get(&fault).copied().unwrap_or(0);
            assert!(fired > 10, "seed {seed}: {} only {fired} times", fault.name());
        }
        for promise in [Promise::RelayReadsNothing, Promise::OpenedOnce, Promise::AtMostOnce] {
            assert!(tally.checked[&promise] > 100, "seed {seed}: {promise:?}");
        }
        assert!(tally.recovered > 0 && tally.delivered > 100, "seed {seed}: {tally:?}");
    }
}

/// A short world of which most happens at relays.
fn behind_hostile_relays(seed: u64) -> Plan {
    let others = [(Fault::Crash, 40), (Fault::Pause, 10), (Fault::LargeBody, 20)];
    let relays = [(Fault::RelayCrash, 10), (Fault::RelayGone, 10), (Fault::RelaySilent, 10)];
    let hostile = HOSTILE.map(|fault| (fault, STRENGTH_MAX / 2));
    let faults = others.into_iter().chain(relays).chain(hostile).collect();
    let (nodes, requests, fault_seconds) = (4, 300, 900);
    let (restart_at_end, streams_per_mille) = (false, 1000);
    Plan { seed, nodes, requests, fault_seconds, restart_at_end, streams_per_mille, faults }
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
const BEHIND_RELAYS: [u64; 6] = [0, 1, 2, 3, 4, 5];
/// What a relay does on purpose.
const HOSTILE: [Fault; 5] = [
    Fault::Relayed,
    Fault::RelayDrops,
    Fault::RelayDelays,
    Fault::RelayRepeats,
    Fault::RelayForges,
];
