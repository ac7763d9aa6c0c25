//! A disk for tests: keeps the rows of durable stores, and forgets what was not committed.

use egtp_proto::IdentityId;
use egtp_proto::exchange::durable::{Batch, Row};
use egtp_proto::exchange::saved::Saved;

/// One identity's durable store, as rows.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What is read back after a crash.
    pub saved: Saved,
    /// Whether commits take until the test says otherwise.
    pub is_stuck: bool,
    /// Commits done.
    pub commits: u64,
    /// At which commit its machine dies, and whether that is on the disk by then.
    pub dies_at: Option<(u64, bool)>,
}

impl Disk {
    pub fn new(store: u64) -> Self {
        Self { saved: Saved::new(store), is_stuck: false, commits: 0, dies_at: None }
    }

    pub fn commit(&mut self, batch: &Batch) {
        self.commits += 1;
        for Row { identity, write } in &batch.rows {
            assert_eq!(*identity, IdentityId(0));
            self.saved.apply(write.clone());
        }
    }

    /// Requests of others that are not done.
    pub fn queries(&self) -> usize {
        self.saved.queries.len()
    }
}
