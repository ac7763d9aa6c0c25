//! The parts that frames are made of: what a message, reply, fragment or refusal says about itself.
//!
//! Knows layouts, not what they lead to. Invariant: what decodes has exactly one spelling.

use super::frame::tag;
use super::{Reader, Serials, WireError, Writer};
use crate::card::StoreKind;
use crate::limits::KIND_BYTES_MAX;

/// Whose body a fragment belongs to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PartOf {
    /// A message.
    Message,
    /// A reply.
    Reply,
}

/// The context of message frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DialogHead {
    /// Which store of the receiver the messages are bound to.
    pub kind: StoreKind,
    /// The sender's dialog id.
    pub dialog: u64,
    /// The receiver's store id: its life.
    pub store: u64,
    /// The generation that the receiver had issued.
    pub generation: u32,
    /// Every serial below this is closed.
    pub low_water: u64,
}

/// What the sender expects back.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// A reply.
    Request {
        /// The sender's event code, which the reply repeats.
        code: u32,
        /// Milliseconds after which the sender gives up, counted from arrival.
        hard_ms: u64,
        /// Bytes that the sender has reserved for the reply's body.
        room: u64,
    },
    /// Only the acknowledgement.
    Send,
}

/// A message without its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageHead<'a> {
    /// Its number in the dialog.
    pub serial: u64,
    /// What the sender expects back.
    pub class: Class,
    /// The message type that handlers are registered by, such as `block.get/1`.
    pub kind: &'a str,
}

/// A reply without its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplyHead {
    /// The serial of the request.
    pub serial: u64,
    /// The requester's event code.
    pub code: u32,
    /// The first eight bytes of the request's id.
    pub reference: [u8; 8],
    /// 0: a reply; otherwise why the request was refused.
    pub status: u8,
}

/// A piece of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part<'a> {
    /// The message's serial.
    pub serial: u64,
    /// Where the piece starts.
    pub offset: u64,
    /// Bytes of the whole body.
    pub total: u64,
    /// The piece.
    pub bytes: &'a [u8],
}

/// What the receiver of a dialog has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ack {
    /// The dialog.
    pub dialog: u64,
    /// What was taken or voided.
    pub serials: Serials,
    /// Serials from this one on are not taken yet.
    pub limit: u64,
    /// Bytes of bodies that may be under way at once.
    pub bytes: u64,
}

/// Why a transmission was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is bound to a life or generation that this receiver no longer answers for.
    Stale,
    /// It is above the window: the same binding is sent again later.
    Window,
    /// The receiver holds too much of this peer already.
    Busy,
    /// It is larger than the receiver takes.
    TooLarge,
    /// Its kind is remembered on the receiver's disk: it is to be bound to the store there.
    OtherStore,
}

/// The refusal of one transmission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The dialog.
    pub dialog: u64,
    /// The message's serial.
    pub serial: u64,
    /// Names the transmission: the first eight bytes of the record's tag or of the first flight's
    /// ephemeral key.
    pub transmission: [u8; 8],
    /// Why.
    pub why: Refusal,
    /// Milliseconds to wait before trying again; 0 if that does not help.
    pub retry_ms: u64,
}

impl DialogHead {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(tag::DIALOG);
        out.put_u8(self.kind.id());
        out.put_u64(self.dialog);
        out.put_u64(self.store);
        out.put_varint(u64::from(self.generation));
        out.put_varint(self.low_water);
    }
}

impl<'a> MessageHead<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let serial = reader.varint()?;
        let class = match reader.u8()? {
            0 => Class::Request {
                code: reader.u32()?,
                hard_ms: reader.varint()?,
                room: reader.varint()?,
            },
            1 => Class::Send,
            _ => return Err(WireError::Forbidden),
        };
        Ok(Self { serial, class, kind: kind(reader)? })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.serial);
        match self.class {
            Class::Request { code, hard_ms, room } => {
                out.put_u8(0);
                out.put_u32(code);
                out.put_varint(hard_ms);
                out.put_varint(room);
            }
            Class::Send => out.put_u8(1),
        }
        out.put_prefixed(self.kind.as_bytes());
    }
}

impl ReplyHead {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            serial: reader.varint()?,
            code: reader.u32()?,
            reference: reader.array()?,
            status: reader.u8()?,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.serial);
        out.put_u32(self.code);
        out.put(&self.reference);
        out.put_u8(self.status);
    }
}

impl Part<'_> {
    pub(super) fn encode(&self, tag: u8, out: &mut Vec<u8>) {
        out.put_u8(tag);
        out.put_varint(self.serial);
        out.put_varint(self.offset);
        out.put_varint(self.total);
    }
}

impl Refusal {
    pub(super) const fn id(self) -> u8 {
        match self {
            Self::Stale => 0,
            Self::Window => 1,
            Self::Busy => 2,
            Self::TooLarge => 3,
            Self::OtherStore => 4,
        }
    }

    pub(super) const fn from_id(id: u8) -> Result<Self, WireError> {
        Ok(match id {
            0 => Self::Stale,
            1 => Self::Window,
            2 => Self::Busy,
            3 => Self::TooLarge,
            4 => Self::OtherStore,
            _ => return Err(WireError::Forbidden),
        })
    }
}

/// Reads a kind.
pub(super) fn kind<'a>(reader: &mut Reader<'a>) -> Result<&'a str, WireError> {
    std::str::from_utf8(reader.prefixed(KIND_BYTES_MAX)?).map_err(|_| WireError::Forbidden)
}
