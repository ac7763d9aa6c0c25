//! The time after the faults: everything heals, every pair must exchange requests again, and in the
//! end nothing may be left of anything.

use egtp_proto::limits::WINDOW_START;

use super::checker::{Ended, Party, Promise};
use super::clock::{HOUR, MILLI, SECOND, Time};
use super::fault::Fault;
use super::link::LinkId;
use super::node::crowded;
use super::queue::Happening;
use super::run::World;
use super::workload::Wish;

impl World {
    /// The faults end.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.tell(|| "the faults end".to_owned());
        self.cuts.clear();
        self.heal_relays();
        let hostile = self.nodes.len();
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for id in links {
            self.unclog(id);
            let Some(link) = self.links.get_mut(&id) else { continue };
            link.full_until = link.full_until.min(self.now);
            let foreign = link.ends.iter().any(|end| end.party >= hostile);
            if link.swallows || foreign {
                self.break_link(id, [MILLI, MILLI]);
            }
            for side in 0..=1 {
                self.queue.push(self.now, Happening::Writable(id, side));
            }
        }
        for node in 0..self.nodes.len() {
            self.heal(node);
        }
        let mut later = self.now + SECOND;
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                if from != to && self.nodes.get(to).is_some_and(|node| node.callable) {
                    self.probes.insert((from, to), later);
                    self.queue.push(later, Happening::Probe(from, to));
                    self.queue.push(later + RECOVERY_MAX, Happening::ProbeDue(from, to));
                    later += 10 * MILLI;
                }
            }
        }
        let mut end = later + RECOVERY_MAX + SECOND;
        let callable = |node: Party| self.nodes.get(node).is_some_and(|node| node.callable);
        let narrow = [Fault::TinyLimits, Fault::Hostile, Fault::SlowPath];
        // A durable store that remembers hardly anybody is rightly busy with what an earlier life of the
        // sender has left in it.
        let is_busy = self.plan.strength(Fault::Disk) > 0 && crowded(&self.plan).is_some();
        if self.plan.seed.is_multiple_of(RUSHES)
            && !is_busy
            && !narrow.iter().any(|fault| self.plan.strength(*fault) > 0)
            && callable(0)
            && callable(1)
        {
            self.queue.push(end, Happening::Rush(0, 1));
            self.queue.push(end, Happening::Rush(1, 0));
            end += RUSH_MAX + SECOND;
        }
        if self.plan.strength(Fault::Rebirth) > 0 {
            end = self.plan_trials(end);
        }
        self.queue.push(end, Happening::End);
    }

    /// A node is well again, and its handlers have given their answers.
    fn heal(&mut self, index: Party) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.frozen_until = node.frozen_until.min(now);
        let stopped = node.clocks.is_stopped();
        node.clocks.go_on(now);
        if stopped {
            node.wake = (node.wake.0 + 1, None);
        }
        if self.plan.restart_at_end && node.is_up() {
            self.crash(index, false, false);
        }
        self.empty_disk(index);
        self.restart(index);
        self.thaw(index);
        let held: Vec<_> =
            self.nodes.get(index).into_iter().flat_map(|one| one.held.keys()).collect();
        let held: Vec<_> = held.into_iter().copied().collect();
        for query in held {
            self.give_answer(index, query);
        }
        self.settle(index);
    }

    /// A pair is tried.
    pub(crate) fn probe(&mut self, from: Party, to: Party) {
        if !self.probes.contains_key(&(from, to)) {
            return;
        }
        self.numbers += 1;
        let number = self.numbers;
        self.probing.insert(number, (from, to));
        self.submit(Wish::plain(number, from, to, RECOVERY_MAX));
    }

    /// More requests than a window holds, at once: if this were to wait for that and that for this,
    /// they would wait for ever.
    pub(crate) fn rush(&mut self, from: Party, to: Party) {
        // A serial that the other side never sees: the window must move past it, or it ends there.
        self.numbers += 1;
        self.hand_in(Wish::plain(self.numbers, from, to, RUSH_MAX));
        self.cancel(self.numbers);
        for _ in 0..WINDOW_START + WINDOW_START / 8 {
            self.numbers += 1;
            self.rushing.insert(self.numbers);
            self.submit(Wish::plain(self.numbers, from, to, RUSH_MAX));
        }
    }

    /// One of them has ended.
    pub(crate) fn rush_ended(&mut self, number: u64, ended: Ended) {
        if self.rushing.remove(&number) {
            let answered = matches!(ended, Ended::Reply(_));
            self.checker.check(Promise::NoStandstill, answered, || {
                format!("number {number}, one of many in both directions, ended as {ended:?}")
            });
        }
    }

    /// A try has ended: with a reply, or it must be repeated.
    pub(crate) fn probe_ended(&mut self, number: u64, ended: Ended) {
        let Some((from, to)) = self.probing.remove(&number) else { return };
        if !matches!(ended, Ended::Reply(_)) {
            let again = self.now + 500 * MILLI;
            self.queue.push(again, Happening::Probe(from, to));
            return;
        }
        if let Some(since) = self.probes.remove(&(from, to)) {
            let took = self.now.saturating_sub(since);
            self.tally.recovery = self.tally.recovery.max(took);
            self.tally.recovered += 1;
            self.tally.recovered_late += u64::from(took > RECOVERY_WISHED);
            self.checker.check(Promise::Recovers, true, String::new);
        }
    }

    /// A pair should have exchanged a request by now.
    pub(crate) fn probe_due(&mut self, from: Party, to: Party) {
        let open = self.probes.contains_key(&(from, to));
        self.checker.check(Promise::Recovers, !open, || {
            let seconds = RECOVERY_MAX / SECOND;
            format!("node {from} has had no reply of {to} for {seconds} s without faults")
        });
    }

    /// Everything must end by itself; then nothing may be left of it.
    pub(crate) fn look_for_leaks(&mut self) {
        let late = self.now >= self.plan.fault_seconds * SECOND + LIFE_OF_EVERYTHING;
        let mut left = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(sizes) = node.endpoint.as_ref().map(egtp_proto::Endpoint::sizes) else {
                continue;
            };
            // What outlives runs is on the disk with the wall time of its end. Where that clock was wrong, a limit of two
            // weeks says when it ends, and no world waits for that.
            let may_stay = if late && self.plan.strength(Fault::WrongWall) > 0 {
                self.checker.kept_open(index)
            } else {
                0
            };
            if sizes.open > may_stay || (sizes.queries, sizes.held) != (0, 0) {
                left.push((index, sizes));
            }
        }
        if left.is_empty() || late {
            self.checker.check(Promise::NothingLeft, left.is_empty(), || {
                format!("nothing is going on any more, and yet there are {left:?}")
            });
            self.checker.over();
            self.over = true;
            return;
        }
        self.queue.push(self.now + HOUR / 2, Happening::End);
    }
}

/// The longest back-off between handshakes is five minutes and a fifth; half a minute more.
pub(crate) const RECOVERY_MAX: Time = 390 * SECOND;
/// What is wished for; how many take longer is counted.
const RECOVERY_WISHED: Time = 120 * SECOND;
/// One world in so many has a rush at its end.
const RUSHES: u64 = 3;
/// Within which all of it must be answered.
const RUSH_MAX: Time = 120 * SECOND;
/// The longest timeout of the workload is 26 hours.
const LIFE_OF_EVERYTHING: Time = 32 * HOUR;
