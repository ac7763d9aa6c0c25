//! When to send again what was not answered: round-trip time and back-off for one peer.
//!
//! Knows samples and how often something failed; not messages, sockets or the clock. Invariant: a
//! delay is never below [`RTO_MIN`] nor above [`RTO_MAX`] plus a fifth.

use std::time::Duration;

/// Before anything was measured.
const RTO_START: Duration = Duration::from_millis(500);
/// The shortest wait: a peer delays acknowledgements by up to 25 ms, schedulers by more.
pub const RTO_MIN: Duration = Duration::from_millis(200);
/// The longest wait between two tries on a direct path.
pub const RTO_MAX: Duration = Duration::from_mins(1);

/// Round-trip estimate in the manner of RFC 6298.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl RoundTrip {
    /// Takes in the time between something sent once and its acknowledgement.
    pub fn sample(&mut self, took: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(took);
                self.variation = took / 2;
            }
            Some(smoothed) => {
                let off = smoothed.abs_diff(took);
                self.variation = self.variation * 3 / 4 + off / 4;
                self.smoothed = Some(smoothed * 7 / 8 + took / 8);
            }
        }
    }

    /// How long to wait for an acknowledgement.
    pub fn timeout(&self) -> Duration {
        let measured = self.smoothed.map(|smoothed| smoothed + self.variation * 4);
        measured.unwrap_or(RTO_START).clamp(RTO_MIN, RTO_MAX)
    }

    /// The smoothed round-trip time, once measured.
    pub const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// How long to wait before try number `attempt` + 1, with up to a fifth of jitter from `random`.
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        doubled(self.timeout(), attempt.saturating_sub(1), RTO_MAX, random)
    }
}

/// `first` doubled `times` times, at most `max`, and up to a fifth more.
pub fn doubled(first: Duration, times: u32, max: Duration, random: u64) -> Duration {
    let factor = 1_u32.checked_shl(times.min(16)).unwrap_or(1 << 16);
    let delay = first.saturating_mul(factor).min(max);
    let jitter = u32::try_from(random % 201).unwrap_or(0);
    delay + delay * jitter / 1000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Proves X-26.
    #[test]
    fn the_first_wait_is_half_a_second() {
        assert_eq!(RoundTrip::default().timeout(), Duration::from_millis(500));
    }

    proptest! {
        /// Proves RTY-1: waits grow, never shrink with the attempts, and stay bounded.
        /// Proves X-26.
        #[test]
        fn waits_are_bounded_and_do_not_shrink(samples in prop::collection::vec(0_u64..100_000, 0..20), random: u64) {
            let mut trip = RoundTrip::default();
            for sample in samples {
                trip.sample(Duration::from_millis(sample));
            }
            let mut last = Duration::ZERO;
            for attempt in 0..40 {
                let delay = trip.delay(attempt, random);
                prop_assert!(delay >= RTO_MIN && delay <= RTO_MAX + RTO_MAX / 5);
                prop_assert!(delay >= last);
                last = delay;
            }
        }
    }
}
