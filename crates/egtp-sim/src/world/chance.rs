//! Where a world's choices come from: one sequence for each purpose, all from one seed.
//!
//! Knows no faults and no nodes. Invariant: a further draw for one purpose shifts no other.

use crate::process::dice::Dice;

/// The sequence of choices for one purpose of a seed.
pub(crate) fn dice(seed: u64, purpose: &str, number: u64) -> Dice {
    let bytes = bytes(seed, purpose, number);
    Dice::from_seed(u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default()))
}

/// 32 bytes for one purpose of a seed.
pub(crate) fn bytes(seed: u64, purpose: &str, number: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&number.to_le_bytes()).update(purpose.as_bytes());
    *hasher.finalize().as_bytes()
}

/// True in so many of a thousand cases.
pub(crate) fn happens(dice: &mut Dice, per_mille: u64) -> bool {
    dice.among(1..=1000) <= per_mille
}

/// A number between `low` (at least 1) and `high` of which every order of magnitude is as likely.
pub(crate) fn spread(dice: &mut Dice, low: u64, high: u64) -> u64 {
    let low = low.max(1);
    let doublings = (high / low).max(1).ilog2();
    let from = low << dice.among(0..=doublings.into());
    dice.among(from..=from.saturating_mul(2).min(high.max(from)))
}

/// Bytes that follow from a number: cheap, and different for different numbers.
pub(crate) fn filler(number: u64, length: usize) -> Vec<u8> {
    let mut word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        word = word.rotate_left(5).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_do_not_share_a_sequence() {
        let roll = |purpose, number| dice(7, purpose, number).among(0..=u64::MAX - 1);
        assert_eq!(roll("a", 1), roll("a", 1));
        assert_ne!(roll("a", 1), roll("b", 1));
        assert_ne!(roll("a", 1), roll("a", 2));
    }

    #[test]
    fn a_spread_stays_within_its_bounds() {
        let mut dice = dice(1, "spread", 0);
        for _ in 0..1000 {
            assert!((3..=1000).contains(&spread(&mut dice, 3, 1000)));
        }
    }
}
