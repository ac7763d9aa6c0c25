//! Makes a plan that breaks a promise smaller, as long as it still breaks the same one.
//!
//! Invariant: what it returns has been played and has broken the promise.

use super::fault::Fault;
use super::plan::Plan;
use super::run::{Story, run};

/// The smallest plan found in at most `runs` runs that breaks the same promise as `plan`.
pub fn shrink(plan: &Plan, runs: usize) -> Plan {
    let Some(wanted) = run(plan, Story::Untold).violation.map(|violation| violation.promise) else {
        return plan.clone();
    };
    let mut best = plan.clone();
    let mut left = runs;
    loop {
        let before = best.clone();
        for smaller in candidates(&before) {
            if left == 0 {
                return best;
            }
            // Built on the best so far: several faults can go in one round.
            let Some(next) = smaller(&best).filter(|next| *next != best) else { continue };
            left -= 1;
            let broken = run(&next, Story::Untold).violation;
            if broken.is_some_and(|violation| violation.promise == wanted) {
                best = next;
            }
        }
        if best == before {
            return best;
        }
    }
}

/// A step towards a smaller plan; `None` where there is nothing to take away.
type Step = Box<dyn Fn(&Plan) -> Option<Plan>>;

fn candidates(plan: &Plan) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for &fault in plan.faults.keys() {
        steps.push(Box::new(move |plan| without(plan, fault)));
    }
    steps.push(Box::new(|plan| Some(Plan { requests: plan.requests / 2, ..plan.clone() })));
    steps.push(Box::new(|plan| Some(Plan { requests: plan.requests * 4 / 5, ..plan.clone() })));
    steps.push(Box::new(|plan| {
        Some(Plan { fault_seconds: (plan.fault_seconds / 2).max(10), ..plan.clone() })
    }));
    steps.push(Box::new(|plan| Some(Plan { nodes: (plan.nodes - 1).max(2), ..plan.clone() })));
    steps.push(Box::new(|plan| Some(Plan { restart_at_end: false, ..plan.clone() })));
    steps.push(Box::new(|plan| Some(Plan { streams_per_mille: 1000, ..plan.clone() })));
    for &fault in plan.faults.keys() {
        steps.push(Box::new(move |plan| {
            let mut weaker = plan.clone();
            let strength = weaker.faults.get_mut(&fault)?;
            *strength = (*strength / 2).max(1);
            Some(weaker)
        }));
    }
    steps
}

fn without(plan: &Plan, fault: Fault) -> Option<Plan> {
    let mut smaller = plan.clone();
    smaller.faults.remove(&fault).map(|_| smaller)
}
