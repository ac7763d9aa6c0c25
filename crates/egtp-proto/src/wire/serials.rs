//! A set of serial numbers that is nearly a prefix: everything below `base`, and some ranges above.
//!
//! Both ends of a dialog keep one: the receiver of what it has taken or voided, the sender of what
//! it has closed. Invariant: ranges are sorted, not empty, do not touch each other or the base.

use super::{Reader, WireError, Writer};
use crate::limits::RANGES_MAX;

/// A set of serials.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Serials {
    base: u64,
    /// Half-open ranges above the base.
    above: Vec<(u64, u64)>,
}

impl Serials {
    /// The set of all serials below `base`.
    pub const fn below(base: u64) -> Self {
        Self { base, above: Vec::new() }
    }

    /// The lowest serial that is not in the set.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The half-open ranges above the base.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.above
    }

    /// Whether `serial` is in the set.
    pub fn contains(&self, serial: u64) -> bool {
        serial < self.base || {
            let after = self.above.partition_point(|&(start, _)| start <= serial);
            after
                .checked_sub(1)
                .and_then(|index| self.above.get(index))
                .is_some_and(|&(_, end)| serial < end)
        }
    }

    /// Adds one serial. Returns whether it is new.
    pub fn insert(&mut self, serial: u64) -> bool {
        if serial == self.base && self.above.is_empty() {
            self.base = self.base.saturating_add(1);
            return true;
        }
        if self.contains(serial) {
            return false;
        }
        self.insert_range(serial, serial.saturating_add(1));
        true
    }

    /// Adds all serials of `start..end`.
    pub fn insert_range(&mut self, start: u64, end: u64) {
        if end <= start {
            return;
        }
        if start <= self.base {
            self.raise(end);
            return;
        }
        // All ranges that overlap or touch start..end become one with it.
        let first = self.above.partition_point(|&(_, e)| e < start);
        let last = self.above.partition_point(|&(s, _)| s <= end);
        let merged = self
            .above
            .get(first..last)
            .unwrap_or_default()
            .iter()
            .fold((start, end), |(low, high), &(s, e)| (low.min(s), high.max(e)));
        self.above.splice(first..last, [merged]);
    }

    /// Adds all serials below `base`.
    pub fn raise(&mut self, base: u64) {
        self.base = self.base.max(base);
        let mut swallowed = 0;
        for &(start, end) in &self.above {
            if start > self.base {
                break;
            }
            self.base = self.base.max(end);
            swallowed += 1;
        }
        self.above.drain(..swallowed);
    }

    /// Whether every serial of `other` is in this set.
    pub fn covers(&self, other: &Self) -> bool {
        let holds = |&(start, end): &(u64, u64)| {
            end <= self.base || self.above.iter().any(|own| own.0 <= start && end <= own.1)
        };
        other.base <= self.base && other.above.iter().all(holds)
    }

    /// Adds all serials of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.raise(other.base);
        for &(start, end) in &other.above {
            self.insert_range(start, end);
        }
    }

    /// Appends the base and at most [`RANGES_MAX`] ranges.
    pub fn encode(&self, out: &mut impl Writer) {
        out.put_varint(self.base);
        let count = self.above.len().min(RANGES_MAX);
        out.put_length(count);
        let mut at = self.base;
        for &(start, end) in self.above.iter().take(count) {
            out.put_varint(start.saturating_sub(at));
            out.put_varint(end.saturating_sub(start));
            at = end;
        }
    }

    /// Reads what [`Serials::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError`] for truncated bytes, too many ranges, empty or touching ones, or overflow.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let base = reader.varint()?;
        let count = reader.varint_max(RANGES_MAX)?;
        let mut above = Vec::with_capacity(count);
        let mut at = base;
        for _ in 0..count {
            let (gap, length) = (reader.varint()?, reader.varint()?);
            if gap == 0 || length == 0 {
                return Err(WireError::NotCanonical);
            }
            let start = at.checked_add(gap).ok_or(WireError::Forbidden)?;
            at = start.checked_add(length).ok_or(WireError::Forbidden)?;
            above.push((start, at));
        }
        Ok(Self { base, above })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_set_equals_a_naive_one(steps in prop::collection::vec((0_u64..80, 1_u64..9, any::<bool>()), 0..60)) {
            let (mut set, mut naive) = (Serials::default(), BTreeSet::new());
            for (start, length, raise) in steps {
                if raise && length == 1 {
                    set.raise(start);
                    naive.extend(0..start);
                } else if length == 1 {
                    prop_assert_eq!(set.insert(start), naive.insert(start));
                } else {
                    set.insert_range(start, start + length);
                    naive.extend(start..start + length);
                }
                for serial in 0..100 {
                    prop_assert_eq!(set.contains(serial), naive.contains(&serial), "{}", serial);
                }
                let mut edge = set.base();
                for &(start, end) in set.ranges() {
                    prop_assert!(edge < start && start < end);
                    edge = end;
                }
            }
            let mut bytes = Vec::new();
            set.encode(&mut bytes);
            prop_assert_eq!(Serials::decode(&mut Reader::new(&bytes)), Ok(set));
        }
    }
}
