//! Random choices that can be repeated.
//!
//! Knows a seed and nothing else; not for keys. Invariant: the same seed gives the same choices.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

/// A sequence of choices (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of a seed.
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that differs from run to run: to be printed, so that the run can be repeated.
    pub fn fresh_seed() -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs() ^ u64::from(since.subsec_nanos()).rotate_left(32)).next() >> 16
    }

    /// Another sequence that this one decides, for a part of the program that runs beside it.
    #[must_use = "what it decides is decided by the branch"]
    pub fn branch(&mut self) -> Self {
        Self(self.next())
    }

    /// A number of the range; its start if the range is empty.
    pub fn among(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (start, end) = range.into_inner();
        let count = end.saturating_sub(start).saturating_add(1);
        start + self.next() % count
    }

    /// A position in something of `length` elements; 0 if there are none.
    pub fn index(&mut self, length: usize) -> usize {
        let last = u64::try_from(length).unwrap_or(u64::MAX).saturating_sub(1);
        usize::try_from(self.among(0..=last)).unwrap_or(0)
    }

    /// One of several; `None` if there are none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }

    /// A number of milliseconds of the range.
    pub fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.among(range))
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }

    /// `length` random bytes.
    pub fn vector(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_choices_within_the_range() {
        let roll = |seed| {
            let mut dice = Dice::from_seed(seed);
            (0..100).map(|_| dice.among(3..=9)).collect::<Vec<_>>()
        };
        assert_eq!(roll(1), roll(1));
        assert_ne!(roll(1), roll(2));
        assert!(roll(1).iter().all(|number| (3..=9).contains(number)));
    }
}
