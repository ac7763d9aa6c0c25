//! The driver's side of the TCP path.
//!
//! Writes at once what the network takes, keeps the idle schedule, and turns what the tasks left
//! into events. Everything that waits is in tasks. Invariant: the table holds exactly the
//! connections of which the driver has heard and whose task has not ended.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::codes::OurOwn;
use egtp_proto::{PublicKey, Strategy};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use super::connection::{Connection, Flow, Order, Room};
use super::dial::dial;
use super::doors::{Doors, Entrance, Leave, take_in};
use super::inbox::{Inward, Taken};
use super::limits::TcpLimits;
use super::listen::{let_in, open_listeners};
use super::schedule;
use super::shared::{Common, Shared};
use crate::clock::Clock;
use crate::path::{Closed, DialId, Hint, Luggage, NotSent, Path, PathEvent, PathId};

/// Packets over TCP. Dropping it closes everything at once; to have queued packets written, close
/// the connections and wait for their `Closed` events first.
#[derive(Debug)]
pub struct TcpPath {
    shared: Arc<Shared>,
    listening: Vec<Strategy>,
    entries: HashMap<PathId, Entry, BuildHasherDefault<OurOwn>>,
    unflushed: Vec<PathId>,
    tasks: JoinSet<()>,
    ticker: Option<Ticker>,
    /// What was just taken from the inbox; kept for its memory.
    taken: Vec<Inward>,
}

#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    hint: Hint,
    state: State,
    is_unflushed: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    /// The driver believes it closed; what arrives is still handed over.
    Draining {
        since_boot: Duration,
    },
    /// Told to close, by the driver or because its drain is over.
    Closing,
    /// As before, and the driver has had its `Closed`.
    ClosingQuietly,
}

/// The next check of the idle schedule. There is none while nothing is open.
#[derive(Debug)]
struct Ticker {
    sleep: Pin<Box<Sleep>>,
    number: u64,
}

/// What a loop of a node needs for its TCP path, before its runtime runs.
#[derive(Debug)]
pub(crate) struct Seat {
    shared: Arc<Shared>,
    entrance: Entrance,
}

impl Seat {
    /// Those of all loops of a node, which know the ways to each other: of the first, and of the others.
    pub(crate) fn of_loops(
        count: usize,
        identities: Vec<PublicKey>,
        clock: Arc<dyn Clock>,
        limits: TcpLimits,
    ) -> (Self, Vec<Self>) {
        let (doors, first, others) = Doors::new(count);
        let common = Arc::new(Common::new(identities, clock, limits, doors));
        let seat = |(index, entrance): (usize, Entrance)| {
            let shared = Arc::new(Shared::new(Arc::clone(&common), index));
            Self { shared, entrance }
        };
        (seat((0, first)), (1..).zip(others).map(seat).collect())
    }
}

impl TcpPath {
    /// Listens at these addresses, for these identities; with no address it only dials. Must be
    /// called within a tokio runtime, which then runs the tasks of this path.
    ///
    /// # Errors
    /// Those of the operating system, mostly that an address is taken or not ours; and one that
    /// says that there is no runtime here.
    pub fn bind(
        listen: &[SocketAddr],
        identities: Vec<PublicKey>,
        clock: Arc<dyn Clock>,
        limits: TcpLimits,
    ) -> io::Result<Self> {
        let (seat, _) = Seat::of_loops(1, identities, clock, limits);
        Self::of_first_loop(seat, listen)
    }

    /// The path of the loop that listens for all.
    pub(crate) fn of_first_loop(seat: Seat, listen: &[SocketAddr]) -> io::Result<Self> {
        // What follows would panic without one.
        Handle::try_current().map_err(io::Error::other)?;
        let mut path = Self::of_loop(seat);
        for listener in open_listeners(listen)? {
            path.listening.push(Strategy::Tcp(listener.local_addr()?.into()));
            path.tasks.spawn(let_in(listener, Arc::clone(&path.shared)));
        }
        Ok(path)
    }

    /// The path of another one. Must be called within the runtime of that loop.
    pub(crate) fn of_loop(seat: Seat) -> Self {
        let Seat { shared, entrance } = seat;
        let mut tasks = JoinSet::new();
        tasks.spawn(take_in(entrance, Arc::clone(&shared)));
        Self {
            shared,
            listening: Vec::new(),
            entries: HashMap::default(),
            unflushed: Vec::new(),
            tasks,
            ticker: None,
            taken: Vec::new(),
        }
    }

    fn write(shared: &Shared, connection: &Connection) {
        let (flow, room) = connection.write();
        if flow != Flow::Empty {
            // The task goes on when the network takes more, or finds that the connection is gone.
            connection.wake.notify_one();
        }
        if room == Room::Again {
            let event = PathEvent::Writable { path: connection.id };
            shared.inbox.push_one(Inward::Happened(event));
        }
    }

    fn admit(&mut self, inward: Inward, events: &mut Vec<PathEvent>) {
        match inward {
            Inward::Started { connection, event } => {
                let (hint, state) = (Hint::Nothing, State::Open);
                let path = connection.id;
                self.entries.insert(path, Entry { connection, hint, state, is_unflushed: false });
                events.push(event);
            }
            Inward::Ended { path, why } => {
                match self.entries.remove(&path).map(|entry| entry.state) {
                    Some(State::Open) => events.push(PathEvent::Closed { path, why }),
                    Some(State::Closing) => {
                        events.push(PathEvent::Closed { path, why: Closed::ByUs });
                    }
                    Some(State::Draining { .. } | State::ClosingQuietly) | None => {}
                }
            }
            Inward::Happened(event) => {
                if self.is_wanted(&event) {
                    events.push(event);
                }
            }
        }
    }

    /// Accounts for an event, and says whether the driver still wants to hear of it.
    fn is_wanted(&self, event: &PathEvent) -> bool {
        match event {
            PathEvent::Received { path, packet } => {
                let Some(entry) = self.entries.get(path) else { return false };
                let unread = &entry.connection.unread;
                let before = unread.fetch_sub(packet.len(), Ordering::AcqRel);
                if before >= self.shared.limits.unread_bytes_max {
                    entry.connection.wake.notify_one();
                }
                matches!(entry.state, State::Open | State::Draining { .. })
            }
            PathEvent::Writable { path } => {
                self.entries.get(path).is_some_and(|entry| entry.state == State::Open)
            }
            _ => true,
        }
    }

    fn poll_ticker(&mut self, context: &mut Context<'_>, events: &mut Vec<PathEvent>) {
        while !self.entries.is_empty() {
            let wall = self.shared.clock.wall();
            let number = schedule::tick_number(wall);
            let ticker = self.ticker.get_or_insert_with(|| Ticker {
                sleep: Box::pin(tokio::time::sleep(schedule::until_next_tick(wall))),
                number,
            });
            if ticker.sleep.as_mut().poll(context).is_pending() {
                return;
            }
            let is_due = ticker.number != number;
            ticker.number = number;
            ticker.sleep.as_mut().reset(Instant::now() + schedule::until_next_tick(wall));
            if is_due {
                self.check_idle(events);
            }
        }
        self.ticker = None;
    }

    fn check_idle(&mut self, events: &mut Vec<PathEvent>) {
        let boot = self.shared.clock.boot();
        for (&path, entry) in &mut self.entries {
            match entry.state {
                State::Open if schedule::stops_reuse(entry.connection.idle(boot), entry.hint) => {
                    entry.state = State::Draining { since_boot: boot };
                    entry.connection.order(Order::Drain);
                    events.push(PathEvent::Closed { path, why: Closed::Idle });
                }
                State::Draining { since_boot }
                    if schedule::ends_drain(boot.saturating_sub(since_boot)) =>
                {
                    entry.state = State::ClosingQuietly;
                    entry.connection.order(Order::Close);
                }
                State::Open | State::Draining { .. } | State::Closing | State::ClosingQuietly => {}
            }
        }
    }

    fn open_entry(&mut self, path: PathId) -> Option<&mut Entry> {
        self.entries.get_mut(&path).filter(|entry| entry.state == State::Open)
    }
}

impl Path for TcpPath {
    fn reaches(&self, strategy: &Strategy) -> bool {
        matches!(strategy, Strategy::Tcp(_))
    }

    fn dial(&mut self, id: DialId, peer: PublicKey, strategy: &Strategy) {
        self.tasks.spawn(dial(Arc::clone(&self.shared), id, peer, strategy.clone()));
    }

    fn send(&mut self, path: PathId, packet: Bytes) -> Result<(), NotSent> {
        let boot = self.shared.clock.boot();
        let entry = self.open_entry(path).ok_or(NotSent::Closed)?;
        let queued = entry.connection.push(packet)?;
        entry.connection.note_use(boot);
        let is_new = !std::mem::replace(&mut entry.is_unflushed, true);
        if queued >= WRITTEN_AT_ONCE {
            let connection = Arc::clone(&entry.connection);
            Self::write(&self.shared, &connection);
        }
        if is_new {
            self.unflushed.push(path);
        }
        Ok(())
    }

    fn flush(&mut self) {
        for path in self.unflushed.drain(..) {
            if let Some(entry) = self.entries.get_mut(&path) {
                entry.is_unflushed = false;
                Self::write(&self.shared, &entry.connection);
            }
        }
    }

    fn room(&self, path: PathId) -> usize {
        match self.entries.get(&path) {
            Some(entry) if entry.state == State::Open => entry.connection.room(),
            Some(_) | None => 0,
        }
    }

    fn hint(&mut self, path: PathId, hint: Hint) {
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.hint = hint;
        }
    }

    fn accept_peer(&mut self, path: PathId) {
        if let Some(entry) = self.entries.get(&path) {
            entry.connection.trust();
        }
    }

    fn close(&mut self, path: PathId) {
        let Some(entry) = self.entries.get_mut(&path) else { return };
        entry.state = match entry.state {
            State::Open | State::Closing => State::Closing,
            State::Draining { .. } | State::ClosingQuietly => State::ClosingQuietly,
        };
        entry.connection.order(Order::Finish);
    }

    fn hand_over(&mut self, path: PathId, to: usize, luggage: Luggage) -> Result<(), Luggage> {
        // Its task has the connection, too, until it has ended.
        let goes_on =
            |entry: &Entry| entry.state == State::Open && Arc::strong_count(&entry.connection) > 1;
        if !self.entries.get(&path).is_some_and(goes_on) {
            self.close(path);
            return Err(luggage);
        }
        let Some(entry) = self.entries.remove(&path) else { return Err(luggage) };
        let Luggage { stray, mut behind } = luggage;
        self.shared.inbox.take_packets_of(path, &mut behind);
        entry.connection.order_to_leave(Leave { to, luggage: Luggage { stray, behind } });
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>, events: &mut Vec<PathEvent>) -> Poll<()> {
        let before = events.len();
        while self.tasks.try_join_next().is_some() {}
        let mut taken = std::mem::take(&mut self.taken);
        while self.shared.inbox.take(context, &mut taken) == Taken::Something {
            for inward in taken.drain(..) {
                self.admit(inward, events);
            }
            if events.len() > before {
                break;
            }
        }
        self.taken = taken;
        self.poll_ticker(context, events);
        if events.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }

    fn listening(&self) -> Vec<Strategy> {
        self.listening.clone()
    }
}

/// From here on more waiting only makes bigger writes, and the other end could already read.
const WRITTEN_AT_ONCE: usize = 64 * 1024;
