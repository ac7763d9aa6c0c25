//! The event model, explained by running it. Proves EVT-5, EVT-1, EVT-2.
//!
//! A node has one loop (unless `Builder::loops` says otherwise). It takes in what happened (a packet, a deadline, a wish of the program),
//! decides, and sends; then the next thing. Nothing in it waits for anything, and nobody else can
//! see it half done: there are no locks to hold, so there is nothing to deadlock on.
//!
//! * `route_sync` handlers run *inside* that loop, one after another. They may use shared state
//!   without care, but must not wait.
//! * `route` handlers are tasks of your own runtime. They may wait, for other nodes too: below, two
//!   nodes ask each other from inside their handlers, which in a system that answers one thing at a
//!   time would stand still for ever.
//!
//! `cargo run --example event_model`

#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use egtp::{Kind, Message, Node, Router, respond};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (count, depth) = (Kind::new("count/1")?, Kind::new("depth/1")?);
    let a = Node::builder().listen("127.0.0.1:0".parse()?).start().await?;
    let b = Node::builder().listen("127.0.0.1:0".parse()?).start().await?;
    serve(&a, &b, &count, &depth);
    serve(&b, &a, &count, &depth);

    // A hundred requests at once to a handler inside the loop: each sees the state that the one
    // before it left, and no other. A read and a later write, with no lock between them, lose nothing.
    let asker = Node::builder().start().await?;
    let pending: Vec<_> = (0..100)
        .map(|_| asker.request(a.ticket(), Message::new(count.clone(), "")).start())
        .collect();
    let mut seen = Vec::new();
    for one in pending {
        seen.push(String::from_utf8(one.await?.body.to_vec())?.parse::<u64>()?);
    }
    seen.sort_unstable();
    println!("100 requests at once saw the counter at 1, 2, ... {}", seen.len());
    if seen != (1..=100).collect::<Vec<u64>>() {
        return Err("a callback saw another one half done".into());
    }

    // Ten levels deep, a asks b from inside a handler, which asks a from inside a handler ...
    let reply = asker.request(a.ticket(), Message::new(depth, "10")).await?;
    println!("ten nested requests between two nodes: {:?}", reply.body);
    Ok(())
}

fn serve(node: &Node, other: &Node, count: &Kind, depth: &Kind) {
    let counter = Arc::new(AtomicU64::new(0));
    let counting = move |_: &egtp::QueryEvent| {
        // Deliberately not one atomic step: only the order of the loop makes it right.
        let before = counter.load(Ordering::Relaxed);
        counter.store(before + 1, Ordering::Relaxed);
        (before + 1).to_string()
    };
    let (asker, ticket, kind) = (node.clone(), other.ticket(), depth.clone());
    let nesting = respond(move |_, body| {
        let (asker, ticket, kind) = (asker.clone(), ticket.clone(), kind.clone());
        async move {
            let left: u32 = String::from_utf8_lossy(&body).parse().unwrap_or(0);
            if left == 0 {
                return "the bottom".into();
            }
            let next = Message::new(kind, (left - 1).to_string());
            match asker.request(&ticket, next).await {
                Ok(reply) => reply.body.to_vec(),
                Err(error) => error.to_string().into_bytes(),
            }
        }
    });
    let router = Router::new().route_sync(count.clone(), counting).route(depth.clone(), nesting);
    let node = node.clone();
    tokio::spawn(async move { node.serve(router).await });
}
