//! The disk of a node: it takes its time, and what it was still writing when its node died is there or
//! not.
//!
//! Knows rows and nothing of what they mean. Invariant: the rows of a batch are there together or not at
//! all.

use std::collections::BTreeMap;

use egtp_proto::exchange::durable::{
    Batch, QueryName, Saved, SavedAnswer, SavedDialog, SavedQuery, Write,
};
use egtp_proto::{IdentityId, PublicKey, StoreKind};

use super::chance::{dice, happens, spread};
use super::checker::Party;
use super::clock::{MILLI, SECOND};
use super::fault::Fault;
use super::plan::Plan;
use super::queue::Happening;
use super::run::World;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Disk {
    store: u64,
    generation: u32,
    floor: u32,
    /// Each with the number of the write that was its last.
    dialogs: BTreeMap<(PublicKey, u64), (u64, SavedDialog)>,
    queries: BTreeMap<QueryName, (SavedQuery, Option<SavedAnswer>)>,
    writes: u64,
    /// What is being written.
    writing: Option<Batch>,
}

impl Disk {
    /// The disk of a node, if it has one.
    pub(crate) fn of(plan: &Plan, index: u64) -> Option<Self> {
        let mut of = dice(plan.seed, "disk", index);
        let has_one = plan.strength(Fault::Disk) > 0 && happens(&mut of, 700);
        has_one.then(|| Self {
            store: of.among(0..=u64::MAX - 1),
            generation: 1,
            floor: 0,
            dialogs: BTreeMap::new(),
            queries: BTreeMap::new(),
            writes: 0,
            writing: None,
        })
    }

    /// What is read back when a life begins.
    pub(crate) fn saved(&self) -> Saved {
        let mut saved = Saved::new(self.store);
        (saved.generation, saved.floor) = (self.generation, self.floor);
        let mut dialogs: Vec<_> = self.dialogs.values().collect();
        dialogs.sort_by_key(|(written, _)| *written);
        saved.dialogs = dialogs.into_iter().map(|(_, dialog)| dialog.clone()).collect();
        saved.queries = self.queries.values().cloned().collect();
        saved
    }

    /// What was being written is there.
    fn finish(&mut self) {
        let Some(batch) = self.writing.take() else { return };
        for row in batch.rows {
            self.writes += 1;
            match row.write {
                Write::Store { generation, floor } => {
                    (self.generation, self.floor) = (generation, floor);
                }
                Write::Dialog(one) => {
                    self.dialogs.insert((one.peer, one.dialog), (self.writes, one));
                }
                Write::Forget { peer, dialog } => {
                    self.dialogs.remove(&(peer, dialog));
                }
                Write::Query(query) => {
                    self.queries.insert(query.name, (query, None));
                }
                Write::Answer { name, answer } => {
                    if let Some((_, kept)) = self.queries.get_mut(&name) {
                        *kept = Some(answer);
                    }
                }
                Write::Done(name) => {
                    self.queries.remove(&name);
                }
            }
        }
    }
}

/// Which store a message wants to be remembered by.
pub(crate) fn wanted(plan: &Plan, number: u64) -> StoreKind {
    let durable =
        plan.strength(Fault::Disk) > 0 && happens(&mut dice(plan.seed, "durable", number), 500);
    if durable { StoreKind::Durable } else { StoreKind::Ram }
}

impl World {
    /// A node that begins a life reads its store back.
    pub(crate) fn read_back(&mut self, index: Party) {
        let Some(saved) =
            self.nodes.get(index).and_then(|node| node.disk.as_ref()).map(Disk::saved)
        else {
            return;
        };
        self.with(index, |endpoint, now| endpoint.add_store(now, IdentityId(0), saved));
    }

    /// Gives a node's next rows to its disk.
    pub(crate) fn write_down(&mut self, index: Party) {
        let is_free = |disk: &Disk| disk.writing.is_none();
        if !self.nodes.get(index).and_then(|node| node.disk.as_ref()).is_some_and(is_free) {
            return;
        }
        let Some(batch) = self.with(index, |endpoint, _| endpoint.take_batch()).flatten() else {
            return;
        };
        let calm = self.calm;
        let of = self.dice_of(Fault::Disk);
        let takes = match of.among(0..=19) {
            0..=3 if !calm => spread(of, 1, 30) * SECOND,
            _ => spread(of, 1, 30) * MILLI,
        };
        let number = batch.number;
        self.tell(|| format!("node {index} writes {} rows, for {takes} ns", batch.rows.len()));
        let Some(node) = self.nodes.get_mut(index) else { return };
        let life = node.life;
        if let Some(disk) = &mut node.disk {
            disk.writing = Some(batch);
        }
        self.queue.push(self.now + takes, Happening::Written(index, life, number));
    }

    /// The disk has written a batch of this life.
    pub(crate) fn written(&mut self, index: Party, life: u64, number: u64) {
        if self.put_off(index, Happening::Written(index, life, number)) {
            return;
        }
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.life == life) else { return };
        if !node.is_up() {
            return;
        }
        if let Some(disk) = &mut node.disk {
            disk.finish();
        }
        self.with(index, |endpoint, now| endpoint.committed(now, number));
        self.settle(index);
    }

    /// A node has died: what it was writing is there, or not.
    pub(crate) fn interrupt_disk(&mut self, index: Party) {
        let there = happens(self.dice_of(Fault::Disk), 500);
        let Some(disk) = self.nodes.get_mut(index).and_then(|node| node.disk.as_mut()) else {
            return;
        };
        if disk.writing.is_none() {
            return;
        }
        if there {
            disk.finish();
        }
        disk.writing = None;
        self.fired(Fault::Disk);
    }
}
