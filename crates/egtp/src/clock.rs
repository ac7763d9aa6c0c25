//! The two clocks of a node, as arguments: nobody else in this crate asks what time it is.
//!
//! *Boot* time measures durations and goes on while the machine sleeps; *wall* time is what people
//! and other machines call the time, and may jump. Neither knows what it is used for. Invariant:
//! boot time never goes back.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Where a node's times come from.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since some fixed moment, suspended time included. Never goes back.
    fn boot(&self) -> Duration;

    /// Time since the Unix epoch. May jump either way.
    fn wall(&self) -> Duration;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn boot(&self) -> Duration {
        let time = rustix::time::clock_gettime(BOOT);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(seconds, nanoseconds)
    }

    fn wall(&self) -> Duration {
        // A clock set before 1970 reads as 1970: wrong either way, and nothing depends on it.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A clock that follows tokio's, so that a program whose tokio time is stepped is stepped whole.
/// Its wall clock can be set, as an owner sets a wrong one.
#[derive(Debug)]
pub struct TokioClock {
    start: Instant,
    wall_at_start: Duration,
    wall_shift_milliseconds: AtomicI64,
}

impl TokioClock {
    /// Starts now. `wall_at_start` is what the wall clock shows at this moment.
    pub fn new(wall_at_start: Duration) -> Self {
        Self { start: Instant::now(), wall_at_start, wall_shift_milliseconds: AtomicI64::new(0) }
    }

    /// Sets the wall clock forward, or back, by so many seconds.
    pub fn shift_wall(&self, seconds: i64) {
        self.wall_shift_milliseconds.fetch_add(seconds.saturating_mul(1000), Ordering::Relaxed);
    }
}

impl Clock for TokioClock {
    fn boot(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> Duration {
        let shift = self.wall_shift_milliseconds.load(Ordering::Relaxed);
        let distance = Duration::from_millis(shift.unsigned_abs());
        let unshifted = self.wall_at_start + self.boot();
        if shift < 0 { unshifted.saturating_sub(distance) } else { unshifted + distance }
    }
}

/// Linux stops its monotonic clock during suspend and has another one that goes on.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_both_clocks() {
        let first = SystemClock.boot();
        assert!(first > Duration::ZERO);
        assert!(SystemClock.boot() >= first);
        assert!(SystemClock.wall() > Duration::from_hours(24 * 365 * 50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stepped_clock_moves_with_tokio_and_its_wall_can_be_set_back() {
        let clock = TokioClock::new(Duration::from_secs(1_000));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(
            (clock.boot(), clock.wall()),
            (Duration::from_secs(5), Duration::from_secs(1_005))
        );
        clock.shift_wall(-100);
        assert_eq!(clock.wall(), Duration::from_secs(905));
        clock.shift_wall(200);
        assert_eq!(clock.wall(), Duration::from_secs(1_105));
        assert_eq!(clock.boot(), Duration::from_secs(5));
    }
}
