//! One message of a peer, from being taken until neither the peer nor the application has it in hand.
//!
//! Invariant: a request is answered at most once, and its answer is kept until the peer closes it or the
//! hard timeout that the peer stated has passed. What the application holds counts towards the peer's
//! share until it is given back, whatever the peer wants by then.

use std::time::Duration;

use bytes::Bytes;

use crate::exchange::stores::DialogCode;
use crate::message::MessageId;
use crate::time::Instant;
use crate::timers::TimerId;

/// Who still has a message in hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// The peer: it waits for the reply, or has not acknowledged it.
    Open,
    /// The application alone: nobody waits for a reply, or any more.
    Held,
}

/// A message that was taken.
#[derive(Debug)]
pub struct Query {
    /// Who still has it in hand.
    pub standing: Standing,
    /// The peer, as the endpoint numbers them.
    pub peer: u32,
    /// The dialog, as our store knows it.
    pub place: DialogCode,
    /// The peer's dialog.
    pub dialog: u64,
    /// The request's serial in it.
    pub serial: u64,
    /// The requester's event code, which the reply repeats.
    pub code: u32,
    /// The request's id.
    pub id: MessageId,
    /// Bytes that the requester reserved for the reply.
    pub room: usize,
    /// Bytes that it occupies: the request's body, then the reply's.
    pub bytes: usize,
    /// When it is forgotten in any case.
    pub timer: Option<TimerId>,
    /// Whether the answer to a first flight waits for it.
    pub in_flight: bool,
    /// Whether it is one that wants no reply and is on the disk until the application gives it back.
    pub is_offered: bool,
    /// The answer, once there is one.
    pub answer: Option<Answer>,
}

/// An answer and how far it has got.
#[derive(Debug)]
pub struct Answer {
    /// 0: a reply; otherwise why the request was refused.
    pub status: u8,
    /// The body.
    pub body: Bytes,
    /// Whether it waits in the queue to be sent (again).
    pub is_queued: bool,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was sent last.
    pub sent: Option<Instant>,
    /// Bytes that have been sent, while it goes in parts.
    pub offset: usize,
    /// Bytes that the peer is known to have.
    pub arrived: usize,
    /// The most that the peer has reported to have since its parts were sent anew.
    pub reported: Option<usize>,
}

impl Answer {
    /// An answer that waits to be sent.
    pub const fn new(status: u8, body: Bytes) -> Self {
        Self {
            status,
            body,
            is_queued: true,
            attempts: 0,
            sent: None,
            offset: 0,
            arrived: 0,
            reported: None,
        }
    }
}

/// How long a request may occupy us: what its sender stated, within our own bound.
pub fn kept(hard_ms: u64, max: Duration) -> Duration {
    Duration::from_millis(hard_ms).min(max)
}
