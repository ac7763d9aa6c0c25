//! A store that remembers hardly anybody, and several nodes that write to it at once: dialogs are
//! forgotten and begun anew while what was taken in them is sent again.
//!
//! Knows how many dialogs a node remembers, and nothing of how it forgets them. Invariant: what the
//! crowd sends are plain messages like any others, under every promise.

use super::chance::{happens, spread};
use super::checker::Party;
use super::clock::{MILLI, SECOND};
use super::fault::Fault;
use super::node::crowded;
use super::queue::Happening;
use super::run::World;
use super::workload::Wish;

impl World {
    /// The others begin to write to the crowded node, each a few messages in quick succession.
    pub(crate) fn crowd(&mut self) {
        let crowded = crowded(&self.plan).and_then(|node| usize::try_from(node).ok());
        let Some(to) = crowded.filter(|to| *to < self.nodes.len()) else { return };
        for from in (0..self.nodes.len()).filter(|from| *from != to) {
            let of = self.dice_of(Fault::Crowd);
            let mut after = of.among(0..=TOGETHER);
            let mut moments = Vec::new();
            for _ in 0..of.among(1..=EACH) {
                moments.push(after);
                after += of.among(PAUSE);
            }
            for after in moments {
                self.queue.push(self.now + after * MILLI, Happening::Throng(from, to));
            }
        }
    }

    /// One of their messages.
    pub(crate) fn throng(&mut self, from: Party, to: Party) {
        if self.calm || !self.nodes.get(from).is_some_and(|node| node.acts(self.now)) {
            return;
        }
        let of = self.dice_of(Fault::Crowd);
        let wants_reply = happens(of, 100);
        let hard = spread(of, 5, 60) * SECOND;
        self.fired(Fault::Crowd);
        self.numbers += 1;
        let plain = Wish::plain(self.numbers, from, to, hard);
        self.submit(Wish { wants_reply, ..plain });
    }
}

/// Milliseconds within which all of them begin: about as long as an acknowledgement is put off.
const TOGETHER: u64 = 60;
/// Messages of each at most.
const EACH: u64 = 4;
/// Milliseconds between two messages of a node: many of them before the first is sent again.
const PAUSE: std::ops::RangeInclusive<u64> = 20..=200;
