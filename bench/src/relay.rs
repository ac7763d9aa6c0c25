//! The relay's process, and how a server is reached by it.
//!
//! It is as `egtp relay` makes it: a driver with a thread of its own, registrations as tasks of the runtime. What each
//! sender may have passed on in a second is without a bound where it would be all that is measured, and the product's own
//! where a row says so.

use std::time::Duration;

use egtp::{Allowed, Node, Strategy, Ticket};
use egtp_services::relay::{Client, Limits, Relay};

use crate::outcome::Outcome;
use crate::plan::{Cell, Work};
use crate::server::{announce, answer_orders};
use crate::sides::Name;

/// Where a server's process finds the ticket of its relay.
pub const TICKET: &str = "EGTP_BENCH_RELAY";

/// How long a relay may take to enter a node.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(cell: &Cell) -> Outcome<()> {
    std::thread::spawn(answer_orders);
    let runtime = cell.row.runtime.build()?;
    let limits = limits(cell);
    let relaying = runtime.spawn(async move {
        let mut builder = Node::builder().listen("127.0.0.1:0".parse()?);
        for router in Relay::new(limits).routers(Allowed::Anybody)? {
            builder = builder.serve(router);
        }
        let node = builder.start().await?;
        announce(node.ticket());
        node.closed().await;
        Outcome::Ok(())
    });
    runtime.block_on(relaying)?
}

fn limits(cell: &Cell) -> Limits {
    let is_usual = cell.work == Work::Registered || cell.row.side == Name::RelayedShare;
    let usual = Limits::default();
    if is_usual { usual } else { Limits { bytes_per_second: u64::MAX, ..usual } }
}

/// How a node that is registered there is reached.
pub fn by(relay: &Ticket, node: &Node) -> Ticket {
    let at = relay.strategies.iter().find_map(|strategy| match strategy {
        Strategy::Tcp(at) => Some(at.clone()),
        _ => None,
    });
    Ticket { key: node.key(), strategies: vec![Strategy::Relay { relay: relay.key, at }] }
}

/// Registers a node with the relay that this process was given.
pub async fn register(node: &Node) -> Outcome<(Client, Ticket)> {
    let relay: Ticket = std::env::var(TICKET)?.parse()?;
    let client = registered(node, relay.clone()).await?;
    Ok((client, by(&relay, node)))
}

/// Registers a node with a relay, and waits until it is entered there.
pub async fn registered(node: &Node, relay: Ticket) -> Outcome<Client> {
    let mut client = Client::start(node.clone(), vec![relay]);
    let entered = tokio::time::timeout(PATIENCE, client.registered()).await;
    entered
        .map_err(|_| "the relay has not entered a node in time")?
        .ok_or("the node has closed")?;
    Ok(client)
}

/// Whether all that leads from a node to another goes by a relay.
pub async fn is_between(node: &Node, peer: &Ticket) -> bool {
    let Some(status) = node.status().await else { return false };
    let mut paths = status.paths.iter().filter(|path| path.peer == Some(peer.key)).peekable();
    paths.peek().is_some() && paths.all(|path| matches!(path.strategy, Strategy::Relay { .. }))
}
