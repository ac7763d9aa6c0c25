//! The packet types and their headers.
//!
//! Knows positions and lengths, not keys' meaning: sealing and handshakes happen elsewhere.
//!
//! ```text
//! byte 0     type (high four bits), type's own bits (low four)
//! byte 1     suite, epoch or kind
//! byte 2-5   the receiver's session id (INI: the initiator's own)
//! byte 6-11  the type's own
//! byte 12-15 check
//! ```

use super::shroud::{HEADER_BYTES, PREFIX_BYTES, Shroud};
use super::{Reader, WireError};
use crate::crypto::{CIPHERTEXT_BYTES, Suite};
use crate::limits::{INI_BYTES_MIN, INI_BYTES_MIN_HYBRID, PACKET_BYTES_MIN};

/// The protocol's version, in the low bits of byte 0 of handshake packets.
pub const VERSION: u8 = 0;

/// Bytes of an unknown-session packet.
pub const UNK_BYTES: usize = 48;

/// Bytes of INI after the prefix that are masked: ephemeral key, target, puzzle.
const INI_MASKED: usize = 48;
/// Bytes of RSP after the prefix that are masked: ephemeral key; of a hybrid suite the KEM ciphertext, too,
/// which is not quite random.
const RSP_MASKED: usize = 32;
/// Bytes of a letter after the prefix that are masked: ephemeral key.
const LETTER_MASKED: usize = 32;
/// Bytes of UNK after the prefix that are masked: the echoed tag.
const UNK_MASKED: usize = 16;
/// Bytes of INI in front of the Noise message.
const INI_HEAD: usize = 80;

/// The lane of a record: each has its own counter and replay window, so that a slow path never
/// invalidates a fast one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// TCP, UDP, QUIC.
    Direct,
    /// A live circuit through a relay.
    Relay,
}

impl Lane {
    /// How many lanes there are.
    pub const COUNT: usize = 2;

    /// The lane's number on the wire.
    pub const fn id(self) -> u8 {
        match self {
            Self::Direct => 0,
            Self::Relay => 1,
        }
    }

    const fn from_id(id: u8) -> Result<Self, WireError> {
        match id {
            0 => Ok(Self::Direct),
            1 => Ok(Self::Relay),
            _ => Err(WireError::Forbidden),
        }
    }
}

/// An unmasked header, by type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header {
    /// First flight of a handshake, or a knock (prekey id 0).
    Ini {
        /// Protocol version.
        version: u8,
        /// Suite id; may be one that we do not know.
        suite: u8,
        /// The initiator's own id for the session.
        initiator_session: u32,
        /// Which prekey of ours it used; 0: none known.
        prekey: u32,
        /// Whether a cookie is present.
        cookie: bool,
        /// Whether a puzzle's solution is present.
        puzzle: bool,
    },
    /// The answer to a first flight.
    Rsp {
        /// Suite id.
        suite: u8,
        /// The initiator's id, which finds its pending handshake.
        session: u32,
    },
    /// A record: sealed frames.
    Record {
        /// The path's lane.
        lane: Lane,
        /// The key epoch, modulo 256.
        epoch: u8,
        /// The receiver's id for the session.
        session: u32,
        /// Counts records of a lane and epoch (48 bits).
        counter: u64,
    },
    /// "Try again, with this".
    Retry {
        /// The initiator's id.
        session: u32,
        /// What the body holds.
        kind: RetryKind,
        /// Leading zero bits that a puzzle's solution needs; 0 without one.
        puzzle_bits: u8,
    },
    /// "I have no such session". A hint, never more.
    Unknown {
        /// The id that was not found.
        session: u32,
        /// The counter of the record that caused it.
        counter: u64,
    },
    /// A self-contained letter for a mailbox or as text.
    Letter {
        /// Protocol version.
        version: u8,
        /// Suite id.
        suite: u8,
        /// The mailbox prekey; 0: none known.
        prekey: u32,
    },
}

/// What a RETRY brings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryKind {
    /// A live card with a prekey.
    Prekey,
    /// A cookie that proves the address.
    Cookie,
}

impl Header {
    /// The 12 header bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        match *self {
            Self::Ini { version, suite, initiator_session, prekey, cookie, puzzle } => {
                let flags = u8::from(cookie) | (u8::from(puzzle) << 1);
                let rest = u64::from(prekey) | (u64::from(flags) << 32);
                assemble(0x10 | version, suite, initiator_session, rest)
            }
            Self::Rsp { suite, session } => assemble(0x20, suite, session, 0),
            Self::Record { lane, epoch, session, counter } => {
                assemble(0x30 | (lane.id() << 2), epoch, session, counter)
            }
            Self::Retry { session, kind, puzzle_bits } => {
                let kind = match kind {
                    RetryKind::Prekey => 0,
                    RetryKind::Cookie => 1,
                };
                assemble(0x40, kind, session, puzzle_bits.into())
            }
            Self::Unknown { session, counter } => assemble(0x50, 0, session, counter),
            Self::Letter { version, suite, prekey } => assemble(0x60 | version, suite, prekey, 0),
        }
    }

    /// Reads the 12 header bytes.
    ///
    /// # Errors
    /// [`WireError::UnknownType`] for a type of another version, [`WireError::Forbidden`] for a
    /// reserved bit that is set.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let (first, second, id) = (reader.u8()?, reader.u8()?, reader.u32()?);
        let rest = reader.array::<6>()?;
        let (kind, low) = (first >> 4, first & 0x0f);
        let header = match kind {
            1 => {
                let [prekey @ .., flags, _] = rest;
                Self::Ini {
                    version: low,
                    suite: second,
                    initiator_session: id,
                    prekey: u32::from_le_bytes(prekey),
                    cookie: flags & 1 != 0,
                    puzzle: flags & 2 != 0,
                }
            }
            2 => Self::Rsp { suite: second, session: id },
            3 => Self::Record {
                lane: Lane::from_id(low >> 2)?,
                epoch: second,
                session: id,
                counter: from_48(rest),
            },
            4 => Self::Retry {
                session: id,
                kind: match second {
                    0 => RetryKind::Prekey,
                    1 => RetryKind::Cookie,
                    other => return Err(WireError::UnknownType(other)),
                },
                puzzle_bits: rest.first().copied().unwrap_or(0),
            },
            5 => Self::Unknown { session: id, counter: from_48(rest) },
            6 => Self::Letter { version: low, suite: second, prekey: id },
            other => return Err(WireError::UnknownType(other)),
        };
        // One spelling only: whatever we would not write is refused.
        if header.encode() == *bytes { Ok(header) } else { Err(WireError::Forbidden) }
    }

    /// How many bytes after the prefix are masked for this type.
    pub const fn masked_bytes(&self) -> usize {
        match self {
            Self::Ini { .. } => INI_MASKED,
            Self::Rsp { suite, .. } if is_hybrid(*suite) => RSP_MASKED + CIPHERTEXT_BYTES,
            Self::Rsp { .. } => RSP_MASKED,
            Self::Unknown { .. } => UNK_MASKED,
            Self::Letter { .. } => LETTER_MASKED,
            Self::Record { .. } | Self::Retry { .. } => 0,
        }
    }

    /// The fewest bytes that a packet of this type has.
    pub const fn bytes_min(&self) -> usize {
        match self {
            // A knock has no key inside, whatever suite it names.
            Self::Ini { suite, prekey, .. } if *prekey != 0 && is_hybrid(*suite) => {
                INI_BYTES_MIN_HYBRID
            }
            Self::Ini { .. } => INI_BYTES_MIN,
            Self::Rsp { suite, .. } if is_hybrid(*suite) => {
                PREFIX_BYTES + RSP_MASKED + CIPHERTEXT_BYTES + 32
            }
            Self::Rsp { .. } => PREFIX_BYTES + RSP_MASKED + 32,
            Self::Record { .. } => PACKET_BYTES_MIN,
            Self::Retry { .. } => PREFIX_BYTES + 32,
            Self::Unknown { .. } => UNK_BYTES,
            Self::Letter { .. } => PREFIX_BYTES + 112,
        }
    }
}

/// The parts of a first flight, unmasked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ini<'a> {
    /// The ephemeral key.
    pub ephemeral: [u8; 32],
    /// The first eight bytes of the meant identity's node id.
    pub target: [u8; 8],
    /// The puzzle's solution; zero without one.
    pub puzzle: [u8; 8],
    /// The cookie's proof; random bytes without one.
    pub cookie: [u8; 16],
    /// The Noise message without its ephemeral key; random padding in a knock.
    pub noise: &'a [u8],
    /// The MAC over everything before it.
    pub mac: [u8; 16],
}

impl<'a> Ini<'a> {
    /// Splits an unmasked packet and checks the MAC.
    ///
    /// # Errors
    /// [`WireError::Truncated`], or [`WireError::Forbidden`] if the MAC is wrong.
    pub fn decode(packet: &'a [u8], shroud: &Shroud) -> Result<Self, WireError> {
        let (covered, mac) = packet.split_last_chunk::<16>().ok_or(WireError::Truncated)?;
        if !shroud.mac_is(&[covered], mac) {
            return Err(WireError::Forbidden);
        }
        let mut reader = Reader::new(covered);
        reader.bytes(PREFIX_BYTES)?;
        Ok(Self {
            ephemeral: reader.array()?,
            target: reader.array()?,
            puzzle: reader.array()?,
            cookie: reader.array()?,
            noise: reader.take_rest(),
            mac: *mac,
        })
    }

    /// Builds the masked packet; its `mac` is computed here, the field is not read.
    pub fn encode(&self, header: &Header, shroud: &Shroud) -> Vec<u8> {
        let mut packet = Vec::with_capacity(INI_HEAD + self.noise.len() + 16);
        packet.extend_from_slice(&header.encode());
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(&self.ephemeral);
        packet.extend_from_slice(&self.target);
        packet.extend_from_slice(&self.puzzle);
        packet.extend_from_slice(&self.cookie);
        packet.extend_from_slice(self.noise);
        finish(packet, header, shroud)
    }

    /// How long a Noise message of `noise` bytes makes the packet.
    pub const fn packet_bytes(noise: usize) -> usize {
        INI_HEAD + noise + 16
    }
}

/// The parts of the answer to a first flight, unmasked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rsp<'a> {
    /// The responder's ephemeral key.
    pub ephemeral: [u8; 32],
    /// The Noise message without its ephemeral key; in front of it, with a hybrid suite, the ciphertext
    /// of the key encapsulation.
    pub noise: &'a [u8],
}

impl<'a> Rsp<'a> {
    /// Splits an unmasked packet and checks the MAC.
    ///
    /// # Errors
    /// [`WireError::Truncated`], or [`WireError::Forbidden`] if the MAC is wrong.
    pub fn decode(packet: &'a [u8], shroud: &Shroud) -> Result<Self, WireError> {
        let (covered, mac) = packet.split_last_chunk::<16>().ok_or(WireError::Truncated)?;
        if !shroud.mac_is(&[covered], mac) {
            return Err(WireError::Forbidden);
        }
        let mut reader = Reader::new(covered);
        reader.bytes(PREFIX_BYTES)?;
        Ok(Self { ephemeral: reader.array()?, noise: reader.take_rest() })
    }

    /// Builds the masked packet.
    pub fn encode(&self, header: &Header, shroud: &Shroud) -> Vec<u8> {
        let mut packet = Vec::with_capacity(PREFIX_BYTES + 48 + self.noise.len());
        packet.extend_from_slice(&header.encode());
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(&self.ephemeral);
        packet.extend_from_slice(self.noise);
        finish(packet, header, shroud)
    }
}

/// Builds the masked "unknown session" answer to a record with tag `tag`, under the answering
/// identity's own shroud.
pub fn encode_unknown(session: u32, counter: u64, tag: &[u8; 16], shroud: &Shroud) -> Vec<u8> {
    let header = Header::Unknown { session, counter };
    let mut packet = Vec::with_capacity(UNK_BYTES);
    packet.extend_from_slice(&header.encode());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(tag);
    finish(packet, &header, shroud)
}

/// Reads the echoed tag of an unmasked "unknown session" packet and checks its MAC.
///
/// # Errors
/// [`WireError::Truncated`], [`WireError::TrailingBytes`], or [`WireError::Forbidden`] if the MAC
/// is wrong.
pub fn decode_unknown(packet: &[u8], shroud: &Shroud) -> Result<[u8; 16], WireError> {
    let (covered, mac) = packet.split_last_chunk::<16>().ok_or(WireError::Truncated)?;
    let mut reader = Reader::new(covered);
    reader.bytes(PREFIX_BYTES)?;
    let tag = reader.array()?;
    reader.finish()?;
    if shroud.mac_is(&[covered], mac) { Ok(tag) } else { Err(WireError::Forbidden) }
}

/// Appends the MAC over header, check bytes (as zero) and body, then masks.
fn finish(mut packet: Vec<u8>, header: &Header, shroud: &Shroud) -> Vec<u8> {
    let mac = shroud.mac(&[&packet]);
    packet.extend_from_slice(&mac);
    shroud.cover(&mut packet, header.masked_bytes());
    packet
}

/// Whether packets of this suite carry key encapsulation.
const fn is_hybrid(suite: u8) -> bool {
    matches!(Suite::from_id(suite), Some(suite) if suite.is_hybrid())
}

/// Puts a header together; of `rest` the low 48 bits.
fn assemble(first: u8, second: u8, id: u32, rest: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let parts = [first, second].into_iter().chain(id.to_le_bytes()).chain(rest.to_le_bytes());
    for (to, from) in header.iter_mut().zip(parts) {
        *to = from;
    }
    header
}

/// The 48-bit number at the end of a header.
fn from_48(bytes: [u8; 6]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
