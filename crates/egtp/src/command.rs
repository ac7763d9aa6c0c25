//! What the program asks of the driver.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::exchange::durable::Ran;
use egtp_proto::{
    Contact, Kind, MessageClass, MessageId, OwnMailbox, PeerCard, Policy, Posted, PublicKey,
    QueryId, StoreKind,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::bell::Bell;
use crate::driver::Brought;
use crate::error::Refusal;
use crate::events::Events;
use crate::letters::Letter;
use crate::message::{Message, Recipient};
use crate::queue::Queue;
use crate::slot::Slot;
use crate::status::Status;
use crate::store::BackUp;

/// The line between program and driver: the queue to it, and the bell by which it wakes the program's tasks.
#[derive(Clone, Debug)]
pub(crate) struct Commands(Arc<Line>);

#[derive(Debug)]
struct Line {
    queue: Queue<Command>,
    bell: Bell,
}

impl Commands {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Line { queue: Queue::new(), bell: Bell::default() }))
    }

    /// Whether both lead to the same driver.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.0.bell
    }
}

impl Deref for Commands {
    type Target = Queue<Command>;

    fn deref(&self) -> &Queue<Command> {
        &self.0.queue
    }
}

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Begin a request or send.
    Start(Start),
    /// Nobody waits for one any more.
    Cancel(Arc<Slot>),
    /// Find one that outlives runs.
    Attach(MessageId, oneshot::Sender<Option<Arc<Slot>>>),
    /// Name all of those.
    ListKept(oneshot::Sender<Vec<MessageId>>),
    /// Its outcome was taken, or nobody wants one.
    Forget(MessageId),
    /// Give the reply to a query.
    Reply(QueryId, Result<Bytes, Refusal>),
    /// Never reply to a query.
    Ignore(QueryId),
    /// Remember how a peer can be reached.
    Learn(Box<Contact>),
    /// Say what was heard of a peer last, for another life.
    PeerCard(PublicKey, oneshot::Sender<Option<PeerCard>>),
    /// Take over what another life had heard.
    LearnPeerCard(Box<PeerCard>),
    /// Rows are durable, and handlers among them have run.
    Committed(u64, Vec<Ran>),
    /// The disk does not write the rows that it was given last, so far.
    DiskRefuses,
    /// Back the store up.
    BackUp(Box<BackUp>),
    /// How requests of a kind are taken from now on.
    Policy(Kind, Policy),
    /// Say after how many seconds peers can be expected to answer a kind.
    Expect(Vec<PublicKey>, Kind, oneshot::Sender<Vec<f64>>),
    /// Send a hint.
    Hint(PublicKey, Kind, Bytes),
    /// Whether others may reach this node by a relay.
    TrustRelay(PublicKey, bool),
    /// Give letters to whoever carries them.
    Letters(mpsc::UnboundedSender<Letter>),
    /// What became of a letter.
    Posted(u64, Posted),
    /// Take letters, and say what the node's contact is to list.
    OpenMailbox(watch::Sender<Option<OwnMailbox>>),
    /// Read a letter.
    ReadLetter(Bytes, Brought),
    /// Say when no connection to this peer is open any more.
    Disconnected(PublicKey, oneshot::Sender<()>),
    /// Report what is going on.
    Status(oneshot::Sender<Status>),
    /// Show what has happened, and what happens from now on.
    Events(oneshot::Sender<Events>),
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
    pub is_soft_learned: bool,
    pub is_measured: bool,
    pub hard: Duration,
    pub hard_max: Duration,
    pub room: Option<usize>,
    pub wants: StoreKind,
    pub post_quantum: bool,
}
