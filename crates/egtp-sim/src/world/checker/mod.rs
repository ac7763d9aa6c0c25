//! The promises restated: what may happen to a message, told by what was seen at both ends.
//!
//! Shares no code with the product and knows nothing of sessions or packets: it hears that a number
//! was sent, that it was handed to a handler, and how it ended. Invariant: the first violation stays.

mod promise;
mod record;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::promise::{Promise, Violation};
pub(crate) use self::record::{Acted, Ended, Given, Party, Ran, Record, Restored, Sent};
pub(crate) use self::wire::Wire;
use super::clock::{MILLI, Time};

/// See the head of this file.
pub(crate) struct Checker {
    seed: u64,
    /// How long an outcome may wait for a disk.
    pub disk_wait_max: Time,
    pub now: Time,
    pub violation: Option<Violation>,
    /// How often each promise was looked at.
    pub checked: BTreeMap<Promise, u64>,
    records: BTreeMap<u64, Record>,
    /// Open messages of each node's present life.
    open: BTreeMap<Party, usize>,
}

impl Checker {
    pub(crate) const fn new(seed: u64, disk_wait_max: Time) -> Self {
        Self {
            seed,
            disk_wait_max,
            now: 0,
            violation: None,
            checked: BTreeMap::new(),
            records: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// A promise was looked at; `holds` says how it stands.
    pub(crate) fn check(&mut self, promise: Promise, holds: bool, what: impl FnOnce() -> String) {
        *self.checked.entry(promise).or_default() += 1;
        if !holds && self.violation.is_none() {
            let at = Duration::from_nanos(self.now);
            self.violation = Some(Violation { seed: self.seed, at, promise, what: what() });
        }
    }

    pub(crate) fn record(&self, number: u64) -> Option<&Record> {
        self.records.get(&number)
    }

    /// Open messages of a node, as counted here.
    pub(crate) fn open_of(&self, node: Party) -> usize {
        self.open.get(&node).copied().unwrap_or(0)
    }

    pub(crate) fn sent(&mut self, number: u64, sent: Sent) {
        *self.open.entry(sent.from).or_default() += 1;
        self.records.insert(number, Record::new(sent));
    }

    /// A handler was given a message that claims to be number `number`.
    pub(crate) fn ran(
        &mut self,
        number: Option<u64>,
        (at, life): (Party, u64),
        from: Option<Party>,
        ((wants_reply, kind, body), again): ((bool, &str, [u8; 32]), bool),
    ) {
        let record = number.and_then(|number| self.records.get_mut(&number));
        let genuine = record.as_ref().is_some_and(|one| {
            let sent = &one.sent;
            sent.to == at
                && Some(sent.from) == from
                && sent.wants_reply == wants_reply
                && sent.kind == kind
                && sent.body == body
        });
        let Some(record) = record.filter(|_| genuine) else {
            self.check(Promise::NothingForged, false, || {
                format!("node {at} was given a {kind:?} of {from:?} as number {number:?}")
            });
            return;
        };
        if again && record.ran.len() == 1 {
            // Its handler has asked for that, and an earlier life was at work on it.
            record.ran.clear();
        }
        record.ran.push(Ran { life });
        let record = record.clone();
        let number = number.unwrap_or_default();
        self.check(Promise::NothingForged, true, String::new);
        self.check(Promise::AtMostOnce, record.ran.len() == 1, || {
            format!("number {number} ran in the lives {:?} of node {at}", record.ran)
        });
        if let Some(ended) = record.ended {
            self.check(Promise::HonestOutcome, !says_never_ran(ended), || {
                format!("number {number} ended as {ended:?}, and then ran on node {at}")
            });
        }
    }

    /// The handler gave its answer.
    pub(crate) fn given(&mut self, number: u64, given: Given) {
        if let Some(record) = self.records.get_mut(&number) {
            record.given.push(given);
        }
    }

    /// The asker was told about the message: a soft timeout, or that it was taken.
    pub(crate) fn told(&mut self, number: u64, asker: (Party, u64)) -> Option<Record> {
        let record = self.records.get(&number).cloned();
        let fits = record.as_ref().is_some_and(|one| is_for(one, asker) && one.is_open());
        self.check(Promise::OneOutcome, fits, || {
            format!("node {asker:?} was told of number {number} which is not open: {record:?}")
        });
        record.filter(|_| fits)
    }

    pub(crate) fn taken(&mut self, number: u64, asker: (Party, u64)) {
        let Some(record) = self.told(number, asker) else { return };
        if record.sent.is_honest {
            self.check(Promise::HonestOutcome, record.was_acted_on(), || {
                format!("number {number} counts as taken and ran {:?}", record.ran)
            });
        }
    }

    pub(crate) fn soft(&mut self, number: u64, asker: (Party, u64), boot: u64) {
        let Some(record) = self.told(number, asker) else { return };
        let due = record.sent.soft.map(|soft| record.sent.begun.saturating_add(soft));
        let fine = due.is_some_and(|due| boot >= due) && !record.soft_seen;
        self.check(Promise::SoftHarmsNothing, fine, || {
            format!("a soft timeout of number {number} at {boot}, due {due:?}: {record:?}")
        });
        if let Some(record) = self.records.get_mut(&number) {
            record.soft_seen = true;
        }
    }

    /// The one outcome, at this reading of the asker's boot clock; the asker has been running without
    /// a stop since `awake`.
    pub(crate) fn ended(
        &mut self,
        number: u64,
        asker: (Party, u64),
        (boot, awake): (u64, u64),
        ended: Ended,
    ) {
        let Some(record) = self.told(number, asker) else { return };
        if ended == Ended::Closing && record.sent.outlives {
            // It is over for this life alone.
            self.close(number, |record| record.asleep = true);
            return;
        }
        self.close(number, |record| record.ended = Some(ended));
        self.judge_time(number, &record, (boot, awake), ended);
        if record.sent.is_honest {
            self.judge_truth(number, &record, ended);
        }
    }

    fn judge_time(
        &mut self,
        number: u64,
        record: &Record,
        (boot, awake): (u64, u64),
        ended: Ended,
    ) {
        let due = record.sent.begun.saturating_add(record.sent.hard);
        let late = record.late_max(self.disk_wait_max);
        self.check(Promise::HardInTime, boot <= due.max(awake).saturating_add(late), || {
            format!("number {number} was due at {due} and ended at {boot} as {ended:?}")
        });
        if matches!(ended, Ended::TimedOut(_)) {
            self.check(Promise::HardInTime, boot >= due, || {
                format!("number {number} was due at {due} and timed out already at {boot}")
            });
        }
        let soft = record.sent.soft.filter(|soft| *soft < record.sent.hard);
        if let Some(soft) = soft {
            let told_by = record.sent.begun.saturating_add(soft).max(awake) + LATE_MAX;
            self.check(Promise::SoftHarmsNothing, record.soft_seen || boot <= told_by, || {
                format!("the soft timeout of number {number}, due at {told_by}, was never told")
            });
        }
    }

    fn judge_truth(&mut self, number: u64, record: &Record, ended: Ended) {
        let once = record.ran.len() == 1;
        let honest = match ended {
            Ended::Reply(_) | Ended::RefusedByHandler(_) => once,
            Ended::Accepted | Ended::TimedOut(Acted::Yes) => record.was_acted_on(),
            _ if says_never_ran(ended) => record.ran.is_empty(),
            // A reply that the asker has no room for is replaced by the receiver, or refused here.
            Ended::TooLarge => record.ran.is_empty() || !record.given.is_empty(),
            _ => record.ran.len() <= 1,
        };
        self.check(Promise::HonestOutcome, honest, || {
            format!("number {number} ended as {ended:?} and ran {:?}", record.ran)
        });
        let right = match ended {
            Ended::Reply(body) => record.given.contains(&Given::Reply(body)),
            Ended::RefusedByHandler(status) => record.given.contains(&Given::Status(status)),
            Ended::Accepted => !record.sent.wants_reply,
            _ => return,
        };
        self.check(Promise::RightReply, right, || {
            format!("number {number} ended as {ended:?}, its handler gave {:?}", record.given)
        });
    }

    /// The hard timeout of a message has passed, and more than a tick.
    pub(crate) fn overdue(&mut self, number: u64) {
        let open = self.records.get(&number).is_some_and(Record::is_open);
        self.check(Promise::HardInTime, !open, || {
            format!("number {number} has no outcome after its hard timeout")
        });
    }

    /// The asker has given up: nothing may be told any more.
    pub(crate) fn cancelled(&mut self, number: u64) {
        self.close(number, |record| record.silent = true);
    }

    /// The asker was told that a message is on its disk.
    pub(crate) fn kept(&mut self, number: u64, asker: (Party, u64)) {
        let Some(record) = self.told(number, asker) else { return };
        self.check(Promise::NothingKeptIsLost, record.sent.outlives, || {
            format!("number {number} counts as kept, and was not to be")
        });
        if let Some(record) = self.records.get_mut(&number) {
            record.kept = true;
        }
    }

    /// A life begins with what its disk has: messages that are open, and outcomes that nobody was told.
    /// Returns the latter as far as they are news.
    pub(crate) fn reborn(
        &mut self,
        (node, life): (Party, u64),
        open: &[Restored],
        ended: &[(u64, Ended)],
    ) -> Vec<(u64, Ended)> {
        let asleep = |one: &&mut Record| one.sent.from == node && one.asleep;
        let mut lost: Vec<u64> = Vec::new();
        let mut news = Vec::new();
        for one in open {
            let Some(record) = self.records.get_mut(&one.number) else { continue };
            // What was given up may go on if the disk did not hear of it.
            (record.asleep, record.silent, record.soft_seen) = (false, false, true);
            record.kept = true;
            let sent = &mut record.sent;
            (sent.life, sent.begun, sent.hard, sent.soft) = (life, one.begun, one.hard, None);
            if record.is_open() {
                *self.open.entry(node).or_default() += 1;
            }
        }
        for (number, record) in &mut self.records {
            if !asleep(&record) {
                continue;
            }
            record.asleep = false;
            if let Some(found) = ended.iter().find(|(one, _)| one == number) {
                record.ended = Some(found.1);
                news.push(*found);
                continue;
            }
            record.silent = true;
            if record.kept {
                lost.push(*number);
            }
        }
        self.check(Promise::NothingKeptIsLost, lost.is_empty(), || {
            format!("node {node} had the numbers {lost:?} on its disk, and has forgotten them")
        });
        for (number, ended) in &news {
            if let Some(record) = self.records.get(number).filter(|one| one.sent.is_honest).cloned()
            {
                self.judge_truth(*number, &record, *ended);
            }
        }
        news
    }

    /// Nothing goes on any more: what was to be handed over in the next life has been.
    pub(crate) fn over(&mut self) {
        let is_lost = |one: &Record| {
            one.sent.redelivered && one.ended == Some(Ended::Accepted) && one.ran.is_empty()
        };
        let lost: Vec<u64> = self
            .records
            .iter()
            .filter(|(_, one)| is_lost(one))
            .map(|(number, _)| *number)
            .collect();
        self.check(Promise::NothingKeptIsLost, lost.is_empty(), || {
            format!("the numbers {lost:?} were accepted, and never handed over again")
        });
    }

    /// Messages of a node that outlive its runs and have no outcome yet.
    pub(crate) fn kept_open(&self, node: Party) -> usize {
        let is_kept = |one: &&Record| one.sent.from == node && one.sent.outlives && one.is_open();
        self.records.values().filter(is_kept).count()
    }

    /// A life has ended: whatever it had open stays without an outcome for ever, unless its disk goes on
    /// with it.
    pub(crate) fn died(&mut self, node: Party) {
        for record in self.records.values_mut().filter(|one| one.sent.from == node) {
            let open = record.is_open();
            record.asleep |= open && record.sent.outlives;
            record.silent |= open && !record.sent.outlives;
        }
        for record in self.records.values_mut().filter(|one| one.sent.to == node) {
            record.receiver_died = true;
        }
        self.open.insert(node, 0);
    }

    fn close(&mut self, number: u64, end: impl FnOnce(&mut Record)) {
        let Some(record) = self.records.get_mut(&number) else { return };
        if record.is_open()
            && let Some(open) = self.open.get_mut(&record.sent.from)
        {
            *open = open.saturating_sub(1);
        }
        end(record);
    }
}

/// Whether an outcome promises that the message was never acted on and never will be.
const fn says_never_ran(ended: Ended) -> bool {
    matches!(ended, Ended::NotSent | Ended::RefusedUnseen | Ended::TimedOut(Acted::No))
}

fn is_for(record: &Record, asker: (Party, u64)) -> bool {
    (record.sent.from, record.sent.life) == asker
}

/// How late a timeout may be on a node that was running all the time: a tick of its timers, and one
/// because the world wakes nodes at whole ticks.
pub(crate) const LATE_MAX: u64 = 2 * MILLI;
