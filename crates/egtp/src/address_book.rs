//! The machine's address book: keys and where they may be, and what led nowhere when it was opened last.
//!
//! In memory. Knows no searches and no connections. Invariant: bounded, in keys and for each key; a doubt takes no
//! address away, it only puts it behind the others.

use std::collections::{HashMap, VecDeque};

use egtp_proto::{Contact, PublicKey, Strategy};

/// What others have said of one key.
const SUGGESTED_MAX: usize = 4;
/// Addresses of one key that are in doubt; what was put in doubt first makes room.
const DOUBTFUL_MAX: usize = 16;
/// Keys that the book remembers; the one that was entered first makes room.
const BOOK_MAX: usize = 100_000;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: HashMap<PublicKey, Entry>,
    by_age: VecDeque<PublicKey>,
}

#[derive(Debug, Default)]
struct Entry {
    hints: Vec<Strategy>,
    /// What others have said, the newest first. One of them may be wrong on purpose.
    suggested: VecDeque<Strategy>,
    contact: Option<Contact>,
    /// What was opened last without that the peer has proved its key there, the earliest first.
    doubtful: VecDeque<Strategy>,
}

/// Where a peer may be, each list with the best first.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// Addresses of the peer itself.
    pub(crate) own: Vec<Strategy>,
    /// Relays.
    pub(crate) relayed: Vec<Strategy>,
    /// What led nowhere when it was opened last: what was tried least lately comes first.
    pub(crate) doubtful: Vec<Strategy>,
}

impl Book {
    /// Everything that is known of where a peer may be.
    pub(crate) fn ways(&self, key: &PublicKey) -> Ways {
        let Some(entry) = self.entries.get(key) else { return Ways::default() };
        let age = |strategy: &Strategy| {
            entry.doubtful.iter().position(|doubtful| *doubtful == essence(strategy))
        };
        let (mut doubtful, good): (Vec<_>, Vec<_>) =
            entry.strategies().partition(|strategy| age(strategy).is_some());
        doubtful.sort_by_key(age);
        let (relayed, own) = good.into_iter().partition(Strategy::is_relayed);
        Ways { own, relayed, doubtful }
    }

    /// Hints, such as those of a ticket.
    pub(crate) fn hint(&mut self, key: PublicKey, hints: &[Strategy]) {
        self.entry(key).hints = hints.to_vec();
    }

    /// What somebody else has said.
    pub(crate) fn suggest(&mut self, key: PublicKey, strategy: Strategy) {
        let suggested = &mut self.entry(key).suggested;
        suggested.retain(|known| *known != strategy);
        suggested.push_front(strategy);
        suggested.truncate(SUGGESTED_MAX);
    }

    /// A contact, unless a newer one is known.
    pub(crate) fn learn(&mut self, contact: Contact) {
        let entry = self.entry(contact.key());
        if entry.contact.as_ref().is_none_or(|known| contact.supersedes(known)) {
            entry.contact = Some(contact);
        }
    }

    /// The newest contact that is known.
    pub(crate) fn contact(&self, key: &PublicKey) -> Option<&Contact> {
        self.entries.get(key)?.contact.as_ref()
    }

    /// Something was opened to reach a peer, and nobody has proved the peer's key there yet.
    pub(crate) fn doubt(&mut self, key: PublicKey, strategy: &Strategy) {
        let doubtful = &mut self.entry(key).doubtful;
        let strategy = essence(strategy);
        doubtful.retain(|known| *known != strategy);
        doubtful.push_back(strategy);
        if doubtful.len() > DOUBTFUL_MAX {
            doubtful.pop_front();
        }
    }

    /// The peer has proved its key there.
    pub(crate) fn forgive(&mut self, key: &PublicKey, strategy: &Strategy) {
        if let Some(entry) = self.entries.get_mut(key).filter(|entry| !entry.doubtful.is_empty()) {
            let strategy = essence(strategy);
            entry.doubtful.retain(|known| *known != strategy);
        }
    }

    fn entry(&mut self, key: PublicKey) -> &mut Entry {
        if !self.entries.contains_key(&key) {
            self.by_age.push_back(key);
            if self.by_age.len() > BOOK_MAX
                && let Some(oldest) = self.by_age.pop_front()
            {
                self.entries.remove(&oldest);
            }
        }
        self.entries.entry(key).or_default()
    }
}

impl Entry {
    fn strategies(&self) -> impl Iterator<Item = Strategy> + '_ {
        let contact = self.contact.iter().flat_map(|contact| contact.strategies().iter());
        self.hints.iter().chain(contact).chain(&self.suggested).cloned()
    }
}

/// What makes two strategies the same way: of a relay its key, wherever it is said to be.
fn essence(strategy: &Strategy) -> Strategy {
    match strategy {
        Strategy::Relay { relay, .. } => Strategy::Relay { relay: *relay, at: None },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use egtp_proto::SecretKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    fn at(port: u16) -> Strategy {
        Strategy::Tcp(format!("192.0.2.1:{port}").parse().unwrap())
    }

    #[test]
    fn what_others_say_of_a_node_is_tried_last_and_displaces_nothing() {
        let mut book = Book::default();
        for port in 1..=6 {
            book.suggest(key(1), at(port));
        }
        book.hint(key(1), &[at(100)]);
        assert_eq!(book.ways(&key(1)).own, [100, 6, 5, 4, 3].map(at));
        book.suggest(key(1), at(4));
        assert_eq!(book.ways(&key(1)).own, [100, 4, 6, 5, 3].map(at));
    }

    #[test]
    fn what_is_in_doubt_comes_behind_the_rest_in_turn_until_it_is_forgiven() {
        let mut book = Book::default();
        let relay = |at: Option<&str>| Strategy::Relay {
            relay: key(2),
            at: at.map(|at| at.parse().unwrap()),
        };
        let placed = relay(Some("192.0.2.2:7700"));
        book.hint(key(1), &[at(1), placed.clone(), at(2), at(3)]);
        for strategy in [&placed, &at(2), &at(1), &at(2)] {
            book.doubt(key(1), strategy);
        }
        let ways = book.ways(&key(1));
        assert_eq!((ways.own, ways.relayed), (vec![at(3)], vec![]));
        assert_eq!(ways.doubtful, [placed.clone(), at(1), at(2)], "the latest is the last");
        // Of a relay it is the key that counts: where it takes connections is known of it, and not of who is behind it.
        book.forgive(&key(1), &relay(None));
        book.forgive(&key(1), &at(1));
        let ways = book.ways(&key(1));
        assert_eq!((ways.own, ways.relayed), (vec![at(1), at(3)], vec![placed]));
        assert_eq!(ways.doubtful, [at(2)]);
        // A doubt is of one peer.
        book.hint(key(3), &[at(2)]);
        assert_eq!(book.ways(&key(3)).own, [at(2)]);
    }

    #[test]
    fn doubts_and_keys_are_bounded() {
        let mut book = Book::default();
        for port in 0..100 {
            book.doubt(key(1), &at(port));
        }
        assert_eq!(book.entries[&key(1)].doubtful, (84..100).map(at).collect::<Vec<_>>());
        for _ in 0..3 {
            book.suggest(key(1), at(1));
        }
        assert_eq!(book.by_age.len(), 1);
    }
}
