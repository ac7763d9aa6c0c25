//! Which record counters have been seen: a sliding window, as in RFC 6479.
//!
//! Knows numbers only. Invariant: [`Window::mark`] is called after the record was authenticated,
//! never before, so nobody without the key can move the window.

/// Remembers the last [`Window::BITS`] counters.
#[derive(Clone, Debug)]
pub struct Window {
    /// One more than the highest counter seen; 0 before the first.
    next: u64,
    words: [u64; WORDS],
}

const WORDS: usize = 32;

impl Window {
    /// How far behind the newest counter a record may be: one word is always being cleared.
    pub const BITS: u64 = 64 * (WORDS as u64 - 1);

    /// A window that has seen nothing.
    pub const fn new() -> Self {
        Self { next: 0, words: [0; WORDS] }
    }

    /// Whether a record with this counter may be new. Changes nothing.
    pub fn is_fresh(&self, counter: u64) -> bool {
        if counter >= self.next {
            return true;
        }
        if self.next - counter > Self::BITS {
            return false;
        }
        self.words.get(word(counter)).is_some_and(|bits| bits & bit(counter) == 0)
    }

    /// Whether this counter is higher than all that were marked.
    pub const fn is_newest(&self, counter: u64) -> bool {
        counter >= self.next
    }

    /// Remembers an authenticated counter.
    pub fn mark(&mut self, counter: u64) {
        if counter >= self.next {
            // Clear the words that the window moves into, each at most once.
            let last = counter / 64;
            let first = self.next.div_ceil(64).max((last + 1).saturating_sub(WORDS as u64));
            for index in first..=last {
                if let Some(bits) = self.words.get_mut(word(index * 64)) {
                    *bits = 0;
                }
            }
            self.next = counter.saturating_add(1);
        }
        if let Some(bits) = self.words.get_mut(word(counter)) {
            *bits |= bit(counter);
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

const fn word(counter: u64) -> usize {
    ((counter / 64) % WORDS as u64) as usize
}

const fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Proves RTY-3: no counter is fresh twice, whatever the order.
        /// Proves S-7.
        #[test]
        fn the_window_equals_a_naive_set(steps in prop::collection::vec((0_u64..5000, 0_u32..24), 1..400)) {
            let (mut window, mut seen, mut next) = (Window::new(), BTreeSet::new(), 0_u64);
            for (near, scale) in steps {
                let counter = if scale > 20 { near << (scale - 18) } else { next.saturating_sub(2500) + near };
                let expected = counter >= next
                    || (next - counter <= Window::BITS && !seen.contains(&counter));
                prop_assert_eq!(window.is_fresh(counter), expected, "{} of {}", counter, next);
                if expected {
                    window.mark(counter);
                    seen.insert(counter);
                    next = next.max(counter + 1);
                    prop_assert!(!window.is_fresh(counter));
                }
            }
        }
    }

    #[test]
    fn the_last_counter_of_all_can_be_marked() {
        let mut window = Window::new();
        window.mark(u64::MAX - 1);
        assert!(!window.is_fresh(u64::MAX - 1));
        assert!(window.is_fresh(u64::MAX - 2));
    }
}
