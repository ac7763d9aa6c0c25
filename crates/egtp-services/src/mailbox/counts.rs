//! What mailboxes hold and have done, for whoever wants to show it.
//!
//! Counted where it is decided, which is before the transaction of it is on the disk. Invariant: no key is in it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use egtp::mailbox::{Deposit, DepositRefused};

use super::State;
use super::rows::Total;

/// What a relay's mailboxes hold, and what they have done since it was started.
///
/// It is what was decided. While the disk refuses, nothing of it is acknowledged, and each try is counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// What is held. `None` until the first request since the start.
    pub held: Option<HeldInAll>,
    /// Deposits that were kept, those of a letter that was there already included.
    pub stored: u64,
    /// Deposits that were refused because a sender's share of a mailbox was full.
    pub share_full: u64,
    /// Deposits that were refused because a mailbox was full.
    pub mailbox_full: u64,
    /// Deposits that were refused because the relay had no room at all.
    pub relay_full: u64,
    /// Deposits for somebody for whom nothing is kept.
    pub unknown_recipient: u64,
    /// Deposits of letters that were too long.
    pub too_large: u64,
    /// Letters that were deleted because their recipient said that it has them.
    pub collected: u64,
    /// Letters that were deleted because nobody had collected them in time.
    pub expired: u64,
}

/// What all mailboxes of a relay hold together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HeldInAll {
    /// Recipients for whom there is something.
    pub mailboxes: u64,
    /// Letters.
    pub letters: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Where it is counted: by the thread of the store, and read by any.
#[derive(Debug, Default)]
pub(super) struct Tally {
    is_known: AtomicBool,
    mailboxes: AtomicU64,
    letters: AtomicU64,
    bytes: AtomicU64,
    stored: AtomicU64,
    share_full: AtomicU64,
    mailbox_full: AtomicU64,
    relay_full: AtomicU64,
    unknown_recipient: AtomicU64,
    too_large: AtomicU64,
    collected: AtomicU64,
    expired: AtomicU64,
}

impl Tally {
    /// Takes over what a transaction has counted.
    pub(super) fn take(&self, state: &mut State<'_>) {
        let is_known = self.is_known.load(Ordering::Relaxed);
        if let Some(Total { mailboxes, load }) = state.total_if_changed(!is_known) {
            self.mailboxes.store(mailboxes, Ordering::Relaxed);
            self.letters.store(load.letters, Ordering::Relaxed);
            self.bytes.store(load.bytes, Ordering::Relaxed);
            self.is_known.store(true, Ordering::Release);
        }
        self.collected.fetch_add(state.collected(), Ordering::Relaxed);
        self.expired.fetch_add(state.expired(), Ordering::Relaxed);
    }

    /// Counts what has become of a deposit.
    pub(super) fn deposit(&self, deposit: &Deposit) {
        let counter = match deposit {
            Deposit::Stored { .. } => &self.stored,
            Deposit::Refused(DepositRefused::ShareFull { .. }) => &self.share_full,
            Deposit::Refused(DepositRefused::MailboxFull { .. }) => &self.mailbox_full,
            Deposit::Refused(DepositRefused::UnknownRecipient) => &self.unknown_recipient,
            Deposit::Refused(DepositRefused::TooLarge { .. }) => &self.too_large,
            Deposit::Refused(_) => &self.relay_full,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let is_known = self.is_known.load(Ordering::Acquire);
        let held = is_known.then(|| HeldInAll {
            mailboxes: of(&self.mailboxes),
            letters: of(&self.letters),
            bytes: of(&self.bytes),
        });
        Counts {
            held,
            stored: of(&self.stored),
            share_full: of(&self.share_full),
            mailbox_full: of(&self.mailbox_full),
            relay_full: of(&self.relay_full),
            unknown_recipient: of(&self.unknown_recipient),
            too_large: of(&self.too_large),
            collected: of(&self.collected),
            expired: of(&self.expired),
        }
    }
}
