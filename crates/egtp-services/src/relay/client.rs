//! Keeps a node registered at one of several relays, so that others reach it there.
//!
//! Does what [`Choice`] decides: asks, listens, and knows the time. Knows no reason to stay or to go. Invariant: at most one
//! registration counts at a time, and packets are taken in only from the relay that it is at.

use std::time::Duration;

use bytes::Bytes;
use egtp::relay::{self, OPEN, Presence, REGISTER};
use egtp::{Kind, Message, Node, NotSent, Pending, Progress, PublicKey, RequestError, Ticket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::choice::{Act, Asked, Choice, Heard, LEASE, PATIENCE};

/// Where a node is registered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Standing {
    /// Nowhere yet, or not any more: the next relay is asked.
    #[default]
    Nowhere,
    /// At this relay.
    At(PublicKey),
}

/// Keeps a node registered for as long as it lives.
#[derive(Debug)]
pub struct Client {
    standing: watch::Receiver<Standing>,
    task: JoinHandle<()>,
    node: Node,
    relays: Vec<PublicKey>,
}

impl Client {
    /// Keeps a node registered at one of these relays, the first of them if it answers. Ends when the node closes.
    pub fn start(node: Node, relays: Vec<Ticket>) -> Self {
        let (tell, standing) = watch::channel(Standing::Nowhere);
        let (of, keys) = (node.clone(), relays.iter().map(|relay| relay.key).collect());
        let task = tokio::spawn(async move { stay(&of, &relays, &tell).await });
        Self { standing, task, node, relays: keys }
    }

    /// Where the node is registered now.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Waits until it is registered somewhere else, or nowhere. `None` when the node has closed.
    pub async fn changed(&mut self) -> Option<Standing> {
        self.standing.changed().await.ok()?;
        Some(*self.standing.borrow_and_update())
    }

    /// Waits until it is registered somewhere. `None` when the node has closed.
    pub async fn registered(&mut self) -> Option<PublicKey> {
        let is_somewhere = |standing: &Standing| *standing != Standing::Nowhere;
        let standing = self.standing.wait_for(is_somewhere).await.ok()?;
        match *standing {
            Standing::At(relay) => Some(relay),
            Standing::Nowhere => None,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
        self.relays.iter().for_each(|relay| self.node.trust_relay(*relay, false));
    }
}

/// Does what [`Choice`] says, until the node closes.
async fn stay(node: &Node, relays: &[Ticket], tell: &watch::Sender<Standing>) {
    let since = Instant::now();
    let mut choice = Choice::new(relays.len(), Duration::ZERO);
    let mut visit = Visit { node, relays, at: None, lease: None, next: None, look: None };
    loop {
        while let Some(act) = choice.next_act() {
            visit.act(act);
            say(tell, choice.registered_at().and_then(|at| relays.get(at)));
        }
        let wake = choice.wakes_at().map(|at| since + at);
        let heard = tokio::select! {
            heard = visit.hears(choice.minds_disconnection()) => heard,
            () = until(wake) => Ok(None),
        };
        match heard {
            Ok(Some(heard)) => choice.hear(heard, since.elapsed()),
            Ok(None) => choice.tick(since.elapsed()),
            Err(Closing) => return,
        }
    }
}

/// The node closes.
#[derive(Debug)]
struct Closing;

/// What is under way at a relay.
struct Visit<'a> {
    node: &'a Node,
    relays: &'a [Ticket],
    at: Option<&'a Ticket>,
    /// The registration that counts. Given up only when the next one does, so that the node is never absent in between.
    lease: Option<Pending>,
    /// The one that was asked for last, until it is over.
    next: Option<Pending>,
    look: Option<Pending>,
}

impl Visit<'_> {
    fn act(&mut self, act: Act) {
        match act {
            Act::Come(to) => {
                self.at = self.relays.get(to);
                self.trust(true);
            }
            Act::Register => {
                self.lease = self.next.take().or(self.lease.take());
                self.look = None;
                self.next = self.ask(REGISTER, &relay::encode_lease(LEASE), LEASE + PATIENCE);
            }
            Act::Look => self.look = self.ask(OPEN, self.node.key().as_bytes(), PATIENCE),
            Act::Settle => (self.lease, self.look) = (None, None),
            Act::Leave(_) => {
                (self.lease, self.next, self.look) = (None, None, None);
                self.trust(false);
                if let Some(relay) = self.at.take() {
                    tracing::info!(relay = %relay.key.short(), "left a relay");
                }
            }
        }
    }

    fn trust(&self, is_trusted: bool) {
        if let Some(relay) = self.at {
            self.node.trust_relay(relay.key, is_trusted);
        }
    }

    fn ask(&self, kind: &str, body: &[u8], patience: Duration) -> Option<Pending> {
        let message = Message::new(Kind::new(kind).ok()?, Bytes::copy_from_slice(body));
        Some(self.node.request(self.at?, message).hard_timeout(patience).start())
    }

    /// Waits until something is heard from the relay. Cancel safe.
    async fn hears(&mut self, minds_disconnection: bool) -> Result<Option<Heard>, Closing> {
        let Some(relay) = self.at else { return std::future::pending().await };
        tokio::select! {
            step = progress(&mut self.next) => match step {
                Ok(Progress::Taken) => Ok(Some(Heard::Taken)),
                Ok(Progress::Replied(_)) => {
                    self.next = None;
                    Ok(Some(Heard::Ended))
                }
                Ok(_) => Ok(None),
                Err(why) => failed(&mut self.next, &why, Asked::Register),
            },
            step = progress(&mut self.look) => match step {
                Ok(Progress::Replied(reply)) => {
                    self.look = None;
                    let is_live = Presence::decode(&reply.body) == Some(Presence::Live);
                    Ok(Some(Heard::Registered(is_live)))
                }
                Ok(_) => Ok(None),
                // That this node has too much to ask says nothing of the relay.
                Err(RequestError::NotSent(NotSent::Busy)) => {
                    self.look = None;
                    Ok(Some(Heard::Registered(true)))
                }
                Err(why) => failed(&mut self.look, &why, Asked::Look),
            },
            () = self.node.disconnected(&relay.key), if minds_disconnection => {
                Ok(Some(Heard::Disconnected))
            }
        }
    }
}

async fn progress(of: &mut Option<Pending>) -> Result<Progress, RequestError> {
    match of {
        Some(pending) => pending.progress().await,
        None => std::future::pending().await,
    }
}

fn failed(
    of: &mut Option<Pending>,
    why: &RequestError,
    asked: Asked,
) -> Result<Option<Heard>, Closing> {
    *of = None;
    if matches!(why, RequestError::Closing) { Err(Closing) } else { Ok(Some(Heard::Failed(asked))) }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// Tells where the node is now, if that has changed.
fn say(tell: &watch::Sender<Standing>, relay: Option<&Ticket>) {
    let now = relay.map_or(Standing::Nowhere, |relay| Standing::At(relay.key));
    tell.send_if_modified(|before| std::mem::replace(before, now) != now);
}
