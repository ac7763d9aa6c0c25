//! Fetches letters from a relay for as long as a node lives.
//!
//! Looks when it starts, when the relay says that something has come ([`Mail`]), and from time to time all the same,
//! because what a relay says may be lost. Invariant: one fetch at a time; a letter is acknowledged only after its taker
//! has said that it is done, so it may be given again, and is never lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use egtp::mailbox::{
    ACK, ACKS_MAX, Ack, GET, Get, Letter, LetterName, Letters, MAIL, decode_count, encode_acks,
};
use egtp::{Kind, KindError, Node, PublicKey, RequestError, Router, Ticket};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What relays say about letters that have come. Clones hear the same; one does for all collectors of a node.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// Whom to wake, by the relay that he collects from.
    collectors: Arc<Mutex<HashMap<PublicKey, Arc<Notify>>>>,
}

impl Mail {
    /// Nobody listens yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the node has to serve, so that letters come without waiting for the next look.
    ///
    /// # Errors
    /// [`KindError`] if [`MAIL`] were no kind, which it is.
    pub fn router(&self) -> Result<Router, KindError> {
        let mail = self.clone();
        let come = move |from: &PublicKey| {
            if let Some(collector) = mail.lock().get(from) {
                collector.notify_one();
            }
        };
        Ok(Router::new().route_hint(Kind::new(MAIL)?, move |hint, _| come(&hint.from)))
    }

    fn listen(&self, relay: PublicKey) -> Arc<Notify> {
        Arc::clone(self.lock().entry(relay).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublicKey, Arc<Notify>>> {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A letter that was fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incoming {
    /// Which relay has kept it.
    pub relay: PublicKey,
    /// Who has left it there, as the relay says. What counts is who has sealed it.
    pub sender: PublicKey,
    /// How long it was there, by the relay's clock.
    pub age: Duration,
    /// The letter.
    pub bytes: Bytes,
}

/// What became of a letter that was fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Taken {
    /// It is taken care of, for good: the relay deletes it.
    Done,
    /// It stays with the relay, and comes again at the next look.
    Later,
}

/// Fetches letters until it is dropped, the node has closed, or whoever takes them panics.
#[derive(Debug)]
pub struct Collector {
    task: JoinHandle<()>,
}

impl Collector {
    /// Fetches letters from this relay, at once, whenever `mail` tells that something has come, and every [`POLL`]. Each
    /// is given to `take`, one after the other, oldest first; the same one may come again, if the answer to it was lost.
    ///
    /// A relay can tell a node that cannot be called only while a connection to it is open, as one is for as long as the
    /// node is registered there ([`relay::Client`](crate::relay::Client)). Others get letters at the next look.
    pub fn start<F>(
        node: Node,
        relay: Ticket,
        mail: &Mail,
        take: impl FnMut(Incoming) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Taken> + Send + 'static,
    {
        Self::start_polling(node, relay, mail, POLL, take)
    }

    /// The same, looking as often as this.
    pub fn start_polling<F>(
        node: Node,
        relay: Ticket,
        mail: &Mail,
        poll: Duration,
        take: impl FnMut(Incoming) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Taken> + Send + 'static,
    {
        let come = mail.listen(relay.key);
        let round = Round { node, relay, take };
        Self { task: tokio::spawn(round.stay(come, poll)) }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Round<T> {
    node: Node,
    relay: Ticket,
    take: T,
}

impl<T, F> Round<T>
where
    T: FnMut(Incoming) -> F + Send + 'static,
    F: Future<Output = Taken> + Send + 'static,
{
    async fn stay(mut self, come: Arc<Notify>, poll: Duration) {
        let node = self.node.clone();
        let look = async {
            let mut pause = PAUSE_MIN;
            loop {
                let wait = match self.empty().await {
                    Ok(()) => {
                        pause = PAUSE_MIN;
                        poll
                    }
                    Err(error) => {
                        let relay = self.relay.key.short();
                        tracing::info!(%relay, %error, "letters could not be fetched");
                        let wait = pause;
                        pause = (pause * 2).min(PAUSE_MAX);
                        wait
                    }
                };
                // A relay that says that something has come is there.
                let _ = timeout(wait, come.notified()).await;
            }
        };
        tokio::select! {
            () = look => {}
            () = node.closed() => {}
        }
    }

    /// Fetches until nothing is left that was not looked at.
    async fn empty(&mut self) -> Result<(), CollectError> {
        // Letters that stay where they are hide no others.
        let (mut after, mut later) = (0, 0_u32);
        loop {
            let Letters { left, letters } = self.fetch(after).await?;
            let Some(last) = letters.last() else { return Ok(()) };
            after = last.position;
            let left_before = later;
            let mut done = Vec::with_capacity(ACKS_MAX);
            for letter in letters {
                let Letter { position, sender, age, bytes } = letter;
                let name = LetterName::of(&bytes);
                let relay = self.relay.key;
                match (self.take)(Incoming { relay, sender, age, bytes }).await {
                    Taken::Done => done.push(Ack { position, name }),
                    Taken::Later => later = later.saturating_add(1),
                }
            }
            self.acknowledge(&done).await?;
            if left <= left_before {
                return Ok(());
            }
        }
    }

    async fn fetch(&mut self, after: u64) -> Result<Letters, CollectError> {
        let get = Get { largest: LARGEST_REPLY, after };
        let reply = super::ask(&self.node, &self.relay, GET, get.encode()).await?;
        Letters::decode(&reply).ok_or(CollectError::Answer)
    }

    async fn acknowledge(&mut self, done: &[Ack]) -> Result<(), CollectError> {
        if done.is_empty() {
            return Ok(());
        }
        let reply = super::ask(&self.node, &self.relay, ACK, encode_acks(done)).await?;
        decode_count(&reply).map(|_| ()).ok_or(CollectError::Answer)
    }
}

/// Why a look came to nothing. There will be another one.
#[derive(Debug, thiserror::Error)]
enum CollectError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the relay's answer is not understood; its version is another one")]
    Answer,
}

/// How often a collector looks if nothing tells it to.
pub const POLL: Duration = Duration::from_mins(5);
/// How long it waits when the relay does not answer, at first and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Bytes of the largest reply that is asked for. A node takes, and a relay sends, no more by default; where either has
/// less room, the relay fills that.
const LARGEST_REPLY: u32 = 2 * 1024 * 1024;
