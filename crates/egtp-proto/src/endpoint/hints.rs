//! Hints: messages that are sealed and cannot be replayed, and for which nobody vouches besides. A hint goes once,
//! with the next record on a living path, or not at all.
//!
//! Invariant: bounded for each peer and for all together, and nothing is opened, tried or kept for the sake of a hint.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::Endpoint;
use super::peer::{Peer, Trust};
use crate::key::PublicKey;
use crate::limits::{HINT_BYTES_MAX, HINTS_BYTES_PER_PEER, RECORD_FRAMES_MAX};
use crate::message::Kind;
use crate::output::{IdentityId, NotSent};
use crate::time::Now;

/// Bytes of a hint's frame besides its body, generously.
const HINT_AROUND: usize = RECORD_FRAMES_MAX - HINT_BYTES_MAX;

/// In how many steps what a peer may have waiting grows with what is free.
const SHARES: usize = 256;

/// Hints that wait for a record.
#[derive(Debug)]
pub(super) struct Hints {
    waiting: VecDeque<(Kind, Bytes)>,
    bytes: usize,
    in_all: InAll,
}

/// Bytes of hints that wait for all peers of an endpoint. Each queue counts itself out, however it ends.
#[derive(Clone, Debug, Default)]
pub(super) struct InAll(Arc<AtomicUsize>);

impl InAll {
    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Hints {
    const fn new(in_all: InAll) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, in_all }
    }

    fn push(&mut self, kind: Kind, body: Bytes) {
        let bytes = size(&kind, &body);
        self.bytes += bytes;
        self.in_all.0.fetch_add(bytes, Ordering::Relaxed);
        self.waiting.push_back((kind, body));
    }

    /// The next one, if there is room for it.
    pub(super) fn next_within(&mut self, fits: impl Fn(usize) -> bool) -> Option<(Kind, Bytes)> {
        let (kind, body) = self.waiting.front()?;
        if !fits(size(kind, body)) {
            return None;
        }
        let bytes = size(kind, body);
        self.bytes -= bytes;
        self.in_all.0.fetch_sub(bytes, Ordering::Relaxed);
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        self.in_all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a hint takes besides its tag and lengths.
fn size(kind: &Kind, body: &Bytes) -> usize {
    kind.as_str().len() + body.len()
}

impl Endpoint {
    /// Sends a hint to a peer with which there is a living session. Whether it arrives is never known.
    ///
    /// # Errors
    /// [`NotSent::TooLarge`] above [`HINT_BYTES_MAX`] bytes, a little less through a relay; [`NotSent::Unreachable`] where the peer has no session
    /// and path with us at the moment, or there is a doubt whether it still has; [`NotSent::Busy`] while as many wait
    /// as may.
    pub fn hint(
        &mut self,
        now: Now,
        identity: IdentityId,
        to: &PublicKey,
        kind: Kind,
        body: Bytes,
    ) -> Result<(), NotSent> {
        let code = *self.by_key.get(&(identity, *to)).ok_or(NotSent::Unreachable)?;
        let has_session = self.session_to_send_on(now, code).is_some();
        let path = self.peers.get(code).and_then(|peer| peer.path);
        let limit = path.map_or(HINT_BYTES_MAX, |path| self.frames_max(path) - HINT_AROUND);
        if body.len() > limit {
            return Err(NotSent::TooLarge { bytes: body.len(), limit });
        }
        let peer = self.peers.get(code).filter(|peer| has_session && peer.hears());
        if size(&kind, &body) > self.room_for_hints(peer.ok_or(NotSent::Unreachable)?) {
            return Err(NotSent::Busy);
        }
        if let Some(peer) = self.peers.get_mut(code) {
            let new = || Box::new(Hints::new(self.hints.clone()));
            peer.hints.get_or_insert_with(new).push(kind, body);
        }
        self.soil(code);
        Ok(())
    }

    /// Bytes of hints that a peer is taken now: none where [`Endpoint::hint`] would say that it cannot be reached.
    pub fn hint_room(&self, identity: IdentityId, to: &PublicKey) -> usize {
        let code = self.by_key.get(&(identity, *to));
        let peer = code.and_then(|code| self.peers.get(*code)).filter(|peer| peer.hears());
        peer.map_or(0, |peer| self.room_for_hints(peer))
    }

    /// A peer has its full share while half of what there is for all is free, and less from there on. The last quarter is
    /// for those who have hardly anything waiting: one hint each.
    fn room_for_hints(&self, peer: &Peer) -> usize {
        let all = self.limits.hint_bytes_max;
        let free = all.saturating_sub(self.hints.bytes());
        let quarter = all / 4;
        // In steps that are fine enough, so that nothing overflows.
        let share = (HINTS_BYTES_PER_PEER / SHARES)
            * (free.saturating_sub(quarter) / (quarter / SHARES).max(1));
        let share = share.clamp(RECORD_FRAMES_MAX, HINTS_BYTES_PER_PEER);
        let waiting = peer.hints.as_ref().map_or(0, |hints| hints.bytes);
        share.saturating_sub(waiting).min(free)
    }
}

impl Peer {
    /// It is not reached by its path any more. What waits goes by no other one: a relay would be given packets of circuits
    /// that have ended since.
    pub(super) fn leave_path(&mut self) {
        self.path = None;
        self.hints = None;
    }

    /// Whether something may reach it at once.
    fn hears(&self) -> bool {
        self.path.is_some() && self.trust == Trust::Good && !self.sessions.is_empty()
    }
}
