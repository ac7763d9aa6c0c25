//! One open connection, shared by the driver, who writes, and a task, which reads and finishes
//! what did not fit.
//!
//! Does not know what a packet means or when a connection is idle. Its lock is held for appending
//! and for a system call that does not wait. Invariant: orders only ever become stricter, so a
//! connection that was told to end never comes back.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::wire::stream::PACKET_BYTES_MAX;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::doors::Leave;
use super::outgoing::{Outgoing, Written};
use super::slots::{Slot, StrangerSlot};
use crate::path::{NotSent, PathId};

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: PathId,
    pub(super) stream: TcpStream,
    /// Wakes the task: orders, room in the inbox, or bytes that the network did not take.
    pub(super) wake: Notify,
    /// Bytes of packets that the driver has not taken yet.
    pub(super) unread: AtomicUsize,
    queue: Mutex<Queue>,
    queued_bytes_max: usize,
    order: AtomicU8,
    trusted: AtomicBool,
    stranger: Mutex<Option<StrangerSlot>>,
    /// Boot time of the last byte either way, in nanoseconds.
    last_use: AtomicU64,
    /// Where it goes, once it was told to leave.
    leave: Mutex<Option<Leave>>,
    slot: Slot,
}

/// What a connection has besides its stream, on its way to another loop.
#[derive(Debug)]
pub(super) struct Held {
    id: PathId,
    outgoing: Outgoing,
    slot: Slot,
    stranger: Option<StrangerSlot>,
}

#[derive(Debug)]
struct Queue {
    outgoing: Outgoing,
    /// The last packet left too little room, and the driver has not been told of more.
    pressed: bool,
    /// The network refused a write for good.
    broken: bool,
}

/// What the driver's side wants of the task. Stricter ones come later.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// Nothing new is sent; what is queued goes out, what arrives is still delivered.
    Drain,
    /// Write what is queued, then close.
    Finish,
    /// Close.
    Close,
    /// Let go of it as it is: another loop goes on.
    Leave,
}

/// What a write led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow {
    /// Nothing waits.
    Empty,
    /// The rest waits for the network.
    Blocked,
    /// The connection is gone.
    Broken,
}

/// Whether the driver waits for room that a write has made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Room {
    Again,
    Unchanged,
}

impl Connection {
    pub(super) fn new(
        id: PathId,
        stream: TcpStream,
        outgoing: Outgoing,
        queued_bytes_max: usize,
        places: (Slot, Option<StrangerSlot>),
    ) -> Self {
        let (slot, stranger) = places;
        Self {
            id,
            stream,
            wake: Notify::new(),
            unread: AtomicUsize::new(0),
            queue: Mutex::new(Queue { outgoing, pressed: false, broken: false }),
            queued_bytes_max,
            order: AtomicU8::new(Order::Serve as u8),
            trusted: AtomicBool::new(stranger.is_none()),
            stranger: Mutex::new(stranger),
            last_use: AtomicU64::new(0),
            leave: Mutex::default(),
            slot,
        }
    }

    /// The same connection, as another loop had it.
    pub(super) fn again(stream: TcpStream, held: Held, queued_bytes_max: usize) -> Self {
        let Held { id, outgoing, slot, stranger } = held;
        Self::new(id, stream, outgoing, queued_bytes_max, (slot, stranger))
    }

    /// Takes it apart, for another loop.
    pub(super) fn into_parts(self) -> (TcpStream, Held) {
        let Self { id, stream, queue, stranger, slot, .. } = self;
        let outgoing = queue.into_inner().unwrap_or_else(PoisonError::into_inner).outgoing;
        let stranger = stranger.into_inner().unwrap_or_else(PoisonError::into_inner);
        (stream, Held { id, outgoing, slot, stranger })
    }

    /// The largest packet that [`Connection::push`] takes now, if any.
    pub(super) fn room(&self) -> usize {
        let queue = self.queue();
        if queue.broken {
            return 0;
        }
        self.queued_bytes_max.saturating_sub(queue.outgoing.queued()).min(PACKET_BYTES_MAX)
    }

    /// Queues a packet; gives back how many bytes wait now.
    pub(super) fn push(&self, packet: Bytes) -> Result<usize, NotSent> {
        let mut queue = self.queue();
        let room = self.queued_bytes_max.saturating_sub(queue.outgoing.queued());
        if queue.broken {
            return Err(NotSent::Closed);
        }
        if packet.len() > room && packet.len() <= PACKET_BYTES_MAX {
            queue.pressed = true;
            return Err(NotSent::Full);
        }
        queue.outgoing.push(packet).map_err(|_| NotSent::Size)?;
        let queued = queue.outgoing.queued();
        queue.pressed |= queued.saturating_add(PACKET_BYTES_MAX) > self.queued_bytes_max;
        Ok(queued)
    }

    /// Writes what the network takes now.
    pub(super) fn write(&self) -> (Flow, Room) {
        let mut queue = self.queue();
        if queue.broken {
            return (Flow::Broken, Room::Unchanged);
        }
        let written = queue.outgoing.write(|pieces| self.stream.try_write_vectored(pieces));
        let flow = match written {
            Ok(Written::All) => Flow::Empty,
            Ok(Written::Some) => Flow::Blocked,
            Err(_) => {
                queue.broken = true;
                return (Flow::Broken, Room::Unchanged);
            }
        };
        if queue.pressed && queue.outgoing.queued() <= self.queued_bytes_max / 2 {
            queue.pressed = false;
            return (flow, Room::Again);
        }
        (flow, Room::Unchanged)
    }

    /// Whether bytes wait that the network has not taken.
    pub(super) fn has_queued(&self) -> bool {
        self.queue().outgoing.queued() > 0
    }

    /// Whether a write failed for good.
    pub(super) fn is_broken(&self) -> bool {
        self.queue().broken
    }

    /// Gives the task an order; a milder one than before changes nothing.
    pub(super) fn order(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// Orders the task to let go, for another loop to go on.
    pub(super) fn order_to_leave(&self, leave: Leave) {
        *self.leave.lock().unwrap_or_else(PoisonError::into_inner) = Some(leave);
        self.order(Order::Leave);
    }

    /// Where it goes, if it was told to leave.
    pub(super) fn take_leave(&self) -> Option<Leave> {
        self.leave.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The strictest order so far.
    pub(super) fn ordered(&self) -> Order {
        let order = self.order.load(Ordering::Acquire);
        [Order::Leave, Order::Close, Order::Finish, Order::Drain]
            .into_iter()
            .find(|known| *known as u8 == order)
            .unwrap_or(Order::Serve)
    }

    /// Lifts what holds for strangers.
    pub(super) fn trust(&self) {
        self.trusted.store(true, Ordering::Release);
        self.leave_strangers();
        self.wake.notify_one();
    }

    /// Whether the other end is no stranger: dialed by us, or trusted.
    pub(super) fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Acquire)
    }

    /// Gives back the stranger's place.
    pub(super) fn leave_strangers(&self) {
        drop(self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Something was sent or received at this boot time.
    pub(super) fn note_use(&self, boot: Duration) {
        let nanoseconds = u64::try_from(boot.as_nanos()).unwrap_or(u64::MAX);
        self.last_use.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    /// How long nothing has moved, at this boot time.
    pub(super) fn idle(&self, boot: Duration) -> Duration {
        boot.saturating_sub(Duration::from_nanos(self.last_use.load(Ordering::Relaxed)))
    }

    /// Tells the other end that nothing more will come from us.
    pub(super) fn end_our_direction(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
