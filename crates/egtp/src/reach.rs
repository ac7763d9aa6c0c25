//! How a peer is reached: what is known of its addresses, and the attempts to open a connection.
//!
//! Asks what is known first, then the lookups, and dials what they say; the first connection wins. Relays are asked
//! when what leads to the peer itself has failed, or has had a head start; what was opened last time and led nowhere comes
//! behind all else, one after another. Knows no sockets and no sessions. Invariant: at
//! most one search for each peer is under way, it always ends: opened, or failed with a reason; and what comes late of an
//! earlier one does not end it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use egtp_proto::{Contact, HostPort, IdentityId, NotSent, PublicKey, Strategy};
use tokio::task::JoinSet;

use crate::address_book::{Book, Ways};
use crate::lookup::{Lookup, LookupError, resolve_first};
use crate::path::DialId;

/// Dials of loop number n are counted from n times two to this power.
const LOOP_SHIFT: u32 = 40;
/// How long all lookups together may take.
const LOOKUP_TIME: Duration = Duration::from_secs(2);
/// What addresses of the peer itself are given before its relays are asked: most connections stand by then.
const HEAD_START: Duration = Duration::from_millis(250);
/// What all else is given before something that led nowhere when it was opened last, and each of these before the next: a
/// relay that is far away has answered by then, and is not beaten by one that only says that the peer is there.
const TRUSTED_START: Duration = Duration::from_secs(3);
/// Addresses tried for one peer in one search.
const STRATEGIES_MAX: usize = 16;

/// Everything about reaching peers.
#[derive(Debug)]
pub(crate) struct Reach {
    lookups: Vec<Arc<dyn Lookup>>,
    book: Book,
    searches: HashMap<(IdentityId, PublicKey), Search>,
    dials: HashMap<DialId, (Name, Strategy)>,
    next_dial: u64,
    next_search: u64,
    asked: JoinSet<(Name, Brought)>,
}

/// Which search something is for. The same peer may have been searched for before, and what comes late of that neither
/// ends nor advances a later search.
#[derive(Clone, Copy, Debug)]
struct Name {
    identity: IdentityId,
    peer: PublicKey,
    number: u64,
}

/// What has been waited for.
#[derive(Debug)]
enum Brought {
    /// What the lookups say.
    Answer(Result<Option<Box<Contact>>, LookupError>),
    /// The head start before this turn is over.
    HeadStart(Turn),
}

/// One search for a connection.
#[derive(Debug)]
struct Search {
    number: u64,
    /// Addresses that were tried in this search.
    tried: Vec<Strategy>,
    /// Dials that have not ended.
    open: usize,
    /// Whether the lookups were asked.
    asked: bool,
    /// Whether they have answered.
    answered: bool,
    /// What was in doubt and was dialed all the same.
    doubted: usize,
    /// What others have a head start before, which has begun or is over.
    waiting: Vec<Turn>,
    over: Vec<Turn>,
}

/// What is not dialed at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    /// The peer's relays.
    Relays,
    /// What is in doubt: the first, the second, and so on.
    Doubtful(usize),
}

impl Search {
    const fn new(number: u64) -> Self {
        Self {
            number,
            tried: Vec::new(),
            open: 0,
            asked: false,
            answered: false,
            doubted: 0,
            waiting: Vec::new(),
            over: Vec::new(),
        }
    }

    /// Whether something may still come of it without anything more.
    const fn is_pending(&self) -> bool {
        self.open > 0 || (self.asked && !self.answered)
    }

    /// Whether it can still dial this, and has not.
    fn may_dial(&self, strategy: &Strategy) -> bool {
        self.tried.len() < STRATEGIES_MAX && !self.tried.contains(strategy)
    }
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
            next_search: 0,
            asked: JoinSet::new(),
        }
    }

    /// Remembers hints, such as those of a ticket: tried before what was known.
    pub(crate) fn hint(&mut self, key: PublicKey, hints: &[Strategy]) {
        if !hints.is_empty() {
            self.book.hint(key, hints);
        }
    }

    /// Remembers an address that somebody else has told of a node: tried after what is known.
    pub(crate) fn suggest(&mut self, key: PublicKey, at: &HostPort) {
        self.book.suggest(key, Strategy::Tcp(at.clone()));
    }

    /// Remembers a contact, unless a newer one is known.
    pub(crate) fn learn(&mut self, contact: Contact) {
        self.book.learn(contact);
    }

    /// The newest contact of a peer that has been seen.
    pub(crate) fn contact(&self, key: &PublicKey) -> Option<&Contact> {
        self.book.contact(key)
    }

    /// Searches for a connection to a peer.
    pub(crate) fn search(
        &mut self,
        identity: IdentityId,
        peer: PublicKey,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Vec<Step> {
        self.searches.entry((identity, peer)).or_insert_with(|| {
            self.next_search += 1;
            Search::new(self.next_search)
        });
        self.advance(identity, peer, reaches)
    }

    /// Which of us a dial is for.
    pub(crate) fn who_dials(&self, dial: DialId) -> Option<IdentityId> {
        self.dials.get(&dial).map(|(search, _)| search.identity)
    }

    /// A dial has succeeded: whose connection it is. `None` if it is not wanted any more. One of an earlier search is as
    /// good as any. Until the peer has proved itself there, it is in doubt whether it leads anywhere.
    pub(crate) fn opened(&mut self, dial: DialId) -> Option<(IdentityId, PublicKey)> {
        let (Name { identity, peer, .. }, strategy) = self.dials.remove(&dial)?;
        self.searches.remove(&(identity, peer))?;
        self.book.doubt(peer, &strategy);
        Some((identity, peer))
    }

    /// A peer has proved its key where this leads.
    pub(crate) fn proved(&mut self, peer: &PublicKey, strategy: &Strategy) {
        self.book.forgive(peer, strategy);
    }

    /// A dial has failed.
    pub(crate) fn failed(
        &mut self,
        dial: DialId,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Vec<Step> {
        let Some((name, _)) = self.dials.remove(&dial) else { return Vec::new() };
        let Some(search) = self.of_name(&name) else { return Vec::new() };
        search.open = search.open.saturating_sub(1);
        self.advance(name.identity, name.peer, reaches)
    }

    /// Takes in an answer of the lookups, if there is one.
    pub(crate) fn poll(
        &mut self,
        context: &mut std::task::Context<'_>,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Option<Vec<Step>> {
        let std::task::Poll::Ready(Some(Ok((name, brought)))) = self.asked.poll_join_next(context)
        else {
            return None;
        };
        let Name { identity, peer, .. } = name;
        match (self.of_name(&name), &brought) {
            (Some(search), Brought::Answer(_)) => search.answered = true,
            (Some(search), Brought::HeadStart(turn)) => search.over.push(*turn),
            (None, _) => {}
        }
        match brought {
            Brought::Answer(Ok(Some(contact))) => self.book.learn(*contact),
            Brought::Answer(Err(error)) => {
                tracing::info!(peer = %peer.short(), %error, "lookup failed");
            }
            Brought::Answer(Ok(None)) | Brought::HeadStart(_) => {}
        }
        // What is learned from a late answer is good for the present search too.
        Some(self.advance(identity, peer, reaches))
    }

    /// A search that is still under way.
    fn of_name(&mut self, name: &Name) -> Option<&mut Search> {
        let search = self.searches.get_mut(&(name.identity, name.peer));
        search.filter(|search| search.number == name.number)
    }

    fn advance(
        &mut self,
        identity: IdentityId,
        peer: PublicKey,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Vec<Step> {
        let Some(search) = self.searches.get_mut(&(identity, peer)) else { return Vec::new() };
        let mut steps = Vec::new();
        let name = Name { identity, peer, number: search.number };
        let Ways { own, relayed, doubtful } = self.book.ways(&peer);
        let mut dial = |search: &mut Search, strategy: Strategy| {
            search.tried.push(strategy.clone());
            search.open += 1;
            let dial = DialId(self.next_dial);
            self.next_dial += 1;
            self.dials.insert(dial, (name, strategy.clone()));
            steps.push(Step::Dial(dial, peer, strategy));
        };
        let asked = &mut self.asked;
        let mut give_head_start = |search: &mut Search, turn: Turn, time: Duration| {
            if !search.waiting.contains(&turn) {
                search.waiting.push(turn);
                asked.spawn(async move {
                    tokio::time::sleep(time).await;
                    (name, Brought::HeadStart(turn))
                });
            }
        };
        let is_new = |search: &Search, one: &Strategy| reaches(one) && search.may_dial(one);
        for one in own {
            if is_new(search, &one) {
                dial(search, one);
            }
        }
        let is_their_turn = search.open == 0 || search.over.contains(&Turn::Relays);
        for one in relayed {
            if !is_new(search, &one) {
                continue;
            }
            if is_their_turn {
                dial(search, one);
            } else {
                give_head_start(search, Turn::Relays, HEAD_START);
            }
        }
        let may_ask = search.open == 0 && !search.asked && !self.lookups.is_empty();
        search.asked |= may_ask;
        for one in doubtful {
            let turn = Turn::Doubtful(search.doubted);
            if !is_new(search, &one) {
                continue;
            }
            if search.is_pending() && !search.over.contains(&turn) {
                give_head_start(search, turn, TRUSTED_START);
                break;
            }
            search.doubted += 1;
            dial(search, one);
        }
        if may_ask {
            let lookups = self.lookups.clone();
            self.asked.spawn(async move {
                let found = resolve_first(&lookups, peer, LOOKUP_TIME).await;
                (name, Brought::Answer(found.map(|contact| contact.map(Box::new))))
            });
        }
        if search.is_pending() {
            return steps;
        }
        let why = if search.tried.is_empty() { NotSent::NotFound } else { NotSent::Unreachable };
        self.searches.remove(&(identity, peer));
        steps.push(Step::Failed(identity, peer, why));
        steps
    }
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
