//! The thread on which a node waits for its disk, and on which that is backed up.
//!
//! Invariant: batches become durable one after another, in the order in which they came; one that the
//! disk refuses is tried again until it goes, because what waits for it can neither go on nor be undone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use egtp_proto::PublicKey;
use egtp_proto::QueryEvent;
use egtp_proto::exchange::durable::{Batch, Ran, Row, Write};
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::{File, Store, StoreError, Values};
use crate::command::{Command, Commands};
use crate::error::Refusal;
use crate::serve::{Routes, To};

/// What it does, one after the other.
#[derive(Debug)]
enum Job {
    Write(Batch),
    BackUp(BackUp),
}

/// A backup to be made.
#[derive(Debug)]
pub(crate) struct BackUp {
    /// The file to make.
    pub to: PathBuf,
    /// What else goes in.
    pub files: Vec<File>,
    /// Where it is said how that went.
    pub answer: oneshot::Sender<Result<(), StoreError>>,
}

/// The driver's end of it.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Option<SyncSender<Job>>,
    /// Backups that wait for their turn.
    waiting: Arc<AtomicUsize>,
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
        let (jobs, taken) = sync_channel(1 + BACKUPS_MAX);
        let (stop, waiting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let desk = Desk {
            store,
            identities,
            commands,
            routes,
            waiting: Arc::clone(&waiting),
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("egtp-store".into())
            .spawn(move || desk.run(&taken))?;
        Ok(Self { jobs: Some(jobs), waiting, stop, thread: Some(thread) })
    }

    /// Hands a batch over; [`Command::Committed`] says when it is durable.
    pub(crate) fn write(&self, batch: Batch) {
        if let Some(jobs) = &self.jobs
            && jobs.try_send(Job::Write(batch)).is_err()
        {
            error!("the store's thread takes nothing: nothing durable goes on");
        }
    }

    /// Makes a backup when what was handed over before is durable. What comes later waits for it.
    pub(crate) fn back_up(&self, back_up: BackUp) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= BACKUPS_MAX {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            let why = "other backups are being made";
            // Who asked may have gone.
            let _ = back_up.answer.send(Err(StoreError::Unavailable { why }));
        } else if let Some(jobs) = &self.jobs {
            // If the thread has gone, so has whoever answers.
            let _ = jobs.try_send(Job::BackUp(back_up));
        }
    }
}

impl Drop for Writer {
    /// Waits for the batch under way, if the disk takes it.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.jobs = None;
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
    waiting: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Desk {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let Batch { number, rows } = match job {
                Job::Write(batch) => batch,
                Job::BackUp(BackUp { to, files, answer }) => {
                    self.waiting.fetch_sub(1, Ordering::AcqRel);
                    // Who asked may have gone.
                    let _ = answer.send(self.store.back_up(&to, &files));
                    continue;
                }
            };
            let rows: Vec<(PublicKey, Write)> = rows
                .into_iter()
                .filter_map(|Row { identity, write }| {
                    Some((*self.identities.get(usize::from(identity.0))?, write))
                })
                .collect();
            let Some(ran) = self.commit(&rows, jobs) else { return };
            if self.commands.push(Command::Committed(number, ran)).is_err() {
                return;
            }
        }
    }

    /// What the handlers among the rows have answered, once all is durable. `None`: the node is closing.
    ///
    /// Whoever wants a backup while the disk refuses is told so: it would have to wait for what cannot be
    /// written.
    fn commit(&mut self, rows: &[(PublicKey, Write)], jobs: &Receiver<Job>) -> Option<Vec<Ran>> {
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
                error!(%error, "cannot write; what is to be durable is refused until it goes");
                self.commands.push(Command::DiskRefuses).ok()?;
            }
            failed += 1;
            while let Ok(Job::BackUp(BackUp { answer, .. })) = jobs.try_recv() {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                let why = "its disk refuses to write what comes first; the node's log says why";
                // Who asked may have gone.
                let _ = answer.send(Err(StoreError::Unavailable { why }));
            }
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

/// Backups that may wait at a time.
const BACKUPS_MAX: usize = 4;
/// How long the disk is left alone after it has refused.
const RETRY: Duration = Duration::from_secs(1);
