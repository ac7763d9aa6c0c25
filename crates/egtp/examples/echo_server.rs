//! A node that answers, until it has answered as often as it was told to.
//!
//! `cargo run --example echo_server [COUNT]` prints its ticket and answers COUNT requests (without
//! COUNT it asks itself three times from a second node and ends, so that it can be run as it is).

#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example shows what it does")]

use std::error::Error;

use egtp::{Kind, Message, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count: Option<usize> = std::env::args().nth(1).map(|text| text.parse()).transpose()?;
    let echo = Kind::new("echo/1")?;
    let node = Node::builder().listen("127.0.0.1:0".parse()?).start().await?;
    println!("{}", node.ticket());

    if count.is_none() {
        let ticket = node.ticket();
        let echo = echo.clone();
        tokio::spawn(async move {
            let asker = Node::builder().start().await.expect("a second node");
            for body in ["one", "two", "three"] {
                let reply = asker.request(&ticket, Message::new(echo.clone(), body)).await;
                println!("asked {body:?}, got {reply:?}");
            }
        });
    }

    // Pulled one by one; `Node::serve` with a `Router` is the other way.
    let mut queries = node.queries(echo)?;
    for _ in 0..count.unwrap_or(3) {
        let Some(query) = queries.next().await else { break };
        println!("{} asks {} bytes", query.from().short(), query.body().len());
        let body = query.body().clone();
        query.reply(body);
    }
    drop(queries);
    // Replies that are on their way are sent before the node goes.
    node.close().await;
    Ok(())
}
