//! Sessions at rest: what is left of one that nobody has used for long, in 88 bytes.
//!
//! Both sides have moved on from the keys they used last, so all that a frozen session needs is the root
//! of the next epoch, whose counters and windows are still at zero. Knows no peers, paths or messages;
//! who may be frozen is decided by the endpoint. Invariant: a root is here or in a live session, never in
//! both, and never twice here.

use std::num::NonZeroU32;
use std::time::Duration;

use hashbrown::HashTable;
use zeroize::Zeroize;

use crate::crypto::{Role, Suite, derive, keyed_prefix};
use crate::key::PublicKey;
use crate::output::IdentityId;
use crate::time::Instant;

/// One session at rest. Its size is what an idle session costs, beside 18 bytes of the indexes.
pub struct Frozen {
    root: [u8; 32],
    peer: PublicKey,
    /// Our id of the session.
    id: NonZeroU32,
    remote_id: u32,
    /// Seconds of the boot clock.
    made: u32,
    received: u32,
    /// The beginning of the handshake hash: enough to choose between two sessions that crossed.
    hash: [u8; 4],
    identity: IdentityId,
    /// The number of the newest epoch that was ever used.
    epoch: u8,
    flags: u8,
}

/// Between whom a session is, and what is known of the peer besides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Who of us.
    pub identity: IdentityId,
    /// With whom.
    pub peer: PublicKey,
    /// Whether the peer cannot be called.
    pub client: bool,
    /// Whether a sign of life is wanted before anything is entrusted to it.
    pub suspect: bool,
}

/// All that is known of a session besides the root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Whose it is.
    pub owner: Owner,
    /// Our id of it.
    pub id: u32,
    /// The peer's id of it.
    pub remote_id: u32,
    /// When its handshake was made, to the second.
    pub made: Instant,
    /// When the last authenticated record arrived, to the second.
    pub received: Instant,
    /// The beginning of the handshake hash.
    pub hash: [u8; 4],
    /// The newest epoch that was ever used.
    pub epoch: u8,
    /// Which side we were.
    pub role: Role,
    /// The suite.
    pub suite: Suite,
    /// Whether something speaks against the peer still having it.
    pub doubted: bool,
    /// Whether it is not used for sending any more.
    pub is_retired: bool,
}

impl Frozen {
    /// Packs a session. `None` for one that has no id, which no table gives.
    pub fn new(facts: &Facts, root: &[u8; 32]) -> Option<Self> {
        let suite = Suite::ALL.iter().position(|suite| *suite == facts.suite)?;
        let flag = |is: bool, bit: u8| u8::from(is) << bit;
        Some(Self {
            root: *root,
            peer: facts.owner.peer,
            id: NonZeroU32::new(facts.id)?,
            remote_id: facts.remote_id,
            made: seconds(facts.made),
            received: seconds(facts.received),
            hash: facts.hash,
            identity: facts.owner.identity,
            epoch: facts.epoch,
            flags: u8::try_from(suite).ok()?
                | flag(facts.role == Role::Initiator, 2)
                | flag(facts.doubted, 3)
                | flag(facts.is_retired, 4)
                | flag(facts.owner.client, 5)
                | flag(facts.owner.suspect, 6),
        })
    }

    /// What was packed. `None` never happens to what [`Frozen::new`] has made.
    pub fn facts(&self) -> Option<Facts> {
        let flag = |bit: u8| self.flags >> bit & 1 == 1;
        let (identity, peer) = (self.identity, self.peer);
        Some(Facts {
            owner: Owner { identity, peer, client: flag(5), suspect: flag(6) },
            id: self.id.get(),
            remote_id: self.remote_id,
            made: moment(self.made),
            received: moment(self.received),
            hash: self.hash,
            epoch: self.epoch,
            role: if flag(2) { Role::Initiator } else { Role::Responder },
            suite: Suite::ALL.get(usize::from(self.flags & 3)).copied()?,
            doubted: flag(3),
            is_retired: flag(4),
        })
    }

    /// The root of the epoch after the last one used.
    pub const fn root(&self) -> &[u8; 32] {
        &self.root
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.root.zeroize();
    }
}

impl std::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.facts().fmt(f)
    }
}

/// Down to the second; the last second of a century and a third stands for all later ones.
fn seconds(at: Instant) -> u32 {
    u32::try_from(at.since_start().as_secs()).unwrap_or(u32::MAX)
}

fn moment(seconds: u32) -> Instant {
    Instant::new(Duration::from_secs(u64::from(seconds)))
}

/// All sessions at rest, in the order in which they came as far as places go round.
pub struct Freezer {
    /// In pieces that never move, so that growing costs neither a copy nor twice the memory.
    pieces: Vec<Vec<Option<Frozen>>>,
    free: Vec<u32>,
    by_id: HashTable<u32>,
    by_peer: HashTable<u32>,
    /// Peers choose their keys: without this they could choose ones that collide.
    hash_key: [u8; 32],
    max: usize,
    /// The place that is looked at next, for one to forget.
    hand: usize,
}

const PIECE: usize = 4096;

impl Freezer {
    /// With room for `max` sessions, of which none takes memory yet. `secret` is nobody else's.
    pub fn new(max: usize, secret: &[u8; 32]) -> Self {
        Self {
            pieces: Vec::new(),
            free: Vec::new(),
            by_id: HashTable::new(),
            by_peer: HashTable::new(),
            hash_key: *derive("places of sessions at rest", &[secret]),
            max,
            hand: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether one has this id.
    pub fn contains(&self, id: u32) -> bool {
        self.get(id).is_some()
    }

    /// The session of this id of ours.
    pub fn get(&self, id: u32) -> Option<&Frozen> {
        let found = self.by_id.find(hash_of_id(id), |place| self.has_id(*place, id))?;
        self.at(*found)
    }

    /// Puts a session in. The one whose place is next makes room if there is none left.
    pub fn put(&mut self, frozen: Frozen) {
        if self.max == 0 || self.contains(frozen.id.get()) {
            return;
        }
        if self.len() >= self.max {
            self.forget_one();
        }
        let (id, peer_hash) = (frozen.id.get(), self.hash_of_peer(frozen.identity, &frozen.peer));
        let Some(place) = self.vacant(frozen) else { return };
        let Self { pieces, by_id, by_peer, hash_key, .. } = self;
        by_id.insert_unique(hash_of_id(id), place, |place| {
            at(pieces, *place).map_or(0, |one| hash_of_id(one.id.get()))
        });
        by_peer.insert_unique(peer_hash, place, |place| {
            at(pieces, *place).map_or(0, |one| hash_of_peer(hash_key, one.identity, &one.peer))
        });
    }

    /// Takes out one session with this peer; call again until there is none.
    pub fn take_of(&mut self, identity: IdentityId, peer: &PublicKey) -> Option<Frozen> {
        if self.is_empty() {
            return None;
        }
        let hash = self.hash_of_peer(identity, peer);
        let is_wanted = |place: &u32| {
            at(&self.pieces, *place)
                .is_some_and(|one| one.identity == identity && one.peer == *peer)
        };
        let place = *self.by_peer.find(hash, is_wanted)?;
        self.take(place)
    }

    /// Looks at the next `count` places and forgets those on which nothing was received since `since`.
    pub fn forget_older(&mut self, since: Instant, count: usize) {
        for _ in 0..count.min(self.places()) {
            let place = self.turn();
            if self.at(place).is_some_and(|one| moment(one.received) < since) {
                self.take(place);
            }
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Frozen> {
        self.pieces.iter().flatten().flatten()
    }

    fn forget_one(&mut self) {
        for _ in 0..self.places() {
            let place = self.turn();
            if self.take(place).is_some() {
                return;
            }
        }
    }

    /// The place under the hand, which moves on.
    fn turn(&mut self) -> u32 {
        let place = self.hand;
        self.hand = if place + 1 < self.places() { place + 1 } else { 0 };
        u32::try_from(place).unwrap_or(0)
    }

    fn take(&mut self, place: u32) -> Option<Frozen> {
        let one = at_mut(&mut self.pieces, place)?.take()?;
        let by_id = self.by_id.find_entry(hash_of_id(one.id.get()), |found| *found == place);
        if let Ok(entry) = by_id {
            entry.remove();
        }
        let hash = self.hash_of_peer(one.identity, &one.peer);
        if let Ok(entry) = self.by_peer.find_entry(hash, |found| *found == place) {
            entry.remove();
        }
        self.free.push(place);
        Some(one)
    }

    /// Puts it into a free place and says which; `None` only if places cannot be counted any more.
    fn vacant(&mut self, frozen: Frozen) -> Option<u32> {
        if let Some(place) = self.free.pop() {
            *at_mut(&mut self.pieces, place)? = Some(frozen);
            return Some(place);
        }
        let place = u32::try_from(self.places()).ok()?;
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        self.pieces.last_mut()?.push(Some(frozen));
        Some(place)
    }

    /// Places that were ever used.
    fn places(&self) -> usize {
        let last = self.pieces.last().map_or(0, Vec::len);
        self.pieces.len().saturating_sub(1) * PIECE + last
    }

    fn at(&self, place: u32) -> Option<&Frozen> {
        at(&self.pieces, place)
    }

    fn has_id(&self, place: u32, id: u32) -> bool {
        self.at(place).is_some_and(|one| one.id.get() == id)
    }

    fn hash_of_peer(&self, identity: IdentityId, peer: &PublicKey) -> u64 {
        hash_of_peer(&self.hash_key, identity, peer)
    }
}

impl std::fmt::Debug for Freezer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn at(pieces: &[Vec<Option<Frozen>>], place: u32) -> Option<&Frozen> {
    let place = usize::try_from(place).ok()?;
    pieces.get(place / PIECE)?.get(place % PIECE)?.as_ref()
}

fn at_mut(pieces: &mut [Vec<Option<Frozen>>], place: u32) -> Option<&mut Option<Frozen>> {
    let place = usize::try_from(place).ok()?;
    pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)
}

/// Ids are issued by us, one after another: multiplying spreads them over the high and the low bits.
fn hash_of_id(id: u32) -> u64 {
    u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26)
}

fn hash_of_peer(key: &[u8; 32], identity: IdentityId, peer: &PublicKey) -> u64 {
    u64::from_le_bytes(keyed_prefix(key, &[&identity.0.to_le_bytes(), peer.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::key::SecretKey;

    fn facts(peer: u8, id: u32) -> Facts {
        let owner = Owner {
            identity: IdentityId(u16::from(peer % 2)),
            peer: SecretKey::from_seed([peer; 32]).public(),
            client: id.is_multiple_of(7),
            suspect: id.is_multiple_of(11),
        };
        Facts {
            owner,
            id,
            remote_id: !id,
            made: moment(id),
            received: moment(id + 1),
            hash: [peer, 1, 2, 3],
            epoch: 200,
            role: if id.is_multiple_of(2) { Role::Initiator } else { Role::Responder },
            suite: Suite::ALL[usize::from(peer % 4)],
            doubted: id.is_multiple_of(3),
            is_retired: id.is_multiple_of(5),
        }
    }

    fn freezer(max: usize) -> Freezer {
        Freezer::new(max, &[1; 32])
    }

    #[test]
    fn a_frozen_session_takes_88_bytes_and_loses_nothing() {
        assert_eq!(size_of::<Option<Frozen>>(), 88);
        for id in 1..40 {
            let facts = facts(u8::try_from(id % 5).unwrap(), id);
            let frozen = Frozen::new(&facts, &[9; 32]).unwrap();
            assert_eq!((frozen.facts(), frozen.root()), (Some(facts), &[9; 32]));
        }
    }

    /// Proves LIF-2 in small: what was put in is found by id and by peer, and taken out once.
    #[test]
    fn sessions_are_found_by_id_and_by_peer_and_taken_once() {
        let mut freezer = freezer(100);
        for id in 1..=20 {
            let facts = facts(u8::try_from(id % 5).unwrap(), id);
            freezer.put(Frozen::new(&facts, &[0; 32]).unwrap());
        }
        assert_eq!(freezer.get(7).unwrap().facts(), Some(facts(2, 7)));
        assert!(freezer.get(21).is_none());
        let wanted = facts(2, 0).owner;
        let taken = std::iter::from_fn(|| freezer.take_of(wanted.identity, &wanted.peer));
        let mut ids: Vec<u32> = taken.map(|one| one.id.get()).collect();
        ids.sort_unstable();
        assert_eq!((ids, freezer.len()), (vec![2, 7, 12, 17], 16));
        assert!(freezer.get(7).is_none() && freezer.get(8).is_some());
    }

    #[test]
    fn a_full_freezer_forgets_and_stays_as_large_as_it_was() {
        let mut freezer = freezer(10);
        for id in 1..=10_000 {
            freezer.put(Frozen::new(&facts(1, id), &[0; 32]).unwrap());
        }
        assert_eq!((freezer.len(), freezer.places()), (10, 10));
        assert!((9_991..=10_000).all(|id| freezer.contains(id)), "the last ten are there");
    }

    #[test]
    fn what_nothing_was_received_on_for_long_is_forgotten() {
        let mut freezer = freezer(100);
        for id in 1..=50 {
            freezer.put(Frozen::new(&facts(1, id), &[0; 32]).unwrap());
        }
        freezer.forget_older(moment(21), 30);
        freezer.forget_older(moment(21), 30);
        let left: BTreeSet<u32> = freezer.iter().map(|one| one.id.get()).collect();
        assert_eq!(left, (20..=50).collect());
    }
}
