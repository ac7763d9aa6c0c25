//! EGTP over TCP, in the ways in which a program can use it.
//!
//! Where connections are counted or weighed (`raise_limits` is false there), each client is an
//! identity of its own, since a session outlives its connections; its driver is a task of the
//! client's runtime then, or 2,000 idle clients would be 2,000 threads. Nothing of that limits what
//! the connection may do: EGTP has no streams to permit. Elsewhere one packet of a hundred of the client's is sent
//! twice, to be refused.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use egtp::path::Path;
use egtp::store::SqliteStore;
use egtp::{
    Builder, Cipher, Completion, Kind, Message, Node, PeerCard, Request, Router, Suites, Ticket,
};

use super::Side;
use crate::bodies::Bodies;
use crate::outcome::Outcome;
use crate::requests::{self, TIMEOUT};
use crate::server::{SERVED, announce};
use crate::tally::Tally;
use crate::{bodies, relay, system};

/// What a row does otherwise than the first one.
pub trait How: Send + Sync + 'static {
    /// With a store on the answering end's disk, where a request is before it is handed over, and its reply before
    /// it is sent.
    const DURABLE: bool = false;
    /// The drivers are tasks of the caller's runtime, at both ends, as those of the other libraries are.
    const INLINE: bool = false;
    /// How long they look for more before they sleep.
    const SPIN: Duration = Duration::ZERO;
    /// No task for each request: one submits and reaps many together.
    const BATCH: bool = false;
    /// No hybrid suite, at the asking end.
    const CLASSICAL: bool = false;
    /// Loops of the answering end.
    const LOOPS: u16 = 1;
    /// A new client goes on from what one before it has heard of the server; otherwise it has to ask it first.
    const CARD: bool = true;
    /// The answering end cannot be called, and is reached by a relay.
    const RELAYED: bool = false;
}

/// The driver on a thread of its own, requests as users write them.
pub struct Plain;
pub struct Durable;
pub struct Inline;
pub struct Spinning;
pub struct Batched;
pub struct Classical;
pub struct Knocking;
pub struct TwoLoops;
pub struct Relayed;

impl How for Plain {}
impl How for Durable {
    const DURABLE: bool = true;
}
impl How for Inline {
    const INLINE: bool = true;
}
impl How for Spinning {
    const INLINE: bool = true;
    const SPIN: Duration = Duration::from_millis(1);
}
impl How for Classical {
    const CLASSICAL: bool = true;
}
impl How for Knocking {
    const CARD: bool = false;
}
impl How for TwoLoops {
    const LOOPS: u16 = 2;
}
impl How for Relayed {
    const RELAYED: bool = true;
}
impl How for Batched {
    const BATCH: bool = true;
}

pub struct Egtp<H>(PhantomData<H>);

/// How many of a batch have to have ended before its task looks.
const REAPED_TOGETHER: usize = 64;

#[derive(Clone)]
pub struct Link {
    node: Node,
    ticket: Arc<Ticket>,
    kind: Kind,
    /// Whether the ticket's hints have been given.
    is_known: Arc<AtomicBool>,
}

fn kind() -> Kind {
    Kind::new("echo/1").expect("a kind")
}

/// What outlives the connections of a client.
pub struct Local {
    /// Whether this is a load of many requests, and drivers get threads of their own.
    raises_limits: bool,
    /// What was heard of the server, by a client that has gone.
    card: Mutex<Option<PeerCard>>,
}

/// One packet of a hundred is sent twice.
fn doubling(path: Box<dyn Path>) -> Box<dyn Path> {
    let mut number = 0_u32;
    egtp::testing::copies(path, move |_| {
        number = (number + 1) % 100;
        if number == 0 { 2 } else { 1 }
    })
}

async fn start<H: How>(builder: Builder, inline: bool) -> Outcome<Node> {
    let builder = builder.spin(H::SPIN);
    if !inline {
        return Ok(builder.start().await?);
    }
    let (node, driver) = builder.start_inline()?;
    tokio::spawn(driver);
    Ok(node)
}

/// A request for one reply.
fn request(link: &Link, body: Bytes) -> Request {
    let message = Message::new(link.kind.clone(), body);
    let request = if link.is_known.load(Relaxed) {
        link.node.request(link.ticket.key, message)
    } else {
        link.node.request(&*link.ticket, message)
    };
    request.hard_timeout(TIMEOUT)
}

/// As [`requests::pump`], with one task.
async fn pump_batch(link: Link, (many, bytes): (usize, usize), tally: Arc<Tally>) -> Outcome<()> {
    let mut batch = link.node.batch(many);
    let mut slots: Vec<(Bodies, Bytes)> =
        (0..many).map(|slot| (Bodies::new(slot, bytes), Bytes::new())).collect();
    for (slot, (bodies, body)) in slots.iter_mut().enumerate() {
        *body = bodies.next();
        batch.push(slot as u64, request(&link, body.clone()))?;
    }
    let mut completions = Vec::new();
    while !tally.is_over() {
        batch.reap(REAPED_TOGETHER, &mut completions).await;
        for Completion { tag, result } in completions.drain(..) {
            let (bodies, body) = &mut slots[tag as usize];
            requests::compare(body, &result?.body)?;
            tally.add(tag as usize, 1);
            *body = bodies.next();
            batch.push(tag, request(&link, body.clone()))?;
        }
    }
    while batch.reap(1, &mut completions).await > 0 {
        for Completion { tag, result } in completions.drain(..) {
            requests::compare(&slots[tag as usize].1, &result?.body)?;
            tally.add(tag as usize, 1);
        }
    }
    Ok(())
}

impl<H: How> Side for Egtp<H> {
    const TIMES_OUT: bool = true;
    const COUNTS: bool = true;
    const LOOPS: u16 = H::LOOPS;
    type Local = Local;
    type Link = Link;

    async fn serve(_: bool) -> Outcome<()> {
        let mut builder = Node::builder().loops(H::LOOPS);
        if !H::RELAYED {
            builder = builder.listen("127.0.0.1:0".parse()?);
        }
        if H::DURABLE {
            builder = builder.store(SqliteStore::open(system::folder()?.join("store.db"))?);
        }
        let node = start::<H>(builder, H::INLINE).await?;
        let answer = |query: &egtp::QueryEvent| {
            SERVED.fetch_add(1, Relaxed);
            bodies::answer(query.message.body.clone())
        };
        let router = Router::new().route_sync(kind(), answer);
        // Kept for as long as it serves.
        let registration = if H::RELAYED { Some(relay::register(&node).await?) } else { None };
        announce(registration.as_ref().map_or_else(|| node.ticket(), |(_, by)| by.clone()));
        Ok(node.serve(router).await?)
    }

    async fn local(raises_limits: bool) -> Outcome<Local> {
        Ok(Local { raises_limits, card: Mutex::default() })
    }

    async fn connect(local: &Local, address: &str) -> Outcome<Link> {
        let mut builder = Node::builder();
        if H::CLASSICAL {
            builder = builder.suites(Suites::classical(Cipher::Aes256Gcm));
        }
        if local.raises_limits {
            builder = builder.around_path(doubling);
        }
        let node = start::<H>(builder, H::INLINE || !local.raises_limits).await?;
        if let Some(card) = local.card.lock().expect("nothing panics with it").clone() {
            node.learn_card(card);
        }
        let ticket = Arc::new(address.parse()?);
        Ok(Link { node, ticket, kind: kind(), is_known: Arc::default() })
    }

    async fn ask(link: &Link, body: Bytes) -> Outcome<Bytes> {
        let request = request(link, body);
        let request = if H::DURABLE { request.durable() } else { request };
        let reply = request.await?;
        if !link.is_known.load(Relaxed) {
            link.is_known.store(true, Relaxed);
        }
        Ok(reply.body)
    }

    async fn close(local: &Local, link: Link) {
        let lacks_card = local.card.lock().expect("nothing panics with it").is_none();
        if H::CARD && lacks_card {
            let card = link.node.card_of(&link.ticket.key).await;
            *local.card.lock().expect("nothing panics with it") = card;
        }
        // The last handle takes the node with it.
        drop(link);
    }
    async fn pump(link: Link, load: (usize, usize), tally: Arc<Tally>) -> Outcome<()> {
        if H::BATCH {
            return pump_batch(link, load, tally).await;
        }
        requests::pump::<Self>(link.clone(), load, tally).await?;
        if H::RELAYED && !relay::is_between(&link.node, &link.ticket).await {
            return Err("not all of it went by the relay".into());
        }
        Ok(())
    }
}
