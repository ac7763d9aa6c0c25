//! A small world for tests: endpoints, connections between them, one virtual clock.
//!
//! Not the simulator: no faults are drawn at random; a test says what happens to which packet.
//! Everything that an endpoint emits goes through [`World::network`] in order of arrival time.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "each test file uses its own part, and helpers of tests fail as loudly as tests"
)]

pub mod disk;
pub mod post;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use disk::Disk;
use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::exchange::durable::SavedAsk;
use egtp_proto::limits::Limits;
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::Lane;
use egtp_proto::{
    Config, Endpoint, Event, IdentityId, Kind, Lost, MessageClass, NotSent, Outcome, PathId,
    Policy, PublicKey, QueryId, RefusedWhy, SecretKey, Sink, Source, StoreKind, Submission,
};
use post::Post;

/// One machine.
pub struct Machine {
    pub endpoint: Endpoint,
    pub key: PublicKey,
    pub seed: u8,
    pub up: bool,
    /// What handlers do with a query: the test may change it.
    pub handler: Handler,
    /// Bodies that handlers were given, in order.
    pub executed: Vec<Bytes>,
    pub events: Vec<Event>,
    pub outcomes: BTreeMap<u64, Vec<Outcome>>,
    pub waiting: VecDeque<(QueryId, Bytes)>,
    pub config: fn(&mut Config),
    pub wall_offset: Duration,
    /// Its durable store, if it has one.
    pub disk: Option<Disk>,
    /// Kinds that it takes otherwise than at most once.
    pub policies: BTreeMap<Kind, Policy>,
}

/// What a machine does with queries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handler {
    /// Answers with the body, at once.
    Echo,
    /// Keeps the query until the test answers it.
    Hold,
    /// Refuses.
    Refuse,
    /// Never answers.
    Ignore,
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct Flight {
    pub at: Instant,
    pub from: usize,
    pub to: usize,
    pub path: PathId,
    pub packet: Vec<u8>,
}

/// All machines and what is between them.
pub struct World {
    pub machines: Vec<Machine>,
    pub now: Instant,
    pub delay: Duration,
    pub network: Vec<Flight>,
    /// Every packet that was ever sent, for replays.
    pub recorded: Vec<Flight>,
    /// (machine, its path) to (other machine, its path).
    pub links: HashMap<(usize, PathId), (usize, PathId)>,
    pub next_path: u64,
    pub next_token: u64,
    /// May drop or change a packet.
    pub tamper: fn(&mut Flight) -> bool,
    pub room: usize,
    pub source: Source,
    /// Whether connections that are asked for lead through a relay.
    pub relayed: bool,
    /// How often a machine had to be woken or given something.
    pub steps: u64,
    /// Which machines can be called.
    pub callable: Vec<bool>,
    /// By which store of the receiver messages are to be remembered.
    pub wants: StoreKind,
    /// Whether messages are to outlive the run of their sender, if it has a disk.
    pub keeps: bool,
    /// Whether what is submitted wants a hybrid suite.
    pub post_quantum: bool,
    /// Until when progress may put off the hard timeout of what is submitted.
    pub hard_max: Duration,
    /// Letters, and who takes some.
    pub post: Post,
}

struct Outbound {
    sent: Vec<(PathId, Vec<u8>)>,
    room: usize,
}

impl Sink for Outbound {
    fn room(&self, _path: PathId) -> usize {
        let used: usize = self.sent.iter().map(|(_, packet)| packet.len()).sum();
        self.room.saturating_sub(used)
    }

    fn send(&mut self, path: PathId, packet: Vec<u8>) {
        self.sent.push((path, packet));
    }
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn make(seed: u8, generation: u8, adjust: fn(&mut Config), now: Now) -> (Endpoint, PublicKey) {
    let secret = SecretKey::from_seed([seed; 32]);
    let key = secret.public();
    let mut random = [seed; 32];
    random[1] = generation;
    let mut config = Config {
        identities: vec![secret.into()],
        limits: Limits::default(),
        seed: random,
        suites: Suites::all(Cipher::Aes256Gcm),
        reachable: true,
        exclusive: true,
        part: egtp_proto::Part::WHOLE,
    };
    adjust(&mut config);
    (Endpoint::new(config, now).unwrap(), key)
}

/// What a life begins with. Messages of an earlier one are called after the serial that they have.
pub fn restore(endpoint: &mut Endpoint, now: Now, disk: &Disk) {
    let token = |ask: &SavedAsk| EARLIER + ask.name.serial;
    let left_out = endpoint.add_store(now, IdentityId(0), disk.saved.clone(), token);
    assert_eq!(left_out, 0, "there is room for all of them");
}

/// The token of the message of an earlier life with serial 0.
pub const EARLIER: u64 = 1_000_000;

/// With the value `durable` every machine of these tests has a durable store, and what they ask wants it.
const STORES: &str = "EGTP_TEST_STORES";

impl World {
    /// `count` machines with keys of their own.
    pub fn new(count: u8) -> Self {
        Self::with(count, |_| {})
    }

    pub fn with(count: u8, adjust: fn(&mut Config)) -> Self {
        let mut world = Self::without_disks(count, adjust);
        if std::env::var_os(STORES).is_some_and(|stores| stores == "durable") {
            (0..world.machines.len()).for_each(|machine| world.give_disk(machine));
            world.wants = StoreKind::Durable;
        }
        world
    }

    /// For tests that say themselves who has a disk, and what is to be on it.
    pub fn without_disks(count: u8, adjust: fn(&mut Config)) -> Self {
        let mut world = Self {
            machines: Vec::new(),
            now: Instant::new(secs(1000)),
            delay: millis(10),
            network: Vec::new(),
            recorded: Vec::new(),
            links: HashMap::new(),
            next_path: 1,
            next_token: 1,
            tamper: |_| true,
            room: 1 << 20,
            source: Source::Verified,
            relayed: false,
            steps: 0,
            callable: vec![true; usize::from(count)],
            wants: StoreKind::Ram,
            keeps: false,
            post_quantum: false,
            hard_max: Duration::ZERO,
            post: Post::default(),
        };
        for seed in 1..=count {
            let now = world.clocks(Duration::ZERO);
            let (endpoint, key) = make(seed, 0, adjust, now);
            world.machines.push(Machine {
                endpoint,
                key,
                seed,
                up: true,
                handler: Handler::Echo,
                executed: Vec::new(),
                events: Vec::new(),
                outcomes: BTreeMap::new(),
                waiting: VecDeque::new(),
                config: adjust,
                wall_offset: Duration::ZERO,
                disk: None,
                policies: BTreeMap::new(),
            });
        }
        world
    }

    fn clocks(&self, wall_offset: Duration) -> Now {
        Now { boot: self.now, wall: secs(1_700_000_000) + self.now.since_start() + wall_offset }
    }

    pub fn at(&self, machine: usize) -> Now {
        self.clocks(self.machines[machine].wall_offset)
    }

    pub fn key(&self, machine: usize) -> PublicKey {
        self.machines[machine].key
    }

    /// Begins a request; returns its token.
    pub fn request(&mut self, from: usize, to: usize, body: &[u8]) -> u64 {
        self.submit(from, to, body, MessageClass::Request, None, secs(30))
    }

    pub fn submit(
        &mut self,
        from: usize,
        to: usize,
        body: &[u8],
        class: MessageClass,
        soft: Option<Duration>,
        hard: Duration,
    ) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        let submission = Submission {
            token,
            identity: IdentityId(0),
            to: self.key(to),
            class,
            kind: Kind::new("test/1").unwrap(),
            body: Bytes::copy_from_slice(body),
            room: None,
            soft,
            hard,
            hard_max: self.hard_max,
            wants: self.wants,
            keep: self.keeps.then(Vec::new),
            post_quantum: self.post_quantum,
        };
        let now = self.at(from);
        if let Err(error) = self.machines[from].endpoint.submit(now, submission) {
            let outcomes = self.machines[from].outcomes.entry(token).or_default();
            outcomes.push(Outcome::NotSent(error));
        }
        self.settle();
        token
    }

    /// The one outcome of a token, if it has come.
    pub fn outcome(&self, machine: usize, token: u64) -> Option<&Outcome> {
        let outcomes = self.machines[machine].outcomes.get(&token)?;
        assert_eq!(outcomes.len(), 1, "more than one outcome: {outcomes:?}");
        outcomes.first()
    }

    pub fn reply_of(&self, machine: usize, token: u64) -> Option<Bytes> {
        match self.outcome(machine, token)? {
            Outcome::Reply { body, .. } => Some(body.clone()),
            _ => None,
        }
    }

    /// A connection from one machine to another, as seen by both.
    pub fn connect(&mut self, from: usize, to: usize) -> (PathId, PathId) {
        let (here, there) = (PathId(self.next_path), PathId(self.next_path + 1));
        self.next_path += 2;
        self.links.insert((from, here), (to, there));
        self.links.insert((to, there), (from, here));
        let (peer, id) = (self.key(to), IdentityId(0));
        let relay = Source::Claimed(vec![200; 32]);
        let (ours, theirs, lane) = if self.relayed {
            (relay.clone(), relay, Lane::Relay)
        } else {
            (Source::Verified, self.source.clone(), Lane::Direct)
        };
        self.machines[from].endpoint.path_up(here, id, Some(peer), ours, lane);
        self.machines[to].endpoint.path_up(there, id, None, theirs, lane);
        (here, there)
    }

    /// Cuts every connection of a machine.
    pub fn cut(&mut self, machine: usize, lost: Lost) {
        let mut cut: Vec<_> = self
            .links
            .iter()
            .filter(|((at, _), (other, _))| *at == machine || *other == machine)
            .map(|(end, _)| *end)
            .collect();
        cut.sort_by_key(|(machine, path)| (*machine, path.0));
        self.network.retain(|flight| flight.from != machine && flight.to != machine);
        for (at, path) in cut {
            self.links.remove(&(at, path));
            let now = self.at(at);
            if self.machines[at].up {
                self.machines[at].endpoint.path_down(now, path, lost);
            }
        }
    }

    /// Kills a machine: its memory is gone.
    pub fn kill(&mut self, machine: usize) {
        self.machines[machine].up = false;
        self.machines[machine].disk.iter_mut().for_each(|disk| disk.at_work = None);
        self.post.forget_readings(machine);
        self.cut(machine, Lost::Broken);
        self.settle();
    }

    /// Starts it again with the same key and empty memory.
    pub fn restart(&mut self, machine: usize, generation: u8) {
        let now = self.at(machine);
        let one = &mut self.machines[machine];
        one.endpoint = make(one.seed, generation, one.config, now).0;
        for (kind, policy) in &one.policies {
            one.endpoint.set_policy(kind.clone(), *policy);
        }
        if let Some(disk) = &one.disk {
            restore(&mut one.endpoint, now, disk);
        }
        one.up = true;
        one.waiting.clear();
    }

    /// Delivers a packet to a machine on one of its paths, out of turn.
    pub fn inject(&mut self, to: usize, path: PathId, packet: &[u8]) {
        let now = self.at(to);
        self.machines[to].endpoint.receive(now, path, BytesMut::from(packet));
        self.settle();
    }

    pub fn answer(&mut self, machine: usize, query: QueryId, reply: Result<Bytes, RefusedWhy>) {
        let now = self.at(machine);
        self.machines[machine].endpoint.reply(now, query, reply);
        self.settle();
    }

    /// Lets everything that is due now happen.
    pub fn settle(&mut self) {
        loop {
            let mut busy = false;
            for machine in 0..self.machines.len() {
                if self.machines[machine].up {
                    busy |= self.sync(machine);
                    busy |= self.serve(machine);
                    busy |= self.transmit(machine);
                }
            }
            if !busy {
                break;
            }
        }
    }

    /// Gives a machine a disk with a new durable store.
    pub fn give_disk(&mut self, machine: usize) {
        let now = self.at(machine);
        let one = &mut self.machines[machine];
        let disk = Disk::new(7_000 + u64::from(one.seed));
        restore(&mut one.endpoint, now, &disk);
        one.disk = Some(disk);
    }

    /// From now on, in all its lives, a machine takes requests of the tests' kind so.
    pub fn set_policy(&mut self, machine: usize, policy: Policy) {
        let one = &mut self.machines[machine];
        let kind = Kind::new("test/1").unwrap();
        one.endpoint.set_policy(kind.clone(), policy);
        one.policies.insert(kind, policy);
    }

    /// Lets a disk that was stuck go on, or makes it stuck.
    pub fn stick(&mut self, machine: usize, is_stuck: bool) {
        self.machines[machine].disk.as_mut().unwrap().is_stuck = is_stuck;
        self.settle();
    }

    fn sync(&mut self, machine: usize) -> bool {
        let now = self.at(machine);
        let one = &mut self.machines[machine];
        let Some(disk) = one.disk.as_mut() else { return false };
        let Some(batch) = disk.next_batch(&mut one.endpoint) else { return false };
        if let Some((_, is_there)) = disk.dies_at.take_if(|(at, _)| *at == disk.commits) {
            if is_there {
                disk.commit(&batch);
            }
            self.kill(machine);
            return true;
        }
        let ran = disk.commit(&batch);
        one.endpoint.committed(now, batch.number, ran);
        true
    }

    fn serve(&mut self, machine: usize) -> bool {
        let mut busy = false;
        while let Some(event) = self.machines[machine].endpoint.next_event() {
            busy = true;
            let now = self.at(machine);
            let one = &mut self.machines[machine];
            one.events.push(event.clone());
            match event {
                Event::Query(query) => {
                    one.executed.push(query.message.body.clone());
                    let body = query.message.body.clone();
                    match one.handler {
                        Handler::Echo => one.endpoint.reply(now, query.query, Ok(body)),
                        Handler::Refuse => {
                            one.endpoint.reply(now, query.query, Err(RefusedWhy::NotAllowed));
                        }
                        Handler::Hold => one.waiting.push_back((query.query, body)),
                        Handler::Ignore => one.endpoint.ignore(query.query),
                    }
                }
                Event::Message { query, message, .. } => {
                    one.executed.push(message.body.clone());
                    match one.handler {
                        Handler::Hold => one.waiting.push_back((query, message.body)),
                        _ => one.endpoint.ignore(query),
                    }
                }
                Event::Outcome { token, outcome } => {
                    one.outcomes.entry(token).or_default().push(outcome);
                }
                Event::Connect { identity, peer } => {
                    let other = self.machines.iter().position(|other| other.key == peer);
                    if let Some(other) = other {
                        self.look_up(machine, other);
                    }
                    let now = self.at(machine);
                    let other = other.filter(|other| self.machines[*other].up);
                    let other = other.filter(|other| self.callable[*other]);
                    match other {
                        Some(other) => {
                            self.connect(machine, other);
                        }
                        None => self.machines[machine].endpoint.connect_failed(
                            now,
                            identity,
                            &peer,
                            NotSent::Unreachable,
                        ),
                    }
                }
                event => self.post_event(machine, event),
            }
        }
        busy
    }

    fn transmit(&mut self, machine: usize) -> bool {
        let now = self.at(machine);
        let mut sink = Outbound { sent: Vec::new(), room: self.room };
        self.machines[machine].endpoint.transmit(now, &mut sink);
        let busy = !sink.sent.is_empty() || self.machines[machine].endpoint.has_events();
        for (path, packet) in sink.sent {
            let Some(&(to, there)) = self.links.get(&(machine, path)) else { continue };
            let at = self.now.after(self.delay);
            let mut flight = Flight { at, from: machine, to, path: there, packet };
            self.recorded.push(flight.clone());
            if (self.tamper)(&mut flight) {
                self.network.push(flight);
            }
        }
        busy
    }

    /// Runs until `span` has passed.
    pub fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        self.settle();
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
        self.step();
    }

    /// Runs until `done`, at most `span`; returns whether it came true.
    pub fn run_until(&mut self, span: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(span);
        self.settle();
        while !done(self) {
            let Some(next) = self.next_moment().filter(|next| *next <= end) else {
                return done(self);
            };
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    fn next_moment(&self) -> Option<Instant> {
        let flights = self.network.iter().map(|flight| flight.at);
        let running = self.machines.iter().filter(|machine| machine.up);
        flights.chain(running.filter_map(|machine| machine.endpoint.deadline())).min()
    }

    fn step(&mut self) {
        self.steps += 1;
        let (due, later) =
            std::mem::take(&mut self.network).into_iter().partition(|one| one.at <= self.now);
        self.network = later;
        let due: Vec<Flight> = due;
        for flight in due {
            if self.machines[flight.to].up {
                let now = self.at(flight.to);
                let packet = BytesMut::from(&flight.packet[..]);
                self.machines[flight.to].endpoint.receive(now, flight.path, packet);
            }
        }
        for machine in 0..self.machines.len() {
            let now = self.at(machine);
            if self.machines[machine].up {
                self.machines[machine].endpoint.tick(now);
            }
        }
        // What was written has left; there is room again.
        let mut ends: Vec<_> = self.links.keys().copied().collect();
        ends.sort_by_key(|(machine, path)| (*machine, path.0));
        for (machine, path) in ends {
            self.machines[machine].endpoint.writable(path);
        }
        self.settle();
    }

    /// How often a body was handed to the handlers of a machine, over all its lives.
    pub fn executions(&self, machine: usize, body: &[u8]) -> usize {
        self.machines[machine].executed.iter().filter(|one| one[..] == *body).count()
    }
}
