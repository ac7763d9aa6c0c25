//! Sessions and peers that nobody has used for long: what is erased of them, and how they come back.
//!
//! Now and then all are looked at. Keys that both sides have left are erased; a peer of whom nothing is
//! worth knowing but its sessions is packed into the freezer, and its entry is free for others. A packet
//! from it, or anything to be sent to it, brings it back. Invariant: nothing leaves the freezer before a
//! record has authenticated or we ourselves want the peer.

use super::peer::{Peer, Trust};
use super::receive::RecordHead;
use super::{Endpoint, Slot, Timer};
use crate::key::PublicKey;
use crate::limits::{FROZEN_KEPT, SWEEP_EVERY};
use crate::output::IdentityId;
use crate::session::epoch::OpenError;
use crate::session::frozen::Owner;
use crate::session::live::Session;
use crate::time::{Instant, Now};

/// Parts in which the freezer is looked through, one at each sweep: all of it within half of what it keeps.
const SWEEP_PARTS: usize = 128;

impl Endpoint {
    /// Looks at everything that may be at rest.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.timers.set(now.after(SWEEP_EVERY), Timer::Sweep);
        let part = self.freezer.len() / SWEEP_PARTS + SWEEP_PARTS;
        let forgotten = now.since_start().saturating_sub(FROZEN_KEPT);
        self.freezer.forget_older(Instant::new(forgotten), part);
        let codes: Vec<u32> = self.peers.iter().map(|(code, _)| code).collect();
        for code in codes {
            let Some(peer) = self.peers.get(code) else { continue };
            let mut all_rest = true;
            for id in peer.sessions.clone() {
                all_rest &= self.live(id).is_some_and(|session| session.rest(now));
            }
            let may_rest = |peer: &Peer| peer.is_only_sessions() && !peer.awaits_use(now);
            if all_rest && self.peers.get(code).is_some_and(may_rest) {
                self.freeze_peer(code);
            }
        }
    }

    /// A new session id, which no session at rest has either.
    pub(super) fn pending_session(&mut self, peer: u32) -> u32 {
        let Self { sessions, freezer, .. } = self;
        sessions.insert_except(Slot::Pending { peer }, |id| freezer.contains(id))
    }

    /// Forgets an idle peer but for its sessions, as far as they are at rest or may be put to it.
    pub(super) fn freeze_peer(&mut self, code: u32) {
        if let Some(peer) = self.peers.get(code) {
            let (identity, client) = (peer.identity, peer.client);
            let suspect = peer.trust != Trust::Good;
            let owner = Owner { identity, peer: peer.key, client, suspect };
            for id in &peer.sessions {
                if let Some(Slot::Live(session)) = self.sessions.get(*id)
                    && let Some(frozen) = session.freeze(*id, owner)
                {
                    self.counters.sessions_frozen += 1;
                    self.freezer.put(frozen);
                }
            }
        }
        self.forget_peer(code);
    }

    /// A new entry for a peer gets its sessions back.
    pub(super) fn thaw_peer(&mut self, identity: IdentityId, key: &PublicKey, code: u32) {
        while let Some(frozen) = self.freezer.take_of(identity, key) {
            let Some(facts) = frozen.facts() else { continue };
            let Some(session) = Session::thaw(&frozen, code) else { continue };
            let Some(peer) = self.peers.get_mut(code) else { return };
            peer.client = facts.owner.client;
            if facts.owner.suspect {
                peer.trust = Trust::Suspect { asked: None };
            }
            if !session.is_retired {
                peer.suites.shown(facts.suite);
            }
            peer.sessions.push(facts.id);
            self.counters.sessions_thawed += 1;
            self.sessions.put(facts.id, Slot::Live(Box::new(session)));
        }
        // The one that was confirmed first goes first when there are too many.
        let sessions = &self.sessions;
        let confirmed = |id: &u32| match sessions.get(*id) {
            Some(Slot::Live(session)) => session.confirmed,
            _ => None,
        };
        if let Some(peer) = self.peers.get_mut(code) {
            peer.sessions.sort_by_key(confirmed);
        }
    }

    /// A record names a session that is at rest: if it opens, the session is in use again, and the record is
    /// to be received as any other.
    ///
    /// # Errors
    /// As for a live session; nothing has changed then. `None` if none is at rest under this id.
    pub(super) fn wake(
        &mut self,
        now: Now,
        identity: IdentityId,
        head: RecordHead,
        header: &[u8; 12],
        packet: &[u8],
    ) -> Option<Result<(), OpenError>> {
        let frozen = self.freezer.get(head.session)?;
        let facts = frozen.facts().filter(|facts| facts.owner.identity == identity)?;
        let tried = Session::thaw(frozen, 0)?.would_open(now.boot, header, head.place(), packet);
        if let Err(error) = tried {
            return Some(Err(error));
        }
        // It may find no room, where everybody else is busy: as if the session were not known.
        self.peer_code(now.boot, identity, facts.owner.peer)?;
        Some(Ok(()))
    }
}
