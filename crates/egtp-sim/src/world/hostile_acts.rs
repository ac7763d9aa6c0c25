//! How the hostile peer meets the others: his links, and when he acts.

use egtp_proto::time::Instant;

use super::chance::happens;
use super::checker::Party;
use super::clock::{MILLI, SECOND};
use super::fault::Fault;
use super::hostile::Victim;
use super::link::{LinkId, Side};
use super::queue::Happening;
use super::run::World;

impl World {
    /// A packet has reached the hostile peer, or the stranger, who only listens.
    pub(crate) fn hostile_receives(
        &mut self,
        party: Party,
        (id, side): (LinkId, Side),
        packet: &[u8],
    ) {
        if party != self.nodes.len() || self.calm {
            return;
        }
        self.with_hostile(id, side, |hostile, victim| hostile.receive(victim, packet));
    }

    /// He does something to somebody.
    pub(crate) fn hostile_acts(&mut self) {
        let own = self.nodes.len();
        if self.hostile.is_none() || self.calm {
            return;
        }
        let node = self.dice_of(Fault::Hostile).index(own);
        if !self.nodes.get(node).is_some_and(super::node::Node::is_up) {
            return;
        }
        let known = self
            .links
            .iter()
            .find(|(_, link)| link.touches(own) && link.touches(node) && !link.is_broken);
        let known = known.map(|(id, _)| *id);
        let callable = self.nodes.get(node).is_some_and(|node| node.callable);
        let id = match known {
            Some(id) => id,
            None if callable => self.open_link(own, node),
            None => return,
        };
        let Some(link) = self.links.get(&id) else { return };
        let side = usize::from(link.ends[1].party == own);
        self.fired(Fault::Hostile);
        self.with_hostile(id, side, super::hostile::Hostile::act);
        if happens(self.dice_of(Fault::Hostile), 900) {
            let after = self.dice_of(Fault::Hostile).among(1..=5000) * MILLI;
            self.queue.push(self.now + after, Happening::HostileActs);
        }
    }

    fn with_hostile(
        &mut self,
        id: LinkId,
        side: Side,
        act: impl FnOnce(&mut super::hostile::Hostile, Victim<'_>) -> Vec<Vec<u8>>,
    ) {
        let Some(link) = self.links.get(&id) else { return };
        let Some(party) = link.other(side).map(|end| end.party) else { return };
        let Some(key) = self.keys.get(party).copied() else { return };
        let now = Instant::new(std::time::Duration::from_nanos(self.now + SECOND));
        let victim = Victim { party, key: &key, lane: link.lane, now };
        let Some(hostile) = self.hostile.as_mut() else { return };
        for packet in act(hostile, victim) {
            self.convey(id, side, packet);
        }
    }
}
