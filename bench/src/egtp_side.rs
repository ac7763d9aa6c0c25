//! EGTP's side: an echo on the driver, requests as users write them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use egtp::{Kind, Message, Node, Router, Ticket};

use crate::{Figures, machine};

fn kind() -> Kind {
    Kind::new("echo/1").expect("a kind")
}

/// An echo server; prints its ticket.
pub async fn serve() {
    let (node, driver) = Node::builder()
        .listen("127.0.0.1:0".parse().expect("an address"))
        .start_inline()
        .expect("a node");
    println!("{}", node.ticket());
    let router = Router::new().route_sync(kind(), |query| query.message.body.clone());
    tokio::join!(driver, async move { node.serve(router).await.ok() });
}

async fn client(ticket: &Ticket) -> Node {
    let (node, driver) = Node::builder().start_inline().expect("a node");
    tokio::spawn(driver);
    ask(&node, ticket, Bytes::new()).await;
    node
}

async fn ask(node: &Node, ticket: &Ticket, body: Bytes) {
    let length = body.len();
    let reply = node.request(ticket.key, Message::new(kind(), body));
    let reply = if length == 0 { node.request(ticket, Message::new(kind(), Bytes::new())) } else { reply };
    assert_eq!(reply.await.expect("a reply").body.len(), length);
}

pub async fn measure(ticket: String, span: Duration) -> Figures {
    let ticket: Ticket = ticket.parse().expect("a ticket");
    let node = client(&ticket).await;
    let many = throughput(&node, &ticket, 1000, 128, span).await;
    let alone = latency(&node, &ticket, span).await;
    let bulk = throughput(&node, &ticket, 16, 100 * 1024, span).await * 102_400.0 / 1e6;
    Figures { many, alone, bulk }
}

/// Requests a second with so many tasks, each asking again when it is answered.
async fn throughput(node: &Node, ticket: &Ticket, tasks: usize, bytes: usize, span: Duration) -> f64 {
    let body = Bytes::from(vec![7; bytes]);
    let warm = Instant::now() + span / 4;
    let end = warm + span;
    let mut running = Vec::new();
    for _ in 0..tasks {
        let (node, ticket, body) = (node.clone(), ticket.clone(), body.clone());
        running.push(tokio::spawn(async move {
            let mut count = 0_u64;
            loop {
                ask(&node, &ticket, body.clone()).await;
                let now = Instant::now();
                if now > end {
                    return count;
                }
                count += u64::from(now > warm);
            }
        }));
    }
    let mut count = 0;
    for task in running {
        count += task.await.expect("a task");
    }
    count as f64 / span.as_secs_f64()
}

async fn latency(node: &Node, ticket: &Ticket, span: Duration) -> f64 {
    let body = Bytes::from(vec![7; 128]);
    let (mut times, end) = (Vec::new(), Instant::now() + span);
    while Instant::now() < end {
        let start = Instant::now();
        ask(node, ticket, body.clone()).await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// New identities a second, one after another: connection, handshake and first request.
pub async fn handshakes(ticket: String, span: Duration) -> f64 {
    let ticket: Ticket = ticket.parse().expect("a ticket");
    let (mut count, start) = (0_u32, Instant::now());
    while start.elapsed() < span {
        let node = client(&ticket).await;
        drop(node);
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// Growth of the server's memory for each of `count` identities that asked once and stay.
pub async fn idle(ticket: String, server: u32, count: u32) -> f64 {
    let ticket: Ticket = ticket.parse().expect("a ticket");
    let before = machine::resident(server);
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(client(&ticket).await);
    }
    (machine::resident(server) - before) / f64::from(count)
}
