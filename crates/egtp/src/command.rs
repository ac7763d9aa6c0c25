//! What the program asks of the driver.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::{Contact, Counters, MessageClass, PublicKey, QueryId, Sizes, StoreKind};
use tokio::sync::oneshot;

use crate::error::Refusal;
use crate::message::{Message, Recipient};
use crate::queue::Queue;
use crate::request::Slot;

/// The queue to the driver.
pub(crate) type Commands = Queue<Command>;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Begin a request or send.
    Start(Box<Start>),
    /// Forget one.
    Cancel(Arc<Slot>),
    /// Give the reply to a query.
    Reply(QueryId, Result<Bytes, Refusal>),
    /// Never reply to a query.
    Ignore(QueryId),
    /// Remember how a peer can be reached.
    Learn(Box<Contact>),
    /// Rows are durable.
    Committed(u64),
    /// Report what is going on.
    Status(oneshot::Sender<Status>),
    /// Say goodbye and end.
    Close,
}

/// A request or send to begin.
#[derive(Debug)]
pub(crate) struct Start {
    pub slot: Arc<Slot>,
    pub to: Recipient,
    pub class: MessageClass,
    pub message: Message,
    pub identity: Option<PublicKey>,
    pub soft: Option<Duration>,
    pub hard: Duration,
    pub room: Option<usize>,
    pub wants: StoreKind,
    pub post_quantum: bool,
}

/// What a node holds and has counted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Sizes of the tables.
    pub sizes: Sizes,
    /// Counts since the start.
    pub counters: Counters,
    /// Open connections.
    pub connections: usize,
}
