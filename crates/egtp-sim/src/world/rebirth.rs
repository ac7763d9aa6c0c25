//! Deaths at the worst moment, after all other faults: nothing else disturbs what is looked at.
//!
//! A *trial* is one such death, of one node before the eyes of another. Knows when a message was
//! given to a handler and what all clocks say, and nothing of what a node concludes. Invariant: one
//! trial at a time.

use super::chance::dice;
use super::checker::{Ended, Party, Promise};
use super::clock::{HOUR, MILLI, MINUTE, SECOND, Time};
use super::ending::RECOVERY_MAX;
use super::fault::Fault;
use super::queue::Happening;
use super::run::World;
use super::workload::Wish;

/// When the node dies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trial {
    /// After an answer; its new life is asked when the broken path has been noticed.
    Idle,
    /// With a request just taken and not acknowledged; the asker sleeps until the new life, by its own
    /// fast clock, says to be older than the request.
    BusyAndAskerSleeps,
}

/// The pair of a trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rebirth {
    trial: Trial,
    from: Party,
    to: Party,
    /// The request that decides about the death.
    before: u64,
    /// The request to the new life, once it was made.
    asked: Option<u64>,
}

impl World {
    /// Plans both trials from a moment on; returns when they are over.
    pub(crate) fn plan_trials(&mut self, from: Time) -> Time {
        let (first, second) = (from, from + 2 * RECOVERY_MAX + MINUTE);
        self.queue.push(first, Happening::Trial(Trial::Idle));
        self.queue.push(second, Happening::Trial(Trial::BusyAndAskerSleeps));
        second + AGES.last().copied().unwrap_or(0) * SECOND + RECOVERY_MAX
    }

    /// A pair is chosen, and one of it asks the other.
    pub(crate) fn begin_trial(&mut self, trial: Trial) {
        let nodes = self.nodes.len();
        let mut of =
            dice(self.plan.seed, Fault::Rebirth.name(), 3 + u64::from(trial != Trial::Idle));
        let to = of.index(nodes);
        let from = (to + 1 + of.index(nodes - 1)) % nodes;
        // Through a relay the death is noticed by the next packet alone.
        if !self.nodes.get(to).is_some_and(|node| node.callable) || self.is_relayed(from, to) {
            return;
        }
        self.numbers += 1;
        let before = self.numbers;
        self.rebirth = Some(Rebirth { trial, from, to, before, asked: None });
        self.submit(Wish::plain(before, from, to, HOUR * 2));
    }

    /// Whether the handler that is given this request now never answers, because its node dies.
    pub(crate) fn is_fatal(&mut self, number: u64) -> bool {
        let trial = Trial::BusyAndAskerSleeps;
        let is_fatal = self.rebirth.is_some_and(|one| one.trial == trial && one.before == number);
        if is_fatal {
            self.queue.push(self.now, Happening::Death(trial));
        }
        is_fatal
    }

    /// A request of a trial has ended.
    pub(crate) fn trial_ended(&mut self, number: u64, ended: Ended) {
        let Some(Rebirth { trial: Trial::Idle, before, asked, .. }) = self.rebirth else { return };
        if number == before && matches!(ended, Ended::Reply(_)) {
            self.queue.push(self.now, Happening::Death(Trial::Idle));
        }
        if asked == Some(number) {
            self.checker.check(Promise::NoNeedlessDoubt, ended != Ended::Unknown, || {
                format!("number {number} began after the path broke, and ended as {ended:?}")
            });
        }
    }

    /// The node dies and begins anew.
    pub(crate) fn die_for(&mut self, trial: Trial) {
        let Some(Rebirth { from, to, .. }) = self.rebirth else { return };
        let now = self.now;
        self.fired(Fault::Rebirth);
        self.crash(to, false, false);
        match trial {
            Trial::Idle => {
                let of = self.dice_of(Fault::Rebirth);
                let born = now + of.among(2..=500) * MILLI;
                let asked = born + of.among(0..=1500) * MILLI;
                self.queue.push(born, Happening::Restart(to));
                self.queue.push(asked, Happening::AskReborn);
            }
            Trial::BusyAndAskerSleeps => self.sleep_until_the_age_fits(from, to),
        }
    }

    fn sleep_until_the_age_fits(&mut self, from: Party, to: Party) {
        let now = self.now;
        let of = self.dice_of(Fault::Rebirth);
        let born = now + of.among(1..=20) * MILLI;
        let (age, drift) = (of.pick(&AGES).copied().unwrap_or(0), of.among(0..=FAST_MAX));
        let early = of.among(0..=50) * MILLI;
        let Some(reborn) = self.nodes.get_mut(to) else { return };
        reborn.clocks.run_fast(now, drift);
        let says_so = reborn.clocks.boot(born) + age * SECOND;
        let Some(until) = reborn.clocks.moment_of(says_so) else { return };
        let until = until.saturating_sub(early);
        self.queue.push(born, Happening::Restart(to));
        if let Some(asker) = self.nodes.get_mut(from) {
            asker.frozen_until = until;
            self.queue.push(until, Happening::Thaw(from));
        }
    }

    /// The new life is asked.
    pub(crate) fn ask_reborn(&mut self) {
        let Some(Rebirth { from, to, .. }) = self.rebirth else { return };
        self.numbers += 1;
        let number = self.numbers;
        if let Some(rebirth) = &mut self.rebirth {
            rebirth.asked = Some(number);
        }
        self.submit(Wish::plain(number, from, to, RECOVERY_MAX));
    }
}

/// Ages of a new life, in seconds, at which its asker wakes: some of those that can be stated.
const AGES: [u64; 5] = [640, 1024, 2048, 3072, 4096];
/// In millionths: as fast as clocks are when others drift.
const FAST_MAX: u64 = 500;
