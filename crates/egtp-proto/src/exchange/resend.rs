//! What was sent and not yet answered for, in the order in which it is to be sent again.
//!
//! Knows codes of items, not what they are: who asks for an item's turn must check whether it still
//! wants it. Invariant: an entry is handed out once, when its time has come, and costs no search
//! when most items are answered long before.

use std::collections::{BTreeSet, VecDeque};

use super::stores::DialogCode;
use crate::time::Instant;

/// A message or a reply of ours, or an acknowledgement that could not go.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Item {
    /// An outgoing message, by event code.
    Message(u32),
    /// The reply to a query, by query code.
    Reply(u32),
    /// The acknowledgement of what came by letter.
    Ack(DialogCode),
}

/// The schedule of one peer.
#[derive(Debug, Default)]
pub struct Resend {
    /// Sent once: due in the order of sending, nearly always answered before.
    once: VecDeque<(Instant, Item)>,
    /// Sent again: few, with growing waits.
    again: BTreeSet<(Instant, Item)>,
}

impl Resend {
    /// Plans a repetition for something sent for the first time. Times that go back are allowed;
    /// they only make an entry wait for those before it.
    pub fn plan_first(&mut self, due: Instant, item: Item) {
        self.once.push_back((due, item));
    }

    /// Plans a further repetition.
    pub fn plan_again(&mut self, due: Instant, item: Item) {
        self.again.insert((due, item));
    }

    /// When the next entry is due. `is_open` tells whether an item is still wanted; others are
    /// dropped from the front.
    pub fn deadline(&mut self, is_open: impl Fn(Item) -> bool) -> Option<Instant> {
        while self.once.front().is_some_and(|(_, item)| !is_open(*item)) {
            self.once.pop_front();
        }
        while self.again.first().is_some_and(|(_, item)| !is_open(*item)) {
            self.again.pop_first();
        }
        let once = self.once.front().map(|entry| entry.0);
        let again = self.again.first().map(|entry| entry.0);
        once.into_iter().chain(again).min()
    }

    /// The next entry that is due.
    pub fn next_due(&mut self, now: Instant) -> Option<Item> {
        if self.once.front().is_some_and(|entry| entry.0 <= now) {
            return self.once.pop_front().map(|entry| entry.1);
        }
        if self.again.first().is_some_and(|entry| entry.0 <= now) {
            return self.again.pop_first().map(|entry| entry.1);
        }
        None
    }

    /// All entries, at once: the path they went on is gone.
    pub fn drain(&mut self) -> impl Iterator<Item = Item> {
        let again = std::mem::take(&mut self.again).into_iter();
        std::mem::take(&mut self.once).into_iter().chain(again).map(|entry| entry.1)
    }
}
