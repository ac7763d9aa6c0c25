//! How a peer is reached: what is known of its addresses, and the attempts to open a connection.
//!
//! Asks what is known first, then the lookups, and dials what they say; the first connection wins. Relays are asked
//! when what leads to the peer itself has failed, or has had a head start. Knows no sockets and no sessions. Invariant: at
//! most one search for each peer is under way, it always ends: opened, or failed with a reason; and what comes late of an
//! earlier one does not end it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use egtp_proto::{Contact, HostPort, IdentityId, NotSent, PublicKey, Strategy};
use tokio::task::JoinSet;

use crate::lookup::{Lookup, LookupError, resolve_first};
use crate::path::DialId;

/// Dials of loop number n are counted from n times two to this power.
const LOOP_SHIFT: u32 = 40;
/// How long all lookups together may take.
const LOOKUP_TIME: Duration = Duration::from_secs(2);
/// What addresses of the peer itself are given before its relays are asked: most connections stand by then.
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses tried for one peer in one search.
const STRATEGIES_MAX: usize = 16;

/// Everything about reaching peers.
#[derive(Debug)]
pub(crate) struct Reach {
    lookups: Vec<Arc<dyn Lookup>>,
    book: Book,
    searches: HashMap<(IdentityId, PublicKey), Search>,
    dials: HashMap<DialId, Name>,
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
    /// The head start is over.
    HeadStart,
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
    /// What the peer's own addresses have had before its relays.
    head_start: HeadStart,
}

impl Search {
    const fn new(number: u64) -> Self {
        Self {
            number,
            tried: Vec::new(),
            open: 0,
            asked: false,
            answered: false,
            head_start: HeadStart::Before,
        }
    }
}

/// See [`HEAD_START`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum HeadStart {
    /// Not begun: no relay is known.
    Before,
    Runs,
    Over,
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
        self.book.entries.get(key)?.contact.as_ref()
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
        self.dials.get(&dial).map(|search| search.identity)
    }

    /// A dial has succeeded: whose connection it is. `None` if it is not wanted any more. One of an earlier search is as
    /// good as any.
    pub(crate) fn opened(&mut self, dial: DialId) -> Option<(IdentityId, PublicKey)> {
        let Name { identity, peer, .. } = self.dials.remove(&dial)?;
        self.searches.remove(&(identity, peer))?;
        Some((identity, peer))
    }

    /// A dial has failed.
    pub(crate) fn failed(
        &mut self,
        dial: DialId,
        reaches: impl Fn(&Strategy) -> bool,
    ) -> Vec<Step> {
        let Some(name) = self.dials.remove(&dial) else { return Vec::new() };
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
            (Some(search), Brought::HeadStart) => search.head_start = HeadStart::Over,
            (None, _) => {}
        }
        match brought {
            Brought::Answer(Ok(Some(contact))) => self.book.learn(*contact),
            Brought::Answer(Err(error)) => {
                tracing::info!(peer = %peer.short(), %error, "lookup failed");
            }
            Brought::Answer(Ok(None)) | Brought::HeadStart => {}
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
        let (relayed, own): (Vec<_>, Vec<_>) =
            self.book.strategies(&peer).into_iter().partition(Strategy::is_relayed);
        let mut dial = |search: &mut Search, strategies: Vec<Strategy>| {
            for strategy in strategies {
                let room = search.tried.len() < STRATEGIES_MAX;
                if room && reaches(&strategy) && !search.tried.contains(&strategy) {
                    search.tried.push(strategy.clone());
                    search.open += 1;
                    let dial = DialId(self.next_dial);
                    self.next_dial += 1;
                    self.dials.insert(dial, name);
                    steps.push(Step::Dial(dial, peer, strategy));
                }
            }
        };
        dial(search, own);
        let is_alone = search.open > 0 && search.head_start != HeadStart::Over;
        if !is_alone {
            dial(search, relayed);
        } else if !relayed.is_empty() && search.head_start == HeadStart::Before {
            search.head_start = HeadStart::Runs;
            self.asked.spawn(async move {
                tokio::time::sleep(HEAD_START).await;
                (name, Brought::HeadStart)
            });
        }
        if search.open > 0 {
            return steps;
        }
        if !search.asked && !self.lookups.is_empty() {
            search.asked = true;
            let lookups = self.lookups.clone();
            self.asked.spawn(async move {
                let found = resolve_first(&lookups, peer, LOOKUP_TIME).await;
                (name, Brought::Answer(found.map(|contact| contact.map(Box::new))))
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
    /// What others have said, the newest first. One of them may be wrong on purpose.
    suggested: VecDeque<Strategy>,
    contact: Option<Contact>,
}

/// What others have said of one key.
const SUGGESTED_MAX: usize = 4;
/// Keys that the book remembers; the one that was entered first makes room.
const BOOK_MAX: usize = 100_000;

impl Book {
    fn strategies(&self, key: &PublicKey) -> Vec<Strategy> {
        let Some(entry) = self.entries.get(key) else { return Vec::new() };
        let contact = entry.contact.iter().flat_map(|contact| contact.strategies().iter());
        entry.hints.iter().chain(contact).chain(&entry.suggested).cloned().collect()
    }

    fn hint(&mut self, key: PublicKey, hints: &[Strategy]) {
        self.entry(key).hints = hints.to_vec();
    }

    fn suggest(&mut self, key: PublicKey, strategy: Strategy) {
        let suggested = &mut self.entry(key).suggested;
        suggested.retain(|known| *known != strategy);
        suggested.push_front(strategy);
        suggested.truncate(SUGGESTED_MAX);
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use egtp_proto::SecretKey;

    use super::*;
    use crate::lookup::BoxFuture;

    fn dialed(steps: &[Step]) -> Vec<(DialId, Strategy)> {
        let dial = |step: &Step| match step {
            Step::Dial(dial, _, strategy) => Some((*dial, strategy.clone())),
            Step::Failed(..) => None,
        };
        steps.iter().filter_map(dial).collect()
    }

    /// A search for a peer whose ticket names a relay before its own address, and what it dials first.
    fn begun() -> (Reach, Vec<(DialId, Strategy)>, [Strategy; 2]) {
        let key = |seed| SecretKey::from_seed([seed; 32]).public();
        let relay = Strategy::Relay { relay: key(2), at: None };
        let own: Strategy = "tcp/192.0.2.1:7700".parse().unwrap();
        let mut reach = Reach::new(Vec::new(), 0);
        reach.hint(key(1), &[relay.clone(), own.clone()]);
        let steps = reach.search(IdentityId(0), key(1), |_| true);
        let first = dialed(&steps);
        (reach, first, [relay, own])
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_of_the_peer_itself_has_a_head_start_before_its_relay() {
        let (mut reach, first, [relay, own]) = begun();
        assert_eq!(first.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&own]);
        let begun = tokio::time::Instant::now();
        let steps = next(&mut reach).await;
        assert_eq!(dialed(&steps).pop().map(|(_, to)| to), Some(relay));
        assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_peer_itself_cannot_be_called_its_relay_is_asked_at_once() {
        let (mut reach, first, [relay, _]) = begun();
        let failed = first.first().map(|(dial, _)| *dial).unwrap();
        let next = dialed(&reach.failed(failed, |_| true));
        assert_eq!(next.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&relay]);
    }

    /// The next that has been waited for, if anything is.
    async fn next(reach: &mut Reach) -> Vec<Step> {
        poll_fn(|context| match reach.poll(context, |_| true) {
            Some(steps) => Poll::Ready(steps),
            None => Poll::Pending,
        })
        .await
    }

    #[test]
    fn a_dial_of_an_earlier_search_that_fails_late_does_not_end_the_present_one() {
        let key = SecretKey::from_seed([1; 32]).public();
        let at = |port: u16| Strategy::Tcp(format!("192.0.2.1:{port}").parse().unwrap());
        let mut reach = Reach::new(Vec::new(), 0);
        reach.hint(key, &[at(1), at(2)]);
        let search = |reach: &mut Reach| {
            let dialed = dialed(&reach.search(IdentityId(0), key, |_| true));
            [dialed[0].0, dialed[1].0]
        };
        let earlier = search(&mut reach);
        assert!(reach.opened(earlier[0]).is_some());
        let present = search(&mut reach);
        assert!(reach.failed(earlier[1], |_| true).is_empty());
        let steps = reach.failed(present[0], |_| true);
        assert!(steps.is_empty(), "the other one is still being dialed: {steps:?}");
        let steps = reach.failed(present[1], |_| true);
        assert!(matches!(&steps[..], [Step::Failed(..)]), "the control: {steps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_start_of_an_earlier_search_is_not_that_of_the_present_one() {
        let (mut reach, first, [relay, _]) = begun();
        // What it waits for has begun.
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(reach.opened(first[0].0).is_some());
        let key = SecretKey::from_seed([1; 32]).public();
        let begun = tokio::time::Instant::now();
        assert_eq!(dialed(&reach.search(IdentityId(0), key, |_| true)).len(), 1);
        let mut steps = Vec::new();
        while steps.is_empty() {
            steps = next(&mut reach).await;
        }
        assert_eq!(dialed(&steps).pop().map(|(_, to)| to), Some(relay));
        assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    }

    /// Knows nothing, and takes a second to say so.
    #[derive(Debug)]
    struct Slow;

    impl Lookup for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn resolve(&self, _: PublicKey) -> BoxFuture<'_, Result<Option<Contact>, LookupError>> {
            let answer = tokio::time::Instant::now() + Duration::from_secs(1);
            Box::pin(async move {
                tokio::time::sleep_until(answer).await;
                Ok(None)
            })
        }

        fn publish(&self, _: Contact) -> BoxFuture<'_, Result<(), LookupError>> {
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_the_lookups_to_an_earlier_search_does_not_end_the_present_one() {
        let key = SecretKey::from_seed([1; 32]).public();
        let own: Strategy = "tcp/192.0.2.1:7700".parse().unwrap();
        let mut reach = Reach::new(vec![Arc::new(Slow)], 0);
        assert!(reach.search(IdentityId(0), key, |_| true).is_empty());
        // Meanwhile somebody says where the peer is.
        reach.hint(key, &[own]);
        let steps = dialed(&reach.search(IdentityId(0), key, |_| true));
        assert!(reach.opened(steps[0].0).is_some());
        // What it waits for has begun.
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(500)).await;
        let begun = tokio::time::Instant::now();
        let steps = dialed(&reach.search(IdentityId(0), key, |_| true));
        assert!(reach.failed(steps[0].0, |_| true).is_empty(), "the lookups are asked");
        let mut steps = Vec::new();
        while steps.is_empty() {
            steps = next(&mut reach).await;
        }
        assert!(matches!(&steps[..], [Step::Failed(..)]), "{steps:?}");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_others_say_of_a_node_is_tried_last_and_displaces_nothing() {
        let key = SecretKey::from_seed([1; 32]).public();
        let at = |port: u16| Strategy::Tcp(format!("192.0.2.1:{port}").parse().unwrap());
        let mut reach = Reach::new(Vec::new(), 0);
        for port in 1..=6 {
            reach.suggest(key, &format!("192.0.2.1:{port}").parse().unwrap());
        }
        reach.hint(key, &[at(100)]);
        assert_eq!(reach.book.strategies(&key), [100, 6, 5, 4, 3].map(at));
        reach.suggest(key, &"192.0.2.1:4".parse().unwrap());
        assert_eq!(reach.book.strategies(&key), [100, 4, 6, 5, 3].map(at));
    }
}
