//! Whether somebody can be called directly: found out by calling him, from somebody whom he does not know.
//!
//! A node cannot tell by looking at its own address; a firewall lets what it asks out, and nobody in. So the relay calls it
//! at the address that it comes from, and at no other, so that nobody is sent to a third. Invariant: few calls at a time,
//! and few of one asker; whoever is called proves the asker's key, or does not count.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egtp::relay::{DIAL_BACK, DialedBack, decode_ports, encode_ports};
use egtp::{
    HostPort, Kind, KindError, Message, Node, PublicKey, Query, Recipient, Refusal, RequestError,
    Router, Strategy, Ticket,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Calls those who ask for it, once it runs.
#[derive(Debug)]
#[must_use = "whoever asks is refused as soon as too many wait, until it runs"]
pub struct DialBack(mpsc::Receiver<Query>);

/// What a relay serves so that nodes find out whether they can be called, and who calls them: run it once the relay's
/// node has started.
///
/// # Errors
/// [`KindError`] if the kind were none, which it is.
pub fn dial_back() -> Result<(Router, DialBack), KindError> {
    let (asked, asking) = mpsc::channel(WAITING_MAX);
    let router = Router::new().route(Kind::new(DIAL_BACK)?, move |query: Query| {
        let asked = asked.clone();
        async move {
            if let Err(full) = asked.try_send(query) {
                full.into_inner().refuse(BUSY);
            }
        }
    });
    Ok((router, DialBack(asking)))
}

impl DialBack {
    /// Calls back for as long as the node lives.
    pub async fn run(mut self, node: Node) {
        let closed = node.closed();
        tokio::pin!(closed);
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        let mut lately = HashMap::new();
        loop {
            let query = tokio::select! {
                () = &mut closed => return,
                query = self.0.recv() => match query {
                    Some(query) => query,
                    None => return,
                },
            };
            let (from, now) = (query.from(), Instant::now());
            lately.retain(|_, at: &mut Instant| now.duration_since(*at) < PAUSE);
            if lately.len() >= ASKERS_MAX || lately.contains_key(&from) {
                query.refuse(BUSY);
                continue;
            }
            lately.insert(from, now);
            let Ok(place) = Arc::clone(&at_once).acquire_owned().await else { return };
            let node = node.clone();
            tokio::spawn(async move {
                answer(&node, query).await;
                drop(place);
            });
        }
    }
}

async fn answer(node: &Node, query: Query) {
    let from = query.from();
    let Some(ports) = decode_ports(query.body()) else { return query.refuse(Refusal::Failed) };
    // What comes with the first packet of a connection is here before the connection has been proved.
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let seen = timeout(PATIENCE, async {
        loop {
            looks.tick().await;
            if let Some(seen) = address(node, &from).await {
                return seen;
            }
        }
    });
    let Ok(seen) = seen.await else { return query.refuse(Refusal::Failed) };
    let mut calls = JoinSet::new();
    for port in ports {
        calls.spawn(async move { call(from, SocketAddr::new(seen, port)).await.then_some(port) });
    }
    let mut open: Vec<u16> = calls.join_all().await.into_iter().flatten().collect();
    open.sort_unstable();
    query.reply(DialedBack { seen, open }.encode());
}

/// Where somebody comes from who has a connection with the node.
async fn address(node: &Node, peer: &PublicKey) -> Option<IpAddr> {
    let paths = node.status().await?.paths;
    let mut of_peer =
        paths.iter().filter(|path| path.peer.as_ref() == Some(peer) && !path.strategy.is_relayed());
    let address = |at: &HostPort| at.socket_addr().map(|at| at.ip().to_canonical());
    of_peer.find_map(|path| path.strategy.host_port().and_then(address))
}

/// Whether somebody answers there who has this key: called by a stranger, over a connection of his own.
async fn call(key: PublicKey, at: SocketAddr) -> bool {
    let Ok(kind) = Kind::new(DIAL_BACK) else { return false };
    let Ok(stranger) = Node::builder().start().await else { return false };
    let there = Ticket { key, strategies: vec![Strategy::Tcp(at.into())] };
    let asked = stranger.request(there, Message::new(kind, Bytes::new())).hard_timeout(PATIENCE);
    let answered = matches!(asked.await, Ok(_) | Err(RequestError::Refused(_)));
    let _ = timeout(PATIENCE, stranger.close()).await;
    answered
}

/// Asks a relay to call a node at these ports, four at most, and says where it is seen and which of them are open.
///
/// # Errors
/// [`RequestError::Refused`] if the relay calls nobody back, or has just done so for this node: ask again in half a
/// minute. Others as for every request. `Ok(None)` if the reply is not understood.
pub async fn ask_back(
    node: &Node,
    relay: impl Into<Recipient>,
    ports: &[u16],
) -> Result<Option<DialedBack>, RequestError> {
    let Ok(kind) = Kind::new(DIAL_BACK) else { return Ok(None) };
    let asked = node.request(relay, Message::new(kind, encode_ports(ports)));
    let reply = asked.hard_timeout(PATIENCE * 3).await?;
    Ok(DialedBack::decode(&reply.body))
}

/// How long whoever is called may take. What a firewall drops is never answered.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked where an asker comes from, until that is proved.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Of one asker, one in so long.
const PAUSE: Duration = Duration::from_secs(10);
/// Askers that are remembered for that. Above it all are refused.
const ASKERS_MAX: usize = 4_096;
/// Askers for whom calls are made at a time.
const AT_ONCE: usize = 8;
/// Askers that wait.
const WAITING_MAX: usize = 64;
const BUSY: Refusal = Refusal::Busy { retry_after: PAUSE };
