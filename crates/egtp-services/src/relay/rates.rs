//! How much each sender may have passed on by a relay.
//!
//! A bucket for each of them, filled at a steady rate. Knows no circuits, no packets and no clock. Invariant: bounded; whoever has
//! been silent long enough is not remembered, and one who is not remembered may send at once.

use std::collections::HashMap;
use std::time::Duration;

use egtp::PublicKey;

/// Who has sent lately, and what is left to each.
#[derive(Debug)]
pub(super) struct Rates {
    /// Bytes that a bucket gets in a second, and holds at most.
    per_second: u64,
    senders_max: usize,
    buckets: HashMap<PublicKey, Bucket>,
    /// When full buckets were looked for last.
    swept: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    /// When it was filled last.
    at: Duration,
}

impl Rates {
    pub(super) fn new(per_second: u64, senders_max: usize, now: Duration) -> Self {
        Self { per_second, senders_max, buckets: HashMap::new(), swept: now }
    }

    /// Whether a sender may have one more packet passed on now. The last one may be longer than what is left, so that
    /// none is too long for ever.
    pub(super) fn take(&mut self, from: PublicKey, bytes: usize, now: Duration) -> bool {
        if self.buckets.len() >= self.senders_max && !self.buckets.contains_key(&from) {
            self.sweep(now);
            if self.buckets.len() >= self.senders_max {
                return false;
            }
        }
        let full = Bucket { left: self.per_second, at: now };
        let bucket = self.buckets.entry(from).or_insert(full);
        bucket.fill(self.per_second, now);
        let may_pass = bucket.left > 0;
        if may_pass {
            bucket.left = bucket.left.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
        may_pass
    }

    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        let per_second = self.per_second;
        self.buckets.retain(|_, bucket| {
            bucket.fill(per_second, now);
            bucket.left < per_second
        });
    }
}

impl Bucket {
    fn fill(&mut self, per_second: u64, now: Duration) {
        let passed = now.saturating_sub(self.at).min(FULL_AFTER);
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let more = per_second.saturating_mul(micros) / 1_000_000;
        if more > 0 {
            self.left = self.left.saturating_add(more).min(per_second);
            self.at = now;
        }
    }
}

/// A bucket is full after that much silence, whatever was in it.
const FULL_AFTER: Duration = Duration::from_secs(1);
/// How often a full table is searched for senders that are silent.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use egtp::SecretKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    fn passed(rates: &mut Rates, from: u8, packets: usize, now: Duration) -> usize {
        (0..packets).filter(|_| rates.take(key(from), 100, now)).count()
    }

    #[test]
    fn each_sender_has_a_rate_of_its_own_and_a_second_of_it_in_one_go() {
        let mut now = Duration::ZERO;
        let mut rates = Rates::new(1_000, 10, now);
        assert_eq!(passed(&mut rates, 1, 100, now), 10);
        assert_eq!(passed(&mut rates, 2, 5, now), 5);
        now += Duration::from_millis(300);
        assert_eq!(passed(&mut rates, 1, 100, now), 3);
        assert_eq!(passed(&mut rates, 2, 100, now), 8);
        now += Duration::from_hours(1);
        assert_eq!(passed(&mut rates, 1, 100, now), 10, "what was not used is not saved up");
        // In small steps as well nothing of it is lost.
        for _ in 0..1_000 {
            now += Duration::from_micros(1_500);
            assert!(passed(&mut rates, 1, 1, now) <= 1);
        }
        assert!(rates.buckets[&key(1)].left <= 100);
    }

    #[test]
    fn a_packet_that_is_longer_than_a_second_of_the_rate_passes_alone() {
        let mut rates = Rates::new(50, 10, Duration::ZERO);
        assert_eq!(passed(&mut rates, 1, 10, Duration::ZERO), 1);
        assert_eq!(passed(&mut rates, 1, 10, Duration::from_secs(1)), 1);
    }

    #[test]
    fn senders_that_are_remembered_are_bounded_and_those_who_are_silent_make_room() {
        let now = Duration::ZERO;
        let mut rates = Rates::new(1_000, 2, now);
        assert!(rates.take(key(1), 100, now) && rates.take(key(2), 100, now));
        assert!(!rates.take(key(3), 100, now), "both have sent just now");
        let later = Duration::from_secs(2);
        assert!(rates.take(key(1), 100, later));
        assert!(rates.take(key(3), 100, later));
        assert_eq!(rates.buckets.len(), 2);
    }
}
