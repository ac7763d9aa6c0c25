//! The thread on which a node waits for its disk.
//!
//! Invariant: batches become durable one after another, in the order in which they came; one that the
//! disk refuses is tried again until it goes, because what waits for it can neither go on nor be undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use egtp_proto::PublicKey;
use egtp_proto::QueryEvent;
use egtp_proto::exchange::durable::{Batch, Ran, Row, Write};
use tracing::{error, warn};

use super::{Store, Values};
use crate::command::{Command, Commands};
use crate::error::Refusal;
use crate::serve::{Routes, To};

/// The driver's end of it.
#[derive(Debug)]
pub(crate) struct Writer {
    batches: Option<SyncSender<Batch>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `identities` are the keys that rows name by number.
    pub(crate) fn start(
        store: Box<dyn Store>,
        identities: Vec<PublicKey>,
        (commands, routes): (Commands, Routes),
    ) -> std::io::Result<Self> {
        // The endpoint gives one batch at a time; there is room for it.
        let (batches, taken) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let desk = Desk { store, identities, commands, routes, stop: Arc::clone(&stop) };
        let thread =
            std::thread::Builder::new().name("egtp-store".into()).spawn(|| desk.run(taken))?;
        Ok(Self { batches: Some(batches), stop, thread: Some(thread) })
    }

    /// Hands a batch over; [`Command::Committed`] says when it is durable.
    pub(crate) fn write(&self, batch: Batch) {
        if let Some(batches) = &self.batches
            && batches.try_send(batch).is_err()
        {
            error!("the store's thread takes nothing: nothing durable goes on");
        }
    }
}

impl Drop for Writer {
    /// Waits for the batch under way, if the disk takes it.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that has panicked has said so.
            let _ = thread.join();
        }
    }
}

struct Desk {
    store: Box<dyn Store>,
    identities: Vec<PublicKey>,
    commands: Commands,
    routes: Routes,
    stop: Arc<AtomicBool>,
}

impl Desk {
    fn run(mut self, batches: Receiver<Batch>) {
        for Batch { number, rows } in batches {
            let rows: Vec<(PublicKey, Write)> = rows
                .into_iter()
                .filter_map(|Row { identity, write }| {
                    Some((*self.identities.get(usize::from(identity.0))?, write))
                })
                .collect();
            let Some(ran) = self.commit(&rows) else { return };
            if self.commands.push(Command::Committed(number, ran)).is_err() {
                return;
            }
        }
    }

    /// What the handlers among the rows have answered, once all is durable. `None`: the node is closing.
    fn commit(&mut self, rows: &[(PublicKey, Write)]) -> Option<Vec<Ran>> {
        let mut failed = 0_u32;
        let routes = &self.routes;
        let mut run = |values: &mut dyn Values, event: &QueryEvent| {
            match routes.find(&event.message.kind, &event.message.from)? {
                To::Store(handler) => handler(values, event),
                // Its router has gone, and another one serves the kind otherwise.
                To::Queue(_) | To::Sync(_) => Err(Refusal::Failed),
            }
        };
        let ran = loop {
            let error = match self.store.commit(rows, &mut run) {
                Ok(ran) => break ran,
                Err(error) => error,
            };
            if failed == 0 {
                error!(%error, "cannot write; durable messages wait until it goes");
            }
            failed += 1;
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            std::thread::park_timeout(RETRY);
        };
        if failed > 0 {
            // Whoever is shown warnings has read that it did not go.
            warn!(failed, "writing goes again");
        }
        Some(ran)
    }
}

/// How long the disk is left alone after it has refused.
const RETRY: Duration = Duration::from_secs(1);
