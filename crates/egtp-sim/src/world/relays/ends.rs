//! The circuits of a node: how they are opened, what comes and goes by them, and when they end, as the product's driver
//! does it.
//!
//! Knows no tables of relays. Invariant: a node takes packets in from a relay by a circuit of its own, or from the relay
//! that it is registered at.

use egtp_proto::wire::Lane;
use egtp_proto::{IdentityId, Lost, NotSent, PathId, Source};

use super::super::checker::Party;
use super::super::clock::{MINUTE, SECOND, Time};
use super::super::queue::{Happening, Origin};
use super::super::run::World;
use super::{CIRCUIT_SHIFT, Circuit, Errand, Passed, RELAYS, RelayId};

impl World {
    /// A node wants a path to a peer that is behind relays: it asks them one after another.
    pub(crate) fn dial_by_relays(&mut self, node: Party, peer: Party) {
        let (relays, life) = (self.relays.all.len(), self.life_of(node).1);
        let relay = self.dial_dice.index(relays);
        self.tell(|| format!("node {node} asks relay {relay} for {peer}"));
        let at = self.now + self.way_to_relay(relay);
        let opens = Errand::Opens { relay, node, life, peer, tried: 0 };
        self.queue.push(at, Happening::Errand(opens));
    }

    /// A relay has answered, or not.
    pub(super) fn opened(
        &mut self,
        relay: RelayId,
        (node, life): (Party, u64),
        peer: Party,
        (tried, is_live): (usize, bool),
    ) {
        let again = Errand::Opened { relay, node, life, peer, tried, is_live };
        if self.is_another_life(node, life) || self.put_off(node, Happening::Errand(again)) {
            return;
        }
        if is_live {
            let path = self.circuit(node, (relay, peer), true);
            return self.circuit_up(node, path, Some(peer), relay);
        }
        let relays = self.relays.all.len();
        if tried + 1 < relays {
            let (relay, tried) = ((relay + 1) % relays, tried + 1);
            let at = self.now + self.way_to_relay(relay);
            let opens = Errand::Opens { relay, node, life, peer, tried };
            return self.queue.push(at, Happening::Errand(opens));
        }
        self.tell(|| format!("no relay knows {peer}, for node {node}"));
        if let Some(key) = self.keys.get(peer).copied() {
            let why = NotSent::Unreachable;
            self.with(node, |one, now| one.connect_failed(now, IdentityId(0), &key, why));
        }
        self.settle(node);
    }

    fn circuit_up(&mut self, node: Party, path: PathId, peer: Option<Party>, relay: RelayId) {
        let peer = peer.and_then(|peer| self.keys.get(peer).copied());
        let Some(key) = self.relays.all.get(relay).map(|relay| relay.key) else { return };
        let source = Source::Claimed(key.as_bytes().to_vec());
        self.with(node, |one, _| one.path_up(path, IdentityId(0), peer, source, Lane::Relay));
        self.settle(node);
    }

    fn path_of_circuit(&self, node: Party, relay: RelayId, peer: Party) -> Option<PathId> {
        let circuits = self.relays.ends.get(node)?.circuits.iter();
        let mut fitting = circuits.filter(|(_, one)| (one.relay, one.peer) == (relay, peer));
        fitting.next().map(|(path, _)| PathId(*path))
    }

    /// The path of a circuit, made if there is none.
    fn circuit(&mut self, node: Party, (relay, peer): (RelayId, Party), by_us: bool) -> PathId {
        if let Some(path) = self.path_of_circuit(node, relay, peer) {
            return path;
        }
        self.relays.numbers += 1;
        let path = (1 << CIRCUIT_SHIFT) + self.relays.numbers;
        let (now, life) = (self.now, self.life_of(node).1);
        let circuit = Circuit { relay, peer, used: now, since: now, proved: false, by_us };
        if let Some(ends) = self.relays.ends.get_mut(node) {
            ends.circuits.insert(path, circuit);
        }
        self.tell(|| format!("node {node} has circuit {path} by relay {relay} to {peer}"));
        self.queue.push(now + LOOK_EVERY, Happening::Errand(Errand::Looks { node, life, path }));
        PathId(path)
    }

    fn circuit_mut(&mut self, node: Party, path: PathId) -> Option<&mut Circuit> {
        self.relays.ends.get_mut(node)?.circuits.get_mut(&path.0)
    }

    /// Somebody at the other end of a path has proved a key.
    pub(crate) fn circuit_proved(&mut self, node: Party, path: PathId) {
        if let Some(circuit) = self.circuit_mut(node, path) {
            circuit.proved = true;
        }
    }

    /// To whom a node's circuit leads.
    pub(crate) fn circuit_leads_to(&self, node: Party, path: PathId) -> Option<Party> {
        self.relays.ends.get(node)?.circuits.get(&path.0).map(|circuit| circuit.peer)
    }

    /// An honest node has sent a packet by a circuit.
    pub(crate) fn carry_by_relay(&mut self, from: Party, path: PathId, packet: Vec<u8>) {
        let now = self.now;
        let Some(circuit) = self.circuit_mut(from, path) else { return };
        circuit.used = now;
        let (relay, to) = (circuit.relay, circuit.peer);
        let at = now + self.way_to_relay(relay);
        let passes = Errand::Passes(relay, Passed { from, to, packet });
        self.queue.push(at, Happening::Errand(passes));
    }

    /// A packet comes to a node from a relay.
    pub(super) fn passed(&mut self, relay: RelayId, passed: &Passed, origin: Origin) {
        let (node, now) = (passed.to, self.now);
        let again = Errand::Passed(relay, passed.clone(), origin);
        let is_up = self.nodes.get(node).is_some_and(super::super::node::Node::is_up);
        if !is_up || self.put_off(node, Happening::Errand(again)) {
            return;
        }
        let path = match self.path_of_circuit(node, relay, passed.from) {
            Some(path) => path,
            None if self.relays.ends.get(node).is_none_or(|ends| ends.at != Some(relay)) => return,
            None => {
                let path = self.circuit(node, (relay, passed.from), false);
                self.circuit_up(node, path, None, relay);
                path
            }
        };
        if let Some(circuit) = self.circuit_mut(node, path) {
            circuit.used = now;
        }
        self.take_in(node, path, &passed.packet, origin);
    }

    /// A node hears that a peer is not there any more.
    pub(super) fn peer_gone(&mut self, relay: RelayId, node: Party, peer: Party) {
        if self.put_off(node, Happening::Errand(Errand::Gone { relay, node, peer })) {
            return;
        }
        if let Some(path) = self.path_of_circuit(node, relay, peer) {
            self.end_circuit(node, path, Lost::Broken);
        }
    }

    /// A node notices that its connection to a relay is broken.
    pub(super) fn relay_broke(&mut self, relay: RelayId, node: Party) {
        if self.put_off(node, Happening::Errand(Errand::Broke { relay, node })) {
            return;
        }
        let Some(ends) = self.relays.ends.get(node) else { return };
        let through = ends.circuits.iter().filter(|(_, one)| one.relay == relay);
        let paths: Vec<PathId> = through.map(|(path, _)| PathId(*path)).collect();
        for path in paths {
            self.end_circuit(node, path, Lost::Broken);
        }
        self.choice_loses(node, relay);
    }

    /// The node has another address: its connections to relays break.
    pub(crate) fn leave_relays(&mut self, node: Party) {
        let Some(key) = self.keys.get(node).copied() else { return };
        for id in 0..self.relays.all.len() {
            if let Some(relay) = self.relays.all.get_mut(id) {
                relay.connected.remove(&node);
                relay.table.lost(&key);
            }
            self.relay_broke(id, node);
        }
    }

    fn end_circuit(&mut self, node: Party, path: PathId, lost: Lost) {
        let circuit = self.relays.ends.get_mut(node).and_then(|one| one.circuits.remove(&path.0));
        if circuit.is_some() {
            self.tell(|| format!("circuit {} of node {node} ends: {lost:?}", path.0));
            self.with(node, |one, now| one.path_down(now, path, lost));
            self.settle(node);
        }
    }

    /// Circuits on which something is awaited are used for its sake, and those that nobody needs end.
    pub(super) fn look_at_circuit(&mut self, (node, life): (Party, u64), path: u64) {
        let looks = Errand::Looks { node, life, path };
        if self.is_another_life(node, life) || self.put_off(node, Happening::Errand(looks.clone()))
        {
            return;
        }
        let (now, path) = (self.now, PathId(path));
        let Some(circuit) = self.circuit_mut(node, path).copied() else { return };
        let awaits = self.with(node, |one, _| one.awaits(path)) == Some(true);
        let unused = now.saturating_sub(circuit.used);
        let is_overdue = !circuit.by_us && !circuit.proved && now >= circuit.since + UNPROVED;
        if is_overdue || unused >= if awaits { EXEMPT } else { IDLE_AFTER } {
            let lost = if awaits { Lost::Broken } else { Lost::Closed };
            return self.end_circuit(node, path, lost);
        }
        if awaits {
            self.with(node, |one, _| one.ping(path));
            self.settle(node);
            // Only what comes from the other end is use.
            if let Some(after) = self.circuit_mut(node, path) {
                after.used = circuit.used;
            }
        }
        self.queue.push(now + LOOK_EVERY, Happening::Errand(looks));
    }
}

/// How often a circuit is looked at, and used if something is awaited on it.
const LOOK_EVERY: Time = 12 * SECOND;
/// How long one may be idle.
const IDLE_AFTER: Time = 24 * SECOND;
/// How long one on which an answer is awaited may be idle.
const EXEMPT: Time = 15 * MINUTE;
/// How long somebody has to prove something.
const UNPROVED: Time = 10 * SECOND;
/// There is more than one relay to ask.
const _: () = assert!(RELAYS > 1);
