//! Two running copies of one identity: how a peer notices them, and tells them.
//!
//! A life that has ended does not come back. So a peer that shows the life before its present one again, in a
//! handshake of which our part was made after the present one was known, runs twice. Invariant: this changes
//! nothing but what is told: each copy is still treated as what it says it is.

use std::time::Duration;

use super::Endpoint;
use crate::card::{LiveCard, StoreKind};
use crate::output::Event;
use crate::time::{Instant, Now};

/// The lives that a peer has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lives {
    present: Option<Life>,
    before: Option<Life>,
    /// When it last told us that we run twice.
    heard: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    id: u64,
    /// When it became the present one.
    since: Instant,
    /// When it was last told that it is not the only one.
    told: Option<Instant>,
}

impl Lives {
    /// A handshake, of which our part was made at `ours`, has shown this life. Returns whether two copies run
    /// and this one is to be told.
    fn show(&mut self, now: Instant, id: u64, ours: Instant) -> bool {
        let Some(present) = self.present else {
            self.present = Some(Life { id, since: now, told: None });
            return false;
        };
        if present.id == id {
            return false;
        }
        let back = self.before.filter(|before| before.id == id);
        let mut life = Life { id, since: now, told: back.and_then(|back| back.told) };
        let is_told = back.is_some() && ours > present.since && is_time(&mut life.told, now);
        (self.before, self.present) = (Some(present), Some(life));
        is_told
    }
}

/// Whether [`TOLD_AGAIN`] has passed since, which begins anew then.
fn is_time(last: &mut Option<Instant>, now: Instant) -> bool {
    let is_time = last.is_none_or(|last| now.since(last) >= TOLD_AGAIN);
    if is_time {
        *last = Some(now);
    }
    is_time
}

impl Endpoint {
    /// A peer has shown a live card in a handshake of which our part was made at `ours`.
    pub(super) fn saw_life(&mut self, now: Now, code: u32, card: &LiveCard, ours: Instant) {
        let Some(life) = card.stores.iter().find(|store| store.kind == StoreKind::Ram) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(code) else { return };
        if peer.lives.show(now.boot, life.id, ours) {
            // The copy at the other end now. The other one is told when it is back.
            peer.owes.copies = true;
            peer.owes.record = true;
            let (identity, peer) = (peer.identity, peer.key);
            self.events.push_back(Event::TwoCopies { identity, peer });
        }
    }

    /// A peer says that it has seen two copies of us.
    pub(super) fn told_of_copies(&mut self, now: Now, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        if is_time(&mut peer.lives.heard, now.boot) {
            let (identity, from) = (peer.identity, peer.key);
            self.events.push_back(Event::AnotherCopy { identity, from });
        }
    }
}

/// The kind of the hint that says so. It has no body.
pub(super) const COPIES: &str = "egtp.copies/1";
/// How long it is not told again.
const TOLD_AGAIN: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn each_copy_is_told_once_a_minute() {
        let mut lives = Lives::default();
        let mut shown = |second| lives.show(at(second), second % 2, at(second));
        let told: Vec<u64> = (0..180).filter(|second| shown(*second)).collect();
        assert_eq!(told, [2, 3, 62, 63, 122, 123]);
    }

    #[test]
    fn what_was_under_way_when_the_next_life_began_is_no_copy() {
        let mut lives = Lives::default();
        assert!(!lives.show(at(1), 7, at(1)));
        assert!(!lives.show(at(5), 8, at(5)));
        // The confirmation of a handshake that the first life had begun.
        assert!(!lives.show(at(6), 7, at(4)));
    }
}
