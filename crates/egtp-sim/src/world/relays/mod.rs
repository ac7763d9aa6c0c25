//! Relays of a world: some pairs of nodes reach each other only through them, and some relays are hostile.
//!
//! What decides is the product's: the table of each relay, the choice of each node, and the endpoints at both ends, whose
//! packets pass as they are. What is between a node and a relay is not simulated: no sessions and no hints, but questions
//! and packets that take their time (`tests/process/relay_storm.sh` has the whole). Reading order: `mod` (who there is),
//! `registering` (where a node is registered), `ends` (its circuits), `passing` (the relay), `hostile`, `reader` (what a
//! relay could read).
//!
//! Knows no links. Invariant: a relay has what passes it, the public keys, and nothing else.

mod ends;
mod hostile;
mod passing;
mod reader;
mod registering;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use egtp_proto::{PathId, PublicKey, SecretKey};
use egtp_services::relay::choice::{Asked, Choice, Heard};
use egtp_services::relay::table::{Limits, Registration, Table};

use self::reader::Reader;
use super::chance::{bytes, dice, happens, spread};
use super::checker::Party;
use super::clock::{MILLI, Time};
use super::fault::Fault;
use super::plan::Plan;
use super::queue::Origin;
use super::run::World;

/// A relay's place among those of the world.
pub(super) type RelayId = usize;

/// See the head of this file.
pub(crate) struct Relays {
    all: Vec<Relay>,
    /// What each node has at them.
    ends: Vec<Ends>,
    reader: Reader,
    numbers: u64,
}

/// One relay.
struct Relay {
    key: PublicKey,
    table: Table,
    limits: Limits,
    /// Counts how often it began anew.
    life: u64,
    state: State,
    /// Until then it says that everybody is there, and passes nothing.
    silent_until: Time,
    /// How long something takes between it and a node.
    latency: Time,
    /// Nodes that it believes to have a connection with.
    connected: BTreeSet<Party>,
    /// What has passed it last: this is what it can repeat.
    seen: VecDeque<Passed>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Up,
    Down,
    /// For ever.
    Gone,
}

/// A packet as a relay sees it: who says to have sent it, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    from: Party,
    to: Party,
    packet: Vec<u8>,
}

/// A node's side.
struct Ends {
    choice: Choice,
    /// The relay that it has turned to.
    at: Option<RelayId>,
    /// The registration that was asked for last, and the question that is open.
    register: u64,
    look: Option<u64>,
    /// When the choice is to be told the time.
    wakes: Option<Time>,
    circuits: BTreeMap<u64, Circuit>,
}

/// A path of a node through a relay.
#[derive(Clone, Copy, Debug)]
struct Circuit {
    relay: RelayId,
    peer: Party,
    used: Time,
    since: Time,
    /// Whether somebody at the other end has proved a key.
    proved: bool,
    by_us: bool,
}

/// Something that is under way between a node and a relay; a node's are those of one of its lives.
#[derive(Clone, Debug)]
pub(crate) enum Errand {
    /// A packet reaches a relay.
    Passes(RelayId, Passed),
    /// A packet reaches a node.
    Passed(RelayId, Passed, Origin),
    /// A relay repeats what it has seen to a node.
    Repeats(RelayId, Party),
    /// A node hears that a peer is not there any more.
    Gone { relay: RelayId, node: Party, peer: Party },
    /// A node notices that the connection to a relay is broken.
    Broke { relay: RelayId, node: Party },
    /// A node asks a relay for a peer; so many have been asked before.
    Opens { relay: RelayId, node: Party, life: u64, peer: Party, tried: usize },
    /// It has an answer, or waits no longer: whether the peer is there.
    Opened { relay: RelayId, node: Party, life: u64, peer: Party, tried: usize, is_live: bool },
    /// The circuits of a node are looked at.
    Looks { node: Party, life: u64, path: u64 },
    /// A node asks a relay to be registered, or whether it is.
    Asks { relay: RelayId, node: Party, life: u64, asked: Asked, number: u64 },
    /// It hears something about that.
    Hears { node: Party, life: u64, asked: Asked, number: u64, heard: Heard },
    /// It is time for a node's choice.
    Ticks { node: Party, life: u64 },
    /// A lease of (relay, its life) is over.
    Over { relay: (RelayId, u64), node: (Party, u64), registration: Registration, number: u64 },
    /// A relay begins anew.
    Returns(RelayId),
}

impl Relays {
    pub(crate) fn new(plan: &Plan) -> Self {
        let exist = plan.strength(Fault::Relayed) > 0;
        let count = if exist { RELAYS } else { 0 };
        let all = (0..count).map(|index| Relay::new(plan, index)).collect();
        let nodes = if exist { plan.nodes.clamp(2, 16) } else { 0 };
        let ends = (0..nodes).map(|_| Ends::new(0)).collect();
        Self { all, ends, reader: Reader::default(), numbers: 0 }
    }

    /// Nobody but the two ends may see this.
    pub(crate) fn keep(&mut self, body: &[u8]) {
        if self.exist() {
            self.reader.keep(body);
        }
    }

    /// Whether there are any.
    pub(crate) const fn exist(&self) -> bool {
        !self.all.is_empty()
    }
}

impl Relay {
    fn new(plan: &Plan, index: u64) -> Self {
        let mut of = dice(plan.seed, "relay", index);
        let rate = spread(&mut of, RATES.0, RATES.1);
        let limits = Limits { bytes_per_second: rate, ..Limits::default() };
        Self {
            key: SecretKey::from_seed(bytes(plan.seed, "relay key", index)).public(),
            table: Table::new(limits.clone(), Duration::ZERO),
            limits,
            life: 0,
            state: State::Up,
            silent_until: 0,
            latency: of.among(1..=60) * MILLI,
            connected: BTreeSet::new(),
            seen: VecDeque::new(),
        }
    }
}

impl Ends {
    fn new(now: Time) -> Self {
        Self {
            choice: Choice::new(usize::try_from(RELAYS).unwrap_or(2), Duration::from_nanos(now)),
            at: None,
            register: 0,
            look: None,
            wakes: None,
            circuits: BTreeMap::new(),
        }
    }
}

/// Whether a path is a circuit.
pub(crate) const fn is_circuit(path: PathId) -> bool {
    path.0 >> CIRCUIT_SHIFT == 1
}

impl World {
    /// Whether two parties reach each other only through relays.
    pub(crate) fn is_relayed(&self, one: Party, other: Party) -> bool {
        let nodes = self.nodes.len();
        if !self.relays.exist() || one.max(other) >= nodes {
            return false;
        }
        // One pair does for certain.
        let first = dice(self.plan.seed, "relayed", u64::MAX).index(nodes);
        let second = (first + 1) % nodes;
        let (low, high) = (one.min(other), one.max(other));
        let pair = u64::try_from(low * nodes + high).unwrap_or(0);
        (low, high) == (first.min(second), first.max(second))
            || happens(&mut dice(self.plan.seed, "relayed", pair), RELAYED_PER_MILLE)
    }

    /// Whether a node has anybody who reaches it only through relays.
    fn is_behind_relays(&self, node: Party) -> bool {
        (0..self.nodes.len()).any(|other| other != node && self.is_relayed(node, other))
    }

    /// Something under way arrives.
    pub(crate) fn errand(&mut self, errand: Errand) {
        match errand {
            Errand::Passes(relay, passed) => self.passes(relay, passed),
            Errand::Passed(relay, passed, origin) => self.passed(relay, &passed, origin),
            Errand::Repeats(relay, node) => self.repeat_to(relay, node),
            Errand::Gone { relay, node, peer } => self.peer_gone(relay, node, peer),
            Errand::Broke { relay, node } => self.relay_broke(relay, node),
            Errand::Opens { relay, node, life, peer, tried } => {
                self.opens(relay, (node, life), peer, tried);
            }
            Errand::Opened { relay, node, life, peer, tried, is_live } => {
                self.opened(relay, (node, life), peer, (tried, is_live));
            }
            Errand::Looks { node, life, path } => self.look_at_circuit((node, life), path),
            Errand::Asks { relay, node, life, asked, number } => {
                self.relay_asked(relay, (node, life), asked, number);
            }
            Errand::Hears { node, life, asked, number, heard } => {
                self.choice_hears((node, life), asked, number, heard);
            }
            Errand::Ticks { node, life } => self.choice_ticks((node, life)),
            Errand::Over { relay, node, registration, number } => {
                self.lease_over(relay, node, registration, number);
            }
            Errand::Returns(relay) => self.relay_returns(relay),
        }
    }
}

impl Errand {
    /// What of it enters the hash of the world.
    pub(crate) fn digest(&self) -> String {
        match self {
            Self::Passes(relay, passed) => format!("passes {relay} {}", passed.digest()),
            Self::Passed(relay, passed, _) => format!("passed {relay} {}", passed.digest()),
            other => format!("{other:?}"),
        }
    }
}

impl Passed {
    fn digest(&self) -> String {
        let end = self.packet.last_chunk::<16>();
        format!("{} {} {end:?}", self.from, self.to)
    }
}

/// How many there are.
const RELAYS: u64 = 2;
/// Of a thousand pairs, so many reach each other only through them.
const RELAYED_PER_MILLE: u64 = 400;
/// Bytes a second that a relay gives each sender.
const RATES: (u64, u64) = (500_000, 8_000_000);
/// Circuits have names of their own.
const CIRCUIT_SHIFT: u32 = 62;
