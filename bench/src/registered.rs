//! What a relay pays for clients that are registered and idle, and how soon one of them is reached.
//!
//! All clients are in this process, each with an identity, a connection and a registration of its own, kept by what
//! programs use for that ([`egtp_services::relay::Client`]); their drivers are tasks of one runtime. Those that are asked
//! in the end are drawn anew each time.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use bytes::Bytes;
use egtp::{Kind, Message, Node, Router, Ticket};
use egtp_services::relay::{Client, Standing};
use tokio::task::JoinSet;

use crate::client::Figures;
use crate::outcome::Outcome;
use crate::plan::{Cell, PUSHED, REGISTERED_SECONDS};
use crate::processes::Server;
use crate::{relay, system};

/// How many shake hands at once: a relay takes 256 strangers of one address at a time.
const AT_ONCE: usize = 64;
/// How long the last handshakes are given to be over.
const SETTLE: Duration = Duration::from_secs(3);
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Files that a process has open besides.
const OTHER_FILES: u64 = 100;

struct Registered {
    node: Node,
    client: Client,
}

pub fn measure(cell: &Cell) -> Outcome<Figures> {
    // Before the relay is started, which inherits it.
    system::raise_open_files(u64::from(cell.clients) + OTHER_FILES)?;
    let relay = Server::relay(cell)?;
    cell.row.runtime.build()?.block_on(watch(cell, relay))
}

async fn watch(cell: &Cell, mut relay: Server) -> Outcome<Figures> {
    let ticket: Ticket = relay.address.parse()?;
    // The first one pays for what all share; and somebody who is registered nowhere, and knows the relay.
    let (first, sender) = (registered(ticket.clone()).await?, Node::builder().start().await?);
    ask(&sender, relay::by(&ticket, &first.node)).await?;
    let (memory, kernel, begun) =
        (system::resident(relay.id())?, system::KernelMemory::read()?, Instant::now());
    let ours = system::resident(std::process::id())?;
    let all = crowd(cell.clients, &ticket).await?;
    let entered = begun.elapsed();
    tokio::time::sleep(SETTLE).await;
    let (before, own, machine) = (relay.used()?, system::used()?, system::busy()?);
    let at = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(REGISTERED_SECONDS)).await;
    let seconds = at.elapsed().as_secs_f64();
    let busy = (relay.used()? - before).as_secs_f64() / seconds;
    let own = (system::used()? - own).as_secs_f64() / seconds;
    let machine = system::busy()?.saturating_sub(machine).as_secs_f64() / seconds;
    let clients = f64::from(cell.clients);
    let kib = |bytes: f64| bytes / 1024.0 / clients;
    let kernel = system::KernelMemory::read()?.since(&kernel);
    let mut figures = Figures::from([
        ("relay_kib".into(), kib(system::resident(relay.id())? - memory)),
        ("client_kib".into(), kib(system::resident(std::process::id())? - ours)),
        // Both ends of each connection are on this machine.
        ("kernel_slab_kib".into(), kib(kernel.slab) / 2.0),
        ("kernel_buffers_kib".into(), kib(kernel.tcp_buffers) / 2.0),
        ("relay_busy_percent".into(), busy * 100.0),
        ("clients_busy_percent".into(), own * 100.0),
        ("cores_of_others".into(), (machine - busy - own).max(0.0)),
        ("entered_per_second".into(), clients / entered.as_secs_f64()),
    ]);
    let relay_key = ticket.key;
    let is_there = |one: &&Registered| one.client.standing() == Standing::At(relay_key);
    let there = all.iter().filter(is_there).count();
    if there != all.len() {
        return Err(format!("{there} of {} are still registered", all.len()).into());
    }
    figures.extend(push(&sender, &all, &ticket).await?);
    Ok(figures)
}

/// A node that nobody can call and that answers, registered at the relay.
async fn registered(relay: Ticket) -> Outcome<Registered> {
    let answer = |query: &egtp::QueryEvent| query.message.body.clone();
    let router = Router::new().route_sync(kind(), answer);
    let (node, driver) = Node::builder().serve(router).start_inline()?;
    tokio::spawn(driver);
    let client = relay::registered(&node, relay).await?;
    Ok(Registered { node, client })
}

async fn crowd(many: u32, relay: &Ticket) -> Outcome<Vec<Registered>> {
    let (mut all, mut coming) = (Vec::new(), JoinSet::new());
    for _ in 0..many {
        if coming.len() >= AT_ONCE
            && let Some(come) = coming.join_next().await
        {
            all.push(come??);
        }
        coming.spawn(registered(relay.clone()));
    }
    while let Some(come) = coming.join_next().await {
        all.push(come??);
    }
    Ok(all)
}

/// Sends a message to each of some that are drawn, all at once: how long it takes until they have answered.
async fn push(sender: &Node, all: &[Registered], relay: &Ticket) -> Outcome<Figures> {
    let draw = RandomState::new();
    let mut drawn: Vec<&Registered> = all.iter().collect();
    drawn.sort_by_cached_key(|one| draw.hash_one(one.node.key()));
    let mut asking = JoinSet::new();
    for one in drawn.into_iter().take(PUSHED as usize) {
        let (sender, ticket) = (sender.clone(), relay::by(relay, &one.node));
        asking.spawn(async move {
            let begun = Instant::now();
            ask(&sender, ticket).await?;
            Outcome::Ok(begun.elapsed())
        });
    }
    let mut times = Vec::new();
    while let Some(asked) = asking.join_next().await {
        times.push(asked??);
    }
    times.sort_unstable();
    let millis = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let soon = times.iter().filter(|time| **time <= Duration::from_secs(1)).count();
    Ok(Figures::from([
        ("push_p50_ms".into(), millis(times.get(times.len() / 2))),
        ("push_last_ms".into(), millis(times.last())),
        ("push_within_1_s".into(), soon as f64),
    ]))
}

async fn ask(sender: &Node, to: Ticket) -> Outcome<()> {
    let body = Bytes::from_static(&[7; 128]);
    let request = sender.request(to, Message::new(kind(), body.clone()));
    let reply = request.hard_timeout(PATIENCE).await?;
    if reply.body == body { Ok(()) } else { Err("a wrong reply".into()) }
}

fn kind() -> Kind {
    Kind::new("echo/1").expect("a kind")
}
