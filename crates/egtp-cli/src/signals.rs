//! SIGINT and SIGTERM.
//!
//! Knows nothing of what is to be stopped. Invariant: the first one asks, the second one ends the
//! process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Code, Failure};

/// The signals that ask this process to stop.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let caught = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(Code::Internal, format_args!("cannot catch signals: {error}"))
            })
        };
        let interrupt = caught(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: caught(SignalKind::terminate())? })
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// From now on the next one ends the process.
    pub(crate) fn give_up_on_next(mut self) {
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(Code::Interrupted.exit().into());
        });
    }
}
