//! How a peer is reached: what is known of its addresses, and the attempts to open a connection.
//!
//! Asks what is known first, then the lookups, and dials what they say; the first connection wins.
//! Knows no sockets and no sessions. Invariant: at most one search for each peer is under way, and it
//! always ends: opened, or failed with a reason.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use egtp_proto::{Contact, IdentityId, NotSent, PublicKey, Strategy};
use tokio::task::JoinSet;

use crate::lookup::{Lookup, LookupError, resolve_first};
use crate::path::DialId;

/// Dials of loop number n are counted from n times two to this power.
const LOOP_SHIFT: u32 = 40;
/// How long all lookups together may take.
const LOOKUP_TIME: Duration = Duration::from_secs(2);
/// Addresses tried for one peer in one search.
const STRATEGIES_MAX: usize = 16;

/// Everything about reaching peers.
#[derive(Debug)]
pub(crate) struct Reach {
    lookups: Vec<Arc<dyn Lookup>>,
    book: Book,
    searches: HashMap<(IdentityId, PublicKey), Search>,
    dials: HashMap<DialId, (IdentityId, PublicKey)>,
    next_dial: u64,
    asked: JoinSet<(IdentityId, PublicKey, Result<Option<Contact>, LookupError>)>,
}

/// One search for a connection.
#[derive(Debug, Default)]
struct Search {
    /// Addresses that were tried in this search.
    tried: Vec<Strategy>,
    /// Dials that have not ended.
    open: usize,
    /// Whether the lookups were asked.
    asked: bool,
    /// Whether they have answered.
    answered: bool,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Open a connection.
    Dial(DialId, PublicKey, Strategy),
    /// The search is over without a connection.
    Failed(IdentityId, PublicKey, NotSent),
}

impl Reach {
    /// That of a loop, by its number: no two of a node call different dials the same.
    pub(crate) fn new(lookups: Vec<Arc<dyn Lookup>>, of_loop: u16) -> Self {
        Self {
            lookups,
            book: Book::default(),
            searches: HashMap::new(),
            dials: HashMap::new(),
            next_dial: (u64::from(of_loop) << LOOP_SHIFT) + 1,
            asked: JoinSet::new(),
        }
    }

    /// Remembers hints, such as those of a ticket: tried before what was known.
    pub(crate) fn hint(&mut self, key: PublicKey, hints: &[Strategy]) {
        if !hints.is_empty() {
            self.book.hint(key, hints);
        }
    }

    /// Remembers a contact, unless a newer one is known.
    pub(crate) fn learn(&mut self, contact: Contact) {
        self.book.learn(contact);
    }

    /// The newest contact of a peer that has been seen.
    pub(crate) fn contact(&self, key: &PublicKey) -> Option<&Contact> {
        self.book.entries.get(key)?.contact.as_ref()
    }

    /// Searches for a connection to a peer.
    pub(crate) fn search(
        &mut self,
        identity: IdentityId,
        peer: PublicKey,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Vec<Step> {
        self.searches.entry((identity, peer)).or_default();
        self.advance(identity, peer, reaches)
    }

    /// A dial has succeeded: whose connection it is. `None` if it is not wanted any more.
    pub(crate) fn opened(&mut self, dial: DialId) -> Option<(IdentityId, PublicKey)> {
        let (identity, peer) = self.dials.remove(&dial)?;
        self.searches.remove(&(identity, peer))?;
        Some((identity, peer))
    }

    /// A dial has failed.
    pub(crate) fn failed(
        &mut self,
        dial: DialId,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Vec<Step> {
        let Some((identity, peer)) = self.dials.remove(&dial) else { return Vec::new() };
        let Some(search) = self.searches.get_mut(&(identity, peer)) else { return Vec::new() };
        search.open = search.open.saturating_sub(1);
        self.advance(identity, peer, reaches)
    }

    /// Takes in an answer of the lookups, if there is one.
    pub(crate) fn poll(
        &mut self,
        context: &mut std::task::Context<'_>,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Option<Vec<Step>> {
        let std::task::Poll::Ready(Some(Ok((identity, peer, answer)))) =
            self.asked.poll_join_next(context)
        else {
            return None;
        };
        match answer {
            Ok(Some(contact)) => self.book.learn(contact),
            Ok(None) => {}
            Err(error) => tracing::info!(peer = %peer.short(), %error, "lookup failed"),
        }
        if let Some(search) = self.searches.get_mut(&(identity, peer)) {
            search.answered = true;
        }
        Some(self.advance(identity, peer, reaches))
    }

    fn advance(
        &mut self,
        identity: IdentityId,
        peer: PublicKey,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Vec<Step> {
        let Some(search) = self.searches.get_mut(&(identity, peer)) else { return Vec::new() };
        let mut steps = Vec::new();
        for strategy in self.book.strategies(&peer) {
            let room = search.tried.len() < STRATEGIES_MAX;
            if room && reaches(&strategy) && !search.tried.contains(&strategy) {
                search.tried.push(strategy.clone());
                search.open += 1;
                let dial = DialId(self.next_dial);
                self.next_dial += 1;
                self.dials.insert(dial, (identity, peer));
                steps.push(Step::Dial(dial, peer, strategy));
            }
        }
        if search.open > 0 {
            return steps;
        }
        if !search.asked && !self.lookups.is_empty() {
            search.asked = true;
            let lookups = self.lookups.clone();
            self.asked.spawn(async move {
                (identity, peer, resolve_first(&lookups, peer, LOOKUP_TIME).await)
            });
            return steps;
        }
        if search.asked && !search.answered {
            return steps;
        }
        let why = if search.tried.is_empty() { NotSent::NotFound } else { NotSent::Unreachable };
        self.searches.remove(&(identity, peer));
        steps.push(Step::Failed(identity, peer, why));
        steps
    }
}

/// The machine's address book: keys and where they may be, in memory, bounded.
#[derive(Debug, Default)]
struct Book {
    entries: HashMap<PublicKey, Entry>,
    by_age: VecDeque<PublicKey>,
}

#[derive(Debug, Default)]
struct Entry {
    hints: Vec<Strategy>,
    contact: Option<Contact>,
}

/// Keys that the book remembers; the one that was entered first makes room.
const BOOK_MAX: usize = 100_000;

impl Book {
    fn strategies(&self, key: &PublicKey) -> Vec<Strategy> {
        let Some(entry) = self.entries.get(key) else { return Vec::new() };
        let contact = entry.contact.iter().flat_map(|contact| contact.strategies().iter());
        entry.hints.iter().chain(contact).cloned().collect()
    }

    fn hint(&mut self, key: PublicKey, hints: &[Strategy]) {
        self.entry(key).hints = hints.to_vec();
    }

    fn learn(&mut self, contact: Contact) {
        let entry = self.entry(contact.key());
        if entry.contact.as_ref().is_none_or(|known| contact.supersedes(known)) {
            entry.contact = Some(contact);
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
