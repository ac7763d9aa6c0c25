//! What is between the nodes: paths, and packets that arrive late, twice, changed, or at the wrong place.
//!
//! Invariant: a packet arrives only at an end of a path that its receiver was told of.

use bytes::BytesMut;
use egtp_proto::wire::Lane;
use egtp_proto::{IdentityId, Lost, PathId, Source};

use super::Network;

/// A path as both ends know it.
pub(super) struct Link {
    pub ends: [(usize, PathId); 2],
    pub up: [bool; 2],
}

/// A packet on its way to one end of a path.
#[derive(Clone)]
pub(super) struct Flight {
    pub to: usize,
    pub path: PathId,
    pub packet: Vec<u8>,
}

impl Link {
    /// Which of its ends is at this node.
    pub(super) fn side_of(&self, node: usize) -> Option<usize> {
        self.ends.iter().position(|end| end.0 == node)
    }
}

impl Network {
    /// One of the packets that are on their way arrives.
    pub fn deliver(&mut self, index: usize) {
        let index = index.checked_rem(self.flights.len()).unwrap_or(0);
        if let Some(flight) = self.flights.remove(index) {
            self.arrive(&flight);
        }
    }

    /// It does not arrive.
    pub fn lose(&mut self, index: usize) {
        let index = index.checked_rem(self.flights.len()).unwrap_or(0);
        self.flights.remove(index);
    }

    /// A packet of long ago arrives (again): on its own path, or on another one of its receiver.
    pub fn repeat(&mut self, back: usize, other: usize) {
        let Some(mut flight) = self.recorded.iter().rev().nth(back).cloned() else { return };
        if other > 0 {
            let Some(path) = self.path_of(flight.to, other) else { return };
            flight.path = path;
        }
        self.arrive(&flight);
    }

    /// A packet arrives at somebody for whom it was not meant.
    pub fn misdirect(&mut self, back: usize, to: usize, other: usize) {
        let Some(flight) = self.recorded.iter().rev().nth(back) else { return };
        let packet = flight.packet.clone();
        if let Some(path) = self.path_of(to, other) {
            self.arrive(&Flight { to, path, packet });
        }
    }

    /// A packet of long ago arrives with one byte changed.
    pub fn repeat_changed(&mut self, back: usize, at: usize, bits: u8) {
        let Some(mut flight) = self.recorded.iter().rev().nth(back).cloned() else { return };
        let index = at.checked_rem(flight.packet.len()).unwrap_or(0);
        flight.packet[index] ^= bits;
        self.arrive(&flight);
    }

    /// Opens a path between two nodes: of either lane, and with a source that is verified or not.
    pub fn connect(&mut self, from: usize, to: usize, how: usize) {
        self.links.retain(|link| link.up != [false; 2]);
        if self.links.len() >= LINKS_MAX {
            self.disconnect(0, Lost::Closed, true);
        }
        let ends = [from, to].map(|node| {
            self.paths_made += 1;
            (node, PathId(self.paths_made))
        });
        let lane = if how & 1 == 0 { Lane::Direct } else { Lane::Relay };
        let source = if how & 2 == 0 { Source::Verified } else { Source::Claimed(vec![1]) };
        let (id, peer) = (IdentityId(0), Some(self.nodes[to].key));
        self.nodes[from].endpoint.path_up(ends[0].1, id, peer, Source::Verified, lane);
        self.nodes[to].endpoint.path_up(ends[1].1, id, None, source, lane);
        self.links.push(Link { ends, up: [true; 2] });
    }

    /// Ends a path for one of its ends, or for both.
    pub fn disconnect(&mut self, index: usize, lost: Lost, both: bool) {
        let Some(index) = index.checked_rem(self.links.len()) else { return };
        for side in 0..=usize::from(both) {
            self.disconnect_side(index, side, lost);
        }
    }

    /// Tells one end that its path is gone, if it does not know yet.
    pub(super) fn disconnect_side(&mut self, index: usize, side: usize, lost: Lost) {
        let link = &mut self.links[index];
        if std::mem::take(&mut link.up[side]) {
            let (node, path) = link.ends[side];
            let now = self.clocks(node);
            self.nodes[node].endpoint.path_down(now, path, lost);
        }
    }

    pub(super) fn arrive(&mut self, flight: &Flight) {
        let now = self.clocks(flight.to);
        let packet = BytesMut::from(&flight.packet[..]);
        self.nodes[flight.to].endpoint.receive(now, flight.path, packet);
    }

    /// One of the paths that a node has.
    fn path_of(&self, node: usize, index: usize) -> Option<PathId> {
        let ends = self.links.iter().flat_map(|link| link.ends.iter().zip(link.up));
        let paths = ends.filter(|((at, _), up)| *at == node && *up).map(|((_, path), _)| *path);
        paths.clone().nth(index.checked_rem(paths.count())?)
    }
}

/// Paths that are up at once.
const LINKS_MAX: usize = 8;
