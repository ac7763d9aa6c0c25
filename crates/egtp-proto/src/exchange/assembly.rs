//! A large body arriving in parts.
//!
//! Knows bytes and offsets only. Invariant: no more room is held than sixteen times what has arrived, and
//! never more than the total that the first part announced.

use bytes::{Bytes, BytesMut};

/// An unfinished body: the parts so far, without a gap.
#[derive(Debug)]
pub struct Assembly {
    total: usize,
    bytes: BytesMut,
}

/// What became of a part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The body is complete.
    Complete(Bytes),
    /// More is to come.
    Partial,
    /// The part does not follow on what is there (it is a repetition, or one before it is missing)
    /// or contradicts the announced total. Nothing has changed.
    Ignored,
}

impl Assembly {
    /// An empty body of `total` bytes.
    pub fn new(total: usize) -> Self {
        Self { total, bytes: BytesMut::new() }
    }

    /// Adds a part.
    pub fn add(&mut self, offset: u64, total: u64, part: &[u8]) -> Progress {
        let here = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let fits = self.bytes.len().saturating_add(part.len()) <= self.total;
        if offset != here || usize::try_from(total) != Ok(self.total) || !fits {
            return Progress::Ignored;
        }
        if self.bytes.capacity() - self.bytes.len() < part.len() {
            // Growing moves all that is there, and whoever waits beside it waits for that: so it is done
            // seldom, while little is there.
            let arrived = self.bytes.len() + part.len();
            let room = self.total.min(arrived.saturating_mul(AHEAD));
            self.bytes.reserve(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(part);
        if self.bytes.len() == self.total {
            Progress::Complete(std::mem::take(&mut self.bytes).freeze())
        } else {
            Progress::Partial
        }
    }

    /// Bytes that have arrived without a gap.
    pub fn received(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the whole body.
    pub const fn total(&self) -> usize {
        self.total
    }
}

/// How many times what has arrived there may be room for.
const AHEAD: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_order_make_the_body_and_others_are_ignored() {
        let mut assembly = Assembly::new(6);
        assert_eq!(assembly.add(3, 6, b"def"), Progress::Ignored);
        assert_eq!(assembly.add(0, 6, b"abc"), Progress::Partial);
        assert_eq!(assembly.add(0, 6, b"abc"), Progress::Ignored);
        assert_eq!(assembly.add(3, 7, b"def"), Progress::Ignored);
        assert_eq!(assembly.add(3, 6, b"defg"), Progress::Ignored);
        assert_eq!(assembly.add(3, 6, b"def"), Progress::Complete(Bytes::from_static(b"abcdef")));
    }
}
