//! What the checker writes down about one message of an honest node.

use super::LATE_MAX;
use crate::world::clock::Time;

/// A party of the world: the honest nodes first.
pub(crate) type Party = usize;

/// What was sent.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a different fact about the message")]
pub(crate) struct Sent {
    pub from: Party,
    /// The life of the sender.
    pub life: u64,
    pub to: Party,
    pub wants_reply: bool,
    pub kind: String,
    pub body: [u8; 32],
    /// The sender's boot clock when it was sent, and the timeouts, in nanoseconds.
    pub begun: u64,
    pub soft: Option<u64>,
    pub hard: u64,
    /// Whether the receiver is honest: only then anything can be said about what it did.
    pub is_honest: bool,
    /// Whether the receiver's disk was to have it before its handler.
    pub durable: bool,
    /// Whether the receiver hands it over in its next life if it was at work on it.
    pub redelivered: bool,
    /// Whether the sender's disk was to remember it.
    pub outlives: bool,
}

/// It was handed to a handler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ran {
    /// The life of the receiver.
    pub life: u64,
}

/// What the handler gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Given {
    /// A reply with a body of this hash.
    Reply([u8; 32]),
    /// A refusal with this status.
    Status(u8),
}

/// How it ended, in the checker's own words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// A reply with a body of this hash.
    Reply([u8; 32]),
    Accepted,
    /// The handler refused, or the reply was too long: it ran.
    RefusedByHandler(u8),
    /// The receiver refused it before anybody saw it.
    RefusedUnseen,
    /// Too large, on the way there or back.
    TooLarge,
    NotSent,
    TimedOut(Acted),
    Unknown,
    Closing,
}

/// What is known about whether the receiver has acted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Acted {
    Yes,
    No,
    Unknown,
}

/// A message that goes on in a new life of its asker: when by its boot clock, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restored {
    pub number: u64,
    pub begun: u64,
    pub hard: u64,
}

/// Everything about one message.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a different fact about the message")]
pub(crate) struct Record {
    pub sent: Sent,
    pub ran: Vec<Ran>,
    /// More than one only if it was handed over again.
    pub given: Vec<Given>,
    pub ended: Option<Ended>,
    pub soft_seen: bool,
    /// Whether a life of the receiver has ended since it was sent.
    pub receiver_died: bool,
    /// The asker has given up, or its life is over: nothing may be told about it any more.
    pub silent: bool,
    /// Whether the asker was told that it is on its disk.
    pub kept: bool,
    /// The life of its asker is over, and it may go on in the next.
    pub asleep: bool,
}

impl Record {
    pub(crate) const fn new(sent: Sent) -> Self {
        Self {
            sent,
            ran: Vec::new(),
            given: Vec::new(),
            ended: None,
            soft_seen: false,
            receiver_died: false,
            silent: false,
            kept: false,
            asleep: false,
        }
    }

    /// Whether what is known fits a receiver that says to have taken it. It then was handed over: once, or
    /// to nobody, if the receiver died between writing that down and doing it.
    pub(crate) const fn was_acted_on(&self) -> bool {
        self.ran.len() == 1 || (self.sent.durable && self.receiver_died && self.ran.is_empty())
    }

    /// How late its outcome may be: what outlives a life is told when its disk knows.
    pub(crate) const fn late_max(&self, disk_wait_max: Time) -> u64 {
        if self.sent.outlives { LATE_MAX + disk_wait_max } else { LATE_MAX }
    }

    /// Whether its outcome is still to come.
    pub(crate) const fn is_open(&self) -> bool {
        self.ended.is_none() && !self.silent && !self.asleep
    }
}
