//! The whole machine: identities, peers, sessions and messages behind one set of calls.
//!
//! The contract with a driver, which owns sockets and clocks:
//!
//! 1. it calls a method for each thing that happened ([`Endpoint::receive`], [`Endpoint::submit`], ...),
//! 2. takes all of [`Endpoint::next_event`],
//! 3. calls [`Endpoint::transmit`], which packs what is waiting into as few packets as possible,
//! 4. starts over while [`Endpoint::has_events`],
//! 5. calls [`Endpoint::tick`] when [`Endpoint::deadline`] has come.
//!
//! Nothing is lost if a step is late. Files: `submit` (messages of ours), `receive` (packets),
//! `entries` (peers), `attempt` and `greet` (handshakes, from either side), `suites` (which one), `asked` (whether a path
//! stands), `stray` (what is another
//! endpoint's of the node), `frames`, `taken` and `answered` (what records say), `flush` and `pack` (what
//! records are made of), `journal` and `kept` (what must be on disk first), `at_rest` (what nobody uses),
//! `timeouts`; `mailboxes`, `letters` and `letter_arrival` (what goes without a session).

mod answered;
#[cfg(test)]
mod answered_tests;
mod asked;
mod at_rest;
mod attempt;
mod bodies;
mod cards;
mod copies;
mod entries;
mod fingerprint;
mod flush;
mod frames;
mod greet;
mod heads;
mod hints;
mod in_hand;
mod journal;
mod kept;
mod letter_arrival;
mod letters;
mod mailboxes;
mod on_disk;
mod pack;
mod packed;
mod parts;
mod peer;
mod progress;
mod receive;
mod sizes;
mod stray;
mod submit;
mod suites;
mod taken;
mod timeouts;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

pub use self::flush::Lost;
use self::journal::Journal;
use self::kept::KeptDialogs;
pub use self::letter_arrival::{LetterError, Reading};
pub use self::letters::Letters;
use self::letters::LettersOut;
pub use self::mailboxes::OwnMailbox;
use self::peer::Peer;
pub use self::sizes::Sizes;
pub use self::stray::{Elsewhere, Stray};
use self::submit::Closing;
pub use self::submit::Submission;
use crate::card::{LiveCard, StoreKind};
use crate::codes::{OurOwn, Table};
use crate::contact::Contact;
use crate::counters::Counters;
use crate::crypto::{Random, Suites};
use crate::exchange::inbox::Inbox;
use crate::exchange::outgoing::Outgoing;
use crate::exchange::query::Query;
use crate::exchange::stores::Stores;
use crate::key::{PublicKey, SecretKey};
use crate::limits::{Limits, PREKEY_REPLACED, SWEEP_EVERY, UNPROVEN_FACTOR};
use crate::message::Kind;
use crate::output::{Event, IdentityId, PathId, Policy};
use crate::part::Part;
use crate::session::cookie::Cookies;
use crate::session::frozen::Freezer;
use crate::session::handshake::LocalKeys;
use crate::session::live::Session;
use crate::session::mailbox_prekeys::MailboxPrekeys;
use crate::session::prekey::Prekeys;
use crate::time::{Instant, Now};
use crate::timers::Timers;
use crate::wire::Lane;
use crate::wire::shroud::Shroud;

/// How an endpoint is set up.
pub struct Config {
    /// The identities behind this endpoint; the first is the default one.
    pub identities: Vec<Arc<SecretKey>>,
    /// Bounds.
    pub limits: Limits,
    /// 32 bytes that nobody else knows, different at each start.
    pub seed: [u8; 32],
    /// The suites that this node lists and takes. It picks the first of them that a peer lists.
    pub suites: Suites,
    /// Whether others can call this node; if not, it is a *client*.
    pub reachable: bool,
    /// Whether this is certainly the only running instance of its identities: a lock is held, or the
    /// keys are fresh. If not, no age is stated, and what was sent to an earlier life ends as unknown
    /// more often.
    pub exclusive: bool,
    /// Which of the node's endpoints this is.
    pub part: Part,
}

/// How sure it is that packets of a path come from where it leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A connection that was set up in both directions.
    Verified,
    /// Anybody may have written this source address (the bytes name it).
    Claimed(Vec<u8>),
}

/// The state machine of a node.
pub struct Endpoint {
    identities: Vec<Identity>,
    limits: Limits,
    random: Random,
    suites: Suites,
    reachable: bool,
    exclusive: bool,
    part: Part,
    /// What the driver is to hand over to another part.
    elsewhere: Option<Elsewhere>,
    peers: Table<Peer>,
    by_key: BTreeMap<(IdentityId, PublicKey), u32>,
    /// Peers in the order in which they are looked at when one must be forgotten.
    forgettable: VecDeque<u32>,
    sessions: Table<Slot>,
    /// Sessions at rest, of peers that have no entry. Their ids are not issued anew.
    freezer: Freezer,
    outgoing: Table<Outgoing>,
    queries: Table<Query>,
    paths: Paths,
    /// What waits of them for all peers.
    hints: hints::InAll,
    timers: Timers<Timer>,
    expired: Vec<Timer>,
    events: VecDeque<Event>,
    dirty: VecDeque<u32>,
    /// Answers to first flights, to be repeated if the flight is.
    answers: VecDeque<KeptAnswer>,
    /// Whole packets that wait for nothing but their turn: RETRY, UNK, and first flights and answers,
    /// also repeated ones. Bounded by the budget for answers and by the attempts of each peer.
    ready: VecDeque<(PathId, Vec<u8>)>,
    cookies: Cookies,
    budgets: Budgets,
    provisional: usize,
    /// Peer and id of unconfirmed sessions in the order in which they were made, some of them gone since.
    half_open: VecDeque<(u32, u32)>,
    closing: Closing,
    counters: Counters,
    journal: Journal,
    /// Kinds that are not taken at most once as all others.
    policies: BTreeMap<Kind, Policy>,
    policy_of_sends: Policy,
    letters_out: LettersOut,
    /// Numbers of letters given out.
    letters_made: u64,
}

struct Identity {
    secret_keys: LocalKeys,
    shroud: Shroud,
    prekeys: Prekeys,
    stores: Stores,
    contact_sequence: u64,
    /// Its newest contact that we have been told of: letters carry it.
    contact: Option<Box<Contact>>,
    mailbox_prekeys: MailboxPrekeys,
    /// Whether its contact is to list a mailbox prekey.
    takes_letters: bool,
    /// Whether the driver has somebody who keeps letters for others.
    sends_letters: bool,
    kept_dialogs: KeptDialogs,
}

enum Slot {
    /// A handshake of ours, or one of theirs that we have not answered.
    Pending { peer: u32 },
    /// Keys.
    Live(Box<Session>),
}

/// By the driver's names for them.
type Paths = HashMap<PathId, PathState, BuildHasherDefault<OurOwn>>;

struct PathState {
    identity: IdentityId,
    source: Source,
    lane: Lane,
    /// Peers that we have sent to here: their shroud may cover a RETRY or UNK.
    peers: Vec<u32>,
    /// Authentic packets that have come on it; no more than [`HEARD_MAX`] are counted.
    heard: u8,
    /// Counted where somebody else called from an address that he only claims to have.
    unproven: Option<Unproven>,
    /// Whether somebody else has opened it.
    is_incoming: bool,
    /// How often other parts of the node have handed it on.
    moves: u8,
}

/// From then on a path carries full records.
const HEARD_MAX: u8 = 4;

/// Bytes from and to an address that nobody has proved to be where he is.
#[derive(Clone, Copy, Debug, Default)]
struct Unproven {
    received: usize,
    sent: usize,
}

impl Unproven {
    /// Bytes that may still be sent there, so that nobody makes us flood a third party.
    const fn room(self) -> usize {
        self.received.saturating_mul(UNPROVEN_FACTOR).saturating_sub(self.sent)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Timer {
    Soft(u32),
    Hard(u32),
    Query(u32),
    Peer(u32),
    Prekeys(IdentityId),
    Sweep,
}

struct KeptAnswer {
    ephemeral: [u8; 32],
    answer: Answer,
    until: Instant,
}

enum Answer {
    Packet(Vec<u8>),
    /// Not made yet: this peer of ours has the flight.
    Due(u32),
    /// This part has it.
    At(u16),
}

/// What strangers may cost in a second.
struct Budgets {
    since: Instant,
    unverified: u32,
    verified: u32,
}

impl Budgets {
    const fn full(limits: &Limits, now: Instant) -> Self {
        Self {
            since: now,
            unverified: limits.unverified_per_second,
            verified: limits.verified_per_second,
        }
    }
}

impl Endpoint {
    /// An endpoint with empty memory. `None` only if there is no identity or the cryptographic
    /// library refuses a key.
    pub fn new(config: Config, now: Now) -> Option<Self> {
        let mut random = Random::from_seed(config.seed);
        let mut identities = Vec::with_capacity(config.identities.len());
        let part = config.part.clone();
        let codes = part.codes();
        for (index, secret) in (0..).map(IdentityId).zip(&config.identities) {
            let secret_keys = LocalKeys::new(secret)?;
            identities.push(Identity {
                shroud: Shroud::new(&secret_keys.public),
                secret_keys,
                prekeys: Prekeys::new(&mut random, &config.limits, now.boot, codes)?,
                stores: Stores::new(in_memory(index, &config, now, &mut random), None),
                contact_sequence: 0,
                contact: None,
                mailbox_prekeys: MailboxPrekeys::default(),
                takes_letters: false,
                sends_letters: false,
                kept_dialogs: KeptDialogs::default(),
            });
        }
        identities.first()?;
        let mut timers = Timers::new(now.boot);
        for index in 0..identities.len() {
            let id = IdentityId(u16::try_from(index).ok()?);
            timers.set(now.boot.after(PREKEY_REPLACED), Timer::Prekeys(id));
        }
        timers.set(now.boot.after(SWEEP_EVERY), Timer::Sweep);
        Some(Self {
            identities,
            suites: config.suites,
            reachable: config.reachable,
            exclusive: config.exclusive,
            part,
            elsewhere: None,
            peers: Table::new(1),
            by_key: BTreeMap::new(),
            forgettable: VecDeque::new(),
            sessions: Table::of(codes, random.u32()),
            freezer: Freezer::new(config.limits.frozen_max, &config.seed),
            outgoing: Table::new(random.u32()),
            queries: Table::new(random.u32()),
            paths: Paths::default(),
            hints: hints::InAll::default(),
            timers,
            expired: Vec::new(),
            events: VecDeque::new(),
            dirty: VecDeque::new(),
            answers: VecDeque::new(),
            ready: VecDeque::new(),
            cookies: Cookies::new(&mut random, now.boot),
            budgets: Budgets::full(&config.limits, now.boot),
            provisional: 0,
            half_open: VecDeque::new(),
            closing: Closing::No,
            counters: Counters::default(),
            journal: Journal::default(),
            policies: BTreeMap::new(),
            policy_of_sends: Policy::AtMostOnce,
            letters_out: LettersOut::new(),
            letters_made: 0,
            limits: config.limits,
            random,
        })
    }

    /// The public keys of our identities, in order.
    pub fn identities(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.identities.iter().map(|identity| identity.secret_keys.public)
    }

    /// The identity of a public key of ours.
    pub fn identity_of(&self, key: &PublicKey) -> Option<IdentityId> {
        let index = self.identities().position(|own| own == *key)?;
        u16::try_from(index).ok().map(IdentityId)
    }

    /// What has been counted.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The next thing that happened; take all before [`Endpoint::transmit`].
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether [`Endpoint::next_event`] has something: [`Endpoint::transmit`] may ask for a path.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// When [`Endpoint::tick`] is to be called, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// Tells of a path that packets may come from and go to. `peer` is known for one that we opened
    /// to reach it.
    pub fn path_up(
        &mut self,
        path: PathId,
        identity: IdentityId,
        peer: Option<PublicKey>,
        source: Source,
        lane: Lane,
    ) {
        let is_unproven = peer.is_none() && matches!(source, Source::Claimed(_));
        let unproven = is_unproven.then(Unproven::default);
        let state = PathState {
            identity,
            source,
            lane,
            peers: Vec::new(),
            heard: 0,
            unproven,
            is_incoming: peer.is_none(),
            moves: 0,
        };
        self.paths.insert(path, state);
        let Some(code) = peer.and_then(|key| self.by_key.get(&(identity, key)).copied()) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(code) else { return };
        // That somebody accepts connections is no sign yet of the peer itself.
        peer.connect.asked = false;
        peer.path = Some(path);
        // Replies that are awaited come to where the peer hears from us.
        peer.owes.record = !peer.outboxes.is_empty() && !peer.sessions.is_empty();
        // The path may be gone again before anything is sent on it: it must know whom that concerns.
        self.remember_path(code, path);
        self.soil(code);
    }

    /// Whether an answer is awaited from somebody on this path: a reason to keep it open.
    pub fn awaits(&self, path: PathId) -> bool {
        self.paths.get(&path).is_some_and(|state| {
            state.peers.iter().filter_map(|code| self.peers.get(*code)).any(|peer| {
                peer.path == Some(path) && (!peer.outboxes.is_empty() || !peer.queries.is_empty())
            })
        })
    }

    /// Sends an empty record by a path to those who are reached by it: they learn that it still stands, and say so if they
    /// have forgotten the session.
    pub fn ping(&mut self, path: PathId) {
        let Some(state) = self.paths.get(&path) else { return };
        for code in state.peers.clone() {
            if let Some(peer) = self.peers.get_mut(code).filter(|peer| peer.path == Some(path)) {
                peer.owes.record = !peer.sessions.is_empty();
                self.soil(code);
            }
        }
    }

    /// Tells that a path takes packets again after it was full.
    pub fn writable(&mut self, path: PathId) {
        let Some(state) = self.paths.get(&path) else { return };
        for code in state.peers.clone() {
            self.soil(code);
        }
    }

    /// The live card of an identity as of now.
    fn card(&self, identity: IdentityId, now: &Now) -> Option<LiveCard> {
        let identity = self.identity(identity)?;
        Some(LiveCard {
            prekey: identity.prekeys.card(now.boot),
            stores: identity.stores.cards(now),
        })
    }

    /// What of the live card a peer must be told when it changes: newest prekey and generations.
    fn card_state(&self, identity: IdentityId) -> (u32, [u32; 2]) {
        let identity = self.identity(identity);
        identity.map_or((0, [0; 2]), |one| (one.prekeys.newest_id(), one.stores.generations()))
    }

    fn identity(&self, id: IdentityId) -> Option<&Identity> {
        self.identities.get(usize::from(id.0))
    }

    fn identity_mut(&mut self, id: IdentityId) -> Option<&mut Identity> {
        self.identities.get_mut(usize::from(id.0))
    }

    /// Something is to be sent to this peer: look at it in the next [`Endpoint::transmit`].
    fn soil(&mut self, code: u32) {
        if let Some(peer) = self.peers.get_mut(code)
            && !peer.dirty
        {
            peer.dirty = true;
            self.dirty.push_back(code);
        }
    }
}

/// An identity's store in memory.
fn in_memory(identity: IdentityId, config: &Config, now: Now, random: &mut Random) -> Inbox {
    let own = Inbox::new(StoreKind::Ram, random, &config.limits, now, config.exclusive);
    match config.part.store(identity) {
        Some((life, generation)) => own.of_parts(life, generation),
        None => own,
    }
}
