//! What a hostile relay does with packets: drops, delays, alters, turns round and repeats them, also much later, to others,
//! in other orders, and to later lives of both ends.
//!
//! It has no key of theirs. Knows no promises: whatever it does, all of them are to hold. Invariant: it keeps only so much.

use super::super::chance::{happens, spread};
use super::super::checker::Party;
use super::super::clock::{HOUR, MILLI, MINUTE, SECOND, Time};
use super::super::fault::Fault;
use super::super::queue::{Happening, Origin};
use super::super::run::World;
use super::{Errand, Passed, RelayId, State};

impl World {
    /// A relay remembers what it has seen, if it wants to repeat it.
    pub(super) fn remember(&mut self, id: RelayId, passed: &Passed) {
        if self.strength(Fault::RelayRepeats) == 0 {
            return;
        }
        if let Some(relay) = self.relays.all.get_mut(id) {
            relay.seen.push_back(passed.clone());
            if relay.seen.len() > SEEN_MAX {
                relay.seen.pop_front();
            }
        }
    }

    /// A relay passes a packet on, or does what it likes.
    pub(super) fn pass_on(&mut self, id: RelayId, passed: Passed) {
        let mut at = self.now + self.way_to_relay(id);
        if self.likes(Fault::RelayDrops, 3) {
            return;
        }
        if self.likes(Fault::RelayDelays, 3) {
            at += spread(self.dice_of(Fault::RelayDelays), MILLI, MINUTE);
        }
        if self.likes(Fault::RelayForges, 3) {
            let forged = self.forged(&passed);
            self.deliver(id, at, forged, Origin::Mangled);
            if happens(self.dice_of(Fault::RelayForges), 500) {
                return;
            }
        }
        if self.likes(Fault::RelayRepeats, 3) {
            for _ in 0..self.dice_of(Fault::RelayRepeats).among(1..=3) {
                let later = spread(self.dice_of(Fault::RelayRepeats), MILLI, HOUR);
                let repeated = self.readdressed(&passed);
                self.deliver(id, at + later, repeated, Origin::Genuine);
            }
        }
        self.deliver(id, at, passed, Origin::Genuine);
    }

    fn likes(&mut self, fault: Fault, per_mille: u64) -> bool {
        let strength = self.strength(fault);
        let now = strength > 0 && happens(self.dice_of(fault), strength * per_mille);
        if now {
            self.fired(fault);
        }
        now
    }

    fn deliver(&mut self, id: RelayId, at: Time, passed: Passed, origin: Origin) {
        let packet = Happening::Errand(Errand::Passed(id, passed, origin));
        self.queue.push(at, packet);
    }

    /// The same bytes: to the same node, or back, or to somebody else, or under another name.
    fn readdressed(&mut self, passed: &Passed) -> Passed {
        let Passed { from, to, packet } = passed.clone();
        let nodes = self.nodes.len();
        let of = self.dice_of(Fault::RelayRepeats);
        let another = of.index(nodes);
        let (from, to) = match of.among(0..=7) {
            0 => (to, from),
            1 => (from, another),
            2 => (another, to),
            _ => (from, to),
        };
        Passed { from, to, packet }
    }

    /// Other bytes: bits flipped, cut short, grown, or two packets in one.
    fn forged(&mut self, passed: &Passed) -> Passed {
        let mut forged = passed.clone();
        let length = forged.packet.len();
        let of = self.dice_of(Fault::RelayForges);
        let (which, more, place) = (of.among(0..=3), of.vector(16), of.index(length));
        match which {
            0 => forged.packet.truncate(place),
            1 => forged.packet.extend(more),
            2 => {
                let other = self.relays.all.iter().find_map(|relay| relay.seen.front());
                let other = other.map_or(more, |other| other.packet.clone());
                forged.packet.truncate(length / 2);
                forged.packet.extend(other.get(other.len() / 2..).unwrap_or_default());
            }
            _ => {
                let mut packet = std::mem::take(&mut forged.packet);
                self.flip(&mut packet);
                forged.packet = packet;
            }
        }
        if forged.packet == passed.packet {
            forged.packet.push(0);
        }
        forged
    }

    /// Some relay repeats what it has, to a node.
    pub(crate) fn relay_repeats(&mut self, node: Party) {
        let relays = self.relays.all.len();
        let id = self.dice_of(Fault::RelayRepeats).index(relays);
        self.repeat_to(id, node);
    }

    /// A relay repeats what it has seen for a node, or of it, in its order or in another one.
    pub(super) fn repeat_to(&mut self, id: RelayId, node: Party) {
        if self.strength(Fault::RelayRepeats) == 0 {
            return;
        }
        let Some(relay) = self.relays.all.get(id).filter(|one| one.state == State::Up) else {
            return;
        };
        let about = relay.seen.iter().filter(|one| one.to == node || one.from == node);
        let about: Vec<Passed> = about.cloned().collect();
        let of = self.dice_of(Fault::RelayRepeats);
        let (from, is_in_order) = (of.index(about.len()), happens(of, 500));
        for (later, passed) in about.into_iter().skip(from).take(REPEATED).enumerate() {
            let mut after = u64::try_from(later).unwrap_or(0) * MILLI;
            if !is_in_order {
                after = self.dice_of(Fault::RelayRepeats).among(0..=10) * SECOND;
            }
            let repeated =
                if passed.to == node && is_in_order { passed } else { self.readdressed(&passed) };
            self.fired(Fault::RelayRepeats);
            self.deliver(id, self.now + after, repeated, Origin::Genuine);
        }
    }

    /// A node has begun a new life: all relays try what the old one has said and heard.
    pub(crate) fn relays_try_the_reborn(&mut self, node: Party) {
        if self.strength(Fault::RelayRepeats) == 0 {
            return;
        }
        for id in 0..self.relays.all.len() {
            let after = spread(self.dice_of(Fault::RelayRepeats), MILLI, 30 * SECOND);
            let repeats = Happening::Errand(Errand::Repeats(id, node));
            self.queue.push(self.now + after, repeats);
        }
    }
}

/// Packets that a relay keeps.
const SEEN_MAX: usize = 1_000;
/// Packets that it repeats at once.
const REPEATED: usize = 200;
