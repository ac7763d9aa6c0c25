//! What a frame says of the message, the reply or the part that it carries.
//!
//! Translation only: from what is known of one to the head of a frame.

use crate::exchange::outgoing::Outgoing;
use crate::exchange::query::Query;
use crate::message::MessageClass;
use crate::wire::frame::{Class, MessageHead, Part, ReplyHead};

pub(super) fn message_head(code: u32, one: &Outgoing) -> MessageHead<'_> {
    let class = match one.class {
        MessageClass::Send => Class::Send,
        MessageClass::Request | MessageClass::Reply => Class::Request {
            code,
            hard_ms: u64::try_from(one.patience.as_millis()).unwrap_or(u64::MAX),
            room: u64::try_from(one.room).unwrap_or(u64::MAX),
        },
    };
    MessageHead { serial: one.serial, class, kind: one.kind.as_str() }
}

pub(super) fn reply_head(query: &Query) -> ReplyHead {
    let (serial, code) = (query.serial, query.code);
    ReplyHead { serial, code, reference: query.id.reference(), status: 0 }
}

pub(super) fn part(serial: u64, offset: usize, total: usize, bytes: &[u8]) -> Part<'_> {
    let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
    Part { serial, offset: number(offset), total: number(total), bytes }
}
