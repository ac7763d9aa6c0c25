//! What is promised, by name, and what it looks like when it is broken.

use std::fmt;
use std::time::Duration;

/// One promise.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Promise {
    /// A message is handed to a handler at most once, over all lives of its receiver.
    AtMostOnce,
    /// A handler is given nothing that nobody sent, and nothing under a false name.
    NothingForged,
    /// A reply is the one that the handler gave to this request, from the peer that was asked.
    RightReply,
    /// Every request and send ends exactly once, and nothing is told about it afterwards.
    OneOutcome,
    /// What an outcome says about the other side is true, then and later.
    HonestOutcome,
    /// A soft timeout is told at most once, in time, and ends nothing.
    SoftHarmsNothing,
    /// A hard timeout comes when it must and not before.
    HardInTime,
    /// Tables stay within the limits, and hold exactly what is open.
    Bounded,
    /// No record counter is used twice under one key.
    CountersNeverRepeat,
    /// A record is opened once by a life of its receiver, however often it comes.
    OpenedOnce,
    /// A relay sees nothing of what is said.
    RelayReadsNothing,
    /// Junk changes nothing that a node remembers.
    JunkChangesNothing,
    /// At most three times as much goes to an address that is only claimed as came from there.
    NoFlood,
    /// Whatever is neither a record nor an answer leaves the confirmed sessions as they are.
    HintsDeleteNothing,
    /// However many requests wait in both directions at once, all of them are answered.
    NoStandstill,
    /// What its asker's disk knows is asked to its end, over all lives of the asker.
    NothingKeptIsLost,
    /// What begins after a broken path was noticed is not left in doubt by a restart before that.
    NoNeedlessDoubt,
    /// When the faults end, every pair exchanges requests again.
    Recovers,
    /// When everything has ended, nothing is left of it.
    NothingLeft,
    /// A node that has nothing to do sleeps.
    NoSpin,
    /// Nothing panics.
    NoPanic,
}

impl Promise {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::AtMostOnce,
        Self::NothingForged,
        Self::RightReply,
        Self::OneOutcome,
        Self::HonestOutcome,
        Self::SoftHarmsNothing,
        Self::HardInTime,
        Self::Bounded,
        Self::CountersNeverRepeat,
        Self::OpenedOnce,
        Self::RelayReadsNothing,
        Self::JunkChangesNothing,
        Self::NoFlood,
        Self::HintsDeleteNothing,
        Self::NoStandstill,
        Self::NothingKeptIsLost,
        Self::NoNeedlessDoubt,
        Self::Recovers,
        Self::NothingLeft,
        Self::NoSpin,
        Self::NoPanic,
    ];
}

/// A broken promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Of the plan.
    pub seed: u64,
    /// Since the world began.
    pub at: Duration,
    /// Which promise.
    pub promise: Promise,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at, promise, what } = self;
        write!(f, "seed {seed} at {:.3} s: {promise:?} is broken: {what}", at.as_secs_f64())
    }
}
