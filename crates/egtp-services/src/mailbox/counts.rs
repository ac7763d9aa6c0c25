//! What mailboxes hold and have done, for whoever wants to show it.
//!
//! Counted where it is decided, which is before the transaction of it is on the disk. Invariant: no key is in it.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
pub(super) struct Tally(Mutex<Counts>);

impl Tally {
    /// Takes over what a transaction has counted.
    pub(super) fn take(&self, state: &mut State<'_>) {
        let mut counts = self.lock();
        if let Some(Total { mailboxes, load }) = state.total_if_changed(counts.held.is_none()) {
            counts.held = Some(HeldInAll { mailboxes, letters: load.letters, bytes: load.bytes });
        }
        counts.collected += state.collected();
        counts.expired += state.expired();
    }

    /// Counts what has become of a deposit.
    pub(super) fn deposit(&self, deposit: &Deposit) {
        let mut counts = self.lock();
        let counter = match deposit {
            Deposit::Stored { .. } => &mut counts.stored,
            Deposit::Refused(DepositRefused::ShareFull { .. }) => &mut counts.share_full,
            Deposit::Refused(DepositRefused::MailboxFull { .. }) => &mut counts.mailbox_full,
            Deposit::Refused(DepositRefused::RelayFull { .. }) => &mut counts.relay_full,
            Deposit::Refused(DepositRefused::UnknownRecipient) => &mut counts.unknown_recipient,
            Deposit::Refused(DepositRefused::TooLarge { .. }) => &mut counts.too_large,
        };
        *counter += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
