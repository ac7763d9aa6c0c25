//! Bodies out of a payload, in memory that may outlive it.
//!
//! A payload is a piece of the buffer that it was read into, which may be much larger than itself. Invariant: a
//! body shorter than [`SHARED_FROM`] keeps none of that alive, and no more than [`COPIED_BYTES`] beside itself; and many
//! small ones cost few allocations.

use bytes::Bytes;

/// What was last copied out of a payload.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    copied: Bytes,
    /// Where in the payload that began.
    start: usize,
}

impl Bodies {
    /// One body. A large one shares the payload's memory, small ones that are near to each other a copy of that part.
    pub(super) fn keep(&mut self, payload: &Bytes, body: &[u8]) -> Bytes {
        if body.len() >= SHARED_FROM {
            return payload.slice_ref(body);
        }
        let at = body.as_ptr().addr().checked_sub(payload.as_ptr().addr());
        let (Some(at), true) = (at, body.len() * 4 <= COPIED_BYTES) else {
            return Bytes::copy_from_slice(body);
        };
        let is_copied = at >= self.start && at + body.len() <= self.start + self.copied.len();
        if !is_copied {
            let end = payload.len().min(at + COPIED_BYTES);
            let Some(part) = payload.get(at..end) else { return Bytes::copy_from_slice(body) };
            (self.copied, self.start) = (Bytes::copy_from_slice(part), at);
        }
        let from = at - self.start;
        self.copied.slice(from..from + body.len())
    }
}

/// What is copied at a time, for small bodies to share: a dozen of 128 bytes.
const COPIED_BYTES: usize = 2048;
/// A body of this size may keep the buffer alive that it was read into: sixteen of them are as much as the largest.
const SHARED_FROM: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_body_is_what_it_was(lengths in prop::collection::vec(prop_oneof![0_usize..900, 3_900_usize..4_300], 1..30), gap in 0_usize..40) {
            let total: usize = lengths.iter().map(|length| length + gap).sum();
            let bytes: Vec<u8> = (0..total).map(|n| u8::try_from(n % 251).unwrap()).collect();
            // Within something larger, as it is read.
            let payload = Bytes::from([&[9; 100], &bytes[..], &[9; 100]].concat()).slice(100..100 + total);
            let (mut bodies, mut at) = (Bodies::default(), 0);
            for length in lengths {
                let body = bodies.keep(&payload, &payload[at..at + length]);
                prop_assert_eq!(&body[..], &bytes[at..at + length]);
                // Only a large one is a part of the payload itself.
                let within = payload.as_ptr_range();
                prop_assert_eq!(length > 0 && within.contains(&body.as_ptr()), length >= SHARED_FROM);
                at += length + gap;
            }
        }
    }
}
