//! Cutting something long into pieces that fit messages.
//!
//! Numbers only; whoever has the bytes takes them by the ranges. Invariant: the pieces follow one another
//! without gap or overlap, and each but the last has the full size.

use std::num::NonZeroU64;
use std::ops::Range;

/// Bytes of a piece where nothing speaks for another size: 10 KiB. Even a line of 0.3 Mbit/s carries it in a
/// third of a second, so that nothing waits long behind it, and what belongs to a message besides its body is
/// less than a hundredth of it. Where the line is good, larger pieces cost less.
const PREFERRED: NonZeroU64 = match NonZeroU64::new(10 * 1024) {
    Some(size) => size,
    None => NonZeroU64::MIN,
};

/// How something of known length is cut: into pieces of one size, and a shorter last one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pieces {
    length: u64,
    size: NonZeroU64,
}

impl Pieces {
    /// Cuts `length` bytes into pieces of `size` bytes.
    pub const fn new(length: u64, size: NonZeroU64) -> Self {
        Self { length, size }
    }

    /// Cuts `length` bytes into pieces of the size that is preferred for messages, 10 KiB.
    pub const fn of_preferred_size(length: u64) -> Self {
        Self::new(length, PREFERRED)
    }

    /// How many there are: the number of members of their group. `None` if that is more than this machine
    /// can count.
    pub fn count(&self) -> Option<usize> {
        usize::try_from(self.length.div_ceil(self.size.get())).ok()
    }

    /// Where a piece lies, in bytes from the beginning; `None` behind the last.
    pub fn range(&self, index: usize) -> Option<Range<u64>> {
        let start = u64::try_from(index).ok()?.checked_mul(self.size.get())?;
        let end = start.saturating_add(self.size.get()).min(self.length);
        (start < end).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_cover_everything_once(length in 0..10_000_u64, size in 1..3_000_u64) {
            let pieces = Pieces::new(length, NonZeroU64::new(size).unwrap());
            let count = pieces.count().unwrap();
            let mut end = 0;
            for index in 0..count {
                let range = pieces.range(index).unwrap();
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end - range.start == size || index + 1 == count);
                end = range.end;
            }
            prop_assert_eq!(end, length);
            prop_assert_eq!(pieces.range(count), None);
        }
    }

    #[test]
    fn the_last_possible_piece_does_not_overflow() {
        let pieces = Pieces::new(u64::MAX, NonZeroU64::new(1 << 63).unwrap());
        assert_eq!(pieces.count(), Some(2));
        assert_eq!(pieces.range(1), Some((1 << 63)..u64::MAX));
        assert_eq!(pieces.range(usize::MAX), None);
    }
}
