//! Paths through relays: a packet on one is a hint to its relay, and a hint from a relay is a packet on one.
//!
//! Knows no sessions; which there are is in `circuit_table`. Invariant: a circuit goes through a node that is reached
//! without one, and ends with the connection to that.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use egtp_proto::time::Now;
use egtp_proto::wire::Lane;
use egtp_proto::{
    Endpoint, HostPort, IdentityId, Kind, Lost, MessageClass, MessageEvent, NotSent, Outcome,
    PathId, PublicKey, Source, StoreKind, Strategy, Submission,
};
use tracing::debug;

use super::Driver;
use super::circuit_table::{Circuit, Circuits, Opening};
use super::dispatch::unharmed;
use crate::path::{DialError, DialId};
use crate::relay::{self, Presence};
use crate::serve::Hints;
use crate::status::{OpenPath, OpenedBy};

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
        if let Some(attempts) = self.circuits.attempts() {
            attempts.dialed(dial, peer, &Strategy::Relay { relay, at });
        }
        let Some(identity) = self.reach.who_dials(dial) else { return };
        // A relay is reached without one: neither do they nest, nor run in circles.
        let is_behind = self.endpoint.reached_by(identity, &relay) == Some(Lane::Relay);
        if relay == peer || is_behind || self.circuits.uses(&peer) {
            return self.no_circuit(now, dial, DialError::Nested);
        }
        let token = Circuits::token(dial);
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
        match circuit.and_then(|circuit| self.circuits.path_of(&circuit)) {
            Some(path) => self.end_circuit(now, path, Lost::Broken),
            None => self.tell_hint(now, hint),
        }
    }

    fn tell_hint(&mut self, now: Now, hint: &MessageEvent) {
        if let Some(take) = self.routes.of_hint(&hint.kind, &hint.from) {
            let mut hints = self.hints(now, hint.identity);
            unharmed(&hint.kind, || take(hint, &mut hints));
        }
    }

    fn passed(&mut self, now: Now, hint: &MessageEvent) {
        let Some((peer, packet)) = relay::split_pass(&hint.body) else { return };
        let path = match self.circuits.path_named((hint.identity, hint.from, peer)) {
            Some(path) => path,
            // From nobody that relays for us: then we are the relay, or it is for nobody.
            None if !self.circuits.trusts(&hint.from) => {
                return self.tell_hint(now, hint);
            }
            None => {
                let Ok(peer) = PublicKey::from_bytes(peer) else { return };
                let circuit = Circuit { identity: hint.identity, relay: hint.from, peer };
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
        if let Some(path) = self.circuits.path_of(&circuit) {
            return path;
        }
        if let Some(displaced) = self.circuits.displaced() {
            self.end_circuit(now, displaced, Lost::Broken);
        }
        let path = self.circuits.insert(circuit, opened_by, now.boot.since_start());
        let strategy = Strategy::Relay { relay: circuit.relay, at: None };
        self.connections.insert(path, OpenPath::new(strategy, opened_by));
        path
    }

    pub(super) fn end_circuit(&mut self, now: Now, path: PathId, lost: Lost) {
        if self.circuits.remove(path) {
            self.disconnected(path);
            self.endpoint.path_down(now, path, lost);
        }
    }

    /// The connection to a relay is closed. When it is back, the relay may have begun anew, and know nothing of them.
    pub(super) fn end_circuits_of(&mut self, now: Now, relay: &PublicKey, lost: Lost) {
        for path in self.circuits.through(relay) {
            self.end_circuit(now, path, lost);
        }
    }

    /// Keeps up those on which something is awaited: the connections on the way stay open, the relay remembers who talks
    /// to whom, and the other end knows where we are, or tells us that it has forgotten us. Ends those on which nobody
    /// has proved anything for too long.
    pub(super) fn keep_circuits(&mut self, now: Now) {
        let boot = now.boot.since_start();
        for path in self.circuits.overdue(boot) {
            self.end_circuit(now, path, Lost::Closed);
        }
        if boot.saturating_sub(self.circuits.pinged) < PING_EVERY {
            return;
        }
        self.circuits.pinged = boot;
        for path in self.circuits.all() {
            if self.endpoint.awaits(path) {
                self.endpoint.ping(path);
            }
        }
    }

    /// Looks how much the relays take, before packets are made. Returns whether there is room again where there was none.
    pub(super) fn look_at_relays(&mut self) -> bool {
        let endpoint = &self.endpoint;
        let again = self.circuits.look(|identity, relay| endpoint.hint_room(identity, relay));
        for path in &again {
            self.endpoint.writable(*path);
        }
        !again.is_empty()
    }

    /// What sends hints of an identity.
    pub(super) fn hints(&mut self, now: Now, identity: IdentityId) -> Sender<'_> {
        Sender { endpoint: &mut self.endpoint, now, identity }
    }

    /// Gives what was sent on circuits to their relays. Returns whether there was anything.
    pub(super) fn pass_on(&mut self, now: Now) -> bool {
        let out = self.circuits.take_out();
        let is_busy = !out.is_empty();
        let Ok(kind) = Kind::new(relay::PASS) else { return false };
        for (circuit, packet) in out {
            let body = relay::encode_pass(&circuit.peer, &packet);
            let mut hints = self.hints(now, circuit.identity);
            let passed = hints.hint(&circuit.relay, kind.clone(), body);
            if let Err(why @ NotSent::Unreachable) = passed {
                debug!(%why, "the relay of a circuit");
                if let Some(path) = self.circuits.path_of(&circuit) {
                    self.end_circuit(now, path, Lost::Broken);
                }
            }
        }
        is_busy
    }
}

/// Sends hints. A packet of a circuit goes through no other one.
pub(super) struct Sender<'a> {
    endpoint: &'a mut Endpoint,
    now: Now,
    identity: IdentityId,
}

impl Hints for Sender<'_> {
    fn hint(&mut self, to: &PublicKey, kind: Kind, body: Bytes) -> Result<(), NotSent> {
        let is_nested = kind.as_str() == relay::PASS
            && self.endpoint.reached_by(self.identity, to) != Some(Lane::Direct);
        if is_nested {
            return Err(NotSent::Unreachable);
        }
        self.endpoint.hint(self.now, self.identity, to, kind, body)
    }
}

/// How long a relay may take to say whether somebody is there.
const OPENING_TIME: Duration = Duration::from_secs(8);
/// How often a circuit is used on which something is awaited: before any connection on the way closes for silence.
const PING_EVERY: Duration = Duration::from_secs(12);
