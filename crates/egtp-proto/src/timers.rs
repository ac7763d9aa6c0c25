//! Deadlines by the hundred thousand: a hierarchical wheel with a resolution of one millisecond.
//!
//! Setting and cancelling cost the same however many there are. Knows nothing of what the entries
//! mean. Invariant: an entry expires once, not before its time, and at most a millisecond after the
//! caller's `now` reached it.

use std::time::Duration;

use crate::time::Instant;

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const NONE: u32 = u32::MAX;

/// Names a deadline so that it can be cancelled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TimerId {
    index: u32,
    turn: u32,
}

/// All deadlines of one owner.
#[derive(Debug)]
pub struct Timers<T> {
    nodes: Vec<Node<T>>,
    free: Vec<u32>,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    /// Milliseconds up to which everything has expired.
    tick: u64,
}

#[derive(Debug)]
struct Node<T> {
    /// `None` while the node is free.
    entry: Option<T>,
    turn: u32,
    tick: u64,
    level: u8,
    slot: u8,
    previous: u32,
    next: u32,
}

impl<T: Copy> Timers<T> {
    /// No deadlines yet.
    pub fn new(now: Instant) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            tick: millis_down(now),
        }
    }

    /// Sets a deadline; one in the past expires at the next call of [`Timers::expire`].
    pub fn set(&mut self, at: Instant, entry: T) -> TimerId {
        let tick = millis_up(at).max(self.tick + 1);
        let index = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node {
                entry: None,
                turn: 0,
                tick: 0,
                level: 0,
                slot: 0,
                previous: NONE,
                next: NONE,
            });
            u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
        });
        if let Some(node) = self.node_mut(index) {
            node.entry = Some(entry);
            node.tick = tick;
        }
        self.link(index);
        let turn = self.node(index).map_or(0, |node| node.turn);
        TimerId { index, turn }
    }

    /// Forgets a deadline. One that has expired or was cancelled is ignored.
    pub fn cancel(&mut self, id: TimerId) {
        if self.node(id.index).is_some_and(|node| node.turn == id.turn && node.entry.is_some()) {
            self.unlink(id.index);
            self.release(id.index);
        }
    }

    /// Appends every entry whose time has come by `now` to `expired`, earliest first.
    pub fn expire(&mut self, now: Instant, expired: &mut Vec<T>) {
        let target = millis_down(now);
        while let Some((level, slot, at)) = self.first() {
            if at > target {
                break;
            }
            self.tick = self.tick.max(at);
            let mut index = self.take(level, slot);
            while let Some(node) = self.node(index) {
                let (next, tick) = (node.next, node.tick);
                if tick <= self.tick {
                    expired.extend(node.entry);
                    self.release(index);
                } else {
                    self.link(index);
                }
                index = next;
            }
        }
        self.tick = self.tick.max(target);
    }

    /// When to call [`Timers::expire`] next: never later than the earliest deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.first().map(|(_, _, at)| Instant::new(Duration::from_millis(at)))
    }

    /// The first occupied slot: its level, number, and the tick at which it is due.
    fn first(&self) -> Option<(usize, usize, u64)> {
        self.occupied.iter().enumerate().find_map(|(level, &bits)| {
            if bits == 0 {
                return None;
            }
            let shift = 6 * u32::try_from(level).unwrap_or(0);
            let now_slot = (self.tick >> shift) & 63;
            let turned = bits.rotate_right(u32::try_from(now_slot).unwrap_or(0));
            let distance = u64::from(turned.trailing_zeros());
            let slot = (now_slot + distance) & 63;
            // The slot's start within the present turn of this level's wheel, or the next turn.
            let turn = self.tick >> shift >> 6 << 6;
            let start = (turn + slot + if slot < now_slot { 64 } else { 0 }) << shift;
            Some((level, usize::try_from(slot).unwrap_or(0), start.max(self.tick)))
        })
    }

    fn link(&mut self, index: u32) {
        let Some(tick) = self.node(index).map(|node| node.tick) else { return };
        // The highest digit (base 64) in which the deadline differs from the present.
        let tick = tick.min(self.tick | HORIZON);
        let differing = ((tick ^ self.tick) | 63).ilog2();
        let level = usize::try_from(differing / 6).unwrap_or(0).min(LEVELS - 1);
        let slot = usize::try_from((tick >> (6 * level)) & 63).unwrap_or(0);
        let head = self.head(level, slot);
        if let Some(node) = self.node_mut(index) {
            node.level = u8::try_from(level).unwrap_or(0);
            node.slot = u8::try_from(slot).unwrap_or(0);
            node.previous = NONE;
            node.next = head;
        }
        if let Some(node) = self.node_mut(head) {
            node.previous = index;
        }
        self.set_head(level, slot, index);
    }

    fn unlink(&mut self, index: u32) {
        let Some(node) = self.node(index) else { return };
        let (previous, next) = (node.previous, node.next);
        let (level, slot) = (usize::from(node.level), usize::from(node.slot));
        if let Some(node) = self.node_mut(next) {
            node.previous = previous;
        }
        match self.node_mut(previous) {
            Some(node) => node.next = next,
            None => self.set_head(level, slot, next),
        }
    }

    fn take(&mut self, level: usize, slot: usize) -> u32 {
        let head = self.head(level, slot);
        self.set_head(level, slot, NONE);
        head
    }

    fn release(&mut self, index: u32) {
        if let Some(node) = self.node_mut(index) {
            node.entry = None;
            node.turn = node.turn.wrapping_add(1);
            self.free.push(index);
        }
    }

    fn head(&self, level: usize, slot: usize) -> u32 {
        self.heads.get(level).and_then(|slots| slots.get(slot)).copied().unwrap_or(NONE)
    }

    fn set_head(&mut self, level: usize, slot: usize, index: u32) {
        if let Some(head) = self.heads.get_mut(level).and_then(|slots| slots.get_mut(slot)) {
            *head = index;
        }
        if let Some(bits) = self.occupied.get_mut(level) {
            if index == NONE {
                *bits &= !(1 << slot);
            } else {
                *bits |= 1 << slot;
            }
        }
    }

    fn node(&self, index: u32) -> Option<&Node<T>> {
        self.nodes.get(usize::try_from(index).ok()?)
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node<T>> {
        self.nodes.get_mut(usize::try_from(index).ok()?)
    }
}

/// How far the wheel reaches: a later deadline is looked at again when it has come near.
const HORIZON: u64 = (1 << (6 * 6)) - 1;

fn millis_down(at: Instant) -> u64 {
    u64::try_from(at.since_start().as_millis()).unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1)
}

fn millis_up(at: Instant) -> u64 {
    millis_down(at.after(Duration::from_nanos(999_999)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::new(Duration::from_millis(millis))
    }

    proptest! {
        #[test]
        fn the_wheel_equals_a_naive_list(
            steps in prop::collection::vec((0_u8..4, 0_u64..5_000_000, 0_u32..22), 1..200),
        ) {
            let mut now = 12_345;
            let mut timers = Timers::new(at(now));
            let mut naive: Vec<(u64, usize, TimerId)> = Vec::new();
            for (number, (what, span, scale)) in steps.into_iter().enumerate() {
                let span = span >> scale;
                match what {
                    0 | 1 => {
                        let id = timers.set(at(now + span), number);
                        naive.push(((now + span).max(now + 1), number, id));
                    }
                    2 if !naive.is_empty() => {
                        let (_, _, id) = naive.swap_remove(usize::try_from(span).unwrap() % naive.len());
                        timers.cancel(id);
                    }
                    _ => {
                        now += span;
                        let earliest = naive.iter().map(|entry| entry.0).min();
                        prop_assert!(timers.deadline() <= earliest.map(at) || earliest.is_none());
                        let mut expired = Vec::new();
                        timers.expire(at(now), &mut expired);
                        expired.sort_unstable();
                        let mut due: Vec<usize> =
                            naive.iter().filter(|entry| entry.0 <= now).map(|entry| entry.1).collect();
                        due.sort_unstable();
                        naive.retain(|entry| entry.0 > now);
                        prop_assert_eq!(expired, due);
                    }
                }
                prop_assert_eq!(timers.deadline().is_none(), naive.is_empty());
            }
        }
    }

    #[test]
    fn a_cancelled_deadline_stays_cancelled_when_its_place_is_reused() {
        let mut timers = Timers::new(at(0));
        let first = timers.set(at(10), 'a');
        timers.cancel(first);
        let _second = timers.set(at(10), 'b');
        timers.cancel(first);
        let mut expired = Vec::new();
        timers.expire(at(10), &mut expired);
        assert_eq!(expired, ['b']);
    }
}
