//! The loops of a node beside its first one: each with a thread, an endpoint and connections of its own.
//!
//! Knows no builder's choices. Invariant: when one loop has ended, for whatever reason, all end: half a node is none.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use egtp_proto::Endpoint;
use tokio::runtime::Runtime;

use crate::clock::Clock;
use crate::command::{Command, Commands};
use crate::driver::{Driver, Restored};
use crate::error::StartError;
use crate::lines::Lines;
use crate::node::Node;
use crate::path::tcp::{Seat, TcpPath};
use crate::path::{Attempts, Path, watched};
use crate::reach::Reach;
use crate::serve::{Routes, Serving};

/// A node that is ready to run.
pub(crate) struct Built {
    pub(crate) node: Node,
    pub(crate) driver: Driver,
    pub(crate) serving: Vec<Serving>,
    pub(crate) others: Vec<Other>,
    pub(crate) lines: Lines,
}

/// What a further loop is made of, on its own thread.
pub(crate) struct Other {
    pub(crate) endpoint: Endpoint,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shared: (Commands, Routes),
    pub(crate) seat: Seat,
    pub(crate) attempts: Option<Attempts>,
    pub(crate) reach: Reach,
    pub(crate) hold: Option<Arc<File>>,
    pub(crate) spin: Duration,
    pub(crate) lines: Lines,
}

impl Built {
    /// Starts all loops but the first. Not within a runtime: one that is of no use could not be dropped there.
    pub(crate) fn start_others(mut self) -> Result<Self, StartError> {
        for (number, other) in (1..).zip(std::mem::take(&mut self.others)) {
            let runtime = runtime()?;
            thread(format!("egtp {number}"), move || runtime.block_on(other.run()))?;
        }
        Ok(self)
    }
}

impl Other {
    async fn run(self) {
        let path: Box<dyn Path> = Box::new(TcpPath::of_loop(self.seat));
        let paths = vec![watched(path, self.attempts.clone())];
        let kept = (None, Restored::new());
        let driver =
            Driver::new(self.endpoint, self.clock, self.shared, paths, self.reach, kept, self.hold)
                .spinning(self.spin)
                .watched(self.attempts);
        run(driver, self.lines).await;
    }
}

/// Runs a loop to its end, and the others with it.
pub(crate) async fn run(driver: Driver, lines: Lines) {
    // As a task: those of its connections wake it without a look at the sockets.
    if let Err(error) = tokio::spawn(driver).await {
        tracing::error!(%error, "a loop has failed, and the node closes");
    }
    lines.tell_all(|| Command::Close);
}

/// The runtime of one loop.
pub(crate) fn runtime() -> Result<Runtime, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(StartError::Driver)
}

/// A thread of the node.
pub(crate) fn thread(name: String, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    let spawned: io::Result<_> = std::thread::Builder::new().name(name).spawn(run);
    spawned.map(drop).map_err(StartError::Driver)
}
