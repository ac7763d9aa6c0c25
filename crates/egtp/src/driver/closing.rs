//! The end of a node: goodbyes, the last rows, connections that are told to close.
//!
//! Invariant: it comes within a bounded time, and whoever still waits for anything then learns that the node is closing.

use std::task::Waker;
use std::time::Duration;

use egtp_proto::{Lost, Outcome, PathId};

use super::Driver;
use super::circuit_table::Circuits;
use super::outlet::owner;
use crate::command::Command;

impl Driver {
    pub(super) fn close_path(&mut self, path: PathId) {
        if Circuits::has(path) {
            return self.end_circuit(self.now(), path, Lost::Closed);
        }
        if let Some(one) = owner(&mut self.paths, path) {
            one.close(path);
        }
    }

    pub(super) fn begin_closing(&mut self) {
        if self.closing_since.is_none() {
            self.closing_since = Some(self.clock.boot());
            if self.circuits.are_open() {
                self.endpoint.close_relayed();
                self.transmit(self.now());
            }
            self.endpoint.close();
        }
    }

    /// Whether the goodbyes are said and all rows written: then every connection is told to close, and
    /// nothing is left.
    pub(super) fn has_closed(&mut self) -> bool {
        let Some(since) = self.closing_since else { return false };
        let open: Vec<PathId> = self.connections.keys().copied().collect();
        for path in &open {
            self.close_path(*path);
        }
        (open.is_empty() && !self.is_writing)
            || self.clock.boot().saturating_sub(since) > CLOSING_TIME
    }
}

impl Drop for Driver {
    /// Whatever still waits for this node learns that it is closing.
    fn drop(&mut self) {
        // First of all: who waits for the end may open the store and the key at once.
        self.writer = None;
        self.hold = None;
        for command in self.taken.drain(..).chain(self.commands.close()) {
            if let Command::Start(start) = command {
                start.slot.finish_here(Outcome::Closing);
            }
        }
        for (_, running) in self.running.iter() {
            running.slot.finish_here(Outcome::Closing);
        }
        for open in self.queries.values() {
            open.withdrawn.set();
        }
        self.routes.close();
        self.ringer.waiting.drain(..).for_each(Waker::wake);
        self.commands.bell().take_down();
    }
}

/// How long goodbyes may take.
const CLOSING_TIME: Duration = Duration::from_secs(3);
