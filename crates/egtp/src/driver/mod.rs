//! The one loop in which sockets, time and the program's wishes meet the endpoint.
//!
//! Plain code over (commands, paths, timer): it owns the [`Endpoint`], runs its events one after
//! another, and knows no user task. It runs on a thread of its own, or inline on the caller's
//! runtime. Invariant: whatever happened is handed to the endpoint before anything is sent, so that
//! one packet carries all that was waiting.

mod alarm;
mod circuit_table;
mod circuits;
mod closing;
mod commands;
mod dispatch;
mod kept;
mod moves;
mod outlet;
mod post;
mod report;
mod requests;

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use egtp_proto::codes::{OurOwn, Table};
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::Lane;
use egtp_proto::{Endpoint, Event, Lost, PathId, PublicKey, QueryEvent, Source, Strategy};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tracing::{debug, info};

use self::circuit_table::Circuits;
use self::dispatch::unharmed;
use self::kept::KeptRequests;
use self::outlet::{Outlet, owner};
pub(crate) use self::post::Brought;
use self::post::Post;
pub(crate) use self::requests::Restored;
use self::requests::Running;
use crate::bell::Ringer;
use crate::clock::Clock;
use crate::command::{Command, Commands};
use crate::events::{Feed, Happening};
use crate::experience::Experience;
use crate::path::{Attempts, Closed, DialId, Hint, Path, PathEvent};
use crate::reach::{Reach, Step};
use crate::serve::{OpenQueries, Routes};
use crate::slot::Slot;
use crate::status::{OpenPath, OpenedBy};
use crate::store::Writer;

/// Commands in one round: enough to fill a record. What comes of them goes out before the next ones are looked at, so
/// that the peer is at work meanwhile.
const COMMANDS_PER_ROUND: usize = 128;
/// The same for packets and what else the paths tell.
const EVENTS_PER_ROUND: usize = 8;
/// Rounds before other tasks of the same runtime get their turn.
const ROUNDS: usize = 32;

/// The loop, as a future that ends when the node has closed.
pub(crate) struct Driver {
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
    commands: Commands,
    routes: Routes,
    paths: Vec<Box<dyn Path>>,
    reach: Reach,
    connections: HashMap<PathId, OpenPath, BuildHasherDefault<OurOwn>>,
    circuits: Circuits,
    post: Post,
    /// Who wants to know when a peer is connected no longer.
    waiters: Vec<(PublicKey, oneshot::Sender<()>)>,
    running: Table<Running>,
    kept: KeptRequests,
    queries: OpenQueries,
    feed: Feed,
    experience: Experience,
    ringer: Ringer,
    sleep: Pin<Box<Sleep>>,
    /// When that ends, as boot time.
    alarm: Duration,
    /// Commands and events that have not had their turn.
    taken: VecDeque<Command>,
    events: VecDeque<PathEvent>,
    /// What a path has just told; kept for its memory.
    told: Vec<PathEvent>,
    /// When a handler was last called, or the round began.
    handling_since: Duration,
    closing_since: Option<Duration>,
    hints_due: Duration,
    /// How long to look for more before it sleeps, and when something last happened.
    spin: Duration,
    busy_at: Duration,
    /// Where durable rows go, if there is a store.
    writer: Option<Writer>,
    /// Whether rows are on their way to it.
    is_writing: bool,
    /// The locked key file: nobody else is this identity while a loop has it open.
    hold: Option<Arc<File>>,
}

impl Driver {
    pub(crate) fn new(
        endpoint: Endpoint,
        clock: Arc<dyn Clock>,
        (commands, routes): (Commands, Routes),
        paths: Vec<Box<dyn Path>>,
        reach: Reach,
        (writer, restored): (Option<Writer>, Restored),
        hold: Option<Arc<File>>,
    ) -> Self {
        let Restored { running, kept } = restored;
        Self {
            endpoint,
            clock,
            commands,
            routes,
            paths,
            reach,
            connections: HashMap::default(),
            circuits: Circuits::default(),
            post: Post::default(),
            waiters: Vec::new(),
            running,
            kept,
            queries: OpenQueries::default(),
            feed: Feed::new(),
            experience: Experience::default(),
            ringer: Ringer::default(),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            alarm: Duration::ZERO,
            taken: VecDeque::new(),
            events: VecDeque::new(),
            told: Vec::new(),
            handling_since: Duration::ZERO,
            closing_since: None,
            hints_due: Duration::ZERO,
            spin: Duration::ZERO,
            busy_at: Duration::ZERO,
            writer,
            is_writing: false,
            hold,
        }
    }

    /// It looks for more for so long before it sleeps.
    pub(crate) const fn spinning(mut self, before_sleep: Duration) -> Self {
        self.spin = before_sleep;
        self
    }

    /// What becomes of attempts is remembered there.
    pub(crate) fn watched(mut self, attempts: Option<Attempts>) -> Self {
        self.circuits.watch(attempts);
        self
    }

    fn now(&self) -> Now {
        Now { boot: Instant::new(self.clock.boot()), wall: self.clock.wall() }
    }

    /// One round: everything that has happened, then everything there is to send. Returns whether
    /// anything had happened.
    fn round(&mut self, context: &mut Context<'_>) -> bool {
        let now = self.now();
        let mut busy = self.take_commands(now);
        busy |= self.take_path_events(now, context);
        if self.endpoint.deadline().is_some_and(|deadline| deadline <= now.boot) {
            self.endpoint.tick(now);
            busy = true;
        }
        self.handling_since = self.clock.boot();
        while let Some(event) = self.endpoint.next_event() {
            self.happened(now, event);
        }
        if let Some(writer) = &self.writer
            && let Some(batch) = self.endpoint.take_batch()
        {
            writer.write(batch);
            self.is_writing = true;
        }
        // After the events: a search that has just begun must be able to wake us when it ends.
        busy |= self.take_lookups(now, context);
        self.ringer.ring(&self.commands, now.boot.since_start());
        self.transmit(now);
        for path in &mut self.paths {
            path.flush();
        }
        busy |= self.endpoint.has_events();
        if busy {
            self.busy_at = now.boot.since_start();
        }
        busy
    }

    /// What goes through relays is part of what goes to them, and comes first.
    fn transmit(&mut self, now: Now) {
        self.look_at_relays();
        loop {
            let mut outlet = Outlet { paths: &mut self.paths, circuits: &mut self.circuits };
            self.endpoint.transmit(now, &mut outlet);
            let is_passed = self.pass_on(now);
            if !self.look_at_relays() && !is_passed {
                break;
            }
        }
    }

    fn take_path_events(&mut self, now: Now, context: &mut Context<'_>) -> bool {
        if self.events.is_empty() {
            for path in &mut self.paths {
                // Pending and Ready alike: what was appended is what happened.
                let _ = path.poll(context, &mut self.told);
            }
            self.events.extend(self.told.drain(..));
        }
        let busy = !self.events.is_empty();
        for _ in 0..EVENTS_PER_ROUND {
            let Some(event) = self.events.pop_front() else { break };
            self.path_event(now, event);
        }
        busy
    }

    fn path_event(&mut self, now: Now, event: PathEvent) {
        match event {
            PathEvent::Opened { dial, path, strategy } => match self.reach.opened(dial) {
                Some((identity, peer)) => {
                    debug!(peer = %peer.short(), %strategy, "connected");
                    self.connections.insert(path, OpenPath::new(strategy, OpenedBy::Us));
                    // Its suites are known before the first packet is made.
                    self.tell_contact(&peer);
                    let (source, lane) = (Source::Verified, Lane::Direct);
                    self.endpoint.path_up(path, identity, Some(peer), source, lane);
                }
                None => self.close_path(path),
            },
            PathEvent::DialFailed { dial, error } => {
                debug!(%error, "could not connect");
                self.dial_failed(now, dial);
            }
            PathEvent::Accepted { path, identity, from } => {
                self.accepted(path, &identity, from);
            }
            PathEvent::HandedOver { path, identity, from, luggage } => {
                if self.accepted(path, &identity, from) {
                    self.take_over(now, path, luggage);
                }
            }
            PathEvent::Received { path, packet } => {
                self.endpoint.receive(now, path, packet);
                self.hand_over_if_due();
            }
            PathEvent::Writable { path } => self.endpoint.writable(path),
            PathEvent::Closed { path, why } => {
                let peer = self.disconnected(path);
                let lost = match why {
                    Closed::Idle | Closed::ByUs => Lost::Closed,
                    _ => Lost::Broken,
                };
                debug!(?why, "connection closed");
                self.endpoint.path_down(now, path, lost);
                if let Some(relay) = peer {
                    self.end_circuits_of(now, &relay, lost);
                }
            }
        }
    }

    fn take_lookups(&mut self, now: Now, context: &mut Context<'_>) -> bool {
        let mut busy = false;
        loop {
            let paths = &self.paths;
            let Some(steps) = self.reach.poll(context, |to| reaches(paths, to)) else {
                return busy;
            };
            self.take_steps(now, steps);
            busy = true;
        }
    }

    fn take_steps(&mut self, now: Now, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Dial(dial, peer, Strategy::Relay { relay, at }) => {
                    self.open_circuit(now, dial, peer, (relay, at));
                }
                Step::Dial(dial, peer, strategy) => {
                    if let Some(path) = self.paths.iter_mut().find(|one| one.reaches(&strategy)) {
                        path.dial(dial, peer, &strategy);
                    }
                }
                Step::Failed(identity, peer, why) => {
                    info!(peer = %peer.short(), %why, "no connection");
                    // Where letters to it go is known before it is given up.
                    self.tell_contact(&peer);
                    self.endpoint.connect_failed(now, identity, &peer, why);
                }
            }
        }
    }

    /// One way to a peer leads nowhere.
    fn dial_failed(&mut self, now: Now, dial: DialId) {
        let paths = &self.paths;
        let steps = self.reach.failed(dial, |to| reaches(paths, to));
        self.take_steps(now, steps);
    }

    fn happened(&mut self, now: Now, event: Event) {
        match event {
            Event::Connect { identity, peer } => {
                let paths = &self.paths;
                let steps = self.reach.search(identity, peer, |to| reaches(paths, to));
                self.take_steps(now, steps);
            }
            Event::Authenticated { path, peer } => {
                if let Some(open) = self.connections.get_mut(&path) {
                    open.peer = Some(peer);
                    self.reach.proved(&peer, &open.strategy);
                }
                match owner(&mut self.paths, path) {
                    Some(one) => one.accept_peer(path),
                    None => self.circuits.proved(path),
                }
            }
            Event::Outcome { token, outcome } if Circuits::is_theirs(token) => {
                self.circuit_answered(now, token, &outcome);
            }
            Event::Outcome { token, outcome } => self.finish(now, token, outcome),
            Event::Hint(hint) => self.hinted(now, &hint),
            Event::Soft { token } => self.with_slot(token, Slot::slow),
            Event::Taken { token } => self.received(now, token),
            Event::Kept { token } => self.with_slot(token, Slot::kept),
            Event::InMemory { token } => self.with_slot(token, Slot::in_memory),
            Event::Progress { token, way, bytes, total } => {
                self.with_slot(token, |slot, waiting| slot.has_come(waiting, (way, bytes, total)));
            }
            Event::Arriving(arriving) => {
                unharmed(&arriving.kind, || self.routes.arriving(&arriving));
            }
            Event::Query(query) => self.dispatch(now, query),
            Event::QueryClosed { query } => {
                if let Some(open) = self.queries.remove(&query) {
                    self.feed.tell(now.wall, Happening::Withdrawn { id: open.id });
                    open.withdrawn.set();
                }
            }
            Event::Message { query, message, redelivered } => {
                let (room, patience) = (0, Duration::ZERO);
                self.tell(now, QueryEvent { query, message, room, patience, redelivered });
            }
            Event::Session { peer, .. } => self.has_session(now, peer),
            Event::TwoCopies { peer, .. } => self.saw_copies(now, peer),
            Event::AnotherCopy { from, .. } => self.told_of_copies(now, from),
            other => self.letter_event(now, other),
        }
    }

    /// Tells the endpoint what a peer says about itself, if that is known.
    fn tell_contact(&mut self, peer: &PublicKey) {
        if let Some(contact) = self.reach.contact(peer) {
            self.endpoint.learn_contact(contact);
        }
    }

    /// Tells connections whether an answer is awaited on them: often enough for the idle schedule, not
    /// at every packet.
    fn refresh_hints(&mut self, boot: Duration) {
        if boot < self.hints_due || self.connections.is_empty() {
            return;
        }
        self.hints_due = boot + HINTS_EVERY;
        self.keep_circuits(self.now());
        for path in self.connections.keys() {
            let hint = if self.endpoint.awaits(*path) { Hint::ExpectReply } else { Hint::Nothing };
            if let Some(one) = owner(&mut self.paths, *path) {
                one.hint(*path, hint);
            }
        }
    }
}

/// Whether a kind of address can be dialed: every node has relayed paths.
fn reaches(paths: &[Box<dyn Path>], to: &Strategy) -> bool {
    to.is_relayed() || paths.iter().any(|one| one.reaches(to))
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            if self.round(context) {
                continue;
            }
            if self.has_closed() {
                return Poll::Ready(());
            }
            let boot = self.clock.boot();
            self.refresh_hints(boot);
            if self.spins(boot) {
                // Comes back at once, after a look at the sockets.
                return pin!(tokio::task::yield_now()).poll(context);
            }
            if !self.commands.wake_on_push(context) {
                continue;
            }
            if self.set_alarm(boot, context).is_pending() {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Half the step of the idle schedule.
const HINTS_EVERY: Duration = Duration::from_secs(4);
/// Connection ids of the path with number n start at n times two to this power.
pub(crate) const PATH_SHIFT: u32 = 48;
