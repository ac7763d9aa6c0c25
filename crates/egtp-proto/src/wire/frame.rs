//! The frames that a record, a first flight or its answer seals.
//!
//! A record holds as many as were waiting. Context frames ([`Frame::Dialog`], [`Frame::Replies`])
//! say what the frames after them belong to, so that a small message costs few bytes. Knows no
//! keys and no peers. Invariant: what decodes has exactly one spelling.

use super::heads::kind;
pub use super::heads::{
    Ack, Class, DialogHead, MessageHead, Part, PartOf, Refusal, Refused, ReplyHead,
};
use super::{Reader, Serials, WireError, Writer};
use crate::card::{LiveCard, StoreKind};
use crate::limits::{LETTER_FRAMES_MAX, RECORD_FRAMES_MAX};

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
                Self::Message(head, reader.prefixed(LETTER_FRAMES_MAX)?)
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
                Self::Reply(head, reader.prefixed(LETTER_FRAMES_MAX)?)
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

    /// Whether a letter may carry it: what needs no session, and is whole.
    pub const fn may_ride_in_letter(&self) -> bool {
        matches!(
            self,
            Self::Pad
                | Self::Dialog(_)
                | Self::Message(..)
                | Self::Replies(_)
                | Self::Reply(..)
                | Self::Ack(_)
                | Self::Closed { .. }
                | Self::Refused(_)
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

fn store_kind(id: u8) -> Result<StoreKind, WireError> {
    StoreKind::from_id(id).ok_or(WireError::Forbidden)
}

fn varint_u32(reader: &mut Reader<'_>) -> Result<u32, WireError> {
    u32::try_from(reader.varint()?).map_err(|_| WireError::TooLarge)
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
pub(super) mod tag {
    pub(in crate::wire) const PAD: u8 = 0x00;
    pub(in crate::wire) const PING: u8 = 0x01;
    pub(in crate::wire) const CARD: u8 = 0x02;
    pub(in crate::wire) const CONTACT: u8 = 0x03;
    pub(in crate::wire) const DIALOG: u8 = 0x04;
    pub(in crate::wire) const MESSAGE: u8 = 0x05;
    pub(in crate::wire) const FRAGMENT: u8 = 0x06;
    pub(in crate::wire) const REPLIES: u8 = 0x07;
    pub(in crate::wire) const REPLY: u8 = 0x08;
    pub(in crate::wire) const REPLY_FRAGMENT: u8 = 0x09;
    pub(in crate::wire) const ACK: u8 = 0x0a;
    pub(in crate::wire) const CLOSED: u8 = 0x0b;
    pub(in crate::wire) const REFUSED: u8 = 0x0c;
    pub(in crate::wire) const PARTIAL: u8 = 0x0d;
    pub(in crate::wire) const HINT: u8 = 0x0e;
    pub(in crate::wire) const PATH_CHALLENGE: u8 = 0x0f;
    pub(in crate::wire) const PATH_RESPONSE: u8 = 0x10;
    pub(in crate::wire) const CLOSE: u8 = 0x11;
}
