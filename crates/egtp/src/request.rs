//! Asking: a request before it starts, and while it is under way.
//!
//! Knows nothing of packets. Invariant: every started request gets exactly one outcome, and dropping
//! a [`Pending`] frees everything that was kept for it.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::{MessageClass, MessageId, NotSent, Outcome, PublicKey, StoreKind};
use tokio::time::Instant;

use crate::batch::Place;
use crate::command::{Command, Commands, Start};
use crate::error::RequestError;
use crate::message::{Message, Recipient, Reply};
use crate::queue::NotTaken;
use crate::slot::{Ended, Slot};

/// Requests that wait for the driver to begin them. Above it a new one ends as `NotSent(Busy)`: a
/// driver that is so far behind has more to do than the machine can.
pub(crate) const WAITING_MAX: usize = 65_536;

/// A request that has not started. Does nothing until it is awaited or started.
#[must_use = "a request does nothing until awaited or started"]
#[derive(Debug)]
pub struct Request {
    commands: Commands,
    to: Recipient,
    message: Message,
    identity: Option<PublicKey>,
    soft: Option<Duration>,
    is_soft_learned: bool,
    is_measured: bool,
    hard: Duration,
    hard_max: Duration,
    room: Option<usize>,
    wants: StoreKind,
    post_quantum: bool,
}

impl Request {
    pub(crate) const fn new(commands: Commands, to: Recipient, message: Message) -> Self {
        let hard = Duration::from_mins(1);
        Self {
            commands,
            to,
            message,
            identity: None,
            soft: None,
            is_soft_learned: false,
            is_measured: true,
            hard,
            hard_max: Duration::ZERO,
            room: None,
            wants: StoreKind::Ram,
            post_quantum: false,
        }
    }

    /// After this long, [`Pending::before_slow`] returns and [`Progress::Slow`] is reported, once.
    /// Nothing else happens: the reply stays welcome. Default: never.
    pub const fn soft_timeout(mut self, after: Duration) -> Self {
        self.soft = Some(after);
        self.is_soft_learned = false;
        self
    }

    /// The same after as long as this peer usually takes to answer this kind and twice the deviation from
    /// that, as earlier requests of this node have shown (never before 200 ms); `until_known` is used until
    /// it has answered eight times.
    pub const fn soft_timeout_learned(mut self, until_known: Duration) -> Self {
        self.soft = Some(until_known);
        self.is_soft_learned = true;
        self
    }

    /// Nothing is to be learned from how this request goes: for those whose reply the peer holds back on
    /// purpose, such as long polls. See [`Request::soft_timeout_learned`] and
    /// [`Node::best_first`](crate::Node::best_first).
    pub const fn unmeasured(mut self) -> Self {
        self.is_measured = false;
        self
    }

    /// After this long the request is over and its memory is freed. Always finite; default 60 s.
    pub const fn hard_timeout(mut self, after: Duration) -> Self {
        self.hard = after;
        self
    }

    /// Lets progress of a large body, ours or the reply's, put the hard timeout off: it then counts from the
    /// last bytes that arrived, and ends the request this long after its start in any case. The peer is
    /// asked to remember the request as long. Default: nothing puts it off.
    pub const fn hard_timeout_max(mut self, after: Duration) -> Self {
        self.hard_max = after;
        self
    }

    /// The largest reply that is welcome, in bytes. Default: what the node's limits say.
    pub const fn reply_room(mut self, bytes: usize) -> Self {
        self.room = Some(bytes);
        self
    }

    /// Asks as another of the node's identities (see `Builder::also`).
    pub const fn from_identity(mut self, key: PublicKey) -> Self {
        self.identity = Some(key);
        self
    }

    /// It is to outlive restarts, as far as there are disks to remember it.
    ///
    /// The receiver's (see `Builder::store`): then it is taken at most once over all the receiver's
    /// restarts, and a reply that was lost is given again. This node's: then it is asked to its end also
    /// if this node is killed, under the same id; [`Node::attach`](crate::Node::attach) finds it again.
    /// With both it is executed exactly once, or ends as `Unknown` where the receiver died while its
    /// handler was at work. Each costs a wait for that disk. Without them it is as any other request.
    ///
    /// What this node keeps ends by its outcome or its hard timeout, which goes on while the node is
    /// down, and not by being dropped; see [`Node::forget`](crate::Node::forget). The outcome stays on the
    /// disk until a handle that has given it is dropped: who must not lose it keeps the handle
    /// (`(&mut pending).await`) until it has made use of it.
    pub const fn durable(mut self) -> Self {
        self.wants = StoreKind::Durable;
        self
    }

    /// It may travel only under keys that a quantum computer does not give away to whoever recorded the
    /// traffic: in a session with a hybrid suite (X25519 and ML-KEM-768), and never in a first flight. It
    /// waits for such a session, and ends as [`NotSent::NoHybridSuite`] if the peer, or this node, takes no
    /// hybrid suite. All requests use one where both sides can; this one uses nothing else. Its reply comes
    /// in the session that the peer sends on, which is a hybrid one once it has one with this node.
    pub const fn post_quantum(mut self) -> Self {
        self.post_quantum = true;
        self
    }

    /// Starts it.
    pub fn start(self) -> Pending {
        self.start_as(MessageClass::Request)
    }

    /// Starts it as a message that wants no reply: it ends with an empty one when its receiver has taken it. With
    /// [`Request::durable`] it also reaches one that is away, by letter.
    pub fn start_send(self) -> Pending {
        self.start_as(MessageClass::Send)
    }

    /// Bytes of its body.
    pub(crate) fn body_bytes(&self) -> usize {
        self.message.body.len()
    }

    pub(crate) fn start_as(self, class: MessageClass) -> Pending {
        let (pending, start) = self.into_parts(class, None);
        pending.commands.bell().hang(&pending.commands);
        pending.begin(start);
        pending
    }

    /// What the driver is to do, and the handle that hears how it went.
    pub(crate) fn into_parts(self, class: MessageClass, place: Option<Place>) -> (Pending, Start) {
        let slot = Arc::new(Slot::new(&self.message.body, place));
        let start = Start {
            slot: Arc::clone(&slot),
            to: self.to,
            class,
            message: self.message,
            identity: self.identity,
            soft: self.soft,
            is_soft_learned: self.is_soft_learned,
            is_measured: self.is_measured,
            hard: self.hard,
            hard_max: self.hard_max,
            room: self.room,
            wants: self.wants,
            post_quantum: self.post_quantum,
        };
        let pending = Pending {
            commands: self.commands,
            slot,
            started: Instant::now(),
            hard: self.hard,
            is_over: false,
            taken: None,
        };
        (pending, start)
    }
}

impl IntoFuture for Request {
    type Output = Result<Reply, RequestError>;
    type IntoFuture = Pending;

    fn into_future(self) -> Pending {
        self.start()
    }
}

/// Something that happened to a request under way.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// A durable request is on the disk of this node: it will not be forgotten.
    Kept,
    /// A durable request goes to a peer that keeps no store on a disk: it is taken at most once only as long as
    /// that peer runs, and its outcome is unknown if it is restarted meanwhile.
    InMemory,
    /// Somebody keeps a durable message for the peer, who is away: see [`Node::letters`](crate::Node::letters). Told once.
    Stored,
    /// The peer has taken it and works on it.
    Taken,
    /// The soft timeout passed. A good moment to ask somebody else as well.
    Slow,
    /// So many bytes of a body that travels in parts have arrived at the peer. Told from time to time, and
    /// only the newest; a body is there as a whole when it is taken or replied to.
    Sent {
        /// Bytes that have arrived.
        bytes: usize,
        /// Bytes of the whole body.
        total: usize,
    },
    /// So many bytes of a reply that travels in parts have arrived here.
    Received {
        /// Bytes that have arrived.
        bytes: usize,
        /// Bytes of the whole body.
        total: usize,
    },
    /// The reply.
    Replied(Reply),
}

/// A request under way. Dropping it forgets the request, unless the disk of this node keeps it.
#[derive(Debug)]
pub struct Pending {
    commands: Commands,
    slot: Arc<Slot>,
    started: Instant,
    hard: Duration,
    is_over: bool,
    /// The id of one that the disk keeps, once this handle has given its outcome.
    taken: Option<MessageId>,
}

impl Pending {
    /// A handle for a request that was begun before, perhaps in an earlier run of the node.
    pub(crate) fn attached(commands: Commands, slot: Arc<Slot>) -> Self {
        let hard = slot.hard();
        Self { commands, slot, started: Instant::now(), hard, is_over: false, taken: None }
    }

    /// Hands it over to its node.
    pub(crate) fn begin(&self, start: Start) {
        match self.commands.push_below(WAITING_MAX, Command::Start(start)) {
            Ok(()) => {}
            Err(NotTaken::Full) => self.slot.finish_here(Outcome::NotSent(NotSent::Busy)),
            Err(NotTaken::Closed) => self.slot.finish_here(Outcome::Closing),
        }
    }

    /// Whether it is a request of the node at the other end of this line.
    pub(crate) fn is_of(&self, commands: &Commands) -> bool {
        self.commands.is_same(commands)
    }

    /// The id of the message, once the node has numbered it.
    pub fn id(&self) -> Option<MessageId> {
        self.slot.id()
    }

    /// Whether the soft timeout has passed.
    pub fn is_slow(&self) -> bool {
        self.slot.is_slow()
    }

    /// The reply, or `None` when the soft timeout passes first. Cancel safe; ask again for the reply.
    ///
    /// # Errors
    /// The outcome, if it is no reply.
    pub async fn before_slow(&mut self) -> Result<Option<Reply>, RequestError> {
        loop {
            match self.progress().await? {
                Progress::Slow => return Ok(None),
                Progress::Replied(reply) => return Ok(Some(reply)),
                _ => {}
            }
        }
    }

    /// Each step as it happens, for programs that show them. Cancel safe. After the reply there is
    /// nothing more.
    ///
    /// # Errors
    /// The outcome, if it is no reply.
    pub async fn progress(&mut self) -> Result<Progress, RequestError> {
        std::future::poll_fn(|context| self.poll_progress(context)).await
    }

    fn poll_progress(&mut self, context: &Context<'_>) -> Poll<Result<Progress, RequestError>> {
        if let Some(step) = self.slot.next_step() {
            return Poll::Ready(Ok(step));
        }
        self.poll_outcome(context).map(|outcome| outcome.map(Progress::Replied))
    }

    pub(crate) fn poll_outcome(
        &mut self,
        context: &Context<'_>,
    ) -> Poll<Result<Reply, RequestError>> {
        let Some(Ended { outcome, via, kept }) = self.slot.outcome_or_wake(context.waker()) else {
            return Poll::Pending;
        };
        self.taken = kept;
        self.is_over = true;
        let took = self.started.elapsed();
        Poll::Ready(match outcome {
            Outcome::Reply { body, attempts, .. } => Ok(Reply { body, took, via, attempts }),
            Outcome::Accepted { attempts, .. } => {
                Ok(Reply { body: Bytes::new(), took, via, attempts })
            }
            Outcome::Refused(why) => Err(RequestError::Refused(why)),
            Outcome::NotSent(why) => Err(RequestError::NotSent(why)),
            Outcome::TimedOut { taken } => Err(RequestError::TimedOut { after: self.hard, taken }),
            Outcome::Unknown { attempts } => Err(RequestError::Unknown { attempts }),
            Outcome::Closing => Err(RequestError::Closing),
        })
    }
}

impl Future for Pending {
    type Output = Result<Reply, RequestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_outcome(context)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(id) = self.taken {
            // Without a driver the store keeps it for the next run.
            let _ = self.commands.push(Command::Forget(id));
        }
        if !self.is_over && !self.slot.is_over() {
            // Without a driver there is nothing to forget.
            let _ = self.commands.push(Command::Cancel(Arc::clone(&self.slot)));
        }
    }
}
