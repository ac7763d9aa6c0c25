//! The keys to which letters to us are sealed besides our own: they outlive restarts, and are replaced every week.
//!
//! Ids ascend, so that the id of the newest says how far the letter store has got: what it is bound to is a prekey. Knows
//! no disk. Invariant: a secret that was erased is not made again, and what was bound to it is then below the floor of the
//! letter store.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::contact_value::MailboxPrekey;
use crate::crypto::{DhKey, Random};
use crate::exchange::durable::SavedMailboxPrekey;
use crate::limits::{MAILBOX_PREKEY_KEPT, MAILBOX_PREKEY_REPLACED};

/// The mailbox prekeys of one identity, newest last.
#[derive(Debug, Default)]
pub struct MailboxPrekeys {
    keys: VecDeque<Key>,
}

#[derive(Debug)]
struct Key {
    id: u32,
    pair: DhKey,
    /// On the wall clock, which alone goes on through restarts.
    made: Duration,
    /// Whether it may be given to others: not before it is on the disk.
    is_written: bool,
}

impl MailboxPrekeys {
    /// As they were read back. One that the library refuses is left out.
    pub fn restore(saved: &[SavedMailboxPrekey]) -> Self {
        let keys = saved.iter().filter_map(|one| {
            let pair = DhKey::from_secret(&one.secret).ok()?;
            Some(Key { id: one.id, pair, made: one.made, is_written: true })
        });
        Self { keys: keys.collect() }
    }

    /// Makes a new one if the newest was made too long ago. What is to be written down, before others hear of it.
    pub fn replace(&mut self, random: &mut Random, now: Duration) -> Option<SavedMailboxPrekey> {
        let newest = self.keys.back();
        if newest.is_some_and(|newest| now < newest.made.saturating_add(MAILBOX_PREKEY_REPLACED)) {
            return None;
        }
        // Those of another store, whose secrets are lost, are mostly others.
        let id = newest.map_or_else(|| first_id(random), |newest| newest.id.saturating_add(1));
        let secret = Zeroizing::new(random.bytes());
        let pair = DhKey::from_secret(&secret).ok()?;
        self.keys.push_back(Key { id, pair, made: now, is_written: false });
        Some(SavedMailboxPrekey { id, secret, made: now })
    }

    /// Erases those whose time is over, never the newest. The ids of what was erased.
    pub fn erase(&mut self, now: Duration) -> Vec<u32> {
        let mut erased = Vec::new();
        while self.keys.len() > 1
            && let Some(oldest) = self.keys.front()
            && now >= oldest.made.saturating_add(MAILBOX_PREKEY_KEPT)
        {
            erased.push(oldest.id);
            self.keys.pop_front();
        }
        erased
    }

    /// This one is on the disk.
    pub fn written(&mut self, id: u32) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.id == id) {
            key.is_written = true;
        }
    }

    /// What a contact says of the newest that is on the disk.
    pub fn newest(&self) -> Option<MailboxPrekey> {
        let newest = self.keys.iter().rev().find(|key| key.is_written)?;
        Some(MailboxPrekey { id: newest.id, key: *newest.pair.public() })
    }

    /// The pair of an id.
    pub fn get(&self, id: u32) -> Option<&DhKey> {
        self.keys.iter().find(|key| key.id == id).map(|key| &key.pair)
    }
}

/// Far from the end, and not 0.
fn first_id(random: &mut Random) -> u32 {
    (random.u32() >> 1) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_prekey_is_replaced_after_a_week_and_its_secret_erased_when_no_letter_can_come() {
        let mut random = Random::from_seed([1; 32]);
        let mut prekeys = MailboxPrekeys::default();
        let start = DAY * 20_000;
        let (mut saved, mut first) = (Vec::new(), None);
        for day in 0..200 {
            saved.extend(prekeys.replace(&mut random, start + DAY * day));
            saved.last().iter().for_each(|one| prekeys.written(one.id));
            let erased = prekeys.erase(start + DAY * day);
            saved.retain(|one| !erased.contains(&one.id));
            let listed = prekeys.newest().unwrap();
            let first = *first.get_or_insert(listed.id);
            assert_eq!(listed.id, first + day / 7);
            for id in first..=listed.id {
                let made = (id - first) * 7;
                assert_eq!(prekeys.get(id).is_some(), day < made + 111, "{id} on day {day}");
            }
        }
        let again = MailboxPrekeys::restore(&saved);
        assert_eq!(again.newest(), prekeys.newest());
        assert_eq!(again.keys.len(), saved.len());
    }

    #[test]
    fn nobody_is_told_of_a_prekey_that_is_not_on_the_disk() {
        let mut random = Random::from_seed([1; 32]);
        let mut prekeys = MailboxPrekeys::default();
        let first = prekeys.replace(&mut random, DAY).unwrap();
        assert_eq!(prekeys.newest(), None);
        prekeys.written(first.id);
        let second = prekeys.replace(&mut random, DAY * 9).unwrap();
        assert_eq!(prekeys.newest().map(|one| one.id), Some(first.id));
        prekeys.written(second.id);
        assert_eq!(prekeys.newest().map(|one| one.id), Some(second.id));
    }

    #[test]
    fn a_clock_that_jumps_ahead_leaves_the_newest() {
        let mut random = Random::from_seed([1; 32]);
        let mut prekeys = MailboxPrekeys::default();
        let first = prekeys.replace(&mut random, DAY).unwrap();
        assert_eq!(prekeys.erase(DAY * 100_000), Vec::<u32>::new());
        assert!(prekeys.get(first.id).is_some());
    }
}
