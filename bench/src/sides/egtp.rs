//! EGTP over TCP: the driver on a thread of its own, requests as users write them.
//!
//! Where connections are counted or weighed (`raise_limits` is false there), each client is an
//! identity of its own, since a session outlives its connections; its driver is a task of the
//! client's runtime then, or 2,000 idle clients would be 2,000 threads. Nothing of that limits what
//! the connection may do: EGTP has no streams to permit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use egtp::{Kind, Message, Node, Router, Ticket};

use super::Side;
use crate::bodies;
use crate::outcome::Outcome;
use crate::requests::TIMEOUT;
use crate::server::announce;

pub struct Egtp;

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

impl Side for Egtp {
    const TIMES_OUT: bool = true;
    /// Whether drivers get threads of their own.
    type Local = bool;
    type Link = Link;

    async fn serve(_: bool) -> Outcome<()> {
        let node = Node::builder().listen("127.0.0.1:0".parse()?).start().await?;
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
