//! Bodies out of a payload, in memory that may outlive it.
//!
//! Invariant: no more of a payload is kept alive by a body than four times its length, or [`SHARED_BYTES`], whichever
//! is more; and many small ones cost few allocations.

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
        if body.len() * 4 >= payload.len() {
            return payload.slice_ref(body);
        }
        let Some(at) = body.as_ptr().addr().checked_sub(payload.as_ptr().addr()) else {
            return Bytes::copy_from_slice(body);
        };
        if body.len() * 4 > SHARED_BYTES {
            return Bytes::copy_from_slice(body);
        }
        let is_copied = at >= self.start && at + body.len() <= self.start + self.copied.len();
        if !is_copied {
            let end = payload.len().min(at + SHARED_BYTES);
            let Some(part) = payload.get(at..end) else { return Bytes::copy_from_slice(body) };
            (self.copied, self.start) = (Bytes::copy_from_slice(part), at);
        }
        let from = at - self.start;
        self.copied.slice(from..from + body.len())
    }
}

/// Memory that small bodies share: a dozen of 128 bytes.
const SHARED_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_body_is_what_it_was(lengths in prop::collection::vec(0_usize..900, 1..60), gap in 0_usize..40) {
            let total: usize = lengths.iter().map(|length| length + gap).sum();
            let bytes: Vec<u8> = (0..total).map(|n| u8::try_from(n % 251).unwrap()).collect();
            // Within something larger, as it is read.
            let payload = Bytes::from([&[9; 100], &bytes[..], &[9; 100]].concat()).slice(100..100 + total);
            let (mut bodies, mut at) = (Bodies::default(), 0);
            for length in lengths {
                let body = bodies.keep(&payload, &payload[at..at + length]);
                prop_assert_eq!(&body[..], &bytes[at..at + length]);
                at += length + gap;
            }
        }
    }
}
