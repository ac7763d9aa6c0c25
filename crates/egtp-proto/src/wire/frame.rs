//! The frames that a record, a first flight or its answer seals.
//!
//! A record holds as many as were waiting. Context frames ([`Frame::Dialog`], [`Frame::Replies`])
//! say what the frames after them belong to, so that a small message costs few bytes. Knows no
//! keys and no peers. Invariant: what decodes has exactly one spelling.

use super::{Reader, Serials, WireError, Writer};
use crate::card::{LiveCard, StoreKind};
use crate::limits::{KIND_BYTES_MAX, RECORD_FRAMES_MAX};

/// One frame; byte strings are borrowed from the record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame<'a> {
    /// One byte of padding.
    Pad,
    /// Asks for any record in answer.
    Ping,
    /// The sender's live card, after a change.
    Card(LiveCard),
    /// The sender's newest signed contact.
    Contact(&'a [u8]),
    /// What the message and fragment frames after it belong to.
    Dialog(DialogHead),
    /// A whole message.
    Message(MessageHead<'a>, &'a [u8]),
    /// A part of a large message; the head comes with the first part.
    Fragment(Part<'a>, Option<MessageHead<'a>>),
    /// Which of the receiver's dialogs the reply frames after it belong to.
    Replies(u64),
    /// A whole reply.
    Reply(ReplyHead, &'a [u8]),
    /// A part of a large reply; the head comes with the first part.
    ReplyFragment(Part<'a>, Option<ReplyHead>),
    /// What the receiver of a dialog has, and how much more it takes.
    Ack(Ack),
    /// What the sender of a dialog wants nothing more about: the acknowledgement of replies and of
    /// acknowledgements, and the withdrawal of messages.
    Closed {
        /// The dialog.
        dialog: u64,
        /// The closed serials.
        serials: Serials,
    },
    /// A transmission was not taken.
    Refused(Refused),
    /// How much of a large message or reply has arrived without a gap.
    Partial {
        /// The dialog of the request.
        dialog: u64,
        /// The message's serial.
        serial: u64,
        /// What is being received.
        of: PartOf,
        /// Bytes of the body that arrived.
        received: u64,
    },
    /// An unreliable message: never acknowledged, retried or stored.
    Hint {
        /// The kind.
        kind: &'a str,
        /// The body.
        body: &'a [u8],
    },
    /// Asks for the same eight bytes along the same path.
    PathChallenge([u8; 8]),
    /// Answers a challenge.
    PathResponse([u8; 8]),
    /// The sender goes away and forgets its sessions.
    Close,
}

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

impl<'a> Frame<'a> {
    /// Reads the next frame.
    ///
    /// # Errors
    /// [`WireError`]; the rest of the record is then worthless, because frames have no common length
    /// field.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(match reader.u8()? {
            tag::PAD => Self::Pad,
            tag::PING => Self::Ping,
            tag::CARD => Self::Card(LiveCard::decode(reader)?),
            tag::CONTACT => Self::Contact(reader.prefixed(1200)?),
            tag::DIALOG => Self::Dialog(DialogHead {
                kind: store_kind(reader.u8()?)?,
                dialog: reader.u64()?,
                store: reader.u64()?,
                generation: varint_u32(reader)?,
                low_water: reader.varint()?,
            }),
            tag::MESSAGE => {
                let head = MessageHead::decode(reader)?;
                Self::Message(head, reader.prefixed(RECORD_FRAMES_MAX)?)
            }
            tag::FRAGMENT => {
                let (serial, offset, total) = part_head(reader)?;
                let head = if offset == 0 { Some(MessageHead::decode(reader)?) } else { None };
                same_serial(serial, head.map(|head| head.serial))?;
                Self::Fragment(part(reader, serial, offset, total)?, head)
            }
            tag::REPLIES => Self::Replies(reader.u64()?),
            tag::REPLY => {
                let head = ReplyHead::decode(reader)?;
                Self::Reply(head, reader.prefixed(RECORD_FRAMES_MAX)?)
            }
            tag::REPLY_FRAGMENT => {
                let (serial, offset, total) = part_head(reader)?;
                let head = if offset == 0 { Some(ReplyHead::decode(reader)?) } else { None };
                same_serial(serial, head.map(|head| head.serial))?;
                Self::ReplyFragment(part(reader, serial, offset, total)?, head)
            }
            tag::ACK => Self::Ack(Ack {
                dialog: reader.u64()?,
                serials: Serials::decode(reader)?,
                limit: reader.varint()?,
                bytes: reader.varint()?,
            }),
            tag::CLOSED => {
                Self::Closed { dialog: reader.u64()?, serials: Serials::decode(reader)? }
            }
            tag::REFUSED => Self::Refused(Refused {
                dialog: reader.u64()?,
                serial: reader.varint()?,
                transmission: reader.array()?,
                why: Refusal::from_id(reader.u8()?)?,
                retry_ms: reader.varint()?,
            }),
            tag::PARTIAL => Self::Partial {
                dialog: reader.u64()?,
                serial: reader.varint()?,
                of: match reader.u8()? {
                    0 => PartOf::Message,
                    1 => PartOf::Reply,
                    _ => return Err(WireError::Forbidden),
                },
                received: reader.varint()?,
            },
            tag::HINT => {
                Self::Hint { kind: kind(reader)?, body: reader.prefixed(RECORD_FRAMES_MAX)? }
            }
            tag::PATH_CHALLENGE => Self::PathChallenge(reader.array()?),
            tag::PATH_RESPONSE => Self::PathResponse(reader.array()?),
            tag::CLOSE => Self::Close,
            other => return Err(WireError::UnknownType(other)),
        })
    }

    /// Whether a first flight may carry it: only what hands over new messages. Whoever stole the
    /// receiver's identity key can forge a first flight, and must not end anything with it.
    pub const fn may_ride_in_first_flight(&self) -> bool {
        matches!(
            self,
            Self::Pad
                | Self::Contact(_)
                | Self::Dialog(_)
                | Self::Message(..)
                | Self::Fragment(..)
                | Self::Hint { .. }
        )
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Pad => out.put_u8(tag::PAD),
            Self::Ping => out.put_u8(tag::PING),
            Self::Card(card) => {
                out.put_u8(tag::CARD);
                card.encode(out);
            }
            Self::Contact(bytes) => {
                out.put_u8(tag::CONTACT);
                out.put_prefixed(bytes);
            }
            Self::Dialog(head) => head.encode(out),
            Self::Message(head, body) => {
                out.put_u8(tag::MESSAGE);
                head.encode(out);
                out.put_prefixed(body);
            }
            Self::Fragment(part, head) => {
                part.encode(tag::FRAGMENT, out);
                if let Some(head) = head {
                    head.encode(out);
                }
                out.put_prefixed(part.bytes);
            }
            Self::Replies(dialog) => {
                out.put_u8(tag::REPLIES);
                out.put_u64(*dialog);
            }
            Self::Reply(head, body) => {
                out.put_u8(tag::REPLY);
                head.encode(out);
                out.put_prefixed(body);
            }
            Self::ReplyFragment(part, head) => {
                part.encode(tag::REPLY_FRAGMENT, out);
                if let Some(head) = head {
                    head.encode(out);
                }
                out.put_prefixed(part.bytes);
            }
            Self::Ack(ack) => encode_ack(out, ack.dialog, &ack.serials, ack.limit, ack.bytes),
            Self::Closed { dialog, serials } => {
                out.put_u8(tag::CLOSED);
                out.put_u64(*dialog);
                serials.encode(out);
            }
            Self::Refused(refused) => {
                out.put_u8(tag::REFUSED);
                out.put_u64(refused.dialog);
                out.put_varint(refused.serial);
                out.put(&refused.transmission);
                out.put_u8(refused.why.id());
                out.put_varint(refused.retry_ms);
            }
            Self::Partial { dialog, serial, of, received } => {
                out.put_u8(tag::PARTIAL);
                out.put_u64(*dialog);
                out.put_varint(*serial);
                out.put_u8(u8::from(*of == PartOf::Reply));
                out.put_varint(*received);
            }
            Self::Hint { kind, body } => {
                out.put_u8(tag::HINT);
                out.put_prefixed(kind.as_bytes());
                out.put_prefixed(body);
            }
            Self::PathChallenge(bytes) => {
                out.put_u8(tag::PATH_CHALLENGE);
                out.put(bytes);
            }
            Self::PathResponse(bytes) => {
                out.put_u8(tag::PATH_RESPONSE);
                out.put(bytes);
            }
            Self::Close => out.put_u8(tag::CLOSE),
        }
    }
}

/// Appends an acknowledgement without owning the serials.
pub fn encode_ack(out: &mut Vec<u8>, dialog: u64, serials: &Serials, limit: u64, bytes: u64) {
    out.put_u8(tag::ACK);
    out.put_u64(dialog);
    serials.encode(out);
    out.put_varint(limit);
    out.put_varint(bytes);
}

impl DialogHead {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(tag::DIALOG);
        out.put_u8(self.kind.id());
        out.put_u64(self.dialog);
        out.put_u64(self.store);
        out.put_varint(u64::from(self.generation));
        out.put_varint(self.low_water);
    }
}

impl<'a> MessageHead<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, WireError> {
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

    fn encode(&self, out: &mut Vec<u8>) {
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
    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            serial: reader.varint()?,
            code: reader.u32()?,
            reference: reader.array()?,
            status: reader.u8()?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.serial);
        out.put_u32(self.code);
        out.put(&self.reference);
        out.put_u8(self.status);
    }
}

impl Part<'_> {
    fn encode(&self, tag: u8, out: &mut Vec<u8>) {
        out.put_u8(tag);
        out.put_varint(self.serial);
        out.put_varint(self.offset);
        out.put_varint(self.total);
    }
}

impl Refusal {
    const fn id(self) -> u8 {
        match self {
            Self::Stale => 0,
            Self::Window => 1,
            Self::Busy => 2,
            Self::TooLarge => 3,
        }
    }

    const fn from_id(id: u8) -> Result<Self, WireError> {
        Ok(match id {
            0 => Self::Stale,
            1 => Self::Window,
            2 => Self::Busy,
            3 => Self::TooLarge,
            _ => return Err(WireError::Forbidden),
        })
    }
}

fn store_kind(id: u8) -> Result<StoreKind, WireError> {
    StoreKind::from_id(id).ok_or(WireError::Forbidden)
}

fn varint_u32(reader: &mut Reader<'_>) -> Result<u32, WireError> {
    u32::try_from(reader.varint()?).map_err(|_| WireError::TooLarge)
}

fn kind<'a>(reader: &mut Reader<'a>) -> Result<&'a str, WireError> {
    std::str::from_utf8(reader.prefixed(KIND_BYTES_MAX)?).map_err(|_| WireError::Forbidden)
}

/// A fragment names its message twice where it has a head: both must agree.
fn same_serial(serial: u64, head: Option<u64>) -> Result<(), WireError> {
    if head.is_none_or(|head| head == serial) { Ok(()) } else { Err(WireError::Forbidden) }
}

fn part_head(reader: &mut Reader<'_>) -> Result<(u64, u64, u64), WireError> {
    Ok((reader.varint()?, reader.varint()?, reader.varint()?))
}

fn part<'a>(
    reader: &mut Reader<'a>,
    serial: u64,
    offset: u64,
    total: u64,
) -> Result<Part<'a>, WireError> {
    let bytes = reader.prefixed(RECORD_FRAMES_MAX)?;
    let end = u64::try_from(bytes.len()).ok().and_then(|length| offset.checked_add(length));
    if end.is_none_or(|end| end > total) || bytes.is_empty() {
        return Err(WireError::Forbidden);
    }
    Ok(Part { serial, offset, total, bytes })
}

/// The frame types' numbers.
mod tag {
    pub(super) const PAD: u8 = 0x00;
    pub(super) const PING: u8 = 0x01;
    pub(super) const CARD: u8 = 0x02;
    pub(super) const CONTACT: u8 = 0x03;
    pub(super) const DIALOG: u8 = 0x04;
    pub(super) const MESSAGE: u8 = 0x05;
    pub(super) const FRAGMENT: u8 = 0x06;
    pub(super) const REPLIES: u8 = 0x07;
    pub(super) const REPLY: u8 = 0x08;
    pub(super) const REPLY_FRAGMENT: u8 = 0x09;
    pub(super) const ACK: u8 = 0x0a;
    pub(super) const CLOSED: u8 = 0x0b;
    pub(super) const REFUSED: u8 = 0x0c;
    pub(super) const PARTIAL: u8 = 0x0d;
    pub(super) const HINT: u8 = 0x0e;
    pub(super) const PATH_CHALLENGE: u8 = 0x0f;
    pub(super) const PATH_RESPONSE: u8 = 0x10;
    pub(super) const CLOSE: u8 = 0x11;
}
