//! Many runs together: their report, and whether every fault and every check did something at all.
//!
//! Invariant: a batch in which a fault or a check never fired is a failed one if it was long enough.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::checker::{Promise, Violation};
use super::clock::HOUR;
use super::fault::Fault;
use super::plan::Plan;
use super::run::Run;
use super::tally::Tally;

/// See the head of this file.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    nodes: Vec<u64>,
    requests: Vec<u64>,
    plans_with: BTreeMap<Fault, u64>,
    tally: Tally,
    twice: u64,
    violations: Vec<(Plan, Violation)>,
}

impl Batch {
    /// Adds a run.
    pub fn add(&mut self, plan: &Plan, run: &Run) {
        self.nodes.push(plan.nodes);
        self.requests.push(run.tally.messages);
        for fault in plan.faults.keys() {
            *self.plans_with.entry(*fault).or_default() += 1;
        }
        self.tally.add(&run.tally);
        self.violations.extend(run.violation.clone().map(|violation| (plan.clone(), violation)));
    }

    /// A plan was played twice, with equal hashes.
    pub const fn add_repetition(&mut self) {
        self.twice += 1;
    }

    /// Adds another batch.
    pub fn join(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.requests.extend(other.requests);
        for (fault, count) in other.plans_with {
            *self.plans_with.entry(fault).or_default() += count;
        }
        self.tally.add(&other.tally);
        self.twice += other.twice;
        self.violations.extend(other.violations);
    }

    /// The plans that broke a promise, and how.
    pub fn violations(&self) -> &[(Plan, Violation)] {
        &self.violations
    }

    /// How many runs there were.
    pub const fn seeds(&self) -> usize {
        self.nodes.len()
    }

    /// Faults and checks that never did anything, and faults that too few plans had: in a long batch
    /// each of them is an error of the simulator itself.
    pub fn complaints(&self) -> Vec<String> {
        let seeds = u64::try_from(self.seeds()).unwrap_or(0);
        if seeds < LONG_ENOUGH {
            return Vec::new();
        }
        let fired = |fault: &Fault| self.tally.fired.get(fault).copied().unwrap_or(0);
        let silent = Fault::ALL.iter().filter(|fault| fired(fault) == 0);
        let mut complaints: Vec<String> =
            silent.map(|fault| format!("the fault {} never fired", fault.name())).collect();
        for fault in Fault::ALL {
            let with = self.plans_with.get(fault).copied().unwrap_or(0);
            if with * 100 < seeds * PLANS_WITH_MIN {
                complaints.push(format!("only {with} plans of {seeds} had {}", fault.name()));
            }
        }
        for promise in Promise::ALL {
            if !self.tally.checked.contains_key(promise) {
                complaints.push(format!("{promise:?} was never checked"));
            }
        }
        complaints
    }

    /// The report, after so much real time.
    pub fn report(&self, took: Duration) -> String {
        let mut text = String::new();
        // A string takes everything; there is no error to hand on.
        let _ = self.write(&mut text, took);
        text
    }

    fn write(&self, text: &mut String, took: Duration) -> std::fmt::Result {
        let tally = &self.tally;
        let seeds = u64::try_from(self.seeds()).unwrap_or(0).max(1);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let (nodes, requests) = (median(&self.nodes), median(&self.requests));
        writeln!(
            text,
            "{} seeds, nodes {nodes} (median), requests {requests} (median)",
            self.seeds()
        )?;
        writeln!(text, "\nfault                seeds   %   fired")?;
        for fault in Fault::ALL {
            let with = self.plans_with.get(fault).copied().unwrap_or(0);
            let fired = tally.fired.get(fault).copied().unwrap_or(0);
            let percent = with * 100 / seeds;
            writeln!(text, "{:<20} {with:>5} {percent:>3} {fired:>7}", fault.name())?;
        }
        writeln!(text, "\npromise              checked")?;
        for promise in Promise::ALL {
            let checked = tally.checked.get(promise).copied().unwrap_or(0);
            writeln!(text, "{:<20} {checked:>8}", format!("{promise:?}"))?;
        }
        writeln!(text, "\noutcome                   count")?;
        for (name, count) in &tally.ended {
            writeln!(text, "{name:<24} {count:>7}")?;
        }
        let Tally { messages, delivered, restarts, packets, events, .. } = tally;
        let handshakes = tally.handshakes;
        writeln!(text, "\n{messages} messages begun, {delivered} delivered, {restarts} restarts")?;
        writeln!(text, "{packets} packets, {handshakes} handshakes, {events} events")?;
        let (rested, woken) = tally.rested;
        writeln!(text, "{rested} sessions put to rest, {woken} of them woken")?;
        let (pairs, late) = (tally.recovered, tally.recovered_late);
        let longest = Duration::from_nanos(tally.recovery).as_millis();
        writeln!(
            text,
            "{pairs} pairs recovered, the slowest in {longest} ms, {late} later than 120 s"
        )?;
        let hours = tally.node_time / HOUR;
        let faster = u128::from(tally.node_time) / 1_000_000 / u128::from(milliseconds);
        writeln!(text, "{hours} node-hours, {faster} times as fast as real time")?;
        let each = milliseconds / seeds;
        writeln!(text, "{milliseconds} ms in all, {each} ms a seed")?;
        writeln!(text, "{} seeds played twice with equal hashes", self.twice)?;
        writeln!(text, "{} violations", self.violations.len())
    }
}

fn median(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// From so many seeds on, whatever never fired is an error.
const LONG_ENOUGH: u64 = 300;
/// Each fault must exist in so many of a hundred plans.
const PLANS_WITH_MIN: u64 = 30;
