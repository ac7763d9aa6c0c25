//! Entries of peers: made when there is something about one, and forgotten when there is no room.
//!
//! Invariant: whoever has something under way is not forgotten, and of whoever is, only sessions are left.

use super::Endpoint;
use super::peer::Peer;
use crate::key::PublicKey;
use crate::output::IdentityId;
use crate::time::Instant;

impl Endpoint {
    /// The peer's entry, made if there is none. `None` if nobody can be forgotten to make room.
    pub(super) fn peer_code(
        &mut self,
        now: Instant,
        identity: IdentityId,
        key: PublicKey,
    ) -> Option<u32> {
        if let Some(code) = self.by_key.get(&(identity, key)) {
            if let Some(peer) = self.peers.get_mut(*code) {
                peer.used = true;
            }
            return Some(*code);
        }
        if self.peers.len() >= self.limits.peers_max && !self.forget_somebody() {
            return None;
        }
        let own = self.identity(identity)?.secret_keys.public;
        let peer = Peer::new(identity, &own, key, &mut self.random, now);
        let code = self.peers.insert(peer);
        self.by_key.insert((identity, key), code);
        self.forgettable.push_back(code);
        self.thaw_peer(identity, &key, code);
        Some(code)
    }

    /// Forgets the first peer in turn that has nothing under way and was not used lately.
    pub(super) fn forget_somebody(&mut self) -> bool {
        for _ in 0..self.forgettable.len().saturating_mul(2) {
            let Some(code) = self.forgettable.pop_front() else { return false };
            let Some(peer) = self.peers.get_mut(code) else { continue };
            if peer.used || !peer.is_idle() {
                peer.used = false;
                self.forgettable.push_back(code);
                continue;
            }
            self.freeze_peer(code);
            return true;
        }
        false
    }

    pub(super) fn forget_peer(&mut self, code: u32) {
        let Some(peer) = self.peers.remove(code) else { return };
        self.by_key.remove(&(peer.identity, peer.key));
        self.provisional = self.provisional.saturating_sub(peer.provisional.len());
        let attempts = peer.attempts.iter().map(|attempt| attempt.session);
        for session in peer.sessions.iter().chain(&peer.provisional).copied().chain(attempts) {
            self.sessions.remove(session);
        }
        if let Some((_, timer)) = peer.timer {
            self.timers.cancel(timer);
        }
        if let Some(state) = peer.path.and_then(|path| self.paths.get_mut(&path)) {
            state.peers.retain(|known| *known != code);
        }
    }
}
