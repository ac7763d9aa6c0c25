//! How many replies have come, by slot, and whether it is time to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

#[derive(Debug)]
pub struct Tally {
    // One counter for each slot: a common one would be the busiest cache line of the fast sides.
    counts: Vec<AtomicU64>,
    stop: AtomicBool,
}

impl Tally {
    pub fn new(slots: usize) -> Self {
        let counts = (0..slots).map(|_| AtomicU64::new(0)).collect();
        Self { counts, stop: AtomicBool::new(false) }
    }

    /// Only the slot's own task calls this.
    pub fn add(&self, slot: usize, count: u64) {
        let counter = &self.counts[slot];
        counter.store(counter.load(Relaxed) + count, Relaxed);
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().map(|counter| counter.load(Relaxed)).sum()
    }

    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.stop.load(Relaxed)
    }
}
