//! The disk of a node: it takes its time, and what it was still writing when its node died is there or
//! not.
//!
//! Knows rows and nothing of what they mean. Invariant: the rows of a batch are there together or not at
//! all.

use egtp_proto::exchange::durable::{Batch, Ran, Run, SavedAsk, Write};
use egtp_proto::exchange::saved::Saved;
use egtp_proto::{IdentityId, Kind, Policy, StoreKind};

use super::chance::{dice, happens, spread};
use super::checker::{Ended, Party, Promise, Restored};
use super::clock::{MILLI, MINUTE, SECOND, Time};
use super::events::name_outcome;
use super::fault::Fault;
use super::plan::Plan;
use super::queue::Happening;
use super::run::World;
use super::workload::{Wish, number_of, parse_kind};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Disk {
    /// What is read back when a life begins.
    saved: Saved,
    /// What is being written, and what its handlers do when it is there.
    writing: Option<(Batch, Vec<Booked>)>,
    /// What there was before the last write, on a disk that does not sync.
    unsynced: Option<Saved>,
    /// Until when it refuses to write, or when it last did so.
    full_until: Time,
}

impl Disk {
    /// The disk of a node, if it has one.
    pub(crate) fn of(plan: &Plan, index: u64) -> Option<Self> {
        let mut of = dice(plan.seed, "disk", index);
        let has_one = plan.strength(Fault::Disk) > 0 && happens(&mut of, 700);
        has_one.then(|| Self {
            saved: Saved::new(of.among(0..=u64::MAX - 1)),
            writing: None,
            unsynced: None,
            full_until: 0,
        })
    }

    const fn is_full(&self, now: Time) -> bool {
        now < self.full_until
    }

    /// What was being written is there. Returns what handlers have done with it.
    fn finish(&mut self) -> Vec<Booked> {
        let Some((batch, booked)) = self.writing.take() else { return Vec::new() };
        if does_not_sync() {
            self.unsynced = Some(self.saved.clone());
        }
        batch.rows.into_iter().for_each(|row| self.saved.apply(row.write));
        for one in booked.iter().filter(|one| one.run.wants_reply) {
            let (name, answer) = (one.run.name, one.ran.answer.clone());
            self.saved.apply(Write::Answer { name, answer });
        }
        booked
    }
}

/// What a handler does inside a write.
#[derive(Clone, Debug)]
pub(crate) struct Booked {
    pub run: Run,
    pub ran: Ran,
}

/// How nodes with a disk take requests of a kind. Of others than the few known ones nothing is said.
pub(crate) fn policies(plan: &Plan) -> impl Iterator<Item = (Kind, Policy)> {
    let mut of = dice(plan.seed, "policies", 0);
    let has_some = plan.strength(Fault::Disk) > 0 && happens(&mut of, 600);
    let kinds = [("a", Policy::Transaction), ("block.get/2", Policy::Redeliver)];
    let kinds = kinds.into_iter().filter(move |_| has_some);
    kinds.filter_map(|(kind, policy)| Some((parse_kind(kind)?, policy)))
}

/// A planted bug: see [`egtp_proto::planted::Bug::SyncOff`].
#[cfg(planted)]
fn does_not_sync() -> bool {
    egtp_proto::planted::is(egtp_proto::planted::Bug::SyncOff)
}

#[cfg(not(planted))]
const fn does_not_sync() -> bool {
    false
}

/// Which store a message wants to be remembered by.
pub(crate) fn wanted(plan: &Plan, number: u64) -> StoreKind {
    let durable =
        plan.strength(Fault::Disk) > 0 && happens(&mut dice(plan.seed, "durable", number), 500);
    if durable { StoreKind::Durable } else { StoreKind::Ram }
}

/// Whether a message is to outlive the life of its asker.
pub(crate) fn outlives(plan: &Plan, wish: &Wish) -> bool {
    wanted(plan, wish.number) == StoreKind::Durable
        && happens(&mut dice(plan.seed, "outlives", wish.number), 600)
}

/// The number of a message on a disk.
fn number(ask: &SavedAsk) -> u64 {
    number_of(ask.kind.as_str(), &ask.body).unwrap_or(u64::MAX)
}

impl World {
    /// A node that begins a life reads its store back, and goes on with what outlived the one before.
    pub(crate) fn read_back(&mut self, index: Party) {
        let Some(disk) = self.nodes.get(index).and_then(|node| node.disk.as_ref()) else { return };
        let saved = disk.saved.clone();
        let restored = self.with(index, |endpoint, now| {
            let left_out = endpoint.add_store(now, IdentityId(0), saved.clone(), number);
            (left_out, now)
        });
        let Some((left_out, now)) = restored else { return };
        self.checker.check(Promise::NothingKeptIsLost, left_out == 0, || {
            format!("node {index} has no room for {left_out} messages on its disk")
        });
        let Some(node) = self.nodes.get_mut(index) else { return };
        let (life, boot, max) = (node.life, node.clocks.boot(self.now), node.limits.longest_kept());
        let mut open = Vec::new();
        for ask in &saved.asks {
            let Some(endpoint) = node.endpoint.as_ref() else { return };
            if let Some(code) = endpoint.find(&ask.name.peer, &ask.id) {
                node.open.insert(number(ask), code);
            }
            let left = ask.expires.saturating_sub(now.wall).min(max);
            let hard = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
            open.push(Restored { number: number(ask), begun: boot, hard });
        }
        let number_of =
            |id| self.outlived.iter().find(|(_, one)| *one == id).map(|(number, _)| *number);
        let ended = saved
            .outcomes
            .iter()
            .filter_map(|one| Some((number_of(&one.id)?, name_outcome(&one.outcome).0)));
        let ended: Vec<(u64, Ended)> = ended.collect();
        for one in &open {
            self.queue.push(self.now, Happening::Due(one.number));
        }
        self.tell(|| format!("node {index} goes on with {} messages", open.len()));
        let told = self.checker.reborn((index, life), &open, &ended);
        for (number, ended) in told {
            self.probe_ended(number, ended);
        }
    }

    /// The application of a node has the outcome of a message.
    pub(crate) fn collect(&mut self, index: Party, number: u64) {
        let Some(id) = self.outlived.get(&number).copied() else { return };
        self.with(index, |endpoint, _| endpoint.collected(IdentityId(0), id));
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
            0..=3 if !calm => spread(of, 1, WRITE_MAX / SECOND) * SECOND,
            _ => spread(of, 1, 30) * MILLI,
        };
        let number = batch.number;
        let runs = batch.rows.iter().filter_map(|row| match &row.write {
            Write::Run(run) => Some((**run).clone()),
            _ => None,
        });
        let runs: Vec<Run> = runs.collect();
        let booked = runs.into_iter().map(|run| self.handle_on_disk(index, run)).collect();
        self.tell(|| format!("node {index} writes {} rows, for {takes} ns", batch.rows.len()));
        let Some(node) = self.nodes.get_mut(index) else { return };
        let life = node.life;
        if let Some(disk) = &mut node.disk {
            disk.writing = Some((batch, booked));
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
        if node.disk.as_ref().is_some_and(|disk| disk.is_full(self.now)) {
            self.refuse_to_write(index);
            self.queue.push(self.now + WRITE_AGAIN, Happening::Written(index, life, number));
            return;
        }
        let booked = node.disk.as_mut().map(Disk::finish).unwrap_or_default();
        self.has_booked(index, &booked);
        let ran = booked.into_iter().map(|one| one.ran).collect();
        self.with(index, |endpoint, now| endpoint.committed(now, number, ran));
        self.settle(index);
    }

    /// A batch could not be written. It is tried again, and with it what handlers do inside it.
    fn refuse_to_write(&mut self, index: Party) {
        let writing = |world: &mut Self| world.nodes.get_mut(index)?.disk.as_mut()?.writing.take();
        let Some((batch, booked)) = writing(self) else { return };
        let runs = booked.into_iter().map(|one| one.run);
        let booked = runs.map(|run| self.handle_on_disk(index, run)).collect();
        if let Some(disk) = self.nodes.get_mut(index).and_then(|node| node.disk.as_mut()) {
            disk.writing = Some((batch, booked));
        }
        self.with(index, |endpoint, _| endpoint.disk_refuses());
        self.fired(Fault::FullDisk);
    }

    /// A disk has no room for a while, unless it had none lately: what waits for it is late once only.
    pub(crate) fn fill_disk(&mut self, index: Party) {
        let lasts = spread(self.dice_of(Fault::FullDisk), SECOND, FULL_MAX);
        let now = self.now;
        let Some(disk) = self.nodes.get_mut(index).and_then(|node| node.disk.as_mut()) else {
            return;
        };
        let lately = disk.full_until > 0 && now < disk.full_until + FULL_GAP;
        if !lately {
            disk.full_until = now + lasts;
        }
    }

    /// The faults end: there is room.
    pub(crate) fn empty_disk(&mut self, index: Party) {
        if let Some(disk) = self.nodes.get_mut(index).and_then(|node| node.disk.as_mut()) {
            disk.full_until = 0;
        }
    }

    /// A node has died: what it was writing is there, or not.
    pub(crate) fn interrupt_disk(&mut self, index: Party) {
        let fits = happens(self.dice_of(Fault::Disk), 500);
        let now = self.now;
        let Some(disk) = self.nodes.get_mut(index).and_then(|node| node.disk.as_mut()) else {
            return;
        };
        if let Some(before) = disk.unsynced.take() {
            disk.saved = before;
        }
        if disk.writing.is_none() {
            return;
        }
        let there = fits && !disk.is_full(now);
        let booked = if there { disk.finish() } else { Vec::new() };
        disk.writing = None;
        self.has_booked(index, &booked);
        self.fired(Fault::Disk);
    }
}

/// How long what waits for a disk may wait: for what it had begun to write just before, and for itself.
pub(crate) fn disk_wait_max(plan: &Plan) -> Time {
    let full = if plan.strength(Fault::FullDisk) > 0 { FULL_MAX + WRITE_AGAIN } else { 0 };
    2 * WRITE_MAX + full
}

/// The longest that a disk takes for a batch.
const WRITE_MAX: Time = 30 * SECOND;
/// The longest that a disk is full, and the shortest time until it is again.
const FULL_MAX: Time = 2 * MINUTE;
const FULL_GAP: Time = 5 * MINUTE;
/// When a refused batch is tried again.
const WRITE_AGAIN: Time = SECOND;
