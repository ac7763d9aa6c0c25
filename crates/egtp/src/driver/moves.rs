//! Connections that turn out to be another loop's, and those that come from one.
//!
//! Invariant: what came on a connection goes along with it, in its order.

use egtp_proto::time::Now;
use egtp_proto::wire::Lane;
use egtp_proto::{Elsewhere, PathId, PublicKey, Source, Strategy};
use tracing::debug;

use super::Driver;
use super::outlet::owner;
use crate::path::{Luggage, PathEvent};
use crate::status::{OpenPath, OpenedBy};

impl Driver {
    /// Somebody has opened a connection to one of our identities. Returns whether it is one of ours indeed.
    pub(super) fn accepted(&mut self, path: PathId, identity: &PublicKey, from: Strategy) -> bool {
        let Some(identity) = self.endpoint.identity_of(identity) else {
            self.close_path(path);
            return false;
        };
        self.connections.insert(path, OpenPath::new(from, OpenedBy::Them));
        self.endpoint.path_up(path, identity, None, Source::Verified, Lane::Direct);
        true
    }

    /// Goes on with a connection of another loop.
    pub(super) fn take_over(&mut self, now: Now, path: PathId, Luggage { stray, behind }: Luggage) {
        self.endpoint.adopt(now, path, stray);
        for packet in behind.into_iter().rev() {
            self.events.push_front(PathEvent::Received { path, packet });
        }
        self.hand_over_if_due();
    }

    /// Lets go of the connection of the last packet, if it turned out not to be this loop's.
    pub(super) fn hand_over_if_due(&mut self) {
        match self.endpoint.take_elsewhere() {
            None => {}
            Some(Elsewhere::Nowhere { path }) => {
                debug!("a connection was handed on too often");
                self.close_path(path);
            }
            Some(Elsewhere::Part { path, part, stray }) => {
                debug!(part, "a connection goes to the loop of its peer");
                let luggage = Luggage { stray, behind: self.take_packets_of(path) };
                let Some(one) = owner(&mut self.paths, path) else { return };
                match one.hand_over(path, part.into(), luggage) {
                    Ok(()) => drop(self.connections.remove(&path)),
                    Err(Luggage { stray, .. }) => self.endpoint.take_back(stray),
                }
            }
        }
    }

    fn take_packets_of(&mut self, of: PathId) -> Vec<bytes::BytesMut> {
        let mut packets = Vec::new();
        for event in std::mem::take(&mut self.events) {
            match event {
                PathEvent::Received { path, packet } if path == of => packets.push(packet),
                other => self.events.push_back(other),
            }
        }
        packets
    }
}
