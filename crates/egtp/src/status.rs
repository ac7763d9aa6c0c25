//! What a running node holds, as plain data for whoever wants to show or measure it.
//!
//! Nothing depends on it. Invariant: it is a copy; looking at it changes nothing.

use egtp_proto::{Counters, PublicKey, Sizes, Strategy};

/// What a node holds and has counted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Sizes of the tables, in entries.
    pub sizes: Sizes,
    /// Counts since the start.
    pub counters: Counters,
    /// Open connections.
    pub connections: usize,
    /// The open connections, the oldest first; where there are several loops, one after the other.
    pub paths: Vec<OpenPath>,
}

impl Status {
    /// Adds what another loop of the node holds and has counted.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { sizes, counters, connections, paths } = other;
        self.sizes += sizes;
        self.counters += counters;
        self.connections += connections;
        self.paths.extend(paths);
    }
}

/// An open connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OpenPath {
    /// Where it leads; the address that it came from, if the other end has opened it.
    pub strategy: Strategy,
    /// Who has proved an identity on it. `None` while nobody has.
    pub peer: Option<PublicKey>,
    /// Which end has opened it.
    pub opened_by: OpenedBy,
}

/// Which end of a connection has opened it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpenedBy {
    /// This node.
    Us,
    /// The other end.
    Them,
}

impl OpenPath {
    pub(crate) const fn new(strategy: Strategy, opened_by: OpenedBy) -> Self {
        Self { strategy, peer: None, opened_by }
    }
}
