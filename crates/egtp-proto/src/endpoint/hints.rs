//! Hints: messages that are sealed and cannot be replayed, and for which nobody vouches besides. A hint goes once,
//! with the next record on a living path, or not at all.
//!
//! Invariant: bounded for each peer, and nothing is opened, tried or kept for the sake of a hint.

use std::collections::VecDeque;

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

/// Hints that wait for a record.
#[derive(Debug, Default)]
pub(super) struct Hints {
    waiting: VecDeque<(Kind, Bytes)>,
    bytes: usize,
}

impl Hints {
    /// The next one, if there is room for it.
    pub(super) fn next_within(&mut self, fits: impl Fn(usize) -> bool) -> Option<(Kind, Bytes)> {
        let (kind, body) = self.waiting.front()?;
        if !fits(size(kind, body)) {
            return None;
        }
        self.bytes = self.bytes.saturating_sub(size(kind, body));
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
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
        let peer = self.peers.get_mut(code).filter(|peer| has_session && peer.hears());
        let hints = &mut peer.ok_or(NotSent::Unreachable)?.hints;
        let bytes = hints.as_ref().map_or(0, |hints| hints.bytes) + size(&kind, &body);
        if bytes > HINTS_BYTES_PER_PEER {
            return Err(NotSent::Busy);
        }
        let hints = hints.get_or_insert_default();
        hints.bytes = bytes;
        hints.waiting.push_back((kind, body));
        self.soil(code);
        Ok(())
    }

    /// Bytes of hints that a peer is taken now: none where [`Endpoint::hint`] would say that it cannot be reached.
    pub fn hint_room(&self, identity: IdentityId, to: &PublicKey) -> usize {
        let code = self.by_key.get(&(identity, *to));
        let peer = code.and_then(|code| self.peers.get(*code)).filter(|peer| peer.hears());
        let waiting = |peer: &Peer| peer.hints.as_ref().map_or(0, |hints| hints.bytes);
        peer.map_or(0, |peer| HINTS_BYTES_PER_PEER.saturating_sub(waiting(peer)))
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
