//! Somebody without any key: he knows the public keys, sees every packet, and sends what he likes.

use egtp_proto::limits::PACKET_BYTES_MAX;
use egtp_proto::wire::Header;
use egtp_proto::wire::shroud::{HEADER_BYTES, Shroud};

use super::checker::Party;
use super::clock::MILLI;
use super::fault::Fault;
use super::mischief::STRANGER;
use super::queue::{Happening, Origin};
use super::run::World;

impl World {
    /// He sends a few packets to a node.
    pub(crate) fn stranger_acts(&mut self, node: Party) {
        if !self.nodes.get(node).is_some_and(super::node::Node::is_up) {
            return;
        }
        let touching = self.links.iter().filter(|(_, link)| link.touches(node));
        let links: Vec<u64> = touching.map(|(id, _)| *id).collect();
        let of = self.dice_of(Fault::Stranger);
        let count = of.among(1..=20);
        let tapped = of.pick(&links).copied().filter(|id| id % 2 == 0);
        let id = tapped.unwrap_or_else(|| self.open_link(STRANGER, node));
        let Some(link) = self.links.get(&id) else { return };
        let side = usize::from(link.ends[0].party != node);
        for later in 0..count {
            let at = self.now + later * MILLI;
            let (packet, origin) = self.junk(node);
            self.queue.push(at, Happening::Arrive(id, side, packet, origin));
            self.fired(Fault::Stranger);
        }
    }

    /// One packet: noise, noise that looks right from outside, a recording, a mangled one, or a hint
    /// about the newest record.
    fn junk(&mut self, node: Party) -> (Vec<u8>, Origin) {
        let key = self.keys.get(node).copied();
        let recordings = self.recordings.len();
        let of = self.dice_of(Fault::Stranger);
        let which = of.among(0..=9);
        let length = match of.among(0..=20) {
            0 => of.index(PACKET_BYTES_MAX + 5000),
            _ => of.index(700),
        };
        let noise = of.vector(length);
        let place = of.index(recordings);
        let hints = of.among(0..=9) == 0;
        let hint = self.recordings.iter().rev().find(|one| one.from == node);
        let hint = hint.filter(|_| hints);
        if let Some(hint) = hint.and_then(|one| self.wire.forged_hint(one.to, &one.packet)) {
            return (hint, Origin::Genuine);
        }
        let recorded = self.recordings.get(place).map(|one| one.packet.clone());
        match (which, recorded, key) {
            (0..=2, Some(packet), _) => (packet, Origin::Genuine),
            (3..=6, Some(packet), _) => {
                let mut bytes = packet.clone();
                self.flip(&mut bytes);
                let origin = if bytes == packet { Origin::Genuine } else { Origin::Mangled };
                (bytes, origin)
            }
            (7..=8, _, Some(key)) => (dress(noise, &Shroud::new(&key)), Origin::Mangled),
            _ => (noise, Origin::Mangled),
        }
    }
}

/// Makes noise look like a packet to a node: its type is a known one, its mask and MAC are right.
fn dress(mut noise: Vec<u8>, shroud: &Shroud) -> Vec<u8> {
    if let Some(first) = noise.first_mut() {
        *first = (*first % 6 + 1) << 4;
    }
    let header = noise.first_chunk::<HEADER_BYTES>().and_then(|head| Header::decode(head).ok());
    if noise.len() < MASKED_BYTES_MIN {
        return noise;
    }
    if let Some(check) = noise.get_mut(HEADER_BYTES..HEADER_BYTES + 4) {
        check.fill(0);
    }
    let mac = shroud.mac(&[&noise]);
    noise.extend_from_slice(&mac);
    shroud.cover(&mut noise, header.map_or(0, |header| header.masked_bytes()));
    noise
}

/// Shorter noise has no room for a header and a mask.
const MASKED_BYTES_MIN: usize = 96;
