//! Time as an argument: this crate never asks a clock.
//!
//! Deadlines and durations use the *boot* clock, which counts through suspend and never goes back.
//! The wall clock only makes the age rule more careful; nothing is accepted or refused because of it.

use std::time::Duration;

/// A moment on the boot clock, counted from an arbitrary start.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(Duration);

impl Instant {
    /// The moment `since_start` after the clock's start.
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The time since the clock's start.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The time since `earlier`; zero if that is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `delay` later; the end of time if that cannot be written.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }
}

/// What both clocks say at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// The clock that counts through suspend.
    pub boot: Instant,
    /// Time since the Unix epoch, as the machine believes it. May be wrong, may jump.
    pub wall: Duration,
}

impl Now {
    /// How long ago `earlier` was, by whichever clock says more: a clock that stood still or was
    /// set back must not make the past look young.
    pub fn elapsed_since(&self, earlier: &Self) -> Duration {
        self.boot.since(earlier.boot).max(self.wall.saturating_sub(earlier.wall))
    }
}
