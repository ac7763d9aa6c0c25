//! How much each sender may have passed on by a relay.
//!
//! A bucket for each of them, filled at a steady rate. Knows no circuits and no packets. Invariant: bounded; whoever has
//! been silent long enough is not remembered, and one who is not remembered may send at once.

use std::collections::HashMap;
use std::time::Duration;

use egtp::PublicKey;
use tokio::time::Instant;

/// Who has sent lately, and what is left to each.
#[derive(Debug)]
pub(super) struct Rates {
    /// Bytes that a bucket gets in a second, and holds at most.
    per_second: u64,
    senders_max: usize,
    buckets: HashMap<PublicKey, Bucket>,
    /// When full buckets were looked for last.
    swept: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    /// When it was filled last.
    at: Instant,
}

impl Rates {
    pub(super) fn new(per_second: u64, senders_max: usize) -> Self {
        Self { per_second, senders_max, buckets: HashMap::new(), swept: Instant::now() }
    }

    /// Whether a sender may have one more packet passed on now. The last one may be longer than what is left, so that
    /// none is too long for ever.
    pub(super) fn take(&mut self, from: PublicKey, bytes: usize) -> bool {
        let now = Instant::now();
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

    fn sweep(&mut self, now: Instant) {
        if now.duration_since(self.swept) < SWEEP_EVERY {
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
    fn fill(&mut self, per_second: u64, now: Instant) {
        let passed = now.duration_since(self.at).min(FULL_AFTER);
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

    fn passed(rates: &mut Rates, from: u8, packets: usize) -> usize {
        (0..packets).filter(|_| rates.take(key(from), 100)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn each_sender_has_a_rate_of_its_own_and_a_second_of_it_in_one_go() {
        let mut rates = Rates::new(1_000, 10);
        assert_eq!(passed(&mut rates, 1, 100), 10);
        assert_eq!(passed(&mut rates, 2, 5), 5);
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(passed(&mut rates, 1, 100), 3);
        assert_eq!(passed(&mut rates, 2, 100), 8);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(passed(&mut rates, 1, 100), 10, "what was not used is not saved up");
        // In small steps as well nothing of it is lost.
        for _ in 0..1_000 {
            tokio::time::advance(Duration::from_micros(1_500)).await;
            assert!(passed(&mut rates, 1, 1) <= 1);
        }
        assert!(rates.buckets[&key(1)].left <= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_packet_that_is_longer_than_a_second_of_the_rate_passes_alone() {
        let mut rates = Rates::new(50, 10);
        assert_eq!(passed(&mut rates, 1, 10), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(passed(&mut rates, 1, 10), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn senders_that_are_remembered_are_bounded_and_those_who_are_silent_make_room() {
        let mut rates = Rates::new(1_000, 2);
        assert!(rates.take(key(1), 100) && rates.take(key(2), 100));
        assert!(!rates.take(key(3), 100), "both have sent just now");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(rates.take(key(1), 100));
        assert!(rates.take(key(3), 100));
        assert_eq!(rates.buckets.len(), 2);
    }
}
