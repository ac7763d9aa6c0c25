//! What an endpoint sends at one moment, all paths together within one bound.

use egtp_proto::{PathId, Sink};

/// Takes the packets.
#[derive(Debug, Default)]
pub struct Outbound {
    /// Bytes that all paths together still take, before anything was sent.
    pub room: usize,
    /// What was sent, in order.
    pub sent: Vec<(PathId, Vec<u8>)>,
}

impl Sink for Outbound {
    fn room(&self, _path: PathId) -> usize {
        let used: usize = self.sent.iter().map(|(_, packet)| packet.len()).sum();
        self.room.saturating_sub(used)
    }

    fn send(&mut self, path: PathId, packet: Vec<u8>) {
        self.sent.push((path, packet));
    }
}
