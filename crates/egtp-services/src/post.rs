//! The post: carries a node's letters to the relays that keep them, and brings those that are kept for it.
//!
//! What a letter says, and that it is taken once, is the node's business ([`egtp::letters`]); that it is kept is the
//! relay's ([`mailbox`](crate::mailbox)). Invariant: a letter counts as stored only when a relay that its receiver names
//! has said so, and is deleted there only when the node has it on its disk.

use std::sync::Arc;

use egtp::letters::{Letter, LetterError};
use egtp::{Node, Strategy, Ticket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::mailbox::{Collector, Incoming, Mail, Taken, deposit};

/// Leaves a node's letters with the relays that their receivers' contacts name, until it is dropped or the node has
/// closed.
#[derive(Debug)]
pub struct Courier {
    task: JoinHandle<()>,
}

impl Courier {
    /// Carries this node's letters from now on, up to eight at a time.
    ///
    /// Of the relays that a contact names the first one that keeps the letter gets it. If none does, the node writes it
    /// again before long.
    pub fn start(node: Node) -> Self {
        Self { task: tokio::spawn(carry(node)) }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(node: Node) {
    let mut letters = node.letters();
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(letter) = letters.next().await {
        let Ok(permit) = Arc::clone(&at_once).acquire_owned().await else { return };
        let node = node.clone();
        tokio::spawn(async move {
            leave(&node, letter).await;
            drop(permit);
        });
    }
}

/// Leaves one letter somewhere. Dropped, it says itself that nobody keeps it.
async fn leave(node: &Node, letter: Letter) {
    let to = letter.to();
    for relay in relays_of(&letter) {
        match deposit(node, &relay, &to, letter.bytes()).await {
            Ok(stored) => {
                let kept = stored.kept.as_secs();
                tracing::info!(to = %to.short(), relay = %relay.key.short(), kept, "letter stored");
                return letter.stored();
            }
            Err(error) => {
                tracing::info!(to = %to.short(), relay = %relay.key.short(), %error, "letter not kept");
            }
        }
    }
}

/// The relays that the receiver's contact names.
fn relays_of(letter: &Letter) -> Vec<Ticket> {
    let strategies = letter.contact().map(egtp::Contact::strategies).unwrap_or_default();
    let relay = |strategy: &Strategy| match strategy {
        Strategy::Relay { relay, at } => {
            let strategies = at.iter().cloned().map(Strategy::Tcp).collect();
            Some(Ticket { key: *relay, strategies })
        }
        _ => None,
    };
    strategies.iter().filter_map(relay).collect()
}

/// Brings the letters that these relays keep for a node, until it is dropped or the node has closed. The node has to serve
/// [`Mail::router`], or letters come only at the next look.
#[derive(Debug)]
pub struct Postbox {
    _collectors: Vec<Collector>,
}

impl Postbox {
    /// Looks at all of them: which one a sender chooses is the sender's business.
    pub fn open(node: &Node, relays: &[Ticket], mail: &Mail) -> Self {
        let collect = |relay: &Ticket| {
            let to = node.clone();
            let take = move |incoming: Incoming| {
                let node = to.clone();
                async move { read(&node, incoming).await }
            };
            Collector::start(node.clone(), relay.clone(), mail, take)
        };
        Self { _collectors: relays.iter().map(collect).collect() }
    }
}

async fn read(node: &Node, incoming: Incoming) -> Taken {
    match node.read_letter(incoming.bytes).await {
        Ok(read) if read.all_taken => Taken::Done,
        Ok(_) | Err(LetterError::Busy) => Taken::Later,
        // Nobody writes to himself, but to try whether the relay keeps it.
        Err(_) if incoming.sender == node.key() => Taken::Done,
        Err(error) => {
            // It will be no other one tomorrow, and would be looked at for ever.
            let (relay, left_by) = (incoming.relay.short(), incoming.sender.short());
            tracing::warn!(%relay, %left_by, %error, "a letter cannot be read, and is thrown away");
            Taken::Done
        }
    }
}

/// Letters that are on their way at a time.
const AT_ONCE: usize = 8;
