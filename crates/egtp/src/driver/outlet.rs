//! Packets on their way from the endpoint to the path that has their connection.
//!
//! Invariant: what a path does not take is lost here, and nowhere else; the endpoint sends it again.

use bytes::Bytes;
use egtp_proto::{PathId, Sink};
use tracing::debug;

use super::PATH_SHIFT;
use super::circuit_table::Circuits;
use crate::path::Path;

/// The paths as the endpoint sees them.
pub(super) struct Outlet<'a> {
    pub(super) paths: &'a mut [Box<dyn Path>],
    pub(super) circuits: &'a mut Circuits,
}

impl Sink for Outlet<'_> {
    fn room(&self, path: PathId) -> usize {
        if Circuits::has(path) {
            return self.circuits.room(path);
        }
        self.paths.iter().map(|one| one.room(path)).max().unwrap_or(0)
    }

    fn send(&mut self, path: PathId, packet: Vec<u8>) {
        if Circuits::has(path) {
            return self.circuits.send(path, packet);
        }
        if let Some(one) = owner(self.paths, path)
            && let Err(why) = one.send(path, Bytes::from(packet))
        {
            // The endpoint sends again what is not answered; nothing is lost by this.
            debug!(%why, "packet not taken by the connection");
        }
    }
}

/// The path that has a connection. Ids of different paths do not meet: each path counts from a
/// start of its own.
pub(super) fn owner(paths: &mut [Box<dyn Path>], path: PathId) -> Option<&mut Box<dyn Path>> {
    let index = usize::try_from(path.0 >> PATH_SHIFT).ok()?;
    if Circuits::has(path) {
        return None;
    }
    if paths.len() == 1 { paths.first_mut() } else { paths.get_mut(index) }
}
