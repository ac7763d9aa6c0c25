//! Asks a node for an echo, three times. Proves STA-4, STA-1.
//!
//! With a ticket as argument it asks that node; without one it starts a node of its own to ask, so
//! that it can be run as it is: `cargo run --example ping [TICKET]`.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example shows what it does")]

use std::error::Error;

use egtp::{Kind, Message, Node, Router, Ticket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let echo = Kind::new("echo/1")?;
    let ticket: Ticket = if let Some(text) = std::env::args().nth(1) {
        text.parse()?
    } else {
        let server = Node::builder().listen("127.0.0.1:0".parse()?).start().await?;
        let router = Router::new().route_sync(echo.clone(), |query| query.message.body.clone());
        let ticket = server.ticket();
        tokio::spawn(async move { server.serve(router).await });
        ticket
    };
    let node = Node::builder().start().await?;
    println!("asking {ticket}");
    for number in 1..=3 {
        let body = format!("ping {number}");
        let reply = node.request(&ticket, Message::new(echo.clone(), body.clone())).await?;
        if reply.body != body {
            return Err("that is not what was asked".into());
        }
        let via = reply.via.map_or_else(|| "?".into(), |via| via.to_string());
        println!("{} in {:?} over {via}", body, reply.took);
    }
    Ok(())
}
