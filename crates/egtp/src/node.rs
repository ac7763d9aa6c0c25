//! A running node, as the program holds it.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use egtp_proto::{Contact, Kind, MessageClass, MessageId, PeerCard, PublicKey, Strategy, Ticket};
use tokio::sync::{mpsc, oneshot, watch};

use crate::batch::Batch;
use crate::builder::Builder;
use crate::command::Command;
use crate::error::{RequestError, ServeError};
use crate::events::Events;
use crate::experience::rank;
use crate::letters::{LetterError, LetterRead, Letters, Mailbox};
use crate::lines::Lines;
use crate::message::{Message, Receipt, Recipient};
use crate::request::{Pending, Request, WAITING_MAX};
use crate::serve::{Queries, Router, Routes};
use crate::status::Status;
use crate::store::{self, BackUp, StoreError};

/// A running peer. Clones are the same node; when the last one goes, it shuts down.
#[derive(Clone, Debug)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Vec<PublicKey>,
    listening: Vec<Strategy>,
    lines: Lines,
    routes: Routes,
    has_store: bool,
}

impl Node {
    /// Begins to set up a node.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(
        keys: Vec<PublicKey>,
        listening: Vec<Strategy>,
        (lines, routes): (Lines, Routes),
        has_store: bool,
    ) -> Self {
        Self(Arc::new(Inner { keys, listening, lines, routes, has_store }))
    }

    /// Our public key: our name, and all that anybody needs in order to address us.
    pub fn key(&self) -> PublicKey {
        // A node without an identity is never built.
        self.0.keys.first().copied().unwrap_or_else(|| unreachable!("a node has an identity"))
    }

    /// All identities of this node, the first being [`Node::key`].
    pub fn keys(&self) -> &[PublicKey] {
        &self.0.keys
    }

    /// Where this node accepts connections, as bound: a wildcard address stays one.
    pub fn listening(&self) -> &[Strategy] {
        &self.0.listening
    }

    /// Key and listening addresses in one line for somebody to connect with. Wildcard addresses are
    /// left out: they lead nowhere from elsewhere.
    pub fn ticket(&self) -> Ticket {
        let strategies = self.0.listening.iter().filter(|strategy| !is_wildcard(strategy));
        Ticket {
            key: self.key(),
            strategies: strategies.take(Ticket::STRATEGIES_MAX).cloned().collect(),
        }
    }

    /// Asks a peer for one reply. Nothing happens until it is awaited or started.
    pub fn request(&self, to: impl Into<Recipient>, message: Message) -> Request {
        let to = to.into();
        Request::new(self.0.lines.of(&to.key).clone(), to, message)
    }

    /// Room for so many requests, 65,536 at most, that are submitted and reaped together, without a task or a future for
    /// each.
    pub fn batch(&self, most: usize) -> Batch {
        Batch::new(self.0.lines.clone(), most)
    }

    /// The durable requests that this node keeps on its disk: those under way, and those whose outcome
    /// nobody has taken yet, also of earlier runs. Empty if the node has closed.
    pub async fn kept(&self) -> Vec<MessageId> {
        let (answer, kept) = oneshot::channel();
        if self.0.lines.first().push(Command::ListKept(answer)).is_err() {
            return Vec::new();
        }
        kept.await.unwrap_or_default()
    }

    /// A handle for a durable request that this node keeps, as it was begun by this or an earlier run:
    /// awaiting it gives the outcome, once. `None` if no such request is kept.
    pub async fn attach(&self, id: MessageId) -> Option<Pending> {
        let (answer, slot) = oneshot::channel();
        self.0.lines.first().push(Command::Attach(id, answer)).ok()?;
        let slot = slot.await.ok()??;
        Some(Pending::attached(self.0.lines.first().clone(), slot))
    }

    /// Gives up a durable request that this node keeps: nothing more of it is sent, and no outcome is
    /// kept. It may have been taken all the same.
    pub fn forget(&self, id: MessageId) {
        // Without a driver it stays for the next run.
        let _ = self.0.lines.first().push(Command::Forget(id));
    }

    /// Writes a backup of this node's store to a new file while the node goes on: what handlers keep inside it,
    /// outcomes that nobody has taken, and `files`, which [`store::restore`](crate::store::restore) gives back
    /// by their names. Requests under way are in it as unknown. What is to be durable waits meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]: the node has no store or has closed, or the file cannot be made.
    pub async fn back_up(
        &self,
        to: impl Into<PathBuf>,
        files: Vec<store::File>,
    ) -> Result<(), StoreError> {
        let (answer, done) = oneshot::channel();
        let back_up = Box::new(BackUp { to: to.into(), files, answer });
        let has_closed = StoreError::Unavailable { why: "the node has closed" };
        match self.0.lines.first().push(Command::BackUp(back_up)) {
            Ok(()) => done.await.unwrap_or(Err(has_closed)),
            Err(_) => Err(has_closed),
        }
    }

    /// Tells a peer something. Resolves when the receiver has taken it.
    ///
    /// # Errors
    /// As for a request; `Refused` does not occur except for size and load.
    pub async fn send(
        &self,
        to: impl Into<Recipient>,
        message: Message,
    ) -> Result<Receipt, RequestError> {
        let reply = self.request(to, message).start_as(MessageClass::Send).await?;
        Ok(Receipt { took: reply.took, attempts: reply.attempts })
    }

    /// Sends a peer a hint: a message that is sealed and cannot be replayed, and for which nobody vouches besides. It
    /// goes once, if there is a living session with the peer at this moment, or not at all. For what is of no use when
    /// it is late, such as packets, probes and presence.
    pub fn hint(&self, to: &PublicKey, message: Message) {
        let Message { kind, body } = message;
        // Nor does anybody hear that the node has closed.
        let _ = self.0.lines.of(to).push_below(WAITING_MAX, Command::Hint(*to, kind, body));
    }

    /// Whether peers may reach this node by a relay, see [`relay`](crate::relay): packets of those that it names are
    /// taken in from now on. It need not be registered there yet. A node of several loops is reached directly only.
    pub fn trust_relay(&self, relay: PublicKey, is_trusted: bool) {
        self.0.lines.tell_all(|| Command::TrustRelay(relay, is_trusted));
    }

    /// The letters of this node: durable messages to peers that no path leads to and whose contact lists a mailbox. For as
    /// long as somebody takes them, they are written; the latest one who asked gets them. See [`letters`](crate::letters).
    /// A node of several loops has no durable store, and so no letters.
    pub fn letters(&self) -> Letters {
        let (carrier, letters) = mpsc::unbounded_channel();
        // Without a driver there are none.
        let _ = self.0.lines.first().push(Command::Letters(carrier));
        Letters(letters)
    }

    /// Takes letters for the first identity from now on: others may write to it once its contact lists what the
    /// [`Mailbox`] says. Nothing is ever listed by a node without a durable store.
    pub fn open_mailbox(&self) -> Mailbox {
        let (listing, listed) = watch::channel(None);
        // Without a driver nothing is listed.
        let _ = self.0.lines.first().push(Command::OpenMailbox(listing));
        Mailbox(listed)
    }

    /// Reads a letter to the first identity, wherever it was kept. What is in it is handed over as if it had come in a
    /// session. Returns when it is on the disk.
    ///
    /// # Errors
    /// [`LetterError`]: with [`LetterError::Busy`] it is to be brought again later, also if the node has closed; otherwise
    /// it may be thrown away.
    pub async fn read_letter(&self, letter: Bytes) -> Result<LetterRead, LetterError> {
        let (brought, read) = oneshot::channel();
        match self.0.lines.first().push(Command::ReadLetter(letter, brought)) {
            Ok(()) => read.await.unwrap_or(Err(LetterError::Busy)),
            Err(_) => Err(LetterError::Busy),
        }
    }

    /// Answers queries until the node closes. Handlers run as tasks of the calling runtime.
    ///
    /// # Errors
    /// [`ServeError::KindTaken`] at once if a kind is served already, [`ServeError::NeedsStore`] if one
    /// needs a store and the node has none, [`ServeError::RelayIsShared`] if it makes a relay of a node with several
    /// identities or loops, [`ServeError::Closing`] when the node has closed.
    pub async fn serve(&self, router: Router) -> Result<(), ServeError> {
        // The handle is not held while serving: the node closes when the last one goes.
        let table = self.0.routes.clone();
        let policies = router.policies();
        if let Some((kind, _)) = policies.first().filter(|_| !self.0.has_store) {
            return Err(ServeError::NeedsStore { kind: kind.clone() });
        }
        let is_shared = self.0.keys.len() > 1 || self.0.lines.iter().count() > 1;
        if is_shared && router.is_relay() {
            return Err(ServeError::RelayIsShared);
        }
        let serving = router.register(&table)?;
        for (kind, policy) in policies {
            self.0.lines.tell_all(|| Command::Policy(kind.clone(), policy));
        }
        serving.run().await
    }

    /// Waits until the node has closed, whoever closed it.
    pub async fn closed(&self) {
        let table = self.0.routes.clone();
        table.ended().await;
    }

    /// The queries of one kind, to be pulled.
    ///
    /// # Errors
    /// [`ServeError`] if the kind is served already or the node is closing.
    pub fn queries(&self, kind: Kind) -> Result<Queries, ServeError> {
        self.0.routes.pull(kind)
    }

    /// Remembers how a peer can be reached, unless a newer contact is known.
    pub fn learn(&self, contact: Contact) {
        let contact = Box::new(contact);
        self.0.lines.tell_all(|| Command::Learn(contact.clone()));
    }

    /// What this node's first identity has heard of a peer lately, to be kept for the program's next run: see
    /// [`Node::learn_card`]. `None` if it has heard nothing, or the peer can only call others, or does not know for
    /// certain that it is the only one with its key, so that it states no age; or if the peer had been started less than a
    /// second before it was heard, because ages are whole seconds.
    pub async fn card_of(&self, peer: &PublicKey) -> Option<PeerCard> {
        let (answer, card) = oneshot::channel();
        self.0.lines.of(peer).push(Command::PeerCard(*peer, answer)).ok()?;
        card.await.ok()?
    }

    /// Goes on from what an earlier run has heard of a peer: the first request to it then needs one round trip less.
    /// It is good for two hours after the peer was heard, at most. An older one, or one of a peer that was restarted
    /// since, only saves nothing; but if that was within the last seconds, the request may end as
    /// [`RequestError::Unknown`], as any may whose peer is restarted while it is under way.
    pub fn learn_card(&self, card: PeerCard) {
        // Without a driver there is nothing to remember it for.
        let _ = self.0.lines.of(&card.peer()).push(Command::LearnPeerCard(Box::new(card)));
    }

    /// These peers by how soon each can be expected to answer `kind`, soonest first, as requests of this node
    /// have shown: who answers comes before who is unknown, and that before who fails. Equals stay in their
    /// order. What is known is forgotten when the node ends.
    pub async fn best_first(
        &self,
        peers: impl IntoIterator<Item = PublicKey>,
        kind: &Kind,
    ) -> Vec<PublicKey> {
        let peers: Vec<PublicKey> = peers.into_iter().collect();
        // Each loop knows its own.
        let mut expected = vec![0.0; peers.len()];
        for (index, line) in self.0.lines.iter().enumerate() {
            let here = |peer: &&PublicKey| self.0.lines.index_of(peer) == index;
            let asked: Vec<PublicKey> = peers.iter().filter(here).copied().collect();
            let (answer, known) = oneshot::channel();
            if line.push(Command::Expect(asked, kind.clone(), answer)).is_err() {
                return peers;
            }
            let Ok(known) = known.await else { return peers };
            let places = peers.iter().zip(&mut expected).filter(|(peer, _)| here(peer));
            places.zip(known).for_each(|((_, place), known)| *place = known);
        }
        rank(peers, &expected)
    }

    /// Waits until no connection to a peer is open, or the node has closed. What is under way with the peer goes on: it is
    /// called again for that. Cancel safe.
    pub async fn disconnected(&self, peer: &PublicKey) {
        let (tell, told) = oneshot::channel();
        if self.0.lines.of(peer).push(Command::Disconnected(*peer, tell)).is_ok() {
            // Closed otherwise.
            let _ = told.await;
        }
    }

    /// What the node holds and has counted. `None` if it has closed.
    pub async fn status(&self) -> Option<Status> {
        let mut sum: Option<Status> = None;
        for line in self.0.lines.iter() {
            let (answer, status) = oneshot::channel();
            line.push(Command::Status(answer)).ok()?;
            let status = status.await.ok()?;
            match &mut sum {
                Some(sum) => sum.add(status),
                None => sum = Some(status),
            }
        }
        sum
    }

    /// What has happened last, and what happens from now on. `None` if it has closed.
    pub async fn events(&self) -> Option<Events> {
        let mut all: Option<Events> = None;
        for line in self.0.lines.iter() {
            let (answer, events) = oneshot::channel();
            line.push(Command::Events(answer)).ok()?;
            let events = events.await.ok()?;
            all = Some(match all {
                Some(all) => all.and(events),
                None => events,
            });
        }
        all
    }

    /// Tells peers goodbye and stops: everything open ends as `Closing`. Returns when it has stopped,
    /// within a few seconds.
    pub async fn close(self) {
        self.0.lines.tell_all(|| Command::Close);
        self.closed().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lines.tell_all(|| Command::Close);
    }
}

fn is_wildcard(strategy: &Strategy) -> bool {
    let address = strategy.host_port().and_then(egtp_proto::HostPort::socket_addr);
    address.is_some_and(|address| address.ip().is_unspecified())
}
