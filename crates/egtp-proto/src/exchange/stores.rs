//! What an identity has taken from whom: its store in RAM, a durable one if it has a disk, and one for what may come in
//! letters if it takes any.
//!
//! Invariant: the stores know nothing of each other; a message is judged by the one that it is bound to.

use crate::card::{StoreCard, StoreKind};
use crate::exchange::inbox::{Dialog, Inbox};
use crate::key::PublicKey;
use crate::time::Now;
use crate::wire::Serials;

/// The stores.
#[derive(Debug)]
pub struct Stores {
    ram: Inbox,
    durable: Option<Inbox>,
    /// Few identities take letters.
    letters: Option<Box<Inbox>>,
}

/// Names a peer's dialog in one of the stores.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DialogCode {
    /// The store.
    pub kind: StoreKind,
    /// The store's number for the dialog.
    pub code: u32,
}

impl Stores {
    /// The stores of an identity.
    pub const fn new(ram: Inbox, durable: Option<Inbox>) -> Self {
        Self { ram, durable, letters: None }
    }

    /// Adds a durable store, or replaces it.
    pub fn add(&mut self, durable: Inbox) {
        self.durable = Some(durable);
    }

    /// Adds a store for letters, or replaces it.
    pub fn add_letters(&mut self, letters: Inbox) {
        self.letters = Some(Box::new(letters));
    }

    /// The store of a kind, if there is one.
    pub fn get(&self, kind: StoreKind) -> Option<&Inbox> {
        match kind {
            StoreKind::Ram => Some(&self.ram),
            StoreKind::Durable => self.durable.as_ref(),
            StoreKind::Letter => self.letters.as_deref(),
        }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, kind: StoreKind) -> Option<&mut Inbox> {
        match kind {
            StoreKind::Ram => Some(&mut self.ram),
            StoreKind::Durable => self.durable.as_mut(),
            StoreKind::Letter => self.letters.as_deref_mut(),
        }
    }

    /// The dialog of a code.
    pub fn dialog(&self, place: DialogCode) -> Option<&Dialog> {
        self.get(place.kind)?.dialog(place.code)
    }

    /// The dialog of a code, to count its open queries.
    pub fn dialog_mut(&mut self, place: DialogCode) -> Option<&mut Dialog> {
        self.get_mut(place.kind)?.dialog_mut(place.code)
    }

    /// The sender wants nothing more about these serials, in whichever store they are. Returns the
    /// dialogs whose window has moved.
    pub fn close(
        &mut self,
        peer: &PublicKey,
        dialog: u64,
        serials: &Serials,
    ) -> impl Iterator<Item = DialogCode> {
        let ram = self.ram.close(peer, dialog, serials);
        let durable = self.durable.as_mut().and_then(|store| store.close(peer, dialog, serials));
        let letters = self.letters.as_mut().and_then(|store| store.close(peer, dialog, serials));
        let named = |kind, code: Option<u32>| code.map(|code| DialogCode { kind, code });
        [
            named(StoreKind::Ram, ram),
            named(StoreKind::Durable, durable),
            named(StoreKind::Letter, letters),
        ]
        .into_iter()
        .flatten()
    }

    /// What the live card says of them.
    pub fn cards(&self, now: &Now) -> Vec<StoreCard> {
        std::iter::once(&self.ram).chain(&self.durable).map(|store| store.card(now)).collect()
    }

    /// The generations that new messages are to be bound to; 0 where there is no store.
    pub fn generations(&self) -> [u32; 2] {
        StoreKind::ON_CARD.map(|kind| self.get(kind).map_or(0, Inbox::generation))
    }

    /// How many dialogs are remembered.
    pub fn dialogs(&self) -> usize {
        self.iter().map(Inbox::len).sum()
    }

    fn iter(&self) -> impl Iterator<Item = &Inbox> {
        std::iter::once(&self.ram).chain(&self.durable).chain(self.letters.as_deref())
    }
}
