//! Everything that an endpoint tells its driver, and the names it uses for it.

use std::time::Duration;

use bytes::Bytes;

use crate::contact::Contact;
use crate::endpoint::OwnMailbox;
use crate::key::PublicKey;
use crate::message::{Kind, MessageId};

/// Names one open path (a connection, or an address and port). Chosen by the driver, never reused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PathId(pub u64);

/// Names one of our identities: 0 is the first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IdentityId(pub u16);

/// Names a query that waits for its reply.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct QueryId(pub u32);

/// Names a request or send of ours until it has its outcome.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EventCode(pub u32);

/// Where packets go. The driver implements it over its paths.
pub trait Sink {
    /// Bytes that the path takes at once now; 0 if it is full or gone.
    fn room(&self, path: PathId) -> usize;
    /// Hands a packet over. It fits the room that was announced.
    fn send(&mut self, path: PathId, packet: Vec<u8>);
}

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// There is something for `peer` and no path to it: open one, or say that it cannot be done.
    Connect {
        /// Which of our identities asks.
        identity: IdentityId,
        /// Whom to reach.
        peer: PublicKey,
    },
    /// Somebody authenticated itself on this path: it is no stranger's any more.
    Authenticated {
        /// The path.
        path: PathId,
        /// Who.
        peer: PublicKey,
    },
    /// A request or send of ours is over.
    Outcome {
        /// What the caller called it.
        token: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// A soft timeout has passed. Nothing else has changed.
    Soft {
        /// What the caller called the request.
        token: u64,
    },
    /// A message of ours that is to outlive this run is on our disk: from now on it is not forgotten.
    Kept {
        /// What the caller called it.
        token: u64,
    },
    /// A message of ours that wants to be remembered on the receiver's disk goes to one that has none: it is taken
    /// at most once only as long as the receiver runs.
    InMemory {
        /// What the caller called it.
        token: u64,
    },
    /// The receiver has taken a request of ours and works on it.
    Taken {
        /// What the caller called it.
        token: u64,
    },
    /// A large body has come further.
    Progress {
        /// What the caller called the request.
        token: u64,
        /// Which body.
        way: Way,
        /// Bytes of it that have arrived.
        bytes: usize,
        /// Bytes in all.
        total: usize,
    },
    /// More of a peer's large message has arrived. It is handed over when it is there as a whole, and never
    /// if that does not come about: nothing may depend on what is told here.
    Arriving(Arriving),
    /// Somebody asks: hand it to a handler, once.
    Query(QueryEvent),
    /// A query's asker wants nothing more about it, or its time is over. Whoever is still at work on
    /// it stops, and gives it back by [`Endpoint::ignore`](crate::Endpoint::ignore) or a reply that
    /// goes nowhere; until then it counts towards the asker's share.
    QueryClosed {
        /// The query.
        query: QueryId,
    },
    /// Somebody tells us something: hand it over, once. It counts towards the sender's share until
    /// [`Endpoint::ignore`](crate::Endpoint::ignore) gives it back.
    Message {
        /// Names it until it is given back.
        query: QueryId,
        /// What was told.
        message: MessageEvent,
        /// Whether an earlier life may have been at work on it: see [`Policy::Redeliver`].
        redelivered: bool,
    },
    /// A peer runs twice: two copies of it, each with its own memory, so that what one has taken the other
    /// may take again. Told once a minute for each copy that is seen.
    TwoCopies {
        /// Which of our identities has seen both.
        identity: IdentityId,
        /// The peer.
        peer: PublicKey,
    },
    /// A peer says that it has seen two copies of us: another process uses our key. Told once a minute; a peer
    /// may say so although it is not true.
    AnotherCopy {
        /// Which of our identities is meant.
        identity: IdentityId,
        /// Who says so.
        from: PublicKey,
    },
    /// A letter to a peer that no path leads to: hand it to whoever keeps it for the peer, as its contact says, and say
    /// [`Endpoint::posted`](crate::Endpoint::posted).
    Letter {
        /// Which of our identities has written it.
        identity: IdentityId,
        /// To whom.
        to: PublicKey,
        /// Names it.
        number: u64,
        /// The letter, sealed.
        letter: Bytes,
    },
    /// A message of ours is in a letter that somebody keeps for its receiver.
    Stored {
        /// What the caller called it.
        token: u64,
    },
    /// A letter that was brought has been read, and what it has changed is on the disk.
    LetterRead {
        /// Names it, as [`Endpoint::receive_letter`](crate::Endpoint::receive_letter) has.
        number: u64,
        /// Whether it may be thrown away. If not, something in it had no room, and it is to be brought again.
        all_taken: bool,
    },
    /// Our contact is to list this from now on.
    Mailbox {
        /// Which of our identities.
        identity: IdentityId,
        /// What.
        mailbox: OwnMailbox,
    },
    /// A peer has told us its newest contact.
    Contact {
        /// Which of our identities.
        identity: IdentityId,
        /// The contact. It is the peer's own, and its signature holds.
        contact: Box<Contact>,
    },
    /// An unreliable message.
    Hint(MessageEvent),
    /// A session was confirmed.
    Session {
        /// Which of our identities.
        identity: IdentityId,
        /// With whom.
        peer: PublicKey,
    },
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Posted {
    /// Somebody keeps it for its peer.
    Stored,
    /// Nobody does, as far as is known.
    Failed,
}

/// Which of the two bodies of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Ours, to the peer.
    Sending,
    /// The reply, to us.
    Receiving,
}

/// A large message of a peer that has begun to arrive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Arriving {
    /// Which of our identities is meant.
    pub identity: IdentityId,
    /// Who sends it.
    pub from: PublicKey,
    /// Its kind.
    pub kind: Kind,
    /// Bytes of its body that have arrived.
    pub bytes: usize,
    /// Bytes in all.
    pub total: usize,
}

/// A message of a peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageEvent {
    /// Which of our identities is meant.
    pub identity: IdentityId,
    /// Who sent it.
    pub from: PublicKey,
    /// Its kind.
    pub kind: Kind,
    /// Its body.
    pub body: Bytes,
    /// How sure it is who sent it.
    pub assurance: Assurance,
    /// Its id.
    pub id: MessageId,
}

/// A request of a peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueryEvent {
    /// Names it for the reply.
    pub query: QueryId,
    /// What was asked.
    pub message: MessageEvent,
    /// Bytes that the asker reserved for the reply's body.
    pub room: usize,
    /// How long the asker will wait.
    pub patience: Duration,
    /// Whether an earlier life may have been at work on it (see [`Policy::Redeliver`]).
    pub redelivered: bool,
}

/// What a message came with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Assurance {
    /// In a first flight: whoever stole *our* identity key could have forged it.
    FirstFlight,
    /// In a session that the sender has confirmed.
    Confirmed,
    /// In a letter: whoever stole *our* identity key could have forged it.
    Letter,
}

/// What becomes of the requests of a kind when their receiver dies while it is at work on them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Policy {
    /// They are not handed over again: their askers hear `Unknown`.
    #[default]
    AtMostOnce,
    /// They are handed over again, marked as such, by whichever life finds them unanswered on its disk.
    Redeliver,
    /// Their handler runs inside the disk's own transaction: either all of it has happened, reply
    /// included, or nothing.
    Transaction,
}

/// How a request or send ended. Exactly one for each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The reply.
    Reply {
        /// Its body.
        body: Bytes,
        /// How often the request was sent.
        attempts: u32,
        /// The path by which the peer is reached at this moment.
        path: Option<PathId>,
    },
    /// The receiver has taken it (class *send*).
    Accepted {
        /// How often it was sent.
        attempts: u32,
        /// The path by which the peer is reached at this moment.
        path: Option<PathId>,
    },
    /// The receiver, or its application, will not serve it.
    Refused(RefusedWhy),
    /// Nothing left this machine. Safe to try elsewhere at once.
    NotSent(NotSent),
    /// The hard timeout passed.
    TimedOut {
        /// Whether the receiver is known to have taken it.
        taken: Taken,
    },
    /// The receiver lost its memory in between: it may have acted or not.
    Unknown {
        /// How often the request was sent.
        attempts: u32,
    },
    /// This endpoint is closing.
    Closing,
}

/// Whether a receiver has taken a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Taken {
    /// It acknowledged it.
    Yes,
    /// It certainly did not and will not.
    No,
    /// It may have.
    Unknown,
}

/// Why a request was refused. The numbers travel as a reply's status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RefusedWhy {
    /// The handler failed or dropped the query (1).
    Failed,
    /// Nobody there serves this kind (2).
    UnknownKind,
    /// The asker may not ask this (3).
    NotAllowed,
    /// The receiver has too much to do; trying later may help (4).
    Busy {
        /// How long to wait; zero if it did not say.
        retry_after: Duration,
    },
    /// The message or its reply is larger than the other side takes (5).
    TooLarge,
    /// A reason that this version does not know.
    Other(u8),
}

/// The status of a reply that says that the receiver had taken the request, was restarted, and does not
/// know what became of it.
pub(crate) const LOST: u8 = 6;

impl RefusedWhy {
    /// The status byte of a refusing reply; never 0.
    pub const fn status(self) -> u8 {
        match self {
            Self::Failed | Self::Other(0) => 1,
            Self::UnknownKind => 2,
            Self::NotAllowed => 3,
            Self::Busy { .. } => 4,
            Self::TooLarge => 5,
            Self::Other(status) => status,
        }
    }

    /// The meaning of a status byte other than 0.
    pub const fn from_status(status: u8) -> Self {
        match status {
            1 => Self::Failed,
            2 => Self::UnknownKind,
            3 => Self::NotAllowed,
            4 => Self::Busy { retry_after: Duration::ZERO },
            5 => Self::TooLarge,
            other => Self::Other(other),
        }
    }
}

/// Why nothing was sent. Always a local reason, known at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// The peer is this identity itself.
    #[error("a session with oneself is an error: address another identity")]
    Oneself,
    /// The body is longer than the limit.
    #[error("the body has {bytes} bytes, more than the {limit} that a message may have")]
    TooLarge {
        /// Bytes of the body.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Too many requests are open. Wait for some to end.
    #[error(
        "too many requests are open, or were asked faster than the node takes them; wait for some to end"
    )]
    Busy,
    /// It was to be kept on the disk of this node, which does not write at the moment.
    #[error("the disk of this node refuses to write, and what is durable must be on it first")]
    DiskRefuses,
    /// No lookup knows how to reach the peer.
    #[error("nobody knows how to reach this peer; give a ticket with an address")]
    NotFound,
    /// Every known address refused the connection at once.
    #[error("no known address of the peer accepts a connection")]
    Unreachable,
    /// The message wants a hybrid suite, and this node and the peer have none in common.
    #[error("the peer, or this node, takes no post-quantum suite; send it without, or not at all")]
    NoHybridSuite,
    /// No identity of that number.
    #[error("this endpoint has no such identity")]
    NoIdentity,
}
