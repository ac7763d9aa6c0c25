//! How packets travel on a byte stream: a preamble, then frames of a masked length and a packet.
//!
//! To a stranger the whole stream looks random. Knows no socket, no time and no session; the caller
//! feeds bytes in whatever pieces the network delivers. Invariant: a length outside
//! [`PACKET_BYTES_MIN`] to [`PACKET_BYTES_MAX`] is an error before anything is allocated for it.
//!
//! ```text
//! dialer    12 random bytes | 4 bytes of their keyed hash | frame | frame | ...
//! acceptor  16 random bytes | frame | frame | ...     nothing before the first frame was accepted
//! frame     length, 2 bytes little-endian, XOR mask | packet
//! ```
//! The key of a stream comes from the public key of the identity that is dialed, so it hides the
//! protocol from those who do not know whom they look at; it protects nothing else.

use bytes::{BufMut, BytesMut};

use super::{Reader, WireError};

pub use crate::limits::{PACKET_BYTES_MAX, PACKET_BYTES_MIN};

/// The length field before each packet.
pub const LENGTH_BYTES: usize = 2;

/// What each direction of a stream begins with.
pub const PREAMBLE_BYTES: usize = 16;

/// Why a stream cannot go on. Whoever sent it does not speak our protocol, or not to us.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A length that no packet has. Where the next frame begins is unknown: close the stream.
    #[error("no packet is {length} bytes long")]
    Length {
        /// The length that was read.
        length: usize,
    },
}

/// The key of the streams to one identity. Anybody who knows the identity can compute it.
#[derive(Clone, Debug)]
pub struct StreamKey([u8; 32]);

impl StreamKey {
    /// The key of streams to the identity with this public key.
    pub fn new(access: &[u8; 32]) -> Self {
        Self(blake3::derive_key(CONTEXT, access))
    }
}

/// Who wrote the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// The one who opened the stream.
    FromDialer,
    /// The one who accepted it.
    FromAcceptor,
}

impl Direction {
    const fn byte(self) -> u8 {
        match self {
            Self::FromDialer => 0,
            Self::FromAcceptor => 1,
        }
    }
}

/// The first bytes of a dialer: the salt of its direction and, to those who know the key, the sign
/// of whom it dials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Preamble([u8; PREAMBLE_BYTES]);

impl Preamble {
    /// Names the identity of `key`. `random` must be new for each stream.
    pub fn new(key: &StreamKey, random: [u8; RANDOM_BYTES]) -> Self {
        let mut bytes = [0; PREAMBLE_BYTES];
        let sign = sign(key, &random);
        for (byte, value) in bytes.iter_mut().zip(random.into_iter().chain(sign)) {
            *byte = value;
        }
        Self(bytes)
    }

    /// Takes a preamble from the reader.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer bytes are there.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self(reader.array()?))
    }

    /// Whether this names the identity of `key`: one hash. A stranger's random bytes do once in
    /// four thousand million tries; the first packet then fails.
    pub fn names(&self, key: &StreamKey) -> bool {
        let mut reader = Reader::new(&self.0);
        let Ok(random) = reader.array::<RANDOM_BYTES>() else { return false };
        reader.take_rest() == sign(key, &random)
    }

    /// All bytes: what is written, and the salt of the dialer's direction.
    pub const fn as_bytes(&self) -> &[u8; PREAMBLE_BYTES] {
        &self.0
    }
}

/// The masks of the lengths of one direction, one after another.
#[derive(Clone, Debug)]
pub struct LengthMask {
    bytes: blake3::OutputReader,
    block: [u8; MASK_BLOCK_BYTES],
    used: usize,
}

impl LengthMask {
    /// `salt` is what the direction began with.
    pub fn new(key: &StreamKey, salt: &[u8; PREAMBLE_BYTES], direction: Direction) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        hasher.update(salt).update(&[direction.byte()]);
        let bytes = hasher.finalize_xof();
        Self { bytes, block: [0; MASK_BLOCK_BYTES], used: MASK_BLOCK_BYTES }
    }

    /// Masks or unmasks the next length field.
    pub fn apply(&mut self, field: [u8; LENGTH_BYTES]) -> [u8; LENGTH_BYTES] {
        if self.used >= MASK_BLOCK_BYTES {
            self.bytes.fill(&mut self.block);
            self.used = 0;
        }
        let [low, high] = field;
        let mask = self.block.get(self.used..).and_then(<[u8]>::first_chunk::<LENGTH_BYTES>);
        let [mask_low, mask_high] = mask.copied().unwrap_or_default();
        self.used += LENGTH_BYTES;
        [low ^ mask_low, high ^ mask_high]
    }
}

/// Takes the packets out of one direction of a stream.
#[derive(Clone, Debug)]
pub struct Deframer {
    mask: LengthMask,
    state: Deframing,
}

#[derive(Clone, Copy, Debug)]
enum Deframing {
    Length,
    Packet { length: usize },
    Failed(StreamError),
}

impl Deframer {
    /// Starts after the first [`PREAMBLE_BYTES`] of the direction whose masks these are.
    pub const fn new(mask: LengthMask) -> Self {
        Self { mask, state: Deframing::Length }
    }

    /// Splits the next whole packet off the front of `bytes`, without copying; `None` when more
    /// bytes are needed. Call until then. Whatever is taken is removed from `bytes`.
    ///
    /// # Errors
    /// [`StreamError::Length`], now and at every later call: close the stream.
    pub fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<BytesMut>, StreamError> {
        if let Deframing::Length = self.state {
            let Ok(field) = Reader::new(bytes).array::<LENGTH_BYTES>() else { return Ok(None) };
            drop(bytes.split_to(LENGTH_BYTES));
            self.state = self.judge(field);
        }
        match self.state {
            Deframing::Failed(error) => Err(error),
            Deframing::Packet { length } if bytes.len() >= length => {
                self.state = Deframing::Length;
                Ok(Some(bytes.split_to(length)))
            }
            Deframing::Packet { .. } | Deframing::Length => Ok(None),
        }
    }

    /// How many bytes of the packet under way have not been fed yet, given what is left in
    /// `bytes`: room worth having for the next read. 0 between packets.
    pub fn missing(&self, bytes: &BytesMut) -> usize {
        match self.state {
            Deframing::Packet { length } => length.saturating_sub(bytes.len()),
            Deframing::Length | Deframing::Failed(_) => 0,
        }
    }

    /// Whether a frame has begun, given what is left in `bytes` after [`Deframer::next`].
    pub fn is_within_frame(&self, bytes: &BytesMut) -> bool {
        matches!(self.state, Deframing::Packet { .. }) || !bytes.is_empty()
    }

    fn judge(&mut self, field: [u8; LENGTH_BYTES]) -> Deframing {
        let length = usize::from(u16::from_le_bytes(self.mask.apply(field)));
        if is_packet_length(length) {
            Deframing::Packet { length }
        } else {
            Deframing::Failed(StreamError::Length { length })
        }
    }
}

/// Puts packets into one direction of a stream.
#[derive(Clone, Debug)]
pub struct Framer {
    mask: LengthMask,
}

impl Framer {
    /// Starts after the first [`PREAMBLE_BYTES`] of the direction whose masks these are.
    pub const fn new(mask: LengthMask) -> Self {
        Self { mask }
    }

    /// The masked length field that goes before a packet of `length` bytes. The caller must write
    /// it, and then the packet: each call advances the masks.
    ///
    /// # Errors
    /// [`StreamError::Length`] when no packet has this length; the masks stay where they are.
    pub fn header(&mut self, length: usize) -> Result<[u8; LENGTH_BYTES], StreamError> {
        let field = u16::try_from(length).map_err(|_| StreamError::Length { length })?;
        if !is_packet_length(length) {
            return Err(StreamError::Length { length });
        }
        Ok(self.mask.apply(field.to_le_bytes()))
    }

    /// Appends a whole frame.
    ///
    /// # Errors
    /// As [`Framer::header`]; `out` is then unchanged.
    pub fn append(&mut self, packet: &[u8], out: &mut impl BufMut) -> Result<(), StreamError> {
        let header = self.header(packet.len())?;
        out.put_slice(&header);
        out.put_slice(packet);
        Ok(())
    }
}

/// Whether a packet on a stream may have this length.
pub const fn is_packet_length(length: usize) -> bool {
    PACKET_BYTES_MIN <= length && length <= PACKET_BYTES_MAX
}

fn sign(key: &StreamKey, random: &[u8; RANDOM_BYTES]) -> [u8; SIGN_BYTES] {
    let hash = blake3::keyed_hash(&key.0, random);
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// How many bytes of a preamble are random.
pub const RANDOM_BYTES: usize = PREAMBLE_BYTES - SIGN_BYTES;

const SIGN_BYTES: usize = 4;
const CONTEXT: &str = "EGTP v2 2026 tcp";

/// One block of the hash's output; 32 masks.
const MASK_BLOCK_BYTES: usize = 64;
