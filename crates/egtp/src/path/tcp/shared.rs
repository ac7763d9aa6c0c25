//! What the path and all its tasks have in common, and what that of one loop has in common with those of others.
//!
//! Knows who we are and what may be used; does nothing itself. Invariant: only the inbox and the
//! counters change while the path lives.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use egtp_proto::PublicKey;
use egtp_proto::wire::stream::{Preamble, StreamKey};

use super::doors::Doors;
use super::inbox::Inbox;
use super::limits::TcpLimits;
use super::slots::Slots;
use crate::clock::Clock;
use crate::path::PathId;

/// The common part of one loop's path.
#[derive(Debug)]
pub(super) struct Shared {
    common: Arc<Common>,
    /// Which loop this is.
    pub(super) index: usize,
    pub(super) inbox: Inbox,
    next_path: AtomicU64,
}

/// What is the same for all loops of a node.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: TcpLimits,
    pub(super) slots: Slots,
    pub(super) doors: Doors,
    identities: Vec<(PublicKey, StreamKey)>,
}

impl Common {
    pub(super) fn new(
        identities: Vec<PublicKey>,
        clock: Arc<dyn Clock>,
        limits: TcpLimits,
        doors: Doors,
    ) -> Self {
        let keyed = |identity: PublicKey| (identity, StreamKey::new(identity.as_bytes()));
        Self {
            clock,
            slots: Slots::new(&limits),
            doors,
            limits,
            identities: identities.into_iter().map(keyed).collect(),
        }
    }

    /// Which of our identities a dialer means: one hash for each that we have.
    pub(super) fn named_by(&self, preamble: &Preamble) -> Option<&(PublicKey, StreamKey)> {
        self.identities.iter().find(|(_, key)| preamble.names(key))
    }
}

impl Shared {
    pub(super) fn new(common: Arc<Common>, index: usize) -> Self {
        let first = u64::try_from(index).unwrap_or(0) << LOOP_SHIFT;
        Self { common, index, inbox: Inbox::default(), next_path: AtomicU64::new(first + 1) }
    }

    /// A name for a new connection.
    pub(super) fn name_path(&self) -> PathId {
        PathId(self.next_path.fetch_add(1, Ordering::Relaxed))
    }
}

impl Deref for Shared {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

/// Names of connections of loop number n start at n times two to this power: a connection keeps its name where it goes.
const LOOP_SHIFT: u32 = 40;
