//! The duties of a driver: every node is given what happened, its events are taken, its packets go
//! out, and it is woken at its deadline.

use std::collections::BTreeMap;

use egtp_proto::limits::{ATTEMPTS_PER_PEER, PROVISIONAL_PER_PEER, SESSIONS_PER_PEER};
use egtp_proto::time::Now;
use egtp_proto::{Endpoint, PathId, Sink, Sizes};

use super::checker::{Party, Promise};
use super::clock::Time;
use super::link::{Link, LinkId, end_of};
use super::node::Node;
use super::queue::Happening;
use super::relays::is_circuit;
use super::run::World;

impl World {
    /// A node begins its first or next life.
    pub(crate) fn restart(&mut self, index: Party) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(index).filter(|node| !node.is_up()) else { return };
        let begun = node.begin(now);
        let life = node.life;
        self.checker.check(Promise::NoPanic, begun, || format!("node {index} cannot begin"));
        self.tally.restarts += 1;
        self.read_back(index);
        self.begin_at_relays(index);
        if life > 1 {
            self.relays_try_the_reborn(index);
        }
        self.tell(|| format!("node {index} begins life {life}"));
        self.settle(index);
    }

    /// A node's deadline has come.
    pub(crate) fn wake(&mut self, index: Party, number: u64) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.wake.0 != number || !node.acts(now) {
            return;
        }
        node.wake.1 = None;
        let held = node.held.len();
        node.spins = if node.spins.0 == now { (now, node.spins.1 + 1) } else { (now, 0) };
        let spins = node.spins.1;
        self.checker.check(Promise::NoSpin, spins < SPINS_MAX, || {
            format!("node {index} wants to be woken again and again at one moment")
        });
        self.tell(|| format!("node {index} wakes with {held} in hand"));
        self.with(index, Endpoint::tick);
        self.settle(index);
    }

    /// Calls a node's endpoint with its own time.
    pub(crate) fn with<T>(
        &mut self,
        index: Party,
        call: impl FnOnce(&mut Endpoint, Now) -> T,
    ) -> Option<T> {
        let now = self.now;
        let node = self.nodes.get_mut(index)?;
        let clocks = node.clocks.now(now);
        Some(call(node.endpoint.as_mut()?, clocks))
    }

    /// Takes a node's events and sends its packets until there is no more to do now.
    pub(crate) fn settle(&mut self, index: Party) {
        for _ in 0..ROUNDS_MAX {
            while let Some(event) = self.with(index, |endpoint, _| endpoint.next_event()).flatten()
            {
                self.happened(index, event);
                if self.checker.violation.is_some() {
                    return;
                }
            }
            let now = self.now;
            let Some(node) = self.nodes.get_mut(index) else { return };
            let clocks = node.clocks.now(now);
            let Some(endpoint) = node.endpoint.as_mut() else { return };
            let (sent, taken) = (Vec::new(), BTreeMap::new());
            let mut outlet = Outlet { links: &self.links, now, sent, taken };
            endpoint.transmit(clocks, &mut outlet);
            let (sent, more) = (outlet.sent, endpoint.has_events());
            for (path, packet) in sent {
                self.carry(index, path, packet);
            }
            if !more {
                self.write_down(index);
                self.look_at_sizes(index);
                self.arm(index);
                return;
            }
        }
        self.checker.check(Promise::NoSpin, false, || {
            format!("node {index} has something to tell after {ROUNDS_MAX} rounds")
        });
    }

    /// Plans the node's next wake-up.
    pub(crate) fn arm(&mut self, index: Party) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.acts(now)) else { return };
        let deadline = node.endpoint.as_ref().and_then(Endpoint::deadline);
        let boot = deadline.map(|at| u64::try_from(at.since_start().as_nanos()).unwrap_or(0));
        let Some(at) = boot.and_then(|boot| node.clocks.moment_of(boot)) else { return };
        let at = at.max(now);
        if node.wake.1.is_some_and(|planned| planned <= at) {
            return;
        }
        node.wake = (node.wake.0 + 1, Some(at));
        let number = node.wake.0;
        self.queue.push(at, Happening::Wake(index, number));
    }

    /// Tables within their limits, and exactly what is open in them.
    fn look_at_sizes(&mut self, index: Party) {
        let open = self.checker.open_of(index);
        let Some(node) = self.nodes.get(index) else { return };
        let Some(sizes) = node.endpoint.as_ref().map(Endpoint::sizes) else { return };
        let fine = are_within(node, sizes) && sizes.open == open;
        self.checker.check(Promise::Bounded, fine, || {
            format!("node {index} has {sizes:?}, and {open} messages are open")
        });
    }

    /// A node that stood still goes on.
    pub(crate) fn thaw(&mut self, index: Party) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(index) else { return };
        if !node.acts(now) {
            return;
        }
        node.awake_since = node.clocks.boot(now);
        node.wake = (node.wake.0 + 1, None);
        self.tell(|| format!("node {index} goes on"));
        self.with(index, Endpoint::tick);
        self.settle(index);
    }

    /// Puts something off until a node that stands still goes on. `false` if it does not.
    pub(crate) fn put_off(&mut self, index: Party, happening: Happening) -> bool {
        let Some(node) = self.nodes.get(index) else { return false };
        let until = node.frozen_until;
        if !node.is_up() || until <= self.now {
            return false;
        }
        self.queue.push(until, happening);
        true
    }
}

/// What the limits of a node allow.
fn are_within(node: &Node, sizes: Sizes) -> bool {
    let limits = &node.limits;
    // One more: an answer that is being made.
    let sessions = SESSIONS_PER_PEER + PROVISIONAL_PER_PEER + ATTEMPTS_PER_PEER + 1;
    let stores = 1 + usize::from(node.disk.is_some());
    sizes.open <= limits.open_max
        && sizes.peers <= limits.peers_max
        && sizes.frozen <= limits.frozen_max
        && sizes.dialogs <= limits.dialogs_max * stores
        && sizes.sessions <= sizes.peers * sessions
        && sizes.queries + sizes.held <= sizes.peers * limits.queries_per_peer
}

/// The paths of a node as its endpoint sees them.
struct Outlet<'a> {
    links: &'a BTreeMap<LinkId, Link>,
    now: Time,
    sent: Vec<(PathId, Vec<u8>)>,
    taken: BTreeMap<PathId, usize>,
}

impl Sink for Outlet<'_> {
    fn room(&self, path: PathId) -> usize {
        if is_circuit(path) {
            // A relay that is given too much drops it.
            return usize::MAX;
        }
        let (link, side) = end_of(path);
        let room = self.links.get(&link).map_or(0, |link| link.room(side, self.now));
        room.saturating_sub(self.taken.get(&path).copied().unwrap_or(0))
    }

    fn send(&mut self, path: PathId, packet: Vec<u8>) {
        *self.taken.entry(path).or_default() += packet.len();
        self.sent.push((path, packet));
    }
}

/// How often a node may be woken at one moment.
const SPINS_MAX: u32 = 50;
/// How often a node may have something new to tell at one moment.
const ROUNDS_MAX: usize = 1000;
