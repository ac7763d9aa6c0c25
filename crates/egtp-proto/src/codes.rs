//! A table whose entries are named by 32-bit codes that mean something only inside this process.
//!
//! A slot (handle) is a small index and is reused lowest first; the code that names its entry is
//! issued cyclically, skipping those in use. Invariant: a stale code finds nothing; it never finds
//! another entry until the codes have gone round once.

use std::hash::Hasher;

use crate::part::Stripe;
use crate::slots::{FreeSlots, Index};

/// Entries by code.
#[derive(Debug)]
pub struct Table<T> {
    slots: Vec<Option<(u32, T)>>,
    free: FreeSlots,
    by_code: Index,
    codes: Stripe,
    next: u32,
}

impl<T> Table<T> {
    /// An empty table whose first code is `first` (0 is never issued).
    pub fn new(first: u32) -> Self {
        Self::of(Stripe::ALL, first)
    }

    /// The same with some codes only: the first is near `first`.
    pub fn of(codes: Stripe, first: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: FreeSlots::default(),
            by_code: Index::default(),
            codes,
            next: codes.near(first),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.by_code.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_code.is_empty()
    }

    /// Puts an entry into the lowest free slot and returns the code that names it.
    pub fn insert(&mut self, entry: T) -> u32 {
        self.insert_except(entry, |_| false)
    }

    /// The same, with a code that is not taken elsewhere either.
    pub fn insert_except(&mut self, entry: T, is_taken: impl Fn(u32) -> bool) -> u32 {
        while self.by_code.get(self.next).is_some() || is_taken(self.next) {
            self.next = self.codes.after(self.next);
        }
        let code = self.next;
        self.next = self.codes.after(code);
        self.put(code, entry);
        code
    }

    /// Puts an entry back under a code that was issued and is in use nowhere.
    pub fn put(&mut self, code: u32, entry: T) {
        let entry = Some((code, entry));
        let slot = if let Some(slot) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(slot) {
                *place = entry;
            }
            slot
        } else {
            self.slots.push(entry);
            self.slots.len() - 1
        };
        self.by_code.insert(code, slot);
    }

    /// The entry of a code; `None` for a stale one.
    pub fn get(&self, code: u32) -> Option<&T> {
        let slot = self.by_code.get(code)?;
        self.slots.get(slot)?.as_ref().map(|(_, entry)| entry)
    }

    /// The entry of a code, to be changed.
    pub fn get_mut(&mut self, code: u32) -> Option<&mut T> {
        let slot = self.by_code.get(code)?;
        self.slots.get_mut(slot)?.as_mut().map(|(_, entry)| entry)
    }

    /// Takes the entry out. Its slot is free at once, its code stays unused until the codes have
    /// gone round.
    pub fn remove(&mut self, code: u32) -> Option<T> {
        self.vacate(code)?.take().map(|(_, entry)| entry)
    }

    /// The same for an entry that nobody wants: it is dropped where it is.
    pub fn discard(&mut self, code: u32) {
        if let Some(place) = self.vacate(code) {
            *place = None;
        }
    }

    fn vacate(&mut self, code: u32) -> Option<&mut Option<(u32, T)>> {
        let slot = self.by_code.remove(code)?;
        self.free.push(slot);
        self.slots.get_mut(slot)
    }

    /// All entries with their codes, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().flatten().map(|(code, entry)| (*code, entry))
    }
}

/// Spreads codes that we issued ourselves; nobody outside chooses which ones exist.
#[derive(Default)]
pub struct OurOwn(u64);

impl Hasher for OurOwn {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for bytes in bytes.chunks(8) {
            let word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(self.0 ^ word);
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        // Fibonacci hashing: consecutive numbers land far apart, the high bits are well mixed.
        self.0 = value.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Proves HND-1: slots are reused lowest first and the table does not grow beyond its peak.
    #[test]
    fn the_lowest_free_slot_is_used_again() {
        let mut table = Table::new(1);
        let codes: Vec<u32> = (0..10).map(|n| table.insert(n)).collect();
        for index in [7, 2, 5] {
            table.remove(codes[index]);
        }
        table.insert(100);
        assert_eq!(table.slots[2].as_ref().unwrap().1, 100);
        assert_eq!(table.slots.len(), 10);
    }

    /// Proves HND-4, HND-7: at the end of the 32-bit space codes start over and skip those in use.
    /// Proves S-1.
    #[test]
    fn codes_wrap_around_and_skip_those_in_use() {
        let mut table = Table::new(u32::MAX - 1);
        let old = [table.insert('a'), table.insert('b'), table.insert('c')];
        assert_eq!(old, [u32::MAX - 1, u32::MAX, 1]);
        table.next = u32::MAX - 1;
        assert_eq!(table.insert('d'), 2);
        assert_eq!(old.map(|code| *table.get(code).unwrap()), ['a', 'b', 'c']);
    }

    /// Proves HND-5: freeing a slot frees its code; the next entry in it has another one.
    #[test]
    fn a_reused_slot_has_a_new_code() {
        let mut table = Table::new(1);
        let first = table.insert(1);
        table.remove(first);
        let second = table.insert(2);
        assert_ne!(first, second);
        assert_eq!((table.get(first), table.get(second)), (None, Some(&2)));
    }

    proptest! {
        /// Proves HND-3: a stale code gives nothing, never the wrong entry.
        #[test]
        fn a_stale_code_never_finds_an_entry(steps in prop::collection::vec((any::<bool>(), 0_usize..40), 1..300)) {
            let (mut table, mut live, mut stale) = (Table::new(7), Vec::new(), HashSet::new());
            for (add, index) in steps {
                if add || live.is_empty() {
                    let number = live.len() + stale.len();
                    let code = table.insert(number);
                    prop_assert!(!stale.contains(&code));
                    live.push((code, number));
                } else {
                    let (code, number) = live.swap_remove(index % live.len());
                    prop_assert_eq!(table.remove(code), Some(number));
                    stale.insert(code);
                }
                prop_assert!(stale.iter().all(|code| table.get(*code).is_none()));
                prop_assert!(live.iter().all(|(code, number)| table.get(*code) == Some(number)));
            }
        }
    }

    /// Proves HND-12: a million entries later the table is as small as its peak.
    #[test]
    fn a_million_entries_leave_no_trace() {
        let mut table = Table::new(1);
        let mut window = std::collections::VecDeque::new();
        for number in 0..1_000_000 {
            window.push_back(table.insert(number));
            if window.len() > 64 {
                table.remove(window.pop_front().unwrap());
            }
        }
        assert_eq!((table.len(), table.slots.len()), (64, 65));
    }
}
