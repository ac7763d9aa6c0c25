//! Keeps a node registered at one of several relays, so that others reach it there.
//!
//! Stays with a relay for as long as that answers, and goes to the next one within seconds when it does not. Load is no
//! reason to go: a relay that is slow is given ten seconds. Invariant: at most one registration counts at a time, and
//! packets are taken in only from the relay that it is at.

use std::time::Duration;

use bytes::Bytes;
use egtp::relay::{self, OPEN, Presence, REGISTER};
use egtp::{Kind, Message, Node, NotSent, Pending, Progress, PublicKey, RequestError, Ticket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

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

/// Why a relay is left.
#[derive(Debug)]
enum Left {
    /// It does not answer, or does not want us.
    Relay,
    /// The node closes.
    Node,
}

async fn stay(node: &Node, relays: &[Ticket], tell: &watch::Sender<Standing>) {
    let mut pauses = PAUSE_MIN;
    loop {
        for relay in relays {
            let begun = Instant::now();
            node.trust_relay(relay.key, true);
            let left = at(node, relay, tell).await;
            node.trust_relay(relay.key, false);
            say(tell, Standing::Nowhere);
            if matches!(left, Left::Node) {
                return;
            }
            if begun.elapsed() > PAUSE_MAX {
                pauses = PAUSE_MIN;
            }
            tracing::info!(relay = %relay.key.short(), "left a relay");
        }
        // None of them answers.
        sleep(pauses).await;
        pauses = (pauses * 2).min(PAUSE_MAX);
    }
}

/// Registers at a relay, and stays there.
async fn at(node: &Node, relay: &Ticket, tell: &watch::Sender<Standing>) -> Left {
    // Given up only when the next one counts, so that the node is never absent in between.
    let mut lease = None;
    loop {
        let Some(request) = ask(node, relay, REGISTER, &relay::encode_lease(LEASE)) else {
            return Left::Relay;
        };
        let mut next = request.hard_timeout(LEASE + PATIENCE).start();
        match timeout(PATIENCE, taken(&mut next)).await {
            Ok(Ok(())) => {}
            Ok(Err(RequestError::Closing)) => return Left::Node,
            Ok(Err(_)) | Err(_) => return Left::Relay,
        }
        if let Err(left) = entered(node, relay, &mut next).await {
            return left;
        }
        say(tell, Standing::At(relay.key));
        if let Some(left) = until_due(node, relay, lease.insert(next)).await {
            return left;
        }
    }
}

/// Waits until a registration that the relay has taken is entered there: a busy one may come to that later, which is no
/// reason to leave.
async fn entered(node: &Node, relay: &Ticket, lease: &mut Pending) -> Result<(), Left> {
    let looks = async {
        while !is_registered(node, relay).await? {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    tokio::select! {
        entered = timeout(PATIENCE, looks) => entered.unwrap_or(Err(Left::Relay)),
        ended = ended(lease) => match ended {
            // A short lease: it was there.
            Ok(()) => Ok(()),
            Err(RequestError::Closing) => Err(Left::Node),
            Err(_) => Err(Left::Relay),
        },
    }
}

/// Tells where the node is now, if that has changed.
fn say(tell: &watch::Sender<Standing>, now: Standing) {
    tell.send_if_modified(|before| std::mem::replace(before, now) != now);
}

/// Until it is time to register again, which is no reason to leave.
async fn until_due(node: &Node, relay: &Ticket, lease: &mut Pending) -> Option<Left> {
    let due = Instant::now() + RENEWAL;
    let mut probed = Instant::now();
    loop {
        tokio::select! {
            ended = ended(lease) => return match ended {
                Ok(()) => None,
                Err(RequestError::Closing) => Some(Left::Node),
                Err(_) => Some(Left::Relay),
            },
            () = sleep_until(due) => return None,
            () = node.disconnected(&relay.key) => {}
            () = sleep_until(probed + PROBE_EVERY) => {}
        }
        match is_registered(node, relay).await {
            Ok(true) => probed = Instant::now(),
            // It has forgotten us, which it does when it could not reach us for a moment.
            Ok(false) => return None,
            Err(left) => return Some(left),
        }
    }
}

/// Asks the relay whether the node is registered. If it says either, the relay is there.
async fn is_registered(node: &Node, relay: &Ticket) -> Result<bool, Left> {
    let asked = ask(node, relay, OPEN, node.key().as_bytes()).ok_or(Left::Relay)?;
    match asked.hard_timeout(PATIENCE).await {
        Ok(reply) => Ok(Presence::decode(&reply.body) == Some(Presence::Live)),
        // That this node has too much to ask says nothing of the relay.
        Err(RequestError::NotSent(NotSent::Busy)) => Ok(true),
        Err(RequestError::Closing) => Err(Left::Node),
        Err(_) => Err(Left::Relay),
    }
}

fn ask(node: &Node, relay: &Ticket, kind: &str, body: &[u8]) -> Option<egtp::Request> {
    let message = Message::new(Kind::new(kind).ok()?, Bytes::copy_from_slice(body));
    Some(node.request(relay, message))
}

/// Waits until a request is with whoever answers it.
async fn taken(request: &mut Pending) -> Result<(), RequestError> {
    loop {
        match request.progress().await? {
            Progress::Taken | Progress::Replied(_) => return Ok(()),
            _ => {}
        }
    }
}

/// Waits until a request has its reply.
async fn ended(request: &mut Pending) -> Result<(), RequestError> {
    while !matches!(request.progress().await?, Progress::Replied(_)) {}
    Ok(())
}

/// How long a registration is asked for.
const LEASE: Duration = Duration::from_mins(1);
/// After how long it is asked for again: in time for one more try.
const RENEWAL: Duration = Duration::from_secs(45);
/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked whether a registration is entered yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often it is asked whether it is there, if nothing else happens.
const PROBE_EVERY: Duration = Duration::from_secs(25);
/// How long to wait when none answers, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(3);
