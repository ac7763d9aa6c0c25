//! EGTP over TCP: the driver on a thread of its own, requests as users write them. `DURABLE`: with a store on the
//! answering end's disk, where a request is before it is handed over, and its reply before it is sent.
//!
//! Where connections are counted or weighed (`raise_limits` is false there), each client is an
//! identity of its own, since a session outlives its connections; its driver is a task of the
//! client's runtime then, or 2,000 idle clients would be 2,000 threads. Nothing of that limits what
//! the connection may do: EGTP has no streams to permit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use egtp::store::SqliteStore;
use egtp::{Kind, Message, Node, Router, Ticket};

use super::Side;
use crate::outcome::Outcome;
use crate::requests::TIMEOUT;
use crate::server::announce;
use crate::{bodies, system};

pub struct Egtp<const DURABLE: bool>;

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

impl<const DURABLE: bool> Side for Egtp<DURABLE> {
    const TIMES_OUT: bool = true;
    /// Whether drivers get threads of their own.
    type Local = bool;
    type Link = Link;

    async fn serve(_: bool) -> Outcome<()> {
        let mut builder = Node::builder().listen("127.0.0.1:0".parse()?);
        if DURABLE {
            let folder = system::scratch(std::process::id());
            std::fs::create_dir_all(&folder)?;
            builder = builder.store(SqliteStore::open(folder.join("store.db"))?);
        }
        let node = builder.start().await?;
        let answer = |query: &egtp::QueryEvent| bodies::answer(query.message.body.clone());
        let router = Router::new().route_sync(kind(), answer);
        announce(node.ticket());
        Ok(node.serve(router).await?)
    }

    async fn local(raise_limits: bool) -> Outcome<bool> {
        Ok(raise_limits)
    }

    async fn connect(&own_thread: &bool, address: &str) -> Outcome<Link> {
        let node = if own_thread {
            Node::builder().start().await?
        } else {
            let (node, driver) = Node::builder().start_inline()?;
            tokio::spawn(driver);
            node
        };
        let ticket = Arc::new(address.parse()?);
        Ok(Link { node, ticket, kind: kind(), is_known: Arc::default() })
    }

    async fn ask(link: &Link, body: Bytes) -> Outcome<Bytes> {
        let message = Message::new(link.kind.clone(), body);
        let request = if link.is_known.load(Relaxed) {
            link.node.request(link.ticket.key, message)
        } else {
            link.node.request(&*link.ticket, message)
        };
        let request = if DURABLE { request.durable() } else { request };
        let reply = request.hard_timeout(TIMEOUT).await?;
        if !link.is_known.load(Relaxed) {
            link.is_known.store(true, Relaxed);
        }
        Ok(reply.body)
    }

    async fn close(_: &bool, link: Link) {
        // The last handle takes the node with it.
        drop(link);
    }
}
