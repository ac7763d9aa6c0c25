//! A million conversations through the library, and what they leave in memory. Proves B-24.
//!
//! Three nodes on a network in memory, all on one thread: most requests are answered, some are refused, some
//! get no answer at all, some are given up by their asker, and some are too large to be sent. After each part of
//! them the tables are empty, and in the second half the process does not grow.
//!
//! `cargo run --release --example conversations`, with `-- 100000` for another number.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, Instant};

use egtp::testing::{Network, spawn};
use egtp::{Kind, Limits, Message, Node, Refusal, RequestError, Router, respond};

/// Conversations under way at once.
const TOGETHER: usize = 1_000;
/// After so many parts the process has the size that it needs.
const PARTS: usize = 10;
/// Bytes by which the process may grow in the second half: two for each conversation, and far more than any was
/// seen to leave.
const JITTER: u64 = 1024 * 1024;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let wanted: usize = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let network = Network::new(24);
    let mut limits = Limits::default();
    limits.message_bytes_max = LARGEST;
    let node = || spawn(network.node().limits(limits.clone()));
    let (alice, bob, carol) = (node()?, node()?, node()?);
    for node in [&alice, &bob, &carol] {
        serve(node)?;
    }
    let start = Instant::now();
    let (mut sizes, mut tally) = (Vec::new(), Tally::default());
    for part in 1..=PARTS {
        for _ in 0..wanted.div_ceil(PARTS * TOGETHER) {
            together([&alice, &bob, &carol], &mut tally).await?;
        }
        for node in [&alice, &bob, &carol] {
            let left = left(node).await?;
            if left > 0 {
                return Err(format!("{left} messages were left in part {part}").into());
            }
        }
        sizes.push(resident()?);
        println!(
            "part {part}: {tally:?}, {:?} KiB, {:?}",
            sizes.last().map(|b| b / 1024),
            start.elapsed()
        );
    }
    let half = sizes.get(PARTS / 2).ok_or("no size")?;
    let last = sizes.last().ok_or("no size")?;
    match last.checked_sub(*half) {
        Some(grown) if grown > JITTER => Err(format!("grew by {grown} bytes").into()),
        _ => Ok(()),
    }
}

/// How conversations have ended.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    refused: usize,
    timed_out: usize,
    given_up: usize,
    not_sent: usize,
}

/// A thousand conversations at once, and the end of each.
async fn together(nodes: [&Node; 3], tally: &mut Tally) -> Result<(), Failure> {
    let mut pending = Vec::with_capacity(TOGETHER);
    for number in 0..TOGETHER {
        let (from, to) = (nodes.get(number % 3), nodes.get((number + 1) % 3));
        let (from, to) = (from.ok_or("no node")?, to.ok_or("no node")?);
        let (kind, to) = match number % 20 {
            0 => ("refuse/1", to.key()),
            1 => ("silence/1", to.key()),
            2 => ("give-up/1", to.key()),
            3 => ("too-large/1", to.key()),
            _ => ("echo/1", to.key()),
        };
        let length = if kind == "too-large/1" { LARGEST + 1 } else { 100 };
        let message = Message::new(Kind::new(kind)?, vec![7; length]);
        let hard = if kind == "silence/1" { SHORT } else { LONG };
        pending.push((kind, from.request(to, message).hard_timeout(hard).start()));
    }
    for (kind, one) in pending {
        if kind == "give-up/1" {
            tally.given_up += 1;
            continue;
        }
        match one.await {
            Ok(_) => tally.answered += 1,
            Err(RequestError::Refused(_)) => tally.refused += 1,
            Err(RequestError::TimedOut { .. }) => tally.timed_out += 1,
            Err(RequestError::NotSent(_)) => tally.not_sent += 1,
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

fn serve(node: &Node) -> Result<(), Failure> {
    let refuse = respond(|_, _: bytes::Bytes| async { Err::<Vec<u8>, _>(Refusal::NotAllowed) });
    let router = Router::new()
        .route_sync(Kind::new("echo/1")?, |query| query.message.body.clone())
        .route(Kind::new("refuse/1")?, refuse);
    let serving = node.clone();
    tokio::spawn(async move { serving.serve(router).await });
    for kind in ["silence/1", "give-up/1"] {
        let mut queries = node.queries(Kind::new(kind)?)?;
        tokio::spawn(async move {
            while let Some(query) = queries.next().await {
                query.ignore();
            }
        });
    }
    Ok(())
}

/// Waits until the last acknowledgements have arrived, and says what is left in the tables then.
async fn left(node: &Node) -> Result<usize, Failure> {
    let start = Instant::now();
    loop {
        let held = node.status().await.ok_or("a node has closed")?.sizes;
        let left = held.open + held.queries + held.held;
        if left == 0 || start.elapsed() > ACKNOWLEDGED_WITHIN {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes of memory that the process has now; 0 where the system does not say.
fn resident() -> Result<u64, Failure> {
    let Ok(text) = std::fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// Bytes of the largest body that these nodes send.
const LARGEST: usize = 1_000;
/// Given up or silent: an acknowledgement tells the other side, at once or with the next one.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(30);
