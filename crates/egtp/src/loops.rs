//! The loops of a node beside its first one: each with a thread, an endpoint and connections of its own.
//!
//! Knows no builder's choices. Invariant: a loop runs until its line says that the node closes, or nobody holds the
//! other end of it any more.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use egtp_proto::Endpoint;
use tokio::runtime::Runtime;

use crate::clock::Clock;
use crate::command::Commands;
use crate::driver::{Driver, Restored};
use crate::error::StartError;
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
}

impl Built {
    /// Starts all loops but the first.
    pub(crate) fn start_others(self) -> Result<(Node, Driver, Vec<Serving>), StartError> {
        for (number, other) in (1..).zip(self.others) {
            // Its runtime here: then whatever can fail has failed before anything runs.
            let runtime = runtime()?;
            thread(format!("egtp {number}"), move || runtime.block_on(other.run()))?;
        }
        Ok((self.node, self.driver, self.serving))
    }
}

impl Other {
    async fn run(self) {
        let network: Box<dyn Path> = match TcpPath::of_loop(self.seat, &[]) {
            Ok(path) => Box::new(path),
            Err(error) => return tracing::error!(%error, "a loop has no network"),
        };
        let network = watched(network, self.attempts);
        let kept = (None, Restored::new());
        let paths = vec![network];
        let driver =
            Driver::new(self.endpoint, self.clock, self.shared, paths, self.reach, kept, self.hold)
                .spinning(self.spin);
        // As a task: those of its connections wake it without a look at the sockets.
        let _ = tokio::spawn(driver).await;
    }
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
