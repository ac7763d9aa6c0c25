//! Our own prekeys: short-lived keys that make first flights forward secret, and the memory of the
//! first flights that used them.
//!
//! Invariant: a first flight under a prekey is let through at most once, and once a prekey's memory
//! is gone its secret is gone too, so that nothing recorded can be let through later.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use crate::card::PrekeyCard;
use crate::crypto::{DhKey, Random, keyed_prefix};
use crate::limits::{Limits, PREKEY_KEPT, PREKEY_REPLACED};
use crate::part::Stripe;
use crate::time::Instant;

/// How much earlier than its end a prekey is said to end, so that nobody uses it in vain.
const MARGIN: Duration = Duration::from_mins(1);

/// The prekeys of one identity, newest last.
pub struct Prekeys {
    keys: VecDeque<Prekey>,
    ids: Stripe,
    next_id: u32,
    /// Makes filter entries that nobody outside can choose.
    filter_key: [u8; 32],
    flights_max: usize,
    keys_max: usize,
}

struct Prekey {
    id: u32,
    key: DhKey,
    made: Instant,
    seen: HashSet<u64, BuildHasherDefault<AlreadyHashed>>,
}

impl Prekeys {
    /// Makes the first prekey; all have ids of `ids`. `None` only if the library refuses a key.
    pub fn new(random: &mut Random, limits: &Limits, now: Instant, ids: Stripe) -> Option<Self> {
        let mut prekeys = Self {
            keys: VecDeque::new(),
            // A stale id of an earlier life should not name a present key.
            next_id: ids.near(random.u32() | 1),
            ids,
            filter_key: random.bytes(),
            flights_max: limits.flights_per_prekey,
            keys_max: limits.prekeys_max,
        };
        prekeys.replace(random, now)?;
        Some(prekeys)
    }

    /// Replaces the newest prekey when it is due, and forgets those whose time is over. Returns
    /// whether there is a new one.
    pub fn tick(&mut self, random: &mut Random, now: Instant) -> bool {
        self.keys.retain(|prekey| now.since(prekey.made) < PREKEY_KEPT);
        let due = self.keys.back().is_none_or(|newest| {
            now.since(newest.made) >= PREKEY_REPLACED || newest.seen.len() >= self.flights_max
        });
        due && self.replace(random, now).is_some()
    }

    /// When the newest is to be replaced.
    pub fn deadline(&self) -> Option<Instant> {
        self.keys.back().map(|newest| newest.made.after(PREKEY_REPLACED))
    }

    /// The id of the newest prekey; 0 if there is none.
    pub fn newest_id(&self) -> u32 {
        self.keys.back().map_or(0, |newest| newest.id)
    }

    /// What the live card says about the newest prekey.
    pub fn card(&self, now: Instant) -> Option<PrekeyCard> {
        let newest = self.keys.back()?;
        let left = PREKEY_KEPT.saturating_sub(now.since(newest.made)).saturating_sub(MARGIN);
        Some(PrekeyCard {
            id: newest.id,
            key: *newest.key.public(),
            lifetime: u16::try_from(left.as_secs()).unwrap_or(u16::MAX),
        })
    }

    /// The key pair of `id`, if its time is not over.
    pub fn get(&self, id: u32, now: Instant) -> Option<&DhKey> {
        let prekey = self.find(id)?;
        (now.since(prekey.made) < PREKEY_KEPT).then_some(&prekey.key)
    }

    /// Whether a first flight with this ephemeral key was let through before.
    pub fn has_seen(&self, id: u32, ephemeral: &[u8; 32]) -> bool {
        self.find(id).is_some_and(|prekey| prekey.seen.contains(&self.entry(ephemeral)))
    }

    /// Remembers an authenticated first flight. `false` if it was there already, or if the memory is
    /// full: it must not be let through then.
    #[must_use]
    pub fn remember(&mut self, id: u32, ephemeral: &[u8; 32]) -> bool {
        let (entry, max) = (self.entry(ephemeral), self.flights_max);
        let prekey = self.keys.iter_mut().find(|prekey| prekey.id == id);
        prekey.is_some_and(|prekey| prekey.seen.len() < max && prekey.seen.insert(entry))
    }

    /// Nobody goes on with this flight after all: it may be let through when it comes again.
    pub fn forget(&mut self, id: u32, ephemeral: &[u8; 32]) {
        let entry = self.entry(ephemeral);
        if let Some(prekey) = self.keys.iter_mut().find(|prekey| prekey.id == id) {
            prekey.seen.remove(&entry);
        }
    }

    fn find(&self, id: u32) -> Option<&Prekey> {
        self.keys.iter().find(|prekey| prekey.id == id)
    }

    fn entry(&self, ephemeral: &[u8; 32]) -> u64 {
        u64::from_le_bytes(keyed_prefix(&self.filter_key, &[ephemeral]))
    }

    fn replace(&mut self, random: &mut Random, now: Instant) -> Option<()> {
        let key = DhKey::from_secret(&random.bytes()).ok()?;
        let id = self.next_id;
        // Never 0, which means "none known".
        self.next_id = self.ids.after(id);
        self.keys.push_back(Prekey { id, key, made: now, seen: HashSet::default() });
        while self.keys.len() > self.keys_max {
            self.keys.pop_front();
        }
        Some(())
    }
}

impl std::fmt::Debug for Prekeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.keys.iter().map(|prekey| (prekey.id, prekey.made, prekey.seen.len()));
        f.debug_list().entries(keys).finish()
    }
}

/// Entries are keyed hashes already: hashing them again would only cost time.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
