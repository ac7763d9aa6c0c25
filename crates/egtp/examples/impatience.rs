//! Asks one peer; if it is slow, asks another as well; takes whichever answers. Proves TMO-5.
//!
//! The slow peer stays welcome: its late answer arrives too. Runs on a network in memory with its
//! own time, so nobody waits: `cargo run --example impatience`.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use egtp::testing::{Network, spawn};
use egtp::{Kind, Message, Node, Router, respond};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let kind = Kind::new("block.get/1")?;
    let network = Network::new(1).delay(Duration::from_millis(30));
    let (alice, bob) = (spawn(network.node())?, spawn(network.node())?);
    serve(&alice, &kind, "from alice, late", Duration::from_secs(5));
    serve(&bob, &kind, "from bob", Duration::from_millis(10));
    let node = spawn(network.node())?;
    let start = Instant::now();

    let ask = |peer: &Node| {
        node.request(peer.key(), Message::new(kind.clone(), "block 7"))
            .hard_timeout(Duration::from_secs(10))
    };
    let mut first = ask(&alice).soft_timeout(Duration::from_secs(1)).start();
    if let Some(reply) = first.before_slow().await? {
        println!("{:?} quick: {:?}", start.elapsed(), reply.body);
        return Err("alice was to be slow".into());
    }
    println!("{:?} alice is slow; asking bob as well", start.elapsed());
    let second = ask(&bob).await?;
    println!("{:?} {:?}", start.elapsed(), second.body);
    let late = first.await?;
    println!("{:?} {:?}", start.elapsed(), late.body);
    if second.body == "from bob" && late.body == "from alice, late" {
        Ok(())
    } else {
        Err("an answer is missing".into())
    }
}

fn serve(node: &Node, kind: &Kind, answer: &'static str, after: Duration) {
    let answer = respond(move |_, _| async move {
        tokio::time::sleep(after).await;
        answer
    });
    let (node, router) = (node.clone(), Router::new().route(kind.clone(), answer));
    tokio::spawn(async move { node.serve(router).await });
}
