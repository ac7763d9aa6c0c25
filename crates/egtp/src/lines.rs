//! The lines from the program to the loops of its node, and which of them a peer is served by.
//!
//! Knows no commands' meaning. Invariant: everything about a peer goes to one loop, the one that remembers it.

use std::sync::Arc;

use egtp_proto::{Part, PublicKey};

use crate::command::{Command, Commands};

/// The lines to all loops, in order; there is at least one.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    first: Commands,
    others: Vec<Commands>,
    part: Part,
}

impl Lines {
    /// Lines to so many loops; `part` is any of them.
    pub(crate) fn new(part: Part, count: usize) -> Self {
        let others = (1..count).map(|_| Commands::new()).collect();
        Self(Arc::new(Inner { first: Commands::new(), others, part }))
    }

    /// The line to the first loop: the only one of a node with a store.
    pub(crate) fn first(&self) -> &Commands {
        &self.0.first
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Commands> {
        std::iter::once(&self.0.first).chain(&self.0.others)
    }

    /// Which loop has this peer.
    pub(crate) fn index_of(&self, peer: &PublicKey) -> usize {
        if self.0.others.is_empty() { 0 } else { self.0.part.of_peer(peer).into() }
    }

    /// The line to the loop that has this peer.
    pub(crate) fn of(&self, peer: &PublicKey) -> &Commands {
        let index = self.index_of(peer).checked_sub(1);
        index.and_then(|index| self.0.others.get(index)).unwrap_or(&self.0.first)
    }

    /// Tells every loop. Those that have ended need not hear it.
    pub(crate) fn tell_all(&self, mut command: impl FnMut() -> Command) {
        for line in self.iter() {
            let _ = line.push(command());
        }
    }
}
