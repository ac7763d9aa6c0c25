//! How links come and go: dials, breaks, and the idle schedule.

use egtp_proto::wire::Lane;
use egtp_proto::{IdentityId, Lost, NotSent, PublicKey, Source};

use super::chance::{happens, spread};
use super::checker::Party;
use super::clock::{MILLI, MINUTE, SECOND, Time};
use super::fault::Fault;
use super::link::{Link, LinkId, LinkKind, Side, path_of};
use super::queue::Happening;
use super::run::World;

impl World {
    /// A node wants a path to somebody.
    pub(crate) fn dial(&mut self, from: Party, peer: &PublicKey) {
        let to = self.parties.get(peer).copied().unwrap_or(usize::MAX);
        if self.is_relayed(from, to) {
            return self.dial_by_relays(from, to);
        }
        let now = self.now;
        let is_cut = |a, b| self.cuts.get(&(a, b)).is_some_and(|until| *until > now);
        let cut = is_cut(from, to) || is_cut(to, from);
        let failure = self.strength(Fault::DialFailure);
        let mut takes = self.dial_dice.among(1..=80) * MILLI;
        let mut succeeds = true;
        if failure > 0 && happens(&mut self.dial_dice, failure * 5) {
            succeeds = false;
            takes = self.dial_dice.pick(&[0, takes, DIAL_PATIENCE]).copied().unwrap_or(0);
            self.fired(Fault::DialFailure);
        } else if cut {
            (succeeds, takes) = (false, DIAL_PATIENCE);
        }
        let life = self.life_of(from).1;
        self.tell(|| format!("node {from} dials {to}"));
        self.queue.push(now + takes, Happening::Dialed { from, life, to, succeeds });
    }

    /// A dial is over.
    pub(crate) fn dialed(&mut self, from: Party, life: u64, to: Party, succeeds: bool) {
        if self.life_of(from).1 != life
            || !self.nodes.get(from).is_some_and(super::node::Node::is_up)
            || self.put_off(from, Happening::Dialed { from, life, to, succeeds })
        {
            return;
        }
        let listens = match self.nodes.get(to) {
            Some(node) => {
                if node.is_up() && !node.callable {
                    self.fired(Fault::Client);
                }
                self.nodes.get(to).is_some_and(|node| node.is_up() && node.callable)
            }
            None => self.hostile.is_some() && !self.calm,
        };
        if succeeds && listens {
            self.open_link(from, to);
            return;
        }
        self.tell(|| format!("node {from} does not reach {to}"));
        if let Some(key) = self.keys.get(to).copied() {
            let why = NotSent::Unreachable;
            self.with(from, |one, now| one.connect_failed(now, IdentityId(0), &key, why));
        }
        self.settle(from);
    }

    /// Makes a link between two parties; each is told.
    pub(crate) fn open_link(&mut self, from: Party, to: Party) -> LinkId {
        let now = self.now;
        let id = self.links_made;
        self.links_made += 1;
        let is_stream = happens(&mut self.dial_dice, self.plan.streams_per_mille);
        let kind = if is_stream { LinkKind::Stream } else { LinkKind::Packets };
        let latency = self.dial_dice.among(1..=40) * MILLI;
        let (dialer, acceptor) = (self.life_of(from), self.life_of(to));
        let mut link = Link::new(kind, dialer, acceptor, latency, now);
        // One path in six leads through a relay.
        link.lane = if happens(&mut self.dial_dice, 167) { Lane::Relay } else { Lane::Direct };
        if self.strength(Fault::SlowPath) > 0 && happens(&mut self.dial_dice, 500) {
            link.rate = spread(&mut self.dial_dice, 20_000, 10_000_000);
        }
        // Whoever cannot be called must be answered where he calls from: not at a doubtful address.
        let callable = self.nodes.get(from).is_none_or(|node| node.callable);
        let may_claim = !is_stream && callable && self.strength(Fault::Claimed) > 0;
        link.claimed = may_claim && happens(&mut self.dial_dice, 500);
        if link.claimed {
            self.fired(Fault::Claimed);
        }
        self.tell(|| format!("link {id} from {from} to {to}: {kind:?}"));
        self.links.insert(id, link);
        self.queue.push(now + IDLE_STEP, Happening::IdleLook(id));
        self.accepted(id);
        self.path_up(id, 0);
        id
    }

    /// The accepting end learns of a link.
    pub(crate) fn accepted(&mut self, id: LinkId) {
        let Some(to) = self.links.get(&id).and_then(|link| link.end(1)) else { return };
        let (party, life) = (to.party, to.life);
        if self.life_of(party).1 == life && !self.put_off(party, Happening::Accepted(id)) {
            self.path_up(id, 1);
        }
    }

    fn path_up(&mut self, id: LinkId, side: Side) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.is_broken) else { return };
        let lane = link.lane;
        let peer = link.other(side).map(|end| end.party).filter(|_| side == 0);
        let claims = link.claimed && side == 1;
        let Some(end) = link.end_mut(side) else { return };
        end.is_open = true;
        let party = end.party;
        let peer = peer.and_then(|peer| self.keys.get(peer).copied());
        let source =
            if claims { Source::Claimed(id.to_le_bytes().to_vec()) } else { Source::Verified };
        let path = path_of(id, side);
        self.with(party, |one, _| one.path_up(path, IdentityId(0), peer, source, lane));
        if party < self.nodes.len() {
            self.settle(party);
        }
    }

    /// A link breaks; each end notices after its time.
    pub(crate) fn break_link(&mut self, id: LinkId, notice: [Time; 2]) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.is_broken) else { return };
        link.is_broken = true;
        for (side, after) in notice.into_iter().enumerate() {
            self.queue.push(self.now + after, Happening::Broken(id, side));
        }
        self.tell(|| format!("link {id} breaks"));
    }

    /// An end notices that its link is broken.
    pub(crate) fn notice_broken(&mut self, id: LinkId, side: Side) {
        self.close_end(id, side, Lost::Broken);
    }

    pub(crate) fn close_end(&mut self, id: LinkId, side: Side, lost: Lost) {
        let Some(end) = self.links.get(&id).and_then(|link| link.end(side)) else { return };
        let (party, life, was_open) = (end.party, end.life, end.is_open);
        if lost == Lost::Broken && self.put_off(party, Happening::Broken(id, side)) {
            return;
        }
        if let Some(end) = self.links.get_mut(&id).and_then(|link| link.end_mut(side)) {
            end.is_open = false;
        }
        if self.links.get(&id).is_some_and(|link| link.ends.iter().all(|end| !end.is_open)) {
            self.links.remove(&id);
        }
        if was_open && party < self.nodes.len() && self.life_of(party).1 == life {
            self.with(party, |one, now| one.path_down(now, path_of(id, side), lost));
            self.settle(party);
        }
    }

    /// Links that nobody needs are closed, as the product does it.
    pub(crate) fn idle_look(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get(&id) else { return };
        let unused = now.saturating_sub(link.used);
        let idle = unused >= IDLE_AFTER;
        let next = (link.used + IDLE_AFTER).max(now + IDLE_STEP);
        let parties: Vec<Party> = link.ends.iter().map(|end| end.party).collect();
        let frozen = parties.iter().filter_map(|party| self.nodes.get(*party));
        let frozen_until = frozen.map(|node| node.frozen_until).max().unwrap_or(0);
        if frozen_until > now {
            self.queue.push(frozen_until, Happening::IdleLook(id));
            return;
        }
        let awaits = |side: Side, party: Party| {
            let endpoint = self.nodes.get(party).and_then(|node| node.endpoint.as_ref());
            unused < EXEMPT && endpoint.is_some_and(|one| one.awaits(path_of(id, side)))
        };
        let waits: Vec<bool> =
            parties.iter().enumerate().map(|(side, party)| awaits(side, *party)).collect();
        if idle && waits.iter().any(|waits| !waits) {
            for (side, waits) in waits.into_iter().enumerate() {
                self.close_end(id, side, if waits { Lost::Broken } else { Lost::Closed });
            }
            return;
        }
        self.queue.push(next, Happening::IdleLook(id));
    }
}

/// How long the system tries to connect.
const DIAL_PATIENCE: Time = 8 * SECOND;
/// How often idle links are looked at.
const IDLE_STEP: Time = 8 * SECOND;
/// How long a link may be idle.
const IDLE_AFTER: Time = 24 * SECOND;
/// How long a link on which an answer is awaited may be idle.
const EXEMPT: Time = 15 * MINUTE;
