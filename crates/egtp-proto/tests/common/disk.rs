//! A disk for tests: keeps the rows of durable stores, and forgets what was not committed.

use bytes::Bytes;
use egtp_proto::exchange::durable::{Batch, Ran, Row, Run, Write};
use egtp_proto::exchange::saved::Saved;
use egtp_proto::{Endpoint, IdentityId};

/// One identity's durable store, as rows.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What is read back after a crash.
    pub saved: Saved,
    /// Whether commits take until the test says otherwise.
    pub is_stuck: bool,
    /// Whether it takes a batch and is not done with it until it is slow no more.
    pub is_slow: bool,
    /// What it is at work on.
    pub at_work: Option<Batch>,
    /// Commits done.
    pub commits: u64,
    /// What handlers have done inside of commits.
    pub booked: Vec<Bytes>,
    /// At which commit its machine dies, and whether that is on the disk by then.
    pub dies_at: Option<(u64, bool)>,
}

impl Disk {
    pub fn new(store: u64) -> Self {
        Self {
            saved: Saved::new(store),
            is_stuck: false,
            is_slow: false,
            at_work: None,
            commits: 0,
            booked: Vec::new(),
            dies_at: None,
        }
    }

    pub fn commit(&mut self, batch: &Batch) -> Vec<Ran> {
        self.commits += 1;
        let mut all = Vec::new();
        for Row { identity, write } in &batch.rows {
            assert_eq!(*identity, IdentityId(0));
            if let Write::Run(run) = write {
                all.push(self.run(run));
            }
            self.saved.apply(write.clone());
        }
        all
    }

    /// What is to be written now, if anything is.
    pub fn next_batch(&mut self, endpoint: &mut Endpoint) -> Option<Batch> {
        if self.is_stuck {
            return None;
        }
        let batch = self.at_work.take().or_else(|| endpoint.take_batch())?;
        if self.is_slow {
            self.at_work = Some(batch);
            return None;
        }
        Some(batch)
    }

    /// The one handler that runs on the disk: books the body, and says how many are booked.
    fn run(&mut self, run: &Run) -> Ran {
        self.booked.push(run.event.message.body.clone());
        let reply = Bytes::from(self.booked.len().to_string());
        let ran = Ran::new(&run.event, Ok(reply));
        if run.wants_reply {
            self.saved.apply(Write::Answer { name: run.name, answer: ran.answer.clone() });
        }
        ran
    }

    /// Requests of others that are not done.
    pub fn queries(&self) -> usize {
        self.saved.queries.len()
    }
}
