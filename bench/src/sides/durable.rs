//! EGTP with a store on the answering end's disk: a request is there before it is handed over, and its reply before it
//! is sent. Everything else as in the row without a disk.

use std::sync::Arc;

use bytes::Bytes;
use egtp::store::SqliteStore;
use egtp::{Kind, Message, Node, Router, Ticket};

use super::Side;
use crate::outcome::Outcome;
use crate::requests::TIMEOUT;
use crate::server::announce;
use crate::{bodies, system};

pub struct Durable;

#[derive(Clone)]
pub struct Link {
    node: Node,
    ticket: Arc<Ticket>,
    kind: Kind,
}

fn kind() -> Kind {
    Kind::new("echo/1").expect("a kind")
}

impl Side for Durable {
    const TIMES_OUT: bool = true;
    type Local = ();
    type Link = Link;

    async fn serve(_: bool) -> Outcome<()> {
        let folder = system::scratch(std::process::id());
        std::fs::create_dir_all(&folder)?;
        let store = SqliteStore::open(folder.join("store.db"))?;
        let node = Node::builder().listen("127.0.0.1:0".parse()?).store(store).start().await?;
        let answer = |query: &egtp::QueryEvent| bodies::answer(query.message.body.clone());
        let router = Router::new().route_sync(kind(), answer);
        announce(node.ticket());
        Ok(node.serve(router).await?)
    }

    async fn local(_: bool) -> Outcome<()> {
        Ok(())
    }

    async fn connect((): &(), address: &str) -> Outcome<Link> {
        let node = Node::builder().start().await?;
        Ok(Link { node, ticket: Arc::new(address.parse()?), kind: kind() })
    }

    async fn ask(link: &Link, body: Bytes) -> Outcome<Bytes> {
        let message = Message::new(link.kind.clone(), body);
        let request = link.node.request(&*link.ticket, message).durable();
        Ok(request.hard_timeout(TIMEOUT).await?.body)
    }

    async fn close((): &(), link: Link) {
        // The last handle takes the node with it.
        drop(link);
    }
}
