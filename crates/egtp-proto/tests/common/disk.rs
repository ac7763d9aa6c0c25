//! A disk for tests: keeps the rows of durable stores, and forgets what was not committed.

use std::collections::BTreeMap;

use egtp_proto::exchange::durable::{
    Batch, QueryName, Row, Saved, SavedAnswer, SavedDialog, SavedQuery, Write,
};
use egtp_proto::{IdentityId, PublicKey};

/// One identity's durable store, as rows.
#[derive(Clone, Debug)]
pub struct Disk {
    store: u64,
    generation: u32,
    floor: u32,
    dialogs: BTreeMap<(PublicKey, u64), SavedDialog>,
    queries: BTreeMap<QueryName, (SavedQuery, Option<SavedAnswer>)>,
    /// Whether commits take until the test says otherwise.
    pub is_stuck: bool,
    /// Commits done.
    pub commits: u64,
}

impl Disk {
    pub fn new(store: u64) -> Self {
        Self {
            store,
            generation: 1,
            floor: 0,
            dialogs: BTreeMap::new(),
            queries: BTreeMap::new(),
            is_stuck: false,
            commits: 0,
        }
    }

    pub fn commit(&mut self, batch: &Batch) {
        self.commits += 1;
        for Row { identity, write } in &batch.rows {
            assert_eq!(*identity, IdentityId(0));
            match write.clone() {
                Write::Store { generation, floor } => {
                    (self.generation, self.floor) = (generation, floor);
                }
                Write::Dialog(one) => {
                    self.dialogs.insert((one.peer, one.dialog), one);
                }
                Write::Forget { peer, dialog } => {
                    self.dialogs.remove(&(peer, dialog)).expect("a forgotten dialog was known");
                }
                Write::Query(query) => {
                    self.queries.insert(query.name, (query, None));
                }
                Write::Answer { name, answer } => {
                    self.queries.get_mut(&name).expect("an answer has its query").1 = Some(answer);
                }
                Write::Done(name) => {
                    self.queries.remove(&name);
                }
            }
        }
    }

    /// What is read back after a crash.
    pub fn saved(&self) -> Saved {
        let mut saved = Saved::new(self.store);
        (saved.generation, saved.floor) = (self.generation, self.floor);
        saved.dialogs = self.dialogs.values().cloned().collect();
        saved.queries = self.queries.values().cloned().collect();
        saved
    }

    /// Requests that are not done.
    pub fn queries(&self) -> usize {
        self.queries.len()
    }
}
