//! A durable store as rows amount to it: what is read back after a crash.
//!
//! Invariant: [`Saved::apply`] does to it what a store does to its tables.

use super::durable::{
    SavedAnswer, SavedAsk, SavedDialog, SavedMailboxPrekey, SavedOutbox, SavedOutcome, SavedQuery,
    Write,
};
use crate::card::StoreKind;
use crate::key::PublicKey;

/// A durable store as it was read back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Saved {
    /// Its life: a random number, drawn when it was made.
    pub store: u64,
    /// The generation that it issues; 1 in a new one.
    pub generation: u32,
    /// Its floor; 0 in a new one.
    pub floor: u32,
    /// Its dialogs, the least recently used first.
    pub dialogs: Vec<SavedDialog>,
    /// Its store for letters, if it takes any.
    pub letters: Option<SavedLetters>,
    /// Requests that are not done, with their replies. One without a reply was with its handler when
    /// the process ended: what became of it cannot be known, and its sender is told so.
    pub queries: Vec<(SavedQuery, Option<SavedAnswer>)>,
    /// Our dialogs. One without open messages is kept, too, as long as there is room: a peer that takes letters remembers
    /// each for months, and few of one sender.
    pub outboxes: Vec<SavedOutbox>,
    /// Messages of ours that have no outcome, those of one dialog in the order of their serials.
    pub asks: Vec<SavedAsk>,
    /// Outcomes that the application has not taken, the oldest first.
    pub outcomes: Vec<SavedOutcome>,
}

/// The store for letters: what was taken from letters, and the keys to which they are sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedLetters {
    /// Its life.
    pub store: u64,
    /// The id of the newest mailbox prekey that was erased; 0 if none was.
    pub floor: u32,
    /// Its dialogs.
    pub dialogs: Vec<SavedDialog>,
    /// Mailbox prekeys, the newest last.
    pub prekeys: Vec<SavedMailboxPrekey>,
}

impl SavedLetters {
    /// A new one. `store` must be random.
    pub const fn new(store: u64) -> Self {
        Self { store, floor: 0, dialogs: Vec::new(), prekeys: Vec::new() }
    }
}

impl Saved {
    /// A new store. `store` must be random.
    pub const fn new(store: u64) -> Self {
        Self {
            store,
            generation: 1,
            floor: 0,
            dialogs: Vec::new(),
            letters: None,
            queries: Vec::new(),
            outboxes: Vec::new(),
            asks: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// Takes in a row.
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::Store { generation, floor } => {
                (self.generation, self.floor) = (generation, floor);
            }
            Write::Letters { store, floor } => {
                self.letters.get_or_insert_with(|| SavedLetters::new(store)).floor = floor;
            }
            Write::MailboxPrekey(prekey) => {
                self.letters.iter_mut().for_each(|letters| letters.prekeys.push(prekey.clone()));
            }
            Write::ErasePrekey(id) => {
                self.letters
                    .iter_mut()
                    .for_each(|letters| letters.prekeys.retain(|one| one.id != id));
            }
            Write::Dialog(one) => {
                self.forget(one.store, &one.peer, one.dialog);
                self.dialogs_of(one.store).into_iter().for_each(|all| all.push(one.clone()));
            }
            Write::Forget { store, peer, dialog } => self.forget(store, &peer, dialog),
            Write::Query(query) => self.queries.push((query, None)),
            // A store runs it before, and gives its answer as a row of its own.
            Write::Run(_) => {}
            Write::Answer { name, answer } => {
                if let Some((_, kept)) = self.queries.iter_mut().find(|(one, _)| one.name == name) {
                    *kept = Some(answer);
                }
            }
            Write::Done(name) => self.queries.retain(|(query, _)| query.name != name),
            Write::Outbox(outbox) => {
                self.outboxes.retain(|one| one.peer != outbox.peer);
                self.outboxes.push(outbox);
            }
            Write::Ask(ask) => self.asks.push(ask),
            Write::Bind { name, binding } => {
                if let Some(ask) = self.asks.iter_mut().find(|one| one.name == name) {
                    ask.binding = Some(binding);
                }
            }
            Write::Over { name, outcome } => {
                self.asks.retain(|one| one.name != name);
                self.outcomes.extend(outcome);
            }
            Write::Collected(id) => self.outcomes.retain(|one| one.id != id),
        }
    }

    fn dialogs_of(&mut self, store: StoreKind) -> Option<&mut Vec<SavedDialog>> {
        match store {
            StoreKind::Letter => self.letters.as_mut().map(|letters| &mut letters.dialogs),
            StoreKind::Ram | StoreKind::Durable => Some(&mut self.dialogs),
        }
    }

    fn forget(&mut self, store: StoreKind, peer: &PublicKey, dialog: u64) {
        if let Some(dialogs) = self.dialogs_of(store) {
            dialogs.retain(|one| (&one.peer, one.dialog) != (peer, dialog));
        }
    }
}
