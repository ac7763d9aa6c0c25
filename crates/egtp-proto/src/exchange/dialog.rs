//! What a store of ours remembers of one sender's numbering: which serials were taken, and which may be sent.
//!
//! Invariant: what was taken or voided once stays so, and only what is written down is acknowledged.

use std::time::Duration;

use crate::card::StoreKind;
use crate::key::PublicKey;
use crate::limits::{WINDOW_MAX, WINDOW_START};
use crate::time::Now;
use crate::wire::Serials;

/// What is remembered of one sender's dialog.
#[derive(Debug)]
pub struct Dialog {
    pub(super) peer: PublicKey,
    pub(super) id: u64,
    /// The floor when the dialog was made, before anything was forgotten to make room for it.
    pub(super) floor: u32,
    /// The highest generation of anything taken in it.
    pub(super) highest: u32,
    pub(super) taken: Serials,
    /// What of it is written down, in a durable store: only that is acknowledged.
    pub(super) written: Option<Serials>,
    pub(super) window: u64,
    /// When the base was at which serial, to see how fast a whole window passes.
    pub(super) mark: (crate::time::Instant, u64),
    pub(super) used: u64,
    /// Queries that wait for a reply or whose reply is not acknowledged: such a dialog stays.
    pub open: u32,
}

/// Serials above the base of a dialog that may be sent.
pub(super) const fn window_at_first(kind: StoreKind) -> u64 {
    match kind {
        StoreKind::Ram | StoreKind::Durable => WINDOW_START,
        StoreKind::Letter => WINDOW_MAX,
    }
}

impl Dialog {
    /// The sender's dialog id.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// What was taken or voided and may be acknowledged.
    pub const fn acknowledged(&self) -> &Serials {
        match &self.written {
            Some(written) => written,
            None => &self.taken,
        }
    }

    /// The first serial beyond the window.
    pub const fn limit(&self) -> u64 {
        self.acknowledged().base().saturating_add(self.window)
    }

    pub(super) fn raise(&mut self, low_water: u64) {
        self.taken.raise(low_water);
        if let Some(written) = &mut self.written {
            written.raise(low_water);
        }
    }

    pub(super) fn has_room(&self, serial: u64) -> bool {
        serial < self.taken.base().saturating_add(self.window)
            && (serial == self.taken.base() || self.taken.ranges().len() < GAPS_MAX)
    }

    /// Doubles the window when a whole one has passed within two seconds.
    pub(super) fn widen(&mut self, now: &Now) {
        let (since, base) = self.mark;
        let passed = self.taken.base().saturating_sub(base);
        if now.boot.since(since) > Duration::from_secs(2) {
            self.mark = (now.boot, self.taken.base());
        } else if passed >= self.window {
            self.window = (self.window * 2).min(WINDOW_MAX);
            self.mark = (now.boot, self.taken.base());
        }
    }
}

/// Ranges above the base that a dialog remembers; a message that would add one more is refused as
/// outside the window until gaps are filled.
pub(super) const GAPS_MAX: usize = 1024;
