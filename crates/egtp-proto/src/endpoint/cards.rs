//! What is known of a peer's present life, handed out of one life of ours and into the next.
//!
//! Invariant: what this life has heard itself is never replaced by what an earlier one had heard.

use std::time::Duration;

use super::Endpoint;
use super::peer::KnownCard;
use crate::key::PublicKey;
use crate::output::IdentityId;
use crate::peer_card::PeerCard;
use crate::time::Now;

impl Endpoint {
    /// What an identity of ours has heard of a peer, for its next life. `None` if it has heard nothing, or the
    /// peer can only call, or it states no age: what is sent to a life of which that is not known is in doubt if it has
    /// ended meanwhile, and a knock is not.
    pub fn peer_card(&self, now: Now, identity: IdentityId, peer: &PublicKey) -> Option<PeerCard> {
        let entry = self.peers.get(*self.by_key.get(&(identity, *peer))?)?;
        let known = entry.card.as_ref()?;
        let card = known.card.later(now.boot.since(known.learned))?;
        card.prekey.filter(|_| card.stores.iter().all(|store| store.age > 0))?;
        let (sequence, mut suites) = entry.suites.answered()?;
        suites.truncate(PeerCard::SUITES_MAX);
        let made = Duration::from_secs(now.wall.as_secs());
        Some(PeerCard { peer: *peer, made, card, suites: (sequence, suites) })
    }

    /// Takes over what an earlier life of an identity of ours had heard of a peer, unless this one has heard
    /// something itself. Returns whether it is of use: not if its time is over, it is about ourselves, something
    /// newer is known, or there is no room.
    pub fn learn_peer_card(&mut self, now: Now, identity: IdentityId, card: &PeerCard) -> bool {
        let Some(live) = card.at(now.wall) else { return false };
        let own = self.identity(identity).map(|own| own.secret_keys.public);
        if own.is_none_or(|own| own == card.peer) {
            return false;
        }
        let Some(code) = self.peer_code(now.boot, identity, card.peer) else { return false };
        let Some(peer) = self.peers.get_mut(code) else { return false };
        if peer.card.is_some() || peer.suites.answered().is_some() {
            return false;
        }
        let (sequence, suites) = &card.suites;
        peer.suites.answer(*sequence, suites);
        peer.card = Some(KnownCard { card: live, learned: now.boot, is_kept: true });
        true
    }
}
