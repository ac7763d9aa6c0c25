//! Paths through relays: a packet on one is a hint to its relay, and a hint from a relay is a packet on one.
//!
//! Knows no sessions. Invariant: a circuit goes through a node that is reached without one, and there are no more of them
//! than the table holds: the oldest makes room.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::{Bytes, BytesMut};
use egtp_proto::time::Now;
use egtp_proto::wire::Lane;
use egtp_proto::{
    Endpoint, HostPort, IdentityId, Kind, Lost, MessageClass, MessageEvent, NotSent, Outcome,
    PathId, PublicKey, Source, StoreKind, Strategy, Submission,
};
use tracing::debug;

use super::Driver;
use super::dispatch::unharmed;
use crate::path::{Attempts, DialError, DialId};
use crate::relay::{self, Presence};
use crate::serve::Hints;
use crate::status::{OpenPath, OpenedBy};

/// Two ends and what is between them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Circuit {
    identity: IdentityId,
    relay: PublicKey,
    peer: PublicKey,
}

/// An attempt to open one.
#[derive(Clone, Copy, Debug)]
struct Opening {
    dial: DialId,
    circuit: Circuit,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Circuits {
    by_path: HashMap<PathId, Circuit>,
    paths: HashMap<Circuit, PathId>,
    /// Oldest first.
    by_age: VecDeque<PathId>,
    openings: HashMap<u64, Opening>,
    /// How much each relay takes in this round.
    rooms: HashMap<(IdentityId, PublicKey), usize>,
    /// Those that others may reach us by.
    trusted: HashSet<PublicKey>,
    /// Packets of this round.
    out: Vec<(Circuit, Bytes)>,
    next: u64,
    /// Where it is remembered what became of attempts, if somebody wants to know.
    attempts: Option<Attempts>,
}

impl Circuits {
    /// Tells there what becomes of each attempt.
    pub(super) fn watch(&mut self, attempts: Option<Attempts>) {
        self.attempts = attempts;
    }

    /// Somebody at the other end of one has proved its key.
    pub(super) fn proved(&self, path: PathId) {
        if let Some(attempts) = &self.attempts {
            attempts.proved(path);
        }
    }

    fn ended(&self, dial: DialId, opened: Result<PathId, DialError>) {
        if let Some(attempts) = &self.attempts {
            attempts.ended(dial, opened);
        }
    }

    /// Whether a path is one of these.
    pub(super) const fn has(path: PathId) -> bool {
        path.0 >> CIRCUIT_SHIFT == 1
    }

    pub(super) fn are_open(&self) -> bool {
        !self.by_path.is_empty()
    }

    /// Whether a token is one of theirs, and no request of the program's.
    pub(super) const fn is_theirs(token: u64) -> bool {
        token >= FIRST_TOKEN
    }

    /// Bytes that the relay of a path takes now, of one packet at most.
    pub(super) fn room(&self, path: PathId) -> usize {
        let circuit = self.by_path.get(&path);
        let room = circuit.and_then(|one| self.rooms.get(&(one.identity, one.relay)));
        room.copied().unwrap_or(0)
    }

    pub(super) fn send(&mut self, path: PathId, packet: Vec<u8>) {
        let Some(circuit) = self.by_path.get(&path).copied() else { return };
        if let Some(room) = self.rooms.get_mut(&(circuit.identity, circuit.relay)) {
            *room = room.saturating_sub(packet.len() + AROUND);
        }
        self.out.push((circuit, Bytes::from(packet)));
    }

    /// Others may reach us by this relay from now on, or not any more.
    pub(super) fn trust(&mut self, relay: PublicKey, is_trusted: bool) {
        if is_trusted {
            self.trusted.insert(relay);
        } else {
            self.trusted.remove(&relay);
        }
    }

    /// Whether a node relays for us.
    fn uses(&self, relay: &PublicKey) -> bool {
        self.trusted.contains(relay)
            || self.openings.values().any(|one| one.circuit.relay == *relay)
            || self.by_path.values().any(|one| one.relay == *relay)
    }

    fn lead_to(&self, peer: &PublicKey) -> bool {
        self.by_path.values().any(|one| one.peer == *peer)
    }

    fn insert(&mut self, circuit: Circuit) -> PathId {
        self.next += 1;
        let path = PathId((1 << CIRCUIT_SHIFT) + self.next);
        self.by_path.insert(path, circuit);
        self.paths.insert(circuit, path);
        self.by_age.push_back(path);
        path
    }

    fn remove(&mut self, path: PathId) -> bool {
        let Some(circuit) = self.by_path.remove(&path) else { return false };
        self.paths.remove(&circuit);
        self.by_age.retain(|one| *one != path);
        true
    }
}

impl Driver {
    /// Asks a relay whether a peer is there.
    pub(super) fn open_circuit(
        &mut self,
        now: Now,
        dial: DialId,
        peer: PublicKey,
        (relay, at): (PublicKey, Option<HostPort>),
    ) {
        if let Some(at) = &at {
            self.reach.suggest(relay, at);
        }
        if let Some(attempts) = &self.circuits.attempts {
            attempts.dialed(dial, peer, &Strategy::Relay { relay, at });
        }
        let Some(identity) = self.reach.who_dials(dial) else { return };
        // A relay is reached without one: neither do they nest, nor run in circles.
        if relay == peer || self.circuits.uses(&peer) || self.circuits.lead_to(&relay) {
            return self.no_circuit(now, dial, DialError::Nested);
        }
        let token = FIRST_TOKEN + dial.0;
        let circuit = Circuit { identity, relay, peer };
        let Ok(kind) = Kind::new(relay::OPEN) else { return };
        let asked = self.endpoint.submit(
            now,
            Submission {
                token,
                identity,
                to: relay,
                class: MessageClass::Request,
                kind,
                body: Bytes::copy_from_slice(peer.as_bytes()),
                room: Some(64),
                soft: None,
                hard: OPENING_TIME,
                hard_max: OPENING_TIME,
                wants: StoreKind::Ram,
                keep: None,
                post_quantum: false,
            },
        );
        match asked {
            Ok(_) => drop(self.circuits.openings.insert(token, Opening { dial, circuit })),
            Err(why) => {
                debug!(%why, "a relay could not be asked");
                self.no_circuit(now, dial, DialError::NoRelay);
            }
        }
    }

    /// A relay has answered, or not.
    pub(super) fn circuit_answered(&mut self, now: Now, token: u64, outcome: &Outcome) {
        let Some(Opening { dial, circuit }) = self.circuits.openings.remove(&token) else { return };
        let presence = match outcome {
            Outcome::Reply { body, .. } => Presence::decode(body),
            _ => None,
        };
        match presence {
            Some(Presence::Live) => {}
            Some(Presence::Absent) => return self.no_circuit(now, dial, DialError::Absent),
            None => return self.no_circuit(now, dial, DialError::NoRelay),
        }
        let Some((identity, peer)) = self.reach.opened(dial) else { return };
        let path = self.circuit(now, circuit, OpenedBy::Us);
        self.circuits.ended(dial, Ok(path));
        let source = Source::Claimed(circuit.relay.as_bytes().to_vec());
        self.endpoint.path_up(path, identity, Some(peer), source, Lane::Relay);
    }

    fn no_circuit(&mut self, now: Now, dial: DialId, why: DialError) {
        self.circuits.ended(dial, Err(why));
        self.dial_failed(now, dial);
    }

    /// A hint has come: of a relay about one of our circuits, or for whoever takes its kind.
    pub(super) fn hinted(&mut self, now: Now, hint: &MessageEvent) {
        match hint.kind.as_str() {
            relay::PASS => self.passed(now, hint),
            relay::GONE => self.gone(now, hint),
            _ => self.tell_hint(now, hint),
        }
    }

    fn gone(&mut self, now: Now, hint: &MessageEvent) {
        let (identity, relay) = (hint.identity, hint.from);
        let circuit = relay::decode_peer(&hint.body).map(|peer| Circuit { identity, relay, peer });
        match circuit.and_then(|circuit| self.circuits.paths.get(&circuit)).copied() {
            Some(path) => self.end_circuit(now, path),
            None => self.tell_hint(now, hint),
        }
    }

    fn tell_hint(&mut self, now: Now, hint: &MessageEvent) {
        if let Some(take) = self.routes.of_hint(&hint.kind, &hint.from) {
            let identity = hint.identity;
            let mut sender = Sender { endpoint: &mut self.endpoint, now, identity };
            unharmed(&hint.kind, || take(hint, &mut sender));
        }
    }

    fn passed(&mut self, now: Now, hint: &MessageEvent) {
        let Some((peer, packet)) = relay::decode_pass(&hint.body) else { return };
        let circuit = Circuit { identity: hint.identity, relay: hint.from, peer };
        let path = match self.circuits.paths.get(&circuit) {
            Some(path) => *path,
            // From nobody that relays for us: then we are the relay, or it is for nobody.
            None if !self.circuits.trusted.contains(&hint.from) => {
                return self.tell_hint(now, hint);
            }
            None => {
                let path = self.circuit(now, circuit, OpenedBy::Them);
                let source = Source::Claimed(circuit.relay.as_bytes().to_vec());
                self.endpoint.path_up(path, circuit.identity, None, source, Lane::Relay);
                path
            }
        };
        self.endpoint.receive(now, path, BytesMut::from(packet));
    }

    /// The path of a circuit, made if there is none.
    fn circuit(&mut self, now: Now, circuit: Circuit, opened_by: OpenedBy) -> PathId {
        if let Some(path) = self.circuits.paths.get(&circuit) {
            return *path;
        }
        if self.circuits.by_path.len() >= CIRCUITS_MAX
            && let Some(oldest) = self.circuits.by_age.front().copied()
        {
            self.end_circuit(now, oldest);
        }
        let path = self.circuits.insert(circuit);
        let strategy = Strategy::Relay { relay: circuit.relay, at: None };
        self.connections.insert(path, OpenPath::new(strategy, opened_by));
        path
    }

    pub(super) fn end_circuit(&mut self, now: Now, path: PathId) {
        if self.circuits.remove(path) {
            self.disconnected(path);
            self.endpoint.path_down(now, path, Lost::Broken);
        }
    }

    /// The connection to a relay has broken. When it is back, it may have begun anew, and know nothing of them.
    pub(super) fn end_circuits_of(&mut self, now: Now, relay: &PublicKey) {
        let through = self.circuits.by_path.iter().filter(|(_, circuit)| circuit.relay == *relay);
        let mut paths: Vec<PathId> = through.map(|(path, _)| *path).collect();
        paths.sort_unstable_by_key(|path| path.0);
        for path in paths {
            self.end_circuit(now, path);
        }
    }

    /// How much the relays take: looked at before packets are made.
    pub(super) fn look_at_relays(&mut self) {
        if self.circuits.by_path.is_empty() {
            return;
        }
        self.circuits.rooms.clear();
        for circuit in self.circuits.by_path.values() {
            let relay = (circuit.identity, circuit.relay);
            let endpoint = &self.endpoint;
            self.circuits
                .rooms
                .entry(relay)
                .or_insert_with(|| endpoint.hint_room(relay.0, &relay.1));
        }
    }

    /// Sends a hint. A packet of a circuit goes through no other one.
    pub(super) fn send_hint(
        &mut self,
        now: Now,
        identity: IdentityId,
        to: &PublicKey,
        kind: Kind,
        body: Bytes,
    ) -> Result<(), NotSent> {
        Sender { endpoint: &mut self.endpoint, now, identity }.hint(to, kind, body)
    }

    /// Gives what was sent on circuits to their relays. Returns whether there was anything.
    pub(super) fn pass_on(&mut self, now: Now) -> bool {
        let out = std::mem::take(&mut self.circuits.out);
        let is_busy = !out.is_empty();
        let Ok(kind) = Kind::new(relay::PASS) else { return false };
        for (circuit, packet) in out {
            let body = relay::encode_pass(&circuit.peer, &packet);
            let passed = self.send_hint(now, circuit.identity, &circuit.relay, kind.clone(), body);
            if let Err(why @ NotSent::Unreachable) = passed {
                debug!(%why, "the relay of a circuit");
                if let Some(path) = self.circuits.paths.get(&circuit).copied() {
                    self.end_circuit(now, path);
                }
            }
        }
        is_busy
    }
}

/// Sends hints.
struct Sender<'a> {
    endpoint: &'a mut Endpoint,
    now: Now,
    identity: IdentityId,
}

impl Hints for Sender<'_> {
    fn hint(&mut self, to: &PublicKey, kind: Kind, body: Bytes) -> Result<(), NotSent> {
        let is_nested =
            kind.as_str() == relay::PASS && !self.endpoint.is_reached_directly(self.identity, to);
        if is_nested {
            return Err(NotSent::Unreachable);
        }
        self.endpoint.hint(self.now, self.identity, to, kind, body)
    }
}

/// Circuits have names of their own.
const CIRCUIT_SHIFT: u32 = 62;
/// And their requests tokens that no request of the program has.
const FIRST_TOKEN: u64 = 1 << 40;
/// Bytes of a hint besides the packet, generously.
const AROUND: usize = 128;
/// How long a relay may take to say whether somebody is there.
const OPENING_TIME: std::time::Duration = std::time::Duration::from_secs(8);
/// Circuits at a time.
const CIRCUITS_MAX: usize = 16_384;
