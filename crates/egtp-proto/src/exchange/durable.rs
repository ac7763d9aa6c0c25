//! What a durable store writes down, and what it is restored from.
//!
//! Plain rows: how they are kept is the driver's business. Invariant: the rows of one [`Batch`] become
//! durable together or not at all, and what they concern is neither handed to the application nor
//! acknowledged before that.

use std::time::Duration;

use bytes::Bytes;

use crate::key::PublicKey;
use crate::message::MessageId;
use crate::output::IdentityId;
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
    /// The generation that it issues, and its floor.
    Store {
        /// The generation.
        generation: u32,
        /// The floor.
        floor: u32,
    },
    /// A dialog is new or has changed.
    Dialog(SavedDialog),
    /// A dialog is forgotten. A [`Write::Store`] of the same batch says where the floor is now.
    Forget {
        /// The sender.
        peer: PublicKey,
        /// Its dialog.
        dialog: u64,
    },
    /// A request was taken and wants a reply.
    Query(SavedQuery),
    /// It has its reply.
    Answer {
        /// The request.
        name: QueryName,
        /// The reply.
        answer: SavedAnswer,
    },
    /// The request's sender wants nothing more about it, or its time is over.
    Done(QueryName),
}

/// Names a request of a peer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct QueryName {
    /// Who asked.
    pub peer: PublicKey,
    /// In which of its dialogs.
    pub dialog: u64,
    /// Under which serial.
    pub serial: u64,
}

/// What is remembered of one sender's dialog.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedDialog {
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

/// A request that was taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedQuery {
    /// Its name.
    pub name: QueryName,
    /// The requester's event code, which the reply repeats.
    pub code: u32,
    /// Its id.
    pub id: MessageId,
    /// Bytes that the requester reserved for the reply.
    pub room: usize,
    /// How long the requester waits, from the arrival on.
    pub patience: Duration,
}

/// The reply to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedAnswer {
    /// 0: a reply; otherwise why the request was refused.
    pub status: u8,
    /// The body.
    pub body: Bytes,
}

/// A durable store as it was read back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Saved {
    /// Its life: a random number, drawn when it was made.
    pub store: u64,
    /// The generation that it issues; 1 in a new one.
    pub generation: u32,
    /// Its floor; 0 in a new one.
    pub floor: u32,
    /// Its dialogs, the least recently used first.
    pub dialogs: Vec<SavedDialog>,
    /// Requests that are not done, with their replies. One without a reply was with its handler when
    /// the process ended: what became of it cannot be known, and its sender is told so.
    pub queries: Vec<(SavedQuery, Option<SavedAnswer>)>,
}

impl Saved {
    /// A new store. `store` must be random.
    pub const fn new(store: u64) -> Self {
        Self { store, generation: 1, floor: 0, dialogs: Vec::new(), queries: Vec::new() }
    }
}
