//! One side of a session as the specification has it: epochs by the clock, and the set of counters
//! that were opened in each.
//!
//! Knows no keys: an epoch has a number that never turns round, so the model can say of a record from
//! long ago that its byte names an epoch of today and its seal does not fit.

use std::collections::BTreeSet;
use std::time::Duration;

/// What must become of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// It opens; and whether it is the newest of its lane.
    Opens {
        /// Whether no record of its lane and of a later epoch or counter was opened before.
        newest: bool,
    },
    /// Its counter was opened before, or is too far behind.
    Replayed,
    /// Nobody has the keys of such an epoch (any more).
    UnknownEpoch,
    /// The keys are there and it does not fit them.
    Forged,
}

/// What is known of a record: where it says that it belongs, and the epoch that it was sealed in.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The number of its lane.
    pub lane: usize,
    /// Its epoch byte.
    pub epoch: u8,
    /// Its counter.
    pub counter: u64,
    /// The epoch whose key the receiver must use; `None` if nobody sealed it as it is.
    pub sealed_in: Option<u64>,
}

/// One side.
#[derive(Clone, Debug)]
pub struct Side {
    /// Those whose keys it has, the newest last.
    epochs: Vec<Epoch>,
}

#[derive(Clone, Debug, Default)]
struct Epoch {
    number: u64,
    since: Duration,
    left: Option<Duration>,
    sealed: [u64; 2],
    opened: [BTreeSet<u64>; 2],
}

impl Side {
    /// A session that has just begun.
    pub fn new(now: Duration) -> Self {
        Self { epochs: vec![Epoch { since: now, ..Epoch::default() }] }
    }

    /// Seals a record: the number of its epoch, and its counter.
    ///
    /// # Panics
    /// Never: there is always an epoch.
    pub fn seal(&mut self, now: Duration, lane: usize) -> (u64, u64) {
        let newest = self.newest();
        if now.saturating_sub(newest.since) >= EPOCH_USED {
            self.advance(now, newest.number + 1);
        }
        let newest = self.epochs.last_mut().expect("there is always an epoch");
        newest.sealed[lane] += 1;
        (newest.number, newest.sealed[lane] - 1)
    }

    /// What must become of a record that arrives now.
    pub fn expect(&self, now: Duration, claim: &Claim) -> Expected {
        let is_named = |number: u64| number.to_le_bytes()[0] == claim.epoch;
        let newest = self.newest().number;
        let mut alive = self.epochs.iter().filter(|epoch| !epoch.is_over(now));
        let (number, opened) = match alive.find(|epoch| is_named(epoch.number)) {
            Some(epoch) => (epoch.number, Some(&epoch.opened[claim.lane])),
            None => match (newest + 1..=newest + AHEAD_MAX).find(|number| is_named(*number)) {
                Some(number) => (number, None),
                None => return Expected::UnknownEpoch,
            },
        };
        let highest = opened.and_then(BTreeSet::last).copied();
        let is_behind = highest.is_some_and(|highest| highest >= claim.counter + WINDOW);
        if is_behind || opened.is_some_and(|opened| opened.contains(&claim.counter)) {
            return Expected::Replayed;
        }
        if claim.sealed_in != Some(number) {
            return Expected::Forged;
        }
        let newest = number >= newest && highest.is_none_or(|highest| claim.counter > highest);
        Expected::Opens { newest }
    }

    /// A record was opened.
    ///
    /// # Panics
    /// When no such record can have been sealed.
    pub fn opened(&mut self, now: Duration, claim: &Claim) {
        let number = claim.sealed_in.expect("somebody sealed it");
        if self.newest().number < number {
            self.advance(now, number);
        }
        let epoch = self.epochs.iter_mut().find(|epoch| epoch.number == number);
        let epoch = epoch.expect("its keys are there");
        assert!(epoch.opened[claim.lane].insert(claim.counter), "opened twice");
    }

    fn newest(&self) -> &Epoch {
        self.epochs.last().expect("there is always an epoch")
    }

    fn advance(&mut self, now: Duration, to: u64) {
        for number in self.newest().number + 1..=to {
            if let Some(previous) = self.epochs.last_mut() {
                previous.left = Some(now);
            }
            self.epochs.push(Epoch { number, since: now, ..Epoch::default() });
            self.epochs.retain(|epoch| !epoch.is_over(now));
            if self.epochs.len() > KEPT_MAX {
                self.epochs.remove(0);
            }
        }
    }
}

impl Epoch {
    fn is_over(&self, now: Duration) -> bool {
        let kept = if self.opened[RELAY].is_empty() { KEPT } else { KEPT_FOR_RELAY };
        self.left.is_some_and(|left| now.saturating_sub(left) > kept)
    }
}

/// The number of the relay lane.
const RELAY: usize = 1;
/// S-4: a sender leaves an epoch after this long.
const EPOCH_USED: Duration = Duration::from_mins(15);
/// S-5: epochs ahead that are followed.
const AHEAD_MAX: u64 = 3;
/// S-6: how long, and of how many epochs, records still open.
const KEPT: Duration = Duration::from_mins(2);
const KEPT_FOR_RELAY: Duration = Duration::from_mins(30);
const KEPT_MAX: usize = 4;
/// S-7: a counter this far behind the newest is refused.
const WINDOW: u64 = 1_984;
