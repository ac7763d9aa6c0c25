//! What the path and all its tasks have in common.
//!
//! Knows who we are and what may be used; does nothing itself. Invariant: only the inbox and the
//! counters change while the path lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use egtp_proto::PublicKey;
use egtp_proto::wire::stream::{Preamble, StreamKey};

use super::inbox::Inbox;
use super::limits::TcpLimits;
use super::slots::Slots;
use crate::clock::Clock;
use crate::path::PathId;

/// The common part of one path.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: TcpLimits,
    pub(super) inbox: Inbox,
    pub(super) slots: Slots,
    identities: Vec<(PublicKey, StreamKey)>,
    next_path: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        identities: Vec<PublicKey>,
        clock: Arc<dyn Clock>,
        limits: TcpLimits,
    ) -> Self {
        let keyed = |identity: PublicKey| (identity, StreamKey::new(identity.as_bytes()));
        Self {
            clock,
            inbox: Inbox::default(),
            slots: Slots::new(&limits),
            limits,
            identities: identities.into_iter().map(keyed).collect(),
            next_path: AtomicU64::new(1),
        }
    }

    /// A name for a new connection.
    pub(super) fn name_path(&self) -> PathId {
        PathId(self.next_path.fetch_add(1, Ordering::Relaxed))
    }

    /// Which of our identities a dialer means: one hash for each that we have.
    pub(super) fn named_by(&self, preamble: &Preamble) -> Option<&(PublicKey, StreamKey)> {
        self.identities.iter().find(|(_, key)| preamble.names(key))
    }
}
