//! Three endpoints, the paths between them, and every packet that was ever sent.
//!
//! Does the driver's part for each endpoint and tells a ledger of promises what is reported; decides
//! nothing by itself. Invariant: the same calls give the same packets, and a packet arrives only when
//! somebody says so.

mod node;
mod wires;

use std::collections::VecDeque;
use std::time::Duration;

use egtp_proto::limits::PACKET_BYTES_MAX;
use egtp_proto::time::{Instant, Now};
use egtp_proto::{
    Event, IdentityId, Kind, Lost, MessageClass, NotSent, PublicKey, QueryId, RefusedWhy,
    Submission,
};

use self::node::{Node, clocks, endpoint, limits};
use self::wires::{Flight, Link};
use crate::naive::promises::{Ledger, Tally};
use crate::outbound::Outbound;

/// See the head of this file.
pub struct Network {
    now: Duration,
    nodes: [Node; NODES],
    links: Vec<Link>,
    paths_made: u64,
    /// On their way, the oldest first.
    flights: VecDeque<Flight>,
    recorded: Vec<Flight>,
    ledger: Ledger,
    /// Bytes that all paths of a node together take in one transmission.
    pub room: usize,
    /// One bit for each node that can be called.
    pub callable: u8,
}

/// What somebody wants to have sent.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// To which node.
    pub to: usize,
    /// Request or send.
    pub class: MessageClass,
    /// Bytes of the body; a few more if it would not hold its number.
    pub bytes: usize,
    /// Bytes that a reply may have.
    pub room: Option<usize>,
    /// When to say that it is slow.
    pub soft: Option<Duration>,
    /// When to give up.
    pub hard: Duration,
}

impl Network {
    /// Three nodes that were just started.
    ///
    /// # Panics
    /// When the library refuses a key, which it does not.
    pub fn new() -> Self {
        let now = Duration::from_secs(1_000);
        let nodes = [0, 1, 2].map(|index| Node::new(index, now));
        Self {
            now,
            nodes,
            links: Vec::new(),
            paths_made: 0,
            flights: VecDeque::new(),
            recorded: Vec::new(),
            ledger: Ledger::default(),
            room: 1 << 20,
            callable: 0b111,
        }
    }

    /// Submits a message.
    pub fn submit(&mut self, from: usize, wish: Wish) {
        let Wish { to, class, bytes, room, soft, hard } = wish;
        let (due, most) = (self.now + hard, limits().reply_bytes_max);
        let is_told = soft.is_some_and(|soft| soft < hard);
        let reply = room.unwrap_or(most).min(most);
        let (token, body) = self.ledger.note((from, to), class, bytes, reply, is_told, due);
        let submission = Submission {
            token,
            identity: IdentityId(0),
            to: self.nodes[to].key,
            class,
            kind: Kind::new("test/1").expect("a kind"),
            body: body.into(),
            room,
            soft,
            hard,
            hard_max: Duration::ZERO,
            wants: egtp_proto::StoreKind::Ram,
            keep: None,
            post_quantum: false,
        };
        let now = self.clocks(from);
        let node = &mut self.nodes[from];
        match node.endpoint.submit(now, submission) {
            Ok((code, _)) => {
                node.open.insert(token, code);
            }
            Err(_) => self.ledger.rejected(token),
        }
    }

    /// The handlers of a node answer one of the messages that they have in hand.
    pub fn answer(&mut self, at: usize, index: usize, reply: Result<usize, RefusedWhy>) {
        let Some((number, query)) = self.take_in_hand(at, index) else { return };
        let reply = self.ledger.answers(number, reply).map(Into::into);
        let now = self.clocks(at);
        self.nodes[at].endpoint.reply(now, query, reply);
    }

    /// The handlers of a node give a message back without a reply.
    pub fn ignore(&mut self, at: usize, index: usize) {
        if let Some((_, query)) = self.take_in_hand(at, index) {
            self.nodes[at].endpoint.ignore(query);
        }
    }

    /// A node wants nothing more of one of its messages.
    pub fn cancel(&mut self, at: usize, index: usize) {
        let open = &mut self.nodes[at].open;
        let chosen =
            index.checked_rem(open.len()).and_then(|index| open.keys().nth(index).copied());
        if let Some((number, code)) = chosen.and_then(|number| open.remove_entry(&number)) {
            self.ledger.forgotten(number);
            self.nodes[at].endpoint.cancel(code);
        }
    }

    /// Kills a node and starts it again: the same key, and no memory. Its peers hear that its paths broke
    /// if it was not too sudden.
    pub fn restart(&mut self, at: usize, is_heard: bool) {
        for index in 0..self.links.len() {
            let Some(side) = self.links[index].side_of(at) else { continue };
            self.links[index].up[side] = false;
            if is_heard {
                self.disconnect_side(index, 1 - side, Lost::Broken);
            }
        }
        let node = &mut self.nodes[at];
        node.life += 1;
        node.in_hand.clear();
        for number in std::mem::take(&mut node.open).into_keys() {
            self.ledger.forgotten(number);
        }
        node.endpoint = endpoint(at, node.life, self.now, node.wall);
    }

    /// Sets the wall clock of a node wrong.
    pub fn shift_wall(&mut self, at: usize, seconds: i64) {
        self.nodes[at].wall = seconds;
    }

    /// Lets time pass for everybody, while no packet arrives.
    pub fn wait(&mut self, span: Duration) {
        self.now += span;
        for index in 0..NODES {
            let now = self.clocks(index);
            self.nodes[index].endpoint.tick(now);
        }
        for link in &self.links {
            for ((node, path), up) in link.ends.iter().zip(link.up) {
                if up {
                    self.nodes[*node].endpoint.writable(*path);
                }
            }
        }
    }

    /// Lets time pass until somebody wants to be called.
    pub fn wait_for_deadline(&mut self) {
        if let Some(span) = self.until_deadline() {
            self.wait(span);
        }
    }

    /// Lets time pass while every packet arrives, in order.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.settle();
        for _ in 0..ROUNDS_MAX {
            let pause = if self.flights.is_empty() {
                self.until_deadline().unwrap_or(span)
            } else {
                TRAVEL
            };
            let left = end.saturating_sub(self.now);
            self.wait(pause.min(left));
            for _ in 0..self.flights.len() {
                self.deliver(0);
            }
            self.settle();
            if left.is_zero() {
                return;
            }
        }
        self.wait(end.saturating_sub(self.now));
        self.settle();
    }

    /// Does the drivers' part until nothing happens any more, and checks the promises.
    ///
    /// # Panics
    /// When one is broken.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut is_busy = false;
            for index in 0..NODES {
                while let Some(event) = self.nodes[index].endpoint.next_event() {
                    self.take_event(index, event);
                }
                is_busy |= self.transmit(index);
            }
            if !is_busy {
                for (index, node) in self.nodes.iter().enumerate() {
                    let sizes = node.endpoint.sizes();
                    assert_eq!(sizes.open, self.ledger.open_at(index, self.now));
                    assert_eq!(sizes.open, node.open.len());
                    let most = (NODES - 1) * limits().queries_per_peer;
                    assert!(node.in_hand.len() <= most, "more in hand than anybody may have");
                    assert!(sizes.peers < NODES && sizes.dialogs <= limits().dialogs_max);
                    assert!(sizes.queries + sizes.held <= most, "{sizes:?}");
                }
                return;
            }
        }
        panic!("the endpoints talk without end");
    }

    /// All that disturbed them is over: what waits is answered, everybody can be called. A while later
    /// a small and a large request are answered, and whoever closes has nothing left.
    ///
    /// # Panics
    /// When that is not so.
    pub fn end(mut self) {
        (self.room, self.callable) = (1 << 20, 0b111);
        for index in 0..self.links.len() {
            if self.links[index].up != [true; 2] {
                self.disconnect(index, Lost::Broken, true);
            }
        }
        self.settle();
        for _ in 0..RECOVERY_STEPS {
            self.answer_all();
            self.run(RECOVERY / RECOVERY_STEPS);
        }
        let (from, to) = (self.recorded.len() % NODES, (self.recorded.len() + 1) % NODES);
        let before = self.ledger.tally().replies;
        for bytes in [60, 30_000] {
            let (class, hard) = (MessageClass::Request, Duration::from_secs(500));
            self.submit(from, Wish { to, class, bytes, room: None, soft: None, hard });
        }
        self.settle();
        // What is lost on the way is sent again.
        self.flights.clear();
        for _ in 0..RECOVERY_STEPS {
            if self.ledger.tally().replies >= before + 2 {
                break;
            }
            self.run(Duration::from_secs(15));
            self.answer_all();
            self.settle();
        }
        self.run(Duration::from_secs(1));
        assert_eq!(self.ledger.tally().replies, before + 2, "they do not understand each other");
        for index in 0..NODES {
            self.nodes[index].endpoint.close();
        }
        self.settle();
        assert!(self.nodes.iter().all(|node| node.endpoint.sizes().open == 0));
    }

    /// What has happened.
    pub const fn tally(&self) -> Tally {
        self.ledger.tally()
    }

    fn answer_all(&mut self) {
        for index in 0..NODES {
            while !self.nodes[index].in_hand.is_empty() {
                self.answer(index, 0, Ok(60));
            }
        }
    }

    fn take_event(&mut self, at: usize, event: Event) {
        let node = &mut self.nodes[at];
        match event {
            Event::Query(query) => {
                let (class, message) = (MessageClass::Request, &query.message);
                let from = self.node_of(&message.from);
                let life = self.nodes[at].life;
                let number = self.ledger.handed((from, at), life, class, &message.body);
                self.nodes[at].in_hand.insert(number, query.query);
            }
            Event::Message { query, message, .. } => {
                let from = self.node_of(&message.from);
                let (life, class) = (self.nodes[at].life, MessageClass::Send);
                let number = self.ledger.handed((from, at), life, class, &message.body);
                self.nodes[at].in_hand.insert(number, query);
            }
            Event::QueryClosed { query } => {
                let is_in_hand = node.in_hand.values().any(|known| *known == query);
                assert!(is_in_hand, "nobody works on {query:?}");
            }
            Event::Outcome { token, outcome } => {
                node.open.remove(&token);
                self.ledger.ended(at, token, self.now, &outcome);
            }
            Event::Soft { token } => self.ledger.slow(at, token),
            Event::Taken { token } => self.ledger.taken(at, token),
            Event::Connect { identity, peer } => {
                let to = self.node_of(&peer);
                if self.callable >> to & 1 == 1 {
                    self.connect(at, to, 0);
                } else {
                    let (now, why) = (self.clocks(at), NotSent::Unreachable);
                    self.nodes[at].endpoint.connect_failed(now, identity, &peer, why);
                }
            }
            _ => {}
        }
    }

    fn transmit(&mut self, from: usize) -> bool {
        let now = self.clocks(from);
        let mut sink = Outbound { room: self.room, sent: Vec::new() };
        let node = &mut self.nodes[from];
        node.endpoint.transmit(now, &mut sink);
        let is_busy = !sink.sent.is_empty() || node.endpoint.has_events();
        for (path, packet) in sink.sent {
            assert!(packet.len() <= PACKET_BYTES_MAX);
            let link = self.links.iter().find_map(|link| {
                let side = link.ends.iter().position(|end| *end == (from, path))?;
                link.up[side].then_some(link.ends[1 - side])
            });
            if let Some((to, path)) = link {
                let flight = Flight { to, path, packet };
                self.recorded.push(flight.clone());
                self.flights.push_back(flight);
            }
        }
        is_busy
    }

    fn until_deadline(&self) -> Option<Duration> {
        let deadlines = self.nodes.iter().filter_map(|node| node.endpoint.deadline());
        deadlines.min().map(|deadline| deadline.since(Instant::new(self.now)))
    }

    fn take_in_hand(&mut self, at: usize, index: usize) -> Option<(u64, QueryId)> {
        let in_hand = &mut self.nodes[at].in_hand;
        let number = *in_hand.keys().nth(index.checked_rem(in_hand.len())?)?;
        in_hand.remove_entry(&number)
    }

    fn node_of(&self, key: &PublicKey) -> usize {
        let known = self.nodes.iter().position(|node| node.key == *key);
        known.expect("there is nobody else")
    }

    fn clocks(&self, node: usize) -> Now {
        clocks(self.now, self.nodes[node].wall)
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

const NODES: usize = 3;
/// How long a packet travels when nothing is in its way.
const TRAVEL: Duration = Duration::from_millis(5);
/// Longer than the longest back-off, and than any request of a script is waited for.
const RECOVERY: Duration = Duration::from_mins(12);
const RECOVERY_STEPS: u32 = 24;
const ROUNDS_MAX: usize = 4_000;
