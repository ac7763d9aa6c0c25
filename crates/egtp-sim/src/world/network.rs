//! What becomes of a packet between two ends of a link.
//!
//! Invariant: a stream delivers in order, whole, and everything until it breaks; a packet link may
//! do anything. Junk is marked as such, so that it can be checked to have no effect.

use bytes::BytesMut;
use egtp_proto::limits::PACKET_BYTES_MAX;
use egtp_proto::wire::Lane;
use egtp_proto::{PathId, Sizes};

use super::chance::happens;
use super::checker::{Party, Promise};
use super::clock::{HOUR, MILLI, MINUTE, SECOND, Time};
use super::fault::Fault;
use super::link::{LinkId, LinkKind, Side, end_of, opposite};
use super::queue::{Happening, Origin};
use super::relays::is_circuit;
use super::run::{Recorded, World};

impl World {
    /// An honest node has sent a packet.
    pub(crate) fn carry(&mut self, from: Party, path: PathId, packet: Vec<u8>) {
        let (id, side) = end_of(path);
        self.tally.packets += 1;
        self.hash(packet.last_chunk::<16>().map_or(&[][..], |end| &end[..]));
        let sender = self.life_of(from);
        let to = if is_circuit(path) {
            self.circuit_leads_to(from, path)
        } else {
            self.links.get(&id).and_then(|link| link.other(side)).map(|end| end.party)
        };
        let Some(to) = to else { return };
        self.look_at_flood(from, (id, side), packet.len());
        self.wire.sent(&mut self.checker, sender, to, &packet);
        if self.is_telling() {
            let what = self.wire.describe(&packet);
            self.tell(|| format!("node {from} to {to} on link {id}: {what}"));
        }
        self.recordings.push_back(Recorded { from, to, packet: packet.clone() });
        if self.recordings.len() > RECORDINGS_MAX {
            self.recordings.pop_front();
        }
        if is_circuit(path) {
            return self.carry_by_relay(from, path, packet);
        }
        if self.strength(Fault::Stranger) > 0 && !self.wire.is_record(&packet) {
            self.forerun(id, side, &packet);
        }
        self.convey(id, side, packet);
    }

    /// Only so much goes to an address that nobody has proved to be his.
    fn look_at_flood(&mut self, from: Party, (id, side): (LinkId, Side), bytes: usize) {
        let Some(link) = self.links.get_mut(&id) else { return };
        // What comes through a relay goes back to the relay, which has shown who it is.
        if link.claimed && link.lane == Lane::Direct && side == 1 {
            link.unproven.1 += bytes;
            let (received, sent) = link.unproven;
            self.checker.check(Promise::NoFlood, sent <= 3 * received, || {
                format!("node {from} sent {sent} bytes for {received} to an address unproven")
            });
        }
    }

    /// The stranger is faster than a packet of a handshake, with an altered copy of it.
    fn forerun(&mut self, id: LinkId, side: Side, packet: &[u8]) {
        if !happens(self.dice_of(Fault::Stranger), FORERUN) {
            return;
        }
        let place = self.dice_of(Fault::Stranger).index(packet.len());
        let altered = self.wire.reworked(packet, place).unwrap_or_else(|| {
            let mut altered = packet.to_vec();
            self.flip(&mut altered);
            altered
        });
        if altered != packet {
            let arrival = Happening::Arrive(id, opposite(side), altered, Origin::Forerun);
            self.queue.push(self.now, arrival);
            self.fired(Fault::Stranger);
        }
    }

    /// A packet enters a link at one end.
    pub(crate) fn convey(&mut self, id: LinkId, side: Side, packet: Vec<u8>) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.used = now;
        let (kind, rate, latency) = (link.kind, link.rate, link.latency);
        let (from, to) = match (link.end(side), link.other(side)) {
            (Some(from), Some(to)) => (from.party, to.party),
            _ => return,
        };
        if link.is_broken || link.full_until > now && kind == LinkKind::Stream {
            return;
        }
        let mut departs = now;
        if rate > 0
            && let Some(end) = link.end_mut(side)
        {
            let bytes = u64::try_from(packet.len()).unwrap_or(0);
            end.queued += packet.len();
            end.leaves = end.leaves.max(now) + bytes * SECOND / rate;
            departs = end.leaves;
            self.queue.push(departs, Happening::Drained(id, side, packet.len()));
            self.fired(Fault::SlowPath);
        }
        if self.links.get(&id).is_some_and(|link| link.swallows) {
            return self.fired(Fault::SilentPath);
        }
        let until = self.cuts.get(&(from, to)).copied().filter(|until| *until > now);
        if let Some(until) = until {
            if kind == LinkKind::Packets {
                return;
            }
            // The system sends it again when the way is free, if it does not lose patience before.
            if until - now > STREAM_PATIENCE {
                return self.break_link(id, [STREAM_PATIENCE, STREAM_PATIENCE]);
            }
            departs = departs.max(until);
        }
        if let Some(clogged) = self.links.get_mut(&id).and_then(|link| link.clogged.as_mut()) {
            clogged.push((opposite(side), packet));
            return self.fired(Fault::Clog);
        }
        let arrives = departs + latency + self.delay(side);
        match kind {
            LinkKind::Stream => self.deliver_in_order(id, side, arrives, packet),
            LinkKind::Packets => self.deliver_somehow(id, side, arrives, packet),
        }
    }

    /// How much longer than usual a packet takes.
    fn delay(&mut self, side: Side) -> Time {
        let (delay, tail) = (self.strength(Fault::Delay), self.strength(Fault::LongTail));
        let one_sided = if side == 0 { self.strength(Fault::OneSided) } else { 0 };
        let mut more = 0;
        if delay > 0 {
            more += self.network_dice.among(0..=delay * 40) * MILLI;
            self.fired(Fault::Delay);
        }
        if one_sided > 0 {
            more += one_sided * 20 * MILLI;
            self.fired(Fault::OneSided);
        }
        if tail > 0 && happens(&mut self.network_dice, tail / 5 + 1) {
            more += self.network_dice.among(0..=60_000) * MILLI;
            self.fired(Fault::LongTail);
        }
        more
    }

    fn deliver_in_order(&mut self, id: LinkId, side: Side, arrives: Time, packet: Vec<u8>) {
        let Some(end) = self.links.get_mut(&id).and_then(|link| link.end_mut(side)) else { return };
        end.newest = end.newest.max(arrives);
        let at = end.newest;
        self.queue.push(at, Happening::Arrive(id, opposite(side), packet, Origin::Genuine));
    }

    fn deliver_somehow(&mut self, id: LinkId, side: Side, arrives: Time, packet: Vec<u8>) {
        if self.is_lost(id, side) {
            return;
        }
        let to = opposite(side);
        let mut at = arrives;
        if self.strikes(Fault::Reorder, 3) {
            at += self.network_dice.among(1..=64) * 5 * MILLI;
        }
        if self.strikes(Fault::Duplicate, 5) {
            let again = at + self.network_dice.among(0..=1000) * MILLI;
            self.queue.push(again, Happening::Arrive(id, to, packet.clone(), Origin::Genuine));
        }
        if self.strikes(Fault::LateCopy, 1) {
            let again = at + self.network_dice.among(1..=HOUR / MINUTE) * MINUTE;
            self.queue.push(again, Happening::Arrive(id, to, packet.clone(), Origin::Genuine));
        }
        if self.strikes(Fault::Reflect, 1) {
            self.queue.push(at, Happening::Arrive(id, side, packet.clone(), Origin::Mangled));
        }
        let last = self.links.get_mut(&id).and_then(|link| link.end_mut(side));
        let last = last.map(|end| std::mem::replace(&mut end.last, packet.clone()));
        if let Some(mangled) = self.mangled(&packet, &last.unwrap_or_default()) {
            // The original may be gone, or come as well.
            self.queue.push(at, Happening::Arrive(id, to, mangled, Origin::Mangled));
            if happens(&mut self.network_dice, 500) {
                return;
            }
        }
        self.queue.push(at, Happening::Arrive(id, to, packet, Origin::Genuine));
    }

    /// Whether a fault strikes a packet: `per_mille` thousandths for each point of its strength.
    fn strikes(&mut self, fault: Fault, per_mille: u64) -> bool {
        let strength = self.strength(fault);
        let now = strength > 0 && happens(&mut self.network_dice, strength * per_mille);
        if now {
            self.fired(fault);
        }
        now
    }

    fn is_lost(&mut self, id: LinkId, side: Side) -> bool {
        if self.strikes(Fault::Loss, 4) {
            return true;
        }
        let strength = self.strength(Fault::LossBurst);
        if strength == 0 {
            return false;
        }
        let change = happens(&mut self.network_dice, 30 + strength / 2);
        let lost = happens(&mut self.network_dice, 800);
        let Some(end) = self.links.get_mut(&id).and_then(|link| link.end_mut(side)) else {
            return false;
        };
        end.bursts ^= change;
        let lost = lost && end.bursts;
        if lost {
            self.fired(Fault::LossBurst);
        }
        lost
    }

    /// The packet as somebody damaged it, if somebody did.
    fn mangled(&mut self, packet: &[u8], last: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = packet.to_vec();
        if self.strikes(Fault::Corrupt, 1) {
            self.flip(&mut bytes);
        } else if self.strikes(Fault::Truncate, 1) {
            bytes.truncate(self.network_dice.index(packet.len()));
        } else if self.strikes(Fault::Grow, 1) {
            let more = self.network_dice.index(PACKET_BYTES_MAX);
            bytes.extend(super::chance::filler(self.now, more.max(1)));
        } else if !last.is_empty() && self.strikes(Fault::Splice, 1) {
            bytes.truncate(packet.len() / 2);
            bytes.extend_from_slice(last.get(last.len() / 2..).unwrap_or_default());
        } else {
            return None;
        }
        (bytes != packet && bytes != last).then_some(bytes)
    }

    /// Flips one to eight bits.
    pub(crate) fn flip(&mut self, bytes: &mut [u8]) {
        for _ in 0..self.network_dice.among(1..=8) {
            let place = self.network_dice.index(bytes.len());
            let bit = self.network_dice.among(0..=7);
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << bit;
            }
        }
    }

    /// A packet reaches an end.
    pub(crate) fn arrive(&mut self, id: LinkId, side: Side, packet: &[u8], origin: Origin) {
        let Some(link) = self.links.get(&id) else { return };
        if link.is_broken && link.kind == LinkKind::Stream {
            return;
        }
        let Some(end) = link.end(side) else { return };
        let (party, life, is_open) = (end.party, end.life, end.is_open);
        let path = super::link::path_of(id, side);
        if party >= self.nodes.len() {
            return self.hostile_receives(party, (id, side), packet);
        }
        let present = self.nodes.get(party).map(|node| (node.is_up(), node.life));
        if present != Some((true, life)) {
            // The system of a machine that was restarted knows nothing of the connection.
            if present.is_some_and(|(is_up, _)| is_up) {
                self.break_link(id, [MILLI, MILLI]);
            }
            return;
        }
        if self.put_off(party, Happening::Arrive(id, side, packet.to_vec(), origin)) || !is_open {
            return;
        }
        if let Some(link) = self.links.get_mut(&id)
            && side == 1
        {
            link.unproven.0 += packet.len();
        }
        self.take_in(party, path, packet, origin);
    }

    /// A node is given a packet that has come by a path.
    pub(crate) fn take_in(&mut self, party: Party, path: PathId, packet: &[u8], origin: Origin) {
        let looked_at = match origin {
            Origin::Genuine => false,
            Origin::Mangled => happens(&mut self.network_dice, SAMPLED),
            Origin::Forerun => true,
        };
        let sampled =
            looked_at && self.looks_at_junk < LOOKS_MAX && self.open_bytes() < SAMPLED_BYTES_MAX;
        self.looks_at_junk += u64::from(sampled);
        let before = sampled.then(|| self.with(party, |endpoint, _| endpoint.fingerprint()));
        let bytes = BytesMut::from(packet);
        let sessions = self.with(party, |endpoint, _| endpoint.sizes());
        let opened = self.records_opened(party);
        self.with(party, |endpoint, now| endpoint.receive(now, path, bytes));
        if self.records_opened(party) > opened {
            self.look_at_record(party, packet);
        }
        self.look_at_sessions(party, packet, sessions);
        if let Some(before) = before {
            let after = self.with(party, |endpoint, _| endpoint.fingerprint());
            self.checker.check(Promise::JunkChangesNothing, before == after, || {
                format!("{} bytes of junk have changed node {party}", packet.len())
            });
        }
        self.settle(party);
    }

    fn records_opened(&self, party: Party) -> u64 {
        let endpoint = self.nodes.get(party).and_then(|node| node.endpoint.as_ref());
        endpoint.map_or(0, |endpoint| endpoint.counters().records_opened)
    }

    /// Whoever repeats a record gets nowhere.
    fn look_at_record(&mut self, party: Party, packet: &[u8]) {
        let Some(node) = self.nodes.get_mut(party) else { return };
        let is_new = packet.last_chunk::<16>().is_none_or(|tag| node.opened.insert(*tag));
        self.checker.check(Promise::OpenedOnce, is_new, || {
            format!("node {party} has opened the same {} bytes twice", packet.len())
        });
    }

    /// Only a record or an answer may cost confirmed sessions: by a goodbye. Where nodes are forgotten for want of
    /// room, their sessions are, too.
    fn look_at_sessions(&mut self, party: Party, packet: &[u8], before: Option<Sizes>) {
        let after = self.with(party, |endpoint, _| endpoint.sizes());
        let (Some(before), Some(after)) = (before, after) else { return };
        if self.plan.strength(Fault::TinyLimits) > 0 || self.wire.is_sealed(packet) {
            return;
        }
        let kept = after.confirmed >= before.confirmed;
        self.checker.check(Promise::HintsDeleteNothing, kept, || {
            let what = format!("{} bytes that prove nothing", packet.len());
            format!("{what} cost node {party} a session: {before:?}, then {after:?}")
        });
    }

    /// Bytes of all bodies that are under way.
    fn open_bytes(&self) -> usize {
        let open = self.nodes.iter().flat_map(|node| node.open.keys());
        open.filter_map(|number| self.wishes.get(number)).map(|wish| wish.body.len()).sum()
    }

    /// Bytes have left a buffer.
    pub(crate) fn drained(&mut self, id: LinkId, side: Side, bytes: usize) {
        let Some(end) = self.links.get_mut(&id).and_then(|link| link.end_mut(side)) else { return };
        let before = end.queued;
        end.queued = before.saturating_sub(bytes);
        // Tell it when there is room for the largest packet again, and when all is gone.
        if before >= WRITABLE_BELOW && end.queued < WRITABLE_BELOW || end.queued == 0 {
            self.writable(id, side);
        }
    }

    /// A path takes packets again.
    pub(crate) fn writable(&mut self, id: LinkId, side: Side) {
        let now = self.now;
        let Some(link) = self.links.get(&id).filter(|link| link.full_until <= now) else { return };
        let Some(end) = link.end(side).filter(|end| end.is_open) else { return };
        let party = end.party;
        if party >= self.nodes.len()
            || self.life_of(party).1 != end.life
            || self.put_off(party, Happening::Writable(id, side))
        {
            return;
        }
        self.with(party, |endpoint, _| endpoint.writable(super::link::path_of(id, side)));
        self.settle(party);
    }
}

/// Packets that are kept for replays.
const RECORDINGS_MAX: usize = 1000;
/// Of a thousand pieces of junk, how many are looked after in full.
const SAMPLED: u64 = 100;
/// Looks at all of a node's memory in one run.
const LOOKS_MAX: u64 = 40;
/// With more under way a look at all of a node's memory takes too long.
const SAMPLED_BYTES_MAX: usize = 128 * 1024;
/// A buffer with less than this in it has room for the largest packet.
const WRITABLE_BELOW: usize = 128 * 1024;
/// A connection that gets nothing through for so long is given up by the system.
const STREAM_PATIENCE: Time = 40 * SECOND;
/// Of a thousand packets of handshakes, so many are overtaken by an altered copy.
const FORERUN: u64 = 200;
