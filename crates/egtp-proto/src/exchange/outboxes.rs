//! Our dialogs with one peer: one for each kind of store that its messages want to be remembered by, and
//! one for those that our own disk remembers too.
//!
//! What must outlive restarts may wait for long; in a dialog of its own it holds up nobody's window.
//! Invariant: a dialog's id names one of them; in the one that outlives our runs is nothing that our disk
//! does not know of, or a later run would give its serial to something else.

use crate::card::StoreKind;
use crate::exchange::outbox::Outbox;

/// The dialogs.
#[derive(Debug)]
pub struct Outboxes {
    ordinary: Outbox,
    /// Made when first needed, as the next: few peers have them, and many wait for them in memory.
    durable: Option<Box<Outbox>>,
    kept: Option<Box<Outbox>>,
}

impl Outboxes {
    /// Only the ordinary one.
    pub const fn new(ordinary: Outbox) -> Self {
        Self { ordinary, durable: None, kept: None }
    }

    /// The dialog for new messages that want this store.
    pub fn for_store(&mut self, wants: StoreKind, make: impl FnOnce() -> Outbox) -> &mut Outbox {
        match wants {
            StoreKind::Ram => &mut self.ordinary,
            StoreKind::Durable | StoreKind::Letter => {
                self.durable.get_or_insert_with(|| Box::new(make()))
            }
        }
    }

    /// The dialog for new messages that outlive our runs.
    pub fn for_kept(&mut self, make: impl FnOnce() -> Outbox) -> &mut Outbox {
        self.kept.get_or_insert_with(|| Box::new(make()))
    }

    /// The dialog for messages that outlive our runs, if there is one.
    pub fn kept(&self) -> Option<&Outbox> {
        self.kept.as_deref()
    }

    /// The same, to change it.
    pub fn kept_mut(&mut self) -> Option<&mut Outbox> {
        self.kept.as_deref_mut()
    }

    /// Goes on with the dialog of an earlier run.
    pub fn resume(&mut self, kept: Outbox) {
        self.kept = Some(Box::new(kept));
    }

    /// The one of this id.
    pub fn of(&self, dialog: u64) -> Option<&Outbox> {
        self.iter().find(|one| one.dialog() == dialog)
    }

    /// The same, to change it.
    pub fn of_mut(&mut self, dialog: u64) -> Option<&mut Outbox> {
        self.iter_mut().find(|one| one.dialog() == dialog)
    }

    /// The one at a place.
    pub fn at_mut(&mut self, index: usize) -> Option<&mut Outbox> {
        self.iter_mut().nth(index)
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &Outbox> {
        let (durable, kept) = (self.durable.as_deref(), self.kept.as_deref());
        std::iter::once(&self.ordinary).chain(durable).chain(kept)
    }

    /// All, to change them; the ordinary one first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Outbox> {
        let (durable, kept) = (self.durable.as_deref_mut(), self.kept.as_deref_mut());
        std::iter::once(&mut self.ordinary).chain(durable).chain(kept)
    }

    /// How many dialogs there are.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// Whether no message was ever sent in any.
    pub fn is_unused(&self) -> bool {
        self.iter().all(|one| one.next_serial() == 0)
    }

    /// Whether no message is open.
    pub fn is_empty(&self) -> bool {
        self.iter().all(Outbox::is_empty)
    }

    /// How many messages are open.
    pub fn len(&self) -> usize {
        self.iter().map(Outbox::len).sum()
    }

    /// How many messages wait to be sent.
    pub fn queued(&self) -> usize {
        self.iter().map(Outbox::queued).sum()
    }

    /// Bytes of bodies of open messages.
    pub fn bytes_open(&self) -> usize {
        self.iter().map(|one| one.bytes_open).sum()
    }

    /// Whether there is something to tell about closed serials.
    pub fn has_news(&self) -> bool {
        self.iter().any(Outbox::has_news)
    }

    /// The codes of all open messages.
    pub fn codes(&self) -> impl Iterator<Item = u32> {
        self.iter().flat_map(Outbox::codes)
    }
}
