//! The load of every side that has requests: a task, a number, a timeout and a comparison for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bodies::{self, Bodies};
use crate::outcome::Outcome;
use crate::sides::Side;
use crate::tally::Tally;

/// The time that every request has. Those libraries that time requests out themselves are told it;
/// for the others tokio's timer does it.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// One request, and the comparison of its reply.
pub async fn ask<S: Side>(link: &S::Link, body: Bytes) -> Outcome<()> {
    let reply = if S::TIMES_OUT {
        S::ask(link, body.clone()).await?
    } else {
        timeout(TIMEOUT, S::ask(link, body.clone())).await.map_err(|_| "no reply in time")??
    };
    compare(&body, &reply)
}

/// Whether that is the reply to that body.
pub fn compare(body: &[u8], reply: &[u8]) -> Outcome<()> {
    if bodies::is_answer(body, reply) {
        Ok(())
    } else {
        Err(format!("a wrong reply of {} bytes to a request of {}", reply.len(), body.len()).into())
    }
}

/// So many tasks, each asking again when it is answered, until the tally says stop.
pub async fn pump<S: Side>(link: S::Link, load: (usize, usize), tally: Arc<Tally>) -> Outcome<()> {
    pump_all::<S>(vec![link], load, tally).await
}

/// The same with so many in flight over all links together.
pub async fn pump_all<S: Side>(
    links: Vec<S::Link>,
    (many, bytes): (usize, usize),
    tally: Arc<Tally>,
) -> Outcome<()> {
    let mut tasks = JoinSet::new();
    for slot in 0..many {
        let link = links[slot % links.len()].clone();
        let (tally, mut bodies) = (Arc::clone(&tally), Bodies::new(slot, bytes));
        tasks.spawn(async move {
            while !tally.is_over() {
                ask::<S>(&link, bodies.next()).await?;
                tally.add(slot, 1);
            }
            Outcome::Ok(())
        });
    }
    all(tasks).await
}

/// So many tasks, each making a new connection, asking once and closing it.
pub async fn connect<S: Side>(address: String, many: usize, tally: Arc<Tally>) -> Outcome<()> {
    let mut tasks = JoinSet::new();
    for slot in 0..many {
        let (address, tally, mut bodies) =
            (address.clone(), Arc::clone(&tally), Bodies::new(slot, 128));
        tasks.spawn(async move {
            let local = S::local(false).await?;
            while !tally.is_over() {
                let link = S::connect(&local, &address).await?;
                ask::<S>(&link, bodies.next()).await?;
                S::close(&local, link).await;
                tally.add(slot, 1);
            }
            Outcome::Ok(())
        });
    }
    all(tasks).await
}

/// The times of requests one after another.
pub struct Times {
    /// Those after the warm-up.
    pub measured: Vec<Duration>,
    /// How many there were with it.
    pub total: u64,
}

/// One request after another, for `warm` and then for `span`.
pub async fn one_by_one<S: Side>(link: S::Link, warm: Duration, span: Duration) -> Outcome<Times> {
    let (mut bodies, mut times) = (Bodies::new(0, 128), Times { measured: Vec::new(), total: 0 });
    let begin = Instant::now() + warm;
    loop {
        let start = Instant::now();
        ask::<S>(&link, bodies.next()).await?;
        times.total += 1;
        if start >= begin {
            times.measured.push(start.elapsed());
        }
        if start >= begin + span {
            return Ok(times);
        }
    }
}

/// Waits for all of them, or for the first that fails.
async fn all(mut tasks: JoinSet<Outcome<()>>) -> Outcome<()> {
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}
