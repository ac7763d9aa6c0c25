//! What one store of ours has taken from whom: the rules that make "at most once" true.
//!
//! A store has a random id (its *life*), a generation that it issues, one floor, and a bounded table
//! of dialogs. Knows no sessions, packets or handlers. Invariant: forgetting a dialog raises the
//! floor, and whatever is bound at or below the floor is refused, so forgetting never lets a message
//! be taken a second time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::age;
pub use super::dialog::Dialog;
use super::dialog::{GAPS_MAX, window_at_first};
use super::durable::{SavedDialog, Write};
use super::generation::Generation;
use super::saved::{Saved, SavedLetters};
use crate::card::{StoreCard, StoreKind};
use crate::codes::Table;
use crate::crypto::Random;
use crate::key::PublicKey;
use crate::limits::{Limits, WINDOW_FIRST, WINDOW_MAX};
use crate::planted::{Bug, is};
use crate::time::Now;
use crate::wire::Serials;
use crate::wire::frame::{DialogHead, Refusal};

/// One store: a life, its floor and its dialogs.
#[derive(Debug)]
pub struct Inbox {
    kind: StoreKind,
    store: u64,
    generation: Generation,
    floor: u32,
    /// When its age began; `None` if no age may be stated, because another instance may run.
    born: Option<Now>,
    dialogs: Table<Dialog>,
    index: BTreeMap<(PublicKey, u64), u32>,
    /// Oldest use first; entries may be outdated.
    by_use: VecDeque<(u64, u32)>,
    uses: u64,
    dialogs_max: usize,
    dialogs_per_peer: usize,
    /// What is to be written down, in a durable store.
    changes: Changes,
}

/// What a durable store has to write down.
#[derive(Debug, Default)]
struct Changes {
    dialogs: BTreeSet<u32>,
    forgotten: Vec<(PublicKey, u64)>,
}

/// Where a message frame belongs, after the checks of life, generation and floor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// A dialog that we remember.
    Known(u32),
    /// The first message of a dialog.
    New,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is new: it is now marked as taken in this dialog, hand it over.
    Take(u32),
    /// It was taken or voided before: only acknowledge it.
    Known(u32),
    /// It is not taken, and nothing has changed.
    Refuse(Refusal),
}

impl Inbox {
    /// A store with a new life. Its age counts from now, if this is certainly the only instance of the
    /// identity.
    pub fn new(
        kind: StoreKind,
        random: &mut Random,
        limits: &Limits,
        now: Now,
        exclusive: bool,
    ) -> Self {
        Self {
            kind,
            store: random.u64(),
            generation: Generation::of_one(1),
            floor: 0,
            born: exclusive.then_some(now),
            dialogs: Table::new(random.u32()),
            index: BTreeMap::new(),
            by_use: VecDeque::new(),
            uses: 0,
            dialogs_max: limits.dialogs_max,
            dialogs_per_peer: limits.dialogs_per_peer,
            changes: Changes::default(),
        }
    }

    /// The same with the life and the generation that all parts of the node say.
    #[must_use]
    pub fn of_parts(self, store: u64, generation: Arc<AtomicU32>) -> Self {
        Self { store, generation: self.generation.of_parts(generation), ..self }
    }

    /// A durable store as it was read back. Its age counts from now: that is never too much.
    pub fn restore(
        saved: &Saved,
        random: &mut Random,
        limits: &Limits,
        now: Now,
        exclusive: bool,
    ) -> Self {
        let mut inbox = Self::new(StoreKind::Durable, random, limits, now, exclusive);
        (inbox.store, inbox.floor) = (saved.store, saved.floor);
        inbox.generation = Generation::of_one(saved.generation);
        inbox.restore_dialogs(&saved.dialogs, now);
        inbox
    }

    fn restore_dialogs(&mut self, saved: &[SavedDialog], now: Now) {
        let inbox = self;
        for one in saved {
            inbox.uses += 1;
            let code = inbox.dialogs.insert(Dialog {
                peer: one.peer,
                id: one.dialog,
                floor: one.floor,
                highest: one.highest,
                mark: (now.boot, one.taken.base()),
                taken: one.taken.clone(),
                written: Some(one.taken.clone()),
                window: window_at_first(inbox.kind),
                used: inbox.uses,
                open: 0,
            });
            inbox.index.insert((one.peer, one.dialog), code);
            inbox.by_use.push_back((inbox.uses, code));
        }
    }

    /// The store for letters as it was read back, with the id of the newest mailbox prekey. It forgets nothing by itself:
    /// when it is full, what begins another dialog is refused for now.
    pub fn restore_letters(
        saved: &SavedLetters,
        newest: u32,
        random: &mut Random,
        limits: &Limits,
        now: Now,
    ) -> Self {
        // A letter is judged by what was taken alone: no age is stated.
        let mut inbox = Self::new(StoreKind::Letter, random, limits, now, false);
        (inbox.store, inbox.floor) = (saved.store, saved.floor);
        inbox.generation = Generation::of_one(newest);
        inbox.dialogs_max = limits.letter_dialogs_max;
        inbox.dialogs_per_peer = limits.letter_dialogs_per_peer;
        inbox.restore_dialogs(&saved.dialogs, now);
        inbox
    }

    /// A mailbox prekey is listed from now on.
    pub fn listed(&mut self, id: u32) {
        self.generation = Generation::of_one(id.max(self.generation()));
    }

    /// Mailbox prekeys up to this one are erased, and with them what was taken under them alone: nothing that was sealed
    /// to them can be read again. Dialogs with open queries go with the next one.
    pub fn erase_below(&mut self, id: u32) {
        self.floor = self.floor.max(id);
        let floor = self.floor;
        let is_over = |dialog: &Dialog| dialog.highest <= floor && dialog.open == 0;
        let over = self.dialogs.iter().filter(|(_, dialog)| is_over(dialog));
        let over: Vec<u32> = over.map(|(code, _)| code).collect();
        for code in over {
            self.forget(code);
        }
    }

    /// Its life.
    pub const fn store(&self) -> u64 {
        self.store
    }

    /// Its floor.
    pub const fn floor(&self) -> u32 {
        self.floor
    }

    /// The code of a dialog.
    pub fn code(&self, peer: &PublicKey, dialog: u64) -> Option<u32> {
        self.index.get(&(*peer, dialog)).copied()
    }

    /// What is to be written down since the last call: forgotten dialogs first, so that the floor is
    /// never behind what is forgotten.
    pub fn take_changes(&mut self) -> Vec<Write> {
        let Changes { dialogs, forgotten } = std::mem::take(&mut self.changes);
        let mut writes = Vec::with_capacity(dialogs.len() + 1);
        let (store, floor) = (self.kind, self.floor);
        if !forgotten.is_empty() {
            writes.push(match store {
                StoreKind::Letter => Write::Letters { store: self.store, floor },
                StoreKind::Ram | StoreKind::Durable => {
                    Write::Store { generation: self.generation(), floor }
                }
            });
        }
        let forget = |(peer, dialog)| Write::Forget { store, peer, dialog };
        writes.extend(forgotten.into_iter().map(forget));
        writes.extend(dialogs.into_iter().filter_map(|code| {
            let Dialog { peer, id, floor, highest, ref taken, .. } = *self.dialogs.get(code)?;
            let taken = taken.clone();
            Some(Write::Dialog(SavedDialog { store, peer, dialog: id, floor, highest, taken }))
        }));
        writes
    }

    /// Whether there is anything to write down.
    pub fn has_changes(&self) -> bool {
        !self.changes.dialogs.is_empty() || !self.changes.forgotten.is_empty()
    }

    /// This serial is written down as taken.
    pub fn written(&mut self, code: u32, serial: u64) {
        if let Some(dialog) = self.dialogs.get_mut(code)
            && let Some(written) = &mut dialog.written
        {
            written.insert(serial);
        }
    }

    /// What the live card says of this store.
    pub fn card(&self, now: &Now) -> StoreCard {
        StoreCard {
            kind: self.kind,
            id: self.store,
            generation: self.generation(),
            age: self.born.map_or(0, |born| age::stated(now.boot.since(born.boot))),
        }
    }

    /// The generation that new messages are to be bound to.
    pub fn generation(&self) -> u32 {
        self.generation.present()
    }

    /// How many dialogs are remembered.
    pub fn len(&self) -> usize {
        self.dialogs.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.dialogs.is_empty()
    }

    /// The checks that do not depend on a message's serial. The sender's low-water mark is applied
    /// here: before the window is looked at, or the window could never move.
    ///
    /// # Errors
    /// [`Refusal::Stale`] for another life, a generation never issued, or one at or below the floor.
    pub fn place(&mut self, peer: &PublicKey, head: &DialogHead) -> Result<Place, Refusal> {
        let generation = head.generation;
        if head.store != self.store || generation > self.generation() {
            return Err(Refusal::Stale);
        }
        let Some(&code) = self.index.get(&(*peer, head.dialog)) else {
            return if generation > self.floor || is(Bug::FloorForgotten) {
                Ok(Place::New)
            } else {
                Err(Refusal::Stale)
            };
        };
        let dialog = self.dialogs.get_mut(code).ok_or(Refusal::Stale)?;
        if generation <= dialog.floor && !is(Bug::FloorCopyForgotten) {
            return Err(Refusal::Stale);
        }
        if !is(Bug::ClosedIsTaken) {
            dialog.raise(head.low_water);
        }
        Ok(Place::Known(code))
    }

    /// Decides about one message, and marks it as taken if it is new.
    pub fn take(
        &mut self,
        now: &Now,
        peer: &PublicKey,
        head: &DialogHead,
        place: Place,
        serial: u64,
    ) -> Verdict {
        let Place::Known(code) = place else {
            return self.take_first(now, peer, head, serial);
        };
        let Some(dialog) = self.dialogs.get_mut(code) else {
            return Verdict::Refuse(Refusal::Stale);
        };
        if dialog.taken.contains(serial) && !is(Bug::DuplicateCheckOff) {
            return Verdict::Known(code);
        }
        if !dialog.has_room(serial) {
            return Verdict::Refuse(Refusal::Window);
        }
        dialog.taken.insert(serial);
        dialog.highest = dialog.highest.max(head.generation);
        dialog.widen(now);
        self.note_change(code);
        self.touch(code);
        Verdict::Take(code)
    }

    /// Whether a message would be taken, without taking it: for the parts of a large one.
    pub fn would_take(&self, place: Place, low_water: u64, serial: u64) -> Verdict {
        let Place::Known(code) = place else {
            let window = self.window_new();
            let room = serial >= low_water && serial < low_water.saturating_add(window);
            return if room { Verdict::Take(0) } else { Verdict::Refuse(Refusal::Window) };
        };
        match self.dialogs.get(code) {
            None => Verdict::Refuse(Refusal::Stale),
            Some(dialog) if dialog.taken.contains(serial) => Verdict::Known(code),
            Some(dialog) if !dialog.has_room(serial) => Verdict::Refuse(Refusal::Window),
            Some(_) => Verdict::Take(code),
        }
    }

    /// The sender wants nothing more about these serials: they are voided if they were not taken.
    /// Returns the dialog's code if any was: then its window has moved, which the sender does not know.
    pub fn close(&mut self, peer: &PublicKey, dialog: u64, serials: &Serials) -> Option<u32> {
        let code = *self.index.get(&(*peer, dialog))?;
        let dialog = self.dialogs.get_mut(code)?;
        let gaps = dialog.taken.ranges().len() + serials.ranges().len();
        if gaps > GAPS_MAX || dialog.taken.covers(serials) || is(Bug::ClosedIsTaken) {
            return None;
        }
        dialog.taken.merge(serials);
        if let Some(written) = &mut dialog.written {
            // The sender never sends these again: that need not be written down to be true.
            written.merge(serials);
        }
        Some(code)
    }

    /// The dialog of a code.
    pub fn dialog(&self, code: u32) -> Option<&Dialog> {
        self.dialogs.get(code)
    }

    /// The dialog of a code, to count its open queries.
    pub fn dialog_mut(&mut self, code: u32) -> Option<&mut Dialog> {
        self.dialogs.get_mut(code)
    }

    fn take_first(
        &mut self,
        now: &Now,
        peer: &PublicKey,
        head: &DialogHead,
        serial: u64,
    ) -> Verdict {
        // A refused message makes nothing and forgets nothing.
        if serial < head.low_water {
            return Verdict::Refuse(Refusal::Stale);
        }
        if serial - head.low_water >= self.window_new() {
            return Verdict::Refuse(Refusal::Window);
        }
        let floor = self.floor;
        if !self.make_room(peer) {
            return Verdict::Refuse(Refusal::Busy);
        }
        let mut taken = Serials::below(head.low_water);
        taken.insert(serial);
        self.uses += 1;
        let code = self.dialogs.insert(Dialog {
            peer: *peer,
            id: head.dialog,
            floor,
            highest: head.generation,
            mark: (now.boot, taken.base()),
            taken,
            written: (self.kind.is_on_disk()).then(|| Serials::below(head.low_water)),
            window: window_at_first(self.kind),
            used: self.uses,
            open: 0,
        });
        self.index.insert((*peer, head.dialog), code);
        self.by_use.push_back((self.uses, code));
        self.note_change(code);
        // Entries of dialogs that their own peer displaced go once they are the larger part.
        if self.by_use.len() > self.dialogs.len().saturating_mul(2) {
            let dialogs = &self.dialogs;
            self.by_use.retain(|(_, code)| dialogs.get(*code).is_some());
        }
        Verdict::Take(code)
    }

    /// Forgets dialogs until one more fits. `false` if all that could go have open queries. A peer's own oldest goes even
    /// so, or one that is killed again and again would be locked out by what its earlier lives have left open; not out of
    /// a durable store, where an earlier life comes back for it.
    fn make_room(&mut self, peer: &PublicKey) -> bool {
        if self.kind == StoreKind::Letter {
            let own = self.index.range((*peer, 0)..=(*peer, u64::MAX)).count();
            if is(Bug::LetterStoreForgets) && self.dialogs.len() >= self.dialogs_max {
                let floor = self.floor;
                let oldest = self.dialogs.iter().min_by_key(|(_, dialog)| dialog.used);
                if let Some(code) = oldest.map(|(code, _)| code) {
                    self.forget(code);
                }
                self.floor = floor;
            }
            return own < self.dialogs_per_peer && self.dialogs.len() < self.dialogs_max;
        }
        let own: Vec<u32> =
            self.index.range((*peer, 0)..=(*peer, u64::MAX)).map(|(_, code)| *code).collect();
        if own.len() >= self.dialogs_per_peer {
            let may_go = own.iter().filter_map(|code| {
                let dialog = self.dialogs.get(*code)?;
                let is_open = dialog.open > 0;
                let may_go = !is_open || self.kind == StoreKind::Ram;
                may_go.then_some((is_open, dialog.used, *code))
            });
            let Some((_, _, oldest)) = may_go.min() else { return false };
            self.forget(oldest);
        }
        // Twice round: an outdated entry is only renewed the first time.
        let mut tries = self.by_use.len().saturating_mul(2);
        while self.dialogs.len() >= self.dialogs_max {
            if tries == 0 {
                return false;
            }
            tries -= 1;
            let Some((used, code)) = self.by_use.pop_front() else { return false };
            match self.dialogs.get(code) {
                Some(dialog) if dialog.used == used && dialog.open == 0 => self.forget(code),
                Some(dialog) => self.by_use.push_back((dialog.used, code)),
                None => {}
            }
        }
        true
    }

    /// Serials that the first message of a dialog may be above its low-water mark. Letters come in any order, and their
    /// sender may hear nothing from us for long.
    const fn window_new(&self) -> u64 {
        match self.kind {
            StoreKind::Ram | StoreKind::Durable => WINDOW_FIRST,
            StoreKind::Letter => WINDOW_MAX,
        }
    }

    fn forget(&mut self, code: u32) {
        let Some(dialog) = self.dialogs.remove(code) else { return };
        self.index.remove(&(dialog.peer, dialog.id));
        if self.kind.is_on_disk() {
            self.changes.dialogs.remove(&code);
            self.changes.forgotten.push((dialog.peer, dialog.id));
        }
        if !is(Bug::EvictionWithoutFloor) {
            self.floor = self.floor.max(dialog.highest);
        }
        // New bindings must be above the floor.
        self.generation.rise_above(self.floor);
    }

    fn note_change(&mut self, code: u32) {
        if self.kind.is_on_disk() {
            self.changes.dialogs.insert(code);
        }
    }

    fn touch(&mut self, code: u32) {
        self.uses += 1;
        if let Some(dialog) = self.dialogs.get_mut(code) {
            dialog.used = self.uses;
        }
        // Outdated entries are dropped or renewed when they come to the front.
        while let Some(&(used, code)) = self.by_use.front() {
            match self.dialogs.get(code) {
                Some(dialog) if dialog.used == used => break,
                Some(dialog) => {
                    let used = dialog.used;
                    self.by_use.pop_front();
                    self.by_use.push_back((used, code));
                    break;
                }
                None => {
                    self.by_use.pop_front();
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
