//! The requests of one peer that wait for their reply, by the names that it gave them.
//!
//! Knows codes, not requests. Invariant: an entry is found at a cost that does not depend on how many there are, and
//! those that a low-water mark has passed at the cost of the shorter way: through what it has passed since the
//! last time, or through all.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::codes::OurOwn;
use crate::wire::Serials;

/// Codes by dialog and serial.
#[derive(Debug, Default)]
pub struct OpenQueries {
    /// Those that have entries, and what they leave until another one begins: few, since a store remembers
    /// few dialogs of a peer, and [`DIALOGS_MAX`] at most.
    dialogs: Vec<Dialog>,
    count: usize,
}

#[derive(Debug)]
struct Dialog {
    id: u64,
    /// No entry is below.
    base: u64,
    codes: HashMap<u64, u32, BuildHasherDefault<OurOwn>>,
}

impl OpenQueries {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether as many dialogs have entries as may: more than a store remembers only if lives of the peer have left
    /// requests behind.
    pub fn are_scattered(&self) -> bool {
        let has_entries = |dialog: &&Dialog| !dialog.codes.is_empty();
        self.dialogs.len() >= DIALOGS_MAX
            && self.dialogs.iter().filter(has_entries).count() >= DIALOGS_MAX
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The code of an entry.
    pub fn get(&self, (dialog, serial): (u64, u64)) -> Option<u32> {
        self.dialogs.iter().find(|one| one.id == dialog)?.codes.get(&serial).copied()
    }

    /// Enters one.
    pub fn insert(&mut self, (dialog, serial): (u64, u64), code: u32) {
        let index = self.dialogs.iter().position(|one| one.id == dialog).unwrap_or_else(|| {
            self.dialogs.retain(|one| !one.codes.is_empty());
            self.dialogs.push(Dialog { id: dialog, base: serial, codes: HashMap::default() });
            self.dialogs.len() - 1
        });
        if let Some(of) = self.dialogs.get_mut(index) {
            of.base = of.base.min(serial);
            self.count += usize::from(of.codes.insert(serial, code).is_none());
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, (dialog, serial): (u64, u64)) {
        let of = self.dialogs.iter_mut().find(|one| one.id == dialog);
        let Some(of) = of else { return };
        if of.codes.remove(&serial).is_none() {
            return;
        }
        self.count -= 1;
        if of.codes.is_empty() && of.codes.capacity() > KEPT_MAX {
            of.codes = HashMap::default();
        }
    }

    /// The codes of all entries of a dialog whose serials are among these, the lowest serial first.
    pub fn covered(&mut self, dialog: u64, serials: &Serials) -> Vec<u32> {
        let mut found = Vec::new();
        let Some(of) = self.dialogs.iter_mut().find(|one| one.id == dialog) else { return found };
        of.collect(of.base, serials.base(), &mut found);
        of.base = of.base.max(serials.base());
        for &(start, end) in serials.ranges() {
            of.collect(start, end, &mut found);
        }
        found
    }
}

impl Dialog {
    /// Adds the codes of `start..end`.
    fn collect(&self, start: u64, end: u64, found: &mut Vec<u32>) {
        let few = u64::try_from(self.codes.len()).unwrap_or(u64::MAX);
        if end.saturating_sub(start) <= few {
            found.extend((start..end).filter_map(|serial| self.codes.get(&serial)));
            return;
        }
        let within = self.codes.iter().filter(|(serial, _)| (start..end).contains(*serial));
        let mut within: Vec<(u64, u32)> = within.map(|(serial, code)| (*serial, *code)).collect();
        within.sort_unstable();
        found.extend(within.into_iter().map(|(_, code)| code));
    }
}

/// Dialogs with open requests: what is looked through for each.
const DIALOGS_MAX: usize = 256;
/// Entries for which memory is kept when none is left.
const KEPT_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lives_that_left_requests_behind_are_bounded() {
        let mut open = OpenQueries::default();
        for dialog in 0..256 {
            assert!(!open.are_scattered(), "{dialog}");
            open.insert((dialog, 0), 0);
            open.insert((dialog, 1), 1);
        }
        assert!(open.are_scattered());
        open.remove((7, 0));
        assert!(open.are_scattered());
        open.remove((7, 1));
        assert!(!open.are_scattered(), "one of them has nothing open any more");
    }

    proptest! {
        /// What is covered is withdrawn at once, as the endpoint does it.
        #[test]
        fn it_equals_a_sorted_map(
            steps in prop::collection::vec((0_u8..4, 0_u64..3, 0_u64..200, 0_u64..40), 1..200),
        ) {
            let (mut open, mut naive) = (OpenQueries::default(), BTreeMap::new());
            for (number, (what, dialog, serial, length)) in (0_u32..).zip(steps) {
                match what {
                    0 | 1 => {
                        open.insert((dialog, serial), number);
                        naive.insert((dialog, serial), number);
                    }
                    2 => {
                        open.remove((dialog, serial));
                        naive.remove(&(dialog, serial));
                    }
                    _ => {
                        let mut serials = Serials::below(serial);
                        serials.insert_range(serial + 3, serial + 3 + length);
                        let covered: Vec<((u64, u64), u32)> = naive
                            .iter()
                            .filter(|((of, serial), _)| *of == dialog && serials.contains(*serial))
                            .map(|(name, code)| (*name, *code))
                            .collect();
                        let codes: Vec<u32> = covered.iter().map(|(_, code)| *code).collect();
                        prop_assert_eq!(open.covered(dialog, &serials), codes);
                        for (name, _) in covered {
                            open.remove(name);
                            naive.remove(&name);
                        }
                    }
                }
                prop_assert_eq!(open.len(), naive.len());
                prop_assert!(naive.iter().all(|(name, code)| open.get(*name) == Some(*code)));
            }
        }
    }
}
