//! What a durable store writes down, and what it is restored from.
//!
//! Plain rows: how they are kept is the driver's business. Invariant: the rows of one [`Batch`] become
//! durable together or not at all, and what they concern is neither handed to the application nor
//! acknowledged before that.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::card::StoreKind;
use crate::exchange::outgoing::Binding;
use crate::key::PublicKey;
use crate::message::{Kind, MessageClass, MessageId};
use crate::output::{Assurance, IdentityId, Outcome, QueryEvent, QueryId, RefusedWhy};
use crate::strategy::Strategy;
use crate::wire::Serials;

/// Rows that belong together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// Names it in [`Endpoint::committed`](crate::Endpoint::committed).
    pub number: u64,
    /// The rows, in the order in which they are to be written.
    pub rows: Vec<Row>,
}

/// One change of one identity's durable store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// Whose store.
    pub identity: IdentityId,
    /// What changes.
    pub write: Write,
}

/// A change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Write {
    /// The generation that the durable store issues, and its floor.
    Store {
        /// The generation.
        generation: u32,
        /// The floor.
        floor: u32,
    },
    /// A dialog is new or has changed.
    Dialog(SavedDialog),
    /// The store for letters, made or with another floor.
    Letters {
        /// Its life.
        store: u64,
        /// The floor.
        floor: u32,
    },
    /// A mailbox prekey was made.
    MailboxPrekey(SavedMailboxPrekey),
    /// Its secret is erased, beyond recovery as far as the disk allows.
    ErasePrekey(u32),
    /// A dialog is forgotten. A [`Write::Store`] or [`Write::Letters`] of the same batch says where the floor is now.
    Forget {
        /// Which store has it.
        store: StoreKind,
        /// The sender.
        peer: PublicKey,
        /// Its dialog.
        dialog: u64,
    },
    /// A request was taken and wants a reply.
    Query(SavedQuery),
    /// A message whose handler is to run inside this transaction, and whose [`Ran`] goes back. If it wants
    /// a reply, its [`Write::Query`] came before and its [`Write::Answer`] is written with it.
    Run(Box<Run>),
    /// It has its reply.
    Answer {
        /// The request.
        name: MessageName,
        /// The reply.
        answer: SavedAnswer,
    },
    /// The request's sender wants nothing more about it, or its time is over.
    Done(MessageName),
    /// Serials of our dialog with a peer that have been given out. The row of a dialog that replaces
    /// another takes its place.
    Outbox(SavedOutbox),
    /// A message of ours that is to outlive this run.
    Ask(SavedAsk),
    /// It is about to be sent under this binding: from now on a transmission may have left.
    Bind {
        /// The message.
        name: MessageName,
        /// What it is bound to.
        binding: Binding,
    },
    /// It is over: its row goes, and its outcome takes the place.
    Over {
        /// The message.
        name: MessageName,
        /// The outcome; `None` if the application wanted nothing more of it.
        outcome: Option<SavedOutcome>,
    },
    /// The application has taken the outcome of the message with this id.
    Collected(MessageId),
}

/// A handler to be run inside a transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run {
    /// The message.
    pub name: MessageName,
    /// Whether its sender waits for a reply.
    pub wants_reply: bool,
    /// What the handler is given.
    pub event: QueryEvent,
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ran {
    /// The message, as the endpoint calls it.
    pub query: QueryId,
    /// Its answer.
    pub answer: SavedAnswer,
}

impl Ran {
    /// What a handler gave, as it is written down and sent: a body that the asker has no room for is
    /// replaced.
    pub fn new(event: &QueryEvent, reply: Result<Bytes, RefusedWhy>) -> Self {
        let answer = SavedAnswer::new(reply, event.room);
        Self { query: event.query, answer }
    }
}

/// Names a message, of a peer's or of ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MessageName {
    /// The peer that sent it, or to which it goes.
    pub peer: PublicKey,
    /// In which dialog of its sender.
    pub dialog: u64,
    /// Under which serial.
    pub serial: u64,
}

/// What is remembered of one sender's dialog.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedDialog {
    /// Which store has it.
    pub store: StoreKind,
    /// The sender.
    pub peer: PublicKey,
    /// Its dialog.
    pub dialog: u64,
    /// The floor when the dialog was made, before anything was forgotten to make room for it.
    pub floor: u32,
    /// The highest generation of anything taken in it.
    pub highest: u32,
    /// What was taken or voided.
    pub taken: Serials,
}

/// A message that was taken: a request, or one that is to be handed over again without being one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedQuery {
    /// Its name.
    pub name: MessageName,
    /// Which store has taken it.
    pub store: StoreKind,
    /// The requester's event code, which the reply repeats; 0 if there is to be none, as are room and patience.
    pub code: u32,
    /// Its id.
    pub id: MessageId,
    /// Bytes that the requester reserved for the reply.
    pub room: usize,
    /// How long the requester waits, from the arrival on.
    pub patience: Duration,
    /// What a later life is to hand over again if there is no answer.
    pub offer: Option<Offer>,
}

/// A key to which letters are sealed.
#[derive(Clone, Eq, PartialEq)]
pub struct SavedMailboxPrekey {
    /// Its id.
    pub id: u32,
    /// The secret half.
    pub secret: Zeroizing<[u8; 32]>,
    /// When it was made: time since the Unix epoch, as the machine believed it.
    pub made: Duration,
}

impl fmt::Debug for SavedMailboxPrekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedMailboxPrekey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A message as it is handed over again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// Whether its sender waits for a reply.
    pub wants_reply: bool,
    /// Its kind.
    pub kind: Kind,
    /// Its body.
    pub body: Bytes,
    /// What it came with.
    pub assurance: Assurance,
}

/// The reply to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedAnswer {
    /// 0: a reply; otherwise why the request was refused.
    pub status: u8,
    /// The body.
    pub body: Bytes,
}

impl SavedAnswer {
    /// What a handler gave, for an asker who has this much room.
    pub fn new(reply: Result<Bytes, RefusedWhy>, room: usize) -> Self {
        match reply {
            Ok(body) if body.len() <= room => Self { status: 0, body },
            Ok(_) => Self { status: RefusedWhy::TooLarge.status(), body: Bytes::new() },
            Err(why) => Self { status: why.status(), body: Bytes::new() },
        }
    }
}

/// Our dialog with a peer, for messages that outlive a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SavedOutbox {
    /// The peer.
    pub peer: PublicKey,
    /// The dialog's id.
    pub dialog: u64,
    /// The serial that the next message gets.
    pub next_serial: u64,
}

/// A message of ours that has no outcome yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedAsk {
    /// Its name.
    pub name: MessageName,
    /// Its id.
    pub id: MessageId,
    /// Request or send.
    pub class: MessageClass,
    /// Its kind.
    pub kind: Kind,
    /// Its body.
    pub body: Bytes,
    /// Bytes of the largest reply that is welcome.
    pub room: usize,
    /// When its hard timeout comes: time since the Unix epoch, as the machine believes it.
    pub expires: Duration,
    /// Whether only records of a session with a hybrid suite may carry it.
    pub post_quantum: bool,
    /// Where the peer may be reached.
    pub hints: Vec<Strategy>,
    /// What it was bound to; `None` if it was certainly never sent.
    pub binding: Option<Binding>,
}

/// How a message of ours has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedOutcome {
    /// The message.
    pub id: MessageId,
    /// How.
    pub outcome: Outcome,
}
