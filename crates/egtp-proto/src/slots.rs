//! Which slot of a table has which code, and which slots are free.
//!
//! Knows no entries. Invariant: both answer at a cost that does not depend on how many there are, as long as codes
//! are issued one after another, as [`Table`](crate::codes::Table) does it.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::codes::OurOwn;

/// Slots by code. Codes that are issued one after another have places of their own by their low bits; what is left
/// of long ago, and stands in the way of a new one, makes that one go elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Code and slot; 0 is no code. Their number is a power of two.
    places: Vec<(u32, u32)>,
    /// Codes whose place was taken.
    elsewhere: HashMap<u32, u32, BuildHasherDefault<OurOwn>>,
    count: usize,
}

impl Index {
    /// How many codes there are.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The slot of a code. Inlined: this is done some thirty times for each request.
    #[inline]
    pub(crate) fn get(&self, code: u32) -> Option<usize> {
        let (other, slot) = *self.places.get(self.place(code))?;
        if other == code && code != 0 {
            return usize::try_from(slot).ok();
        }
        if self.elsewhere.is_empty() {
            return None;
        }
        self.elsewhere.get(&code).and_then(|slot| usize::try_from(*slot).ok())
    }

    /// Enters a code that is not there.
    pub(crate) fn insert(&mut self, code: u32, slot: usize) {
        if self.count * 2 >= self.places.len() {
            self.grow();
        }
        // A table that large would not fit any machine.
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.enter(code, slot);
        self.count += 1;
    }

    /// Takes a code out and gives back its slot.
    pub(crate) fn remove(&mut self, code: u32) -> Option<usize> {
        let slot = self.get(code)?;
        let index = self.place(code);
        match self.places.get_mut(index) {
            Some(place) if place.0 == code => *place = (0, 0),
            _ => drop(self.elsewhere.remove(&code)),
        }
        self.count -= 1;
        Some(slot)
    }

    fn enter(&mut self, code: u32, slot: u32) {
        let index = self.place(code);
        match self.places.get_mut(index) {
            Some(place) if place.0 == 0 => *place = (code, slot),
            _ => drop(self.elsewhere.insert(code, slot)),
        }
    }

    fn grow(&mut self) {
        let places = vec![(0, 0); (self.places.len() * 2).max(PLACES_MIN)];
        let before = std::mem::replace(&mut self.places, places);
        let elsewhere = std::mem::take(&mut self.elsewhere);
        for (code, slot) in before.into_iter().chain(elsewhere).filter(|(code, _)| *code != 0) {
            self.enter(code, slot);
        }
    }

    fn place(&self, code: u32) -> usize {
        usize::try_from(code).unwrap_or(0) & self.places.len().wrapping_sub(1)
    }
}

/// Places of the smallest table.
const PLACES_MIN: usize = 4;

/// Numbers of free slots, of which the lowest comes first: a tree of bits, in which a bit says whether anything is
/// set in the word below it. Putting in and taking out cost the same however many there are.
#[derive(Debug, Default)]
pub(crate) struct FreeSlots {
    /// The lowest level first; the highest one is looked through.
    levels: [Vec<u64>; LEVELS],
}

/// Enough for sixteen million slots; the highest level is looked through word by word for more.
const LEVELS: usize = 4;

impl FreeSlots {
    /// Puts a number in.
    pub(crate) fn push(&mut self, slot: usize) {
        let mut place = slot;
        for level in &mut self.levels {
            let (index, bit) = (place / 64, 1 << (place % 64));
            if level.len() <= index {
                level.resize(index + 1, 0);
            }
            let Some(word) = level.get_mut(index) else { return };
            let had_any = *word != 0;
            *word |= bit;
            if had_any {
                return;
            }
            place = index;
        }
    }

    /// Takes the lowest one out.
    pub(crate) fn pop(&mut self) -> Option<usize> {
        let mut place = self.levels.last()?.iter().position(|word| *word != 0)?;
        for level in self.levels.iter().rev() {
            place = place * 64 + usize::try_from(level.get(place)?.trailing_zeros()).ok()?;
        }
        let slot = place;
        for level in &mut self.levels {
            let word = level.get_mut(place / 64)?;
            *word &= !(1 << (place % 64));
            if *word != 0 {
                break;
            }
            place /= 64;
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_are_found_whatever_stands_in_their_way(
            steps in prop::collection::vec((0_u8..3, 0_u32..64, 0_u32..5), 1..300),
        ) {
            let (mut index, mut naive) = (Index::default(), HashMap::new());
            for (what, low, high) in steps {
                // Many share their low bits, as those do that were issued long after each other.
                let code = high << 20 | low;
                let slot = usize::try_from(code).unwrap() % 1000;
                if what > 0 && code != 0 && !naive.contains_key(&code) {
                    index.insert(code, slot);
                    naive.insert(code, slot);
                } else {
                    prop_assert_eq!(index.remove(code), naive.remove(&code));
                }
                prop_assert_eq!(index.len(), naive.len());
                prop_assert!(naive.iter().all(|(code, slot)| index.get(*code) == Some(*slot)));
                prop_assert_eq!(index.get(0), None);
            }
        }

        #[test]
        fn the_lowest_free_number_comes_first(steps in prop::collection::vec((any::<bool>(), 0_usize..300_000), 1..300)) {
            let (mut free, mut naive) = (FreeSlots::default(), std::collections::BTreeSet::new());
            for (put, number) in steps {
                if put {
                    free.push(number);
                    naive.insert(number);
                } else {
                    prop_assert_eq!(free.pop(), naive.pop_first());
                }
            }
            while let Some(lowest) = naive.pop_first() {
                prop_assert_eq!(free.pop(), Some(lowest));
            }
            prop_assert_eq!(free.pop(), None);
        }
    }
}
