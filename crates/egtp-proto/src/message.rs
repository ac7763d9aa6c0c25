//! Messages as applications see them: kind, body, and an id that is the same on both machines.
//!
//! The canonical form that the id covers never contains event codes, handles or session data.
//! Invariant: two messages of one sender share an id only if dialog, serial and content are equal,
//! and a sender never uses a serial of a dialog twice; no randomness has to be trusted.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use crate::key::PublicKey;
use crate::limits::KIND_BYTES_MAX;

/// What sort of message it is: 1 to 64 bytes of printable text with a version, as `block.get/1`.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Kind(SmolStr);

/// Why a text is no kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a kind is 1 to 64 bytes of printable text without spaces, such as block.get/1")]
pub struct KindError;

impl Kind {
    /// Checks a text.
    ///
    /// # Errors
    /// [`KindError`] if it is empty, longer than 64 bytes, or has spaces or control characters.
    pub fn new(text: &str) -> Result<Self, KindError> {
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        if text.is_empty() || text.len() > KIND_BYTES_MAX || !text.chars().all(plain) {
            return Err(KindError);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        Self::new(text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.0)
    }
}

/// The hash of a message's canonical form. Its text is 64 hex digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId([u8; 32]);

impl MessageId {
    /// The id of these bytes, as read back from where it was kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight bytes, which a reply carries beside the event code.
    pub fn reference(&self) -> [u8; 8] {
        self.0.first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// What a message expects back, as far as its id is concerned.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MessageClass {
    /// A reply.
    Request,
    /// Only an acknowledgement.
    Send,
    /// It is a reply itself.
    Reply,
}

/// The part of the canonical form that is the same for all messages of a dialog, hashed once.
#[derive(Clone)]
pub struct Canonical(Sha256);

impl Canonical {
    /// Begins the canonical form: 128 bytes, exactly two blocks of the hash.
    pub fn new(
        sender: &PublicKey,
        recipient: &PublicKey,
        class: MessageClass,
        dialog: u64,
    ) -> Self {
        let class = match class {
            MessageClass::Request => 0,
            MessageClass::Send => 1,
            MessageClass::Reply => 2,
        };
        let mut context = Sha256::new();
        context.update(b"EGTP2 message, canonical form 1\0");
        context.update(sender.as_bytes());
        context.update(recipient.as_bytes());
        context.update([class]);
        context.update(dialog.to_le_bytes());
        context.update([0; 23]);
        Self(context)
    }

    /// The id of one message of the dialog.
    ///
    /// `reference` is the id of the request that a reply answers. Bodies above 4 KiB enter by their
    /// BLAKE3 hash, which is faster there; the length field tells the two forms apart.
    pub fn id(
        &self,
        serial: u64,
        flags: u8,
        reference: Option<&MessageId>,
        kind: &str,
        body: &[u8],
    ) -> MessageId {
        // In one piece of memory, as far as it is small: the hash takes a whole block sooner than its bytes.
        let mut head = Piece { bytes: [0; PIECE_BYTES], length: 0 };
        head.put(&serial.to_le_bytes());
        head.put(&[flags]);
        match reference {
            Some(id) => {
                head.put(&[32]);
                head.put(&id.0);
            }
            None => head.put(&[0]),
        }
        head.put(&[u8::try_from(kind.len()).unwrap_or(u8::MAX)]);
        head.put(kind.as_bytes());
        head.put(&u64::try_from(body.len()).unwrap_or(u64::MAX).to_le_bytes());
        let hashed;
        let rest = if body.len() <= HASHED_WHOLE_MAX {
            body
        } else {
            hashed = blake3::hash(body);
            hashed.as_bytes()
        };
        let mut context = self.0.clone();
        if rest.len() <= PIECE_BYTES - HEAD_BYTES_MAX {
            head.put(rest);
            context.update(head.written());
        } else {
            context.update(head.written());
            context.update(rest);
        }
        MessageId(context.finalize().into())
    }
}

/// Bytes that are gathered before they are hashed.
struct Piece {
    bytes: [u8; PIECE_BYTES],
    length: usize,
}

impl Piece {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canonical")
    }
}

/// Serial, flags, reference, kind and the body's length.
const HEAD_BYTES_MAX: usize = 8 + 1 + 33 + 1 + KIND_BYTES_MAX + 8;
/// With that, a body of some 400 bytes fits.
const PIECE_BYTES: usize = 512;
/// The longest body that enters the canonical form as it is.
const HASHED_WHOLE_MAX: usize = 4096;
