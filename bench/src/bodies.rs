//! The bodies of requests, the answers to them, and the comparison: the same for every side.
//!
//! A short request carries its number and comes back as it is. A long one is answered by its last
//! byte, which differs between those in flight; so bulk is counted one way.

use bytes::{Bytes, BytesMut};

/// Up to here a body is echoed.
const ECHOED_MAX: usize = 1024;

/// What a server answers.
pub fn answer(body: Bytes) -> Bytes {
    if body.len() <= ECHOED_MAX { body } else { body.slice(body.len() - 1..) }
}

/// Whether `reply` is what `body` has to be answered with.
pub fn is_answer(body: &[u8], reply: &[u8]) -> bool {
    if body.len() <= ECHOED_MAX { body == reply } else { body.get(body.len() - 1..) == Some(reply) }
}

/// Makes the bodies of one slot: what is in flight at the same time has different slots.
pub struct Bodies {
    pattern: Bytes,
    next: u64,
}

impl Bodies {
    pub fn new(slot: usize, length: usize) -> Self {
        let mut pattern: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        if let Some(last) = pattern.last_mut() {
            *last = (slot % 256) as u8;
        }
        Self { pattern: pattern.into(), next: (slot as u64) << 32 }
    }

    /// Appends the next body, for those who gather many before they send.
    pub fn put_next(&mut self, output: &mut BytesMut) {
        let start = output.len();
        output.extend_from_slice(&self.pattern);
        output[start..start + 8].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
    }

    /// The number in an echoed body, if all the rest is as it was sent. Those of slot 0 begin with 0.
    pub fn number(&self, reply: &[u8]) -> Option<u64> {
        let (number, rest) = reply.split_first_chunk::<8>()?;
        (*rest == self.pattern[8..]).then(|| u64::from_le_bytes(*number))
    }

    pub fn next(&mut self) -> Bytes {
        // A long body is not made anew each time: its making is not what is measured.
        if self.pattern.len() > ECHOED_MAX {
            return self.pattern.clone();
        }
        let mut body = BytesMut::from(&self.pattern[..]);
        body[..8].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        body.freeze()
    }
}
