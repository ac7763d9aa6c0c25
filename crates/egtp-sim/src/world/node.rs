//! One honest machine: its identity, its clocks, its endpoint, and what its program has in hand.
//!
//! Knows no other node. Invariant: a life begins with empty memory and the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::limits::Limits;
use egtp_proto::{Config, Endpoint, EventCode, Kind, Policy, PublicKey, QueryId, SecretKey};

use super::chance::{bytes, dice, happens, spread};
use super::clock::{Clocks, HOUR, SECOND, Time};
use super::disk::{Disk, disk_wait_max, policies};
use super::fault::Fault;
use super::plan::Plan;
use super::workload::Behaviour;

/// A query or message in the hands of a handler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// The message's number; `None` if it came from the hostile peer.
    pub number: Option<u64>,
    pub wants_reply: bool,
    pub behaviour: Behaviour,
    pub reply_bytes: usize,
    pub room: usize,
}

/// See the head of this file.
pub(crate) struct Node {
    index: u64,
    seed: u64,
    secret: [u8; 32],
    pub key: PublicKey,
    /// Counts its lives, from 1.
    pub life: u64,
    /// `None` while it is down.
    pub endpoint: Option<Endpoint>,
    pub clocks: Clocks,
    /// It stands still until then.
    pub frozen_until: Time,
    /// Since when it has been running without a stop: what was due before may be late.
    pub awake_since: u64,
    /// The number of the wake-up that counts, and when it is.
    pub wake: (u64, Option<Time>),
    /// Whether others can open paths to it.
    pub callable: bool,
    exclusive: bool,
    pub limits: Limits,
    fast: Cipher,
    pub open: BTreeMap<u64, EventCode>,
    pub held: BTreeMap<QueryId, Held>,
    /// Kinds that it does not take as all others.
    policies: Vec<(Kind, Policy)>,
    /// Its durable store, if it has one: it outlives its lives.
    pub disk: Option<Disk>,
    /// The tags of the records that this life has opened.
    pub opened: BTreeSet<[u8; 16]>,
    /// How often it was woken at one moment.
    pub spins: (Time, u32),
}

impl Node {
    pub(crate) fn new(plan: &Plan, index: u64) -> Self {
        let mut of = dice(plan.seed, "node", index);
        let secret = bytes(plan.seed, "identity", index);
        let drift = match plan.strength(Fault::Drift) {
            0 => 0,
            strength => i64::try_from(of.among(0..=10 * strength)).unwrap_or(0),
        };
        let boot = of.among(1000..=30 * 86_400) * SECOND;
        let drift = if happens(&mut of, 500) { drift / 2 } else { -drift / 2 };
        let mut node = Self {
            index,
            seed: plan.seed,
            secret,
            key: SecretKey::from_seed(secret).public(),
            life: 0,
            endpoint: None,
            clocks: Clocks::new(boot, drift),
            frozen_until: 0,
            awake_since: 0,
            wake: (0, None),
            callable: true,
            exclusive: plan.strength(Fault::NoAge) == 0 || happens(&mut of, 500),
            limits: limits(plan, index),
            fast: if happens(&mut of, 500) { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 },
            open: BTreeMap::new(),
            held: BTreeMap::new(),
            disk: Disk::of(plan, index),
            policies: policies(plan).collect(),
            opened: BTreeSet::new(),
            spins: (0, 0),
        };
        node.callable = plan.strength(Fault::Client) == 0 || index != CLIENT;
        node
    }

    /// What becomes of messages of a kind in a crash.
    pub(crate) fn policy(&self, kind: &Kind) -> Policy {
        let found = self.policies.iter().find(|(known, _)| known == kind && self.disk.is_some());
        found.map(|(_, policy)| *policy).unwrap_or_default()
    }

    /// Begins a life. `false` if the library refuses the key, which it does not.
    pub(crate) fn begin(&mut self, now: Time) -> bool {
        self.life += 1;
        self.opened.clear();
        self.open.clear();
        self.held.clear();
        let life = self.index << 32 | self.life;
        // Old and new nodes: what a life takes, the next one may not, or the other way round.
        let suites = if happens(&mut dice(self.seed, "suites", life), HYBRID_PER_MILLE) {
            Suites::all(self.fast)
        } else {
            Suites::classical(self.fast)
        };
        let config = Config {
            identities: vec![SecretKey::from_seed(self.secret).into()],
            limits: self.limits.clone(),
            seed: bytes(self.seed, "life", life),
            suites,
            reachable: self.callable,
            exclusive: self.exclusive,
            part: egtp_proto::Part::WHOLE,
        };
        self.endpoint = Endpoint::new(config, self.clocks.now(now));
        self.awake_since = self.clocks.boot(now);
        if let Some(endpoint) = &mut self.endpoint {
            for (kind, policy) in &self.policies {
                endpoint.set_policy(kind.clone(), *policy);
            }
        }
        self.endpoint.is_some()
    }

    /// Ends a life: its memory is gone.
    pub(crate) fn end(&mut self) {
        self.endpoint = None;
        self.open.clear();
        self.held.clear();
        self.wake.0 += 1;
        self.wake.1 = None;
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Whether it can act at this moment.
    pub(crate) const fn acts(&self, now: Time) -> bool {
        self.is_up() && self.frozen_until <= now
    }
}

/// The node that remembers one or two dialogs. With a hostile peer there is none, because such a peer
/// could keep them all for itself for a day.
pub(crate) fn crowded(plan: &Plan) -> Option<u64> {
    let crowded = plan.strength(Fault::Crowd) > 0 && plan.strength(Fault::Hostile) == 0;
    let nodes = plan.nodes.max(2);
    crowded.then(|| dice(plan.seed, "crowded", 0).among(0..=nodes - 1))
}

/// The limits of a node: the default ones, or some of them tiny.
fn limits(plan: &Plan, index: u64) -> Limits {
    let mut limits = Limits::default();
    if Some(index) == crowded(plan) {
        // At least one of the others is forgotten while the rest write.
        let others = usize::try_from(plan.nodes).unwrap_or(2).saturating_sub(1);
        limits.dialogs_max = dice(plan.seed, "crowded", 1).index(others.clamp(2, 3) - 1) + 1;
    }
    if plan.strength(Fault::TinyLimits) == 0 {
        return limits;
    }
    let mut of = dice(plan.seed, "limits", index);
    let mut tiny = |low: u64, high: u64, value: &mut usize| {
        if happens(&mut of, 400) {
            *value = usize::try_from(spread(&mut of, low, high)).unwrap_or(*value);
        }
    };
    tiny(3, 40, &mut limits.open_max);
    tiny(1, 8, &mut limits.queries_per_peer);
    tiny(4096, 262_144, &mut limits.query_bytes_per_peer);
    tiny(16_384, 262_144, &mut limits.open_bytes_per_peer);
    tiny(16_384, 262_144, &mut limits.reassembly_bytes_per_peer);
    tiny(1, 4, &mut limits.dialogs_max);
    tiny(1, 2, &mut limits.dialogs_per_peer);
    tiny(3, 6, &mut limits.peers_max);
    tiny(1, 4, &mut limits.provisional_max);
    tiny(1, 8, &mut limits.flights_per_prekey);
    tiny(1, 4, &mut limits.prekeys_max);
    tiny(1, 4, &mut limits.answers_max);
    tiny(2048, 65_536, &mut limits.message_bytes_max);
    tiny(1024, 65_536, &mut limits.reply_bytes_max);
    if plan.strength(Fault::Hostile) > 0 {
        // A peer that never acknowledges its replies keeps its share for a day. That others go on is
        // promised only where all shares together fit.
        let shares = usize::try_from(plan.nodes).unwrap_or(0) + 1;
        limits.dialogs_max = limits.dialogs_max.max(shares * limits.dialogs_per_peer);
    }
    if happens(&mut of, 300) {
        limits.unverified_per_second = u32::try_from(of.among(1..=4)).unwrap_or(1);
    }
    if happens(&mut of, 300) {
        limits.verified_per_second = u32::try_from(of.among(2..=20)).unwrap_or(2);
    }
    if happens(&mut of, 300) {
        // Who gives up on a request before its own disk has it never answers: nobody is to be asked so.
        let has_disks = plan.strength(Fault::Disk) > 0;
        let least = if has_disks { disk_wait_max(plan) + 30 * SECOND } else { 10 * SECOND };
        limits.hard_timeout_max = Duration::from_nanos(spread(&mut of, least, HOUR));
    }
    if happens(&mut of, 300) {
        limits.frozen_max = of.index(3);
    }
    limits
}

/// Which node cannot be called, where one cannot.
const CLIENT: u64 = 0;

/// Lives that take the hybrid suites: most, so that two of them often meet, and enough others.
const HYBRID_PER_MILLE: u64 = 700;
