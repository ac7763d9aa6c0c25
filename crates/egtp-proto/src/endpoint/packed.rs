//! Frames ready to be sealed, and what they carry.

use crate::wire::shroud::PREFIX_BYTES;

/// See the head of this file. The buffer begins with room for a header.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub bytes: Vec<u8>,
    /// Bytes of it that say goodbye.
    pub goodbye: usize,
    /// Messages of ours that are transmitted with it.
    pub messages: Vec<u32>,
    /// Messages of ours that would be, if our own disk knew what they are bound to.
    pub unrecorded: Vec<u32>,
    /// Whether the peer has a reason to answer.
    pub wants_answer: bool,
}

impl Packed {
    /// Whether there is nothing in it for which a record is worth while: a goodbye is in each, and no reason for one.
    pub(super) const fn is_idle(&self) -> bool {
        self.bytes.len() <= PREFIX_BYTES + self.goodbye
    }
}
