//! The endpoint's own random bytes, all from one seed, so that a run can be repeated.
//!
//! Fast key erasure: each refill makes the next key first and forgets the old one, and handed-out
//! bytes are wiped, so a later look into memory does not tell what was drawn before.

use zeroize::Zeroize;

/// A deterministic generator of unpredictable bytes.
pub struct Random {
    key: [u8; 32],
    buffer: [u8; 512],
    used: usize,
}

impl Random {
    /// Starts from 32 bytes that nobody else knows.
    pub const fn from_seed(seed: [u8; 32]) -> Self {
        Self { key: seed, buffer: [0; 512], used: 512 }
    }

    /// `N` fresh bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// Fills `out` with fresh bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.used >= self.buffer.len() {
                self.refill();
            }
            if let Some(next) = self.buffer.get_mut(self.used) {
                *byte = std::mem::take(next);
            }
            self.used += 1;
        }
    }

    /// A fresh number of 32 bits.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    /// A fresh number of 64 bits.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number below `bound` (0 if `bound` is 0); the bias is at most `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.u64().checked_rem(bound).unwrap_or(0)
    }

    fn refill(&mut self) {
        let mut stream = blake3::Hasher::new_keyed(&self.key).update(b"random").finalize_xof();
        stream.fill(&mut self.key);
        stream.fill(&mut self.buffer);
        self.used = 0;
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        self.key.zeroize();
        self.buffer.zeroize();
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_whatever_the_portions() {
        let mut one = Random::from_seed([7; 32]);
        let mut two = Random::from_seed([7; 32]);
        let mut long = [0; 1500];
        one.fill(&mut long);
        let portions: Vec<u8> = (0..1500).map(|_| two.bytes::<1>()[0]).collect();
        assert_eq!(long[..], portions[..]);
    }

    /// Proves SEC-3.
    #[test]
    fn what_was_handed_out_is_no_longer_in_memory() {
        let mut random = Random::from_seed([7; 32]);
        let drawn: [u8; 64] = random.bytes();
        assert!(!random.buffer.windows(8).any(|window| window == &drawn[..8]));
        assert_ne!(random.key, [7; 32]);
    }
}
