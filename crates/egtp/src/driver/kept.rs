//! Requests that outlive a run of the node: those of earlier runs, and outcomes that nobody has taken.
//!
//! Invariant: an outcome is here until the application has it, or until so many newer ones are that it is
//! dropped; the endpoint and the disk hear when it is taken.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use egtp_proto::{IdentityId, MessageId};

use crate::slot::Slot;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct KeptRequests {
    by_id: HashMap<MessageId, Kept>,
    /// Those with an outcome, the oldest first; some of them may have been taken since.
    ended: VecDeque<MessageId>,
}

#[derive(Debug)]
struct Kept {
    identity: IdentityId,
    slot: Arc<Slot>,
}

impl KeptRequests {
    /// A request that is kept from now on.
    pub(crate) fn insert(&mut self, identity: IdentityId, id: MessageId, slot: Arc<Slot>) {
        self.by_id.insert(id, Kept { identity, slot });
    }

    /// Where what happens to a request is left.
    pub(crate) fn slot(&self, id: &MessageId) -> Option<Arc<Slot>> {
        self.by_id.get(id).map(|kept| Arc::clone(&kept.slot))
    }

    /// It has its outcome. Returns an older one that is dropped to make room.
    pub(crate) fn ended(&mut self, id: MessageId) -> Option<(IdentityId, MessageId)> {
        if !self.by_id.contains_key(&id) {
            return None;
        }
        self.ended.push_back(id);
        if self.ended.len() <= ENDED_MAX {
            return None;
        }
        let oldest = self.ended.pop_front()?;
        self.by_id.remove(&oldest).map(|kept| (kept.identity, oldest))
    }

    /// The application has taken the outcome, or wants none. Returns whose it was.
    pub(crate) fn remove(&mut self, id: &MessageId) -> Option<IdentityId> {
        let identity = self.by_id.remove(id)?.identity;
        // Most are taken at once: the newest.
        if let Some(index) = self.ended.iter().rposition(|one| one == id) {
            self.ended.remove(index);
        }
        Some(identity)
    }

    /// The ids of all.
    pub(crate) fn ids(&self) -> Vec<MessageId> {
        self.by_id.keys().copied().collect()
    }
}

/// Outcomes that wait to be taken.
const ENDED_MAX: usize = 65_536;
