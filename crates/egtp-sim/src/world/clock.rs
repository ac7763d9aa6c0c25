//! Time: that of the world, and what the clocks of a node make of it.
//!
//! Knows no nodes. Invariant: a boot clock never goes back, and only whole numbers are involved, so
//! that every machine computes the same.

use std::time::Duration;

use egtp_proto::time::{Instant, Now};

/// Nanoseconds since the world began. No node sees them.
pub(crate) type Time = u64;

/// A millisecond of the world.
pub(crate) const MILLI: Time = 1_000_000;
/// A second of the world.
pub(crate) const SECOND: Time = 1000 * MILLI;
/// A minute of the world.
pub(crate) const MINUTE: Time = 60 * SECOND;
/// An hour of the world.
pub(crate) const HOUR: Time = 60 * MINUTE;
/// A year of the world, roughly.
pub(crate) const YEAR: Time = 365 * 24 * HOUR;

/// The clocks of one node.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    /// The moment from which `boot` counts on.
    since: Time,
    /// What the boot clock said then.
    boot: u64,
    /// How much faster than the world it runs, in millionths.
    drift: i128,
    stopped: bool,
    /// How far the wall clock is off, in nanoseconds.
    wall_error: i128,
}

impl Clocks {
    pub(crate) fn new(boot: u64, drift: i64) -> Self {
        Self { since: 0, boot, drift: drift.into(), stopped: false, wall_error: 0 }
    }

    /// What the boot clock says, in nanoseconds.
    pub(crate) fn boot(&self, at: Time) -> u64 {
        if self.stopped {
            return self.boot;
        }
        let passed = i128::from(at.saturating_sub(self.since));
        let counted = passed + passed * self.drift / MILLIONTHS;
        self.boot.saturating_add(u64::try_from(counted).unwrap_or(0))
    }

    /// What both clocks say.
    pub(crate) fn now(&self, at: Time) -> Now {
        let wall = i128::from(at) + EPOCH + self.wall_error;
        let wall = u64::try_from(wall.max(0)).unwrap_or(u64::MAX);
        Now {
            boot: Instant::new(Duration::from_nanos(self.boot(at))),
            wall: Duration::from_nanos(wall),
        }
    }

    /// The first moment at which the boot clock says `boot` or more; `None` while it stands still.
    pub(crate) fn moment_of(&self, boot: u64) -> Option<Time> {
        if self.stopped {
            return None;
        }
        let ahead = i128::from(boot.saturating_sub(self.boot));
        let passed = ahead * MILLIONTHS / (MILLIONTHS + self.drift);
        let mut at = self.since.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        while self.boot(at) < boot && at < Time::MAX {
            at += 1;
        }
        Some(at)
    }

    /// The boot clock stands still.
    pub(crate) fn stop(&mut self, at: Time) {
        self.boot = self.boot(at);
        self.since = at;
        self.stopped = true;
    }

    /// It runs again, from where it stood.
    pub(crate) fn go_on(&mut self, at: Time) {
        if self.stopped {
            self.since = at;
            self.stopped = false;
        }
    }

    /// From now on it runs so many millionths faster than the world.
    pub(crate) fn run_fast(&mut self, at: Time, drift: u64) {
        self.boot = self.boot(at);
        self.since = at;
        self.drift = drift.into();
    }

    pub(crate) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The wall clock is set forward or back.
    pub(crate) fn jump_wall(&mut self, by: i128) {
        let bound = i128::from(YEAR) * WALL_ERROR_YEARS;
        self.wall_error = (self.wall_error + by).clamp(-bound, bound);
    }
}

const MILLIONTHS: i128 = 1_000_000;
/// What a right wall clock says when the world begins: some day of 2023.
const EPOCH: i128 = 1_700_000_000 * 1_000_000_000;
/// Several jumps together are not further off than this.
const WALL_ERROR_YEARS: i128 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_reading_is_the_first_that_shows_it() {
        for drift in [-500, 0, 1, 500] {
            let clocks = Clocks::new(77, drift);
            for boot in [78, 1_000_003, 86_400 * SECOND + 1] {
                let at = clocks.moment_of(boot).unwrap();
                assert!(clocks.boot(at) >= boot && clocks.boot(at - 1) < boot, "{drift} {boot}");
            }
        }
    }

    #[test]
    fn a_stopped_clock_goes_on_from_where_it_stood() {
        let mut clocks = Clocks::new(5, 0);
        clocks.stop(10);
        assert_eq!((clocks.boot(100), clocks.moment_of(20)), (15, None));
        clocks.go_on(100);
        assert_eq!(clocks.boot(103), 18);
    }
}
