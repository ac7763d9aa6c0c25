//! `Builder::spin`: how often a driver looks for more when nothing happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use egtp::clock::{Clock, SystemClock};
use egtp::{Kind, Message, Node, Router};

/// Counts how often it is looked at: a driver does so whenever it looks for more.
#[derive(Debug)]
struct Counting(Arc<AtomicUsize>);

impl Clock for Counting {
    fn boot(&self) -> Duration {
        self.0.fetch_add(1, Relaxed);
        SystemClock.boot()
    }

    fn wall(&self) -> Duration {
        SystemClock.wall()
    }
}

/// An asker that spins so long, after its first reply, and how often it has looked at its clock.
async fn asker(spin: Duration) -> (Node, Arc<AtomicUsize>) {
    let address = "127.0.0.1:0".parse().unwrap();
    let bob = Node::builder().listen(address).start().await.unwrap();
    let kind = Kind::new("echo/1").unwrap();
    let echo = |query: &egtp::QueryEvent| query.message.body.clone();
    let (ticket, router) = (bob.ticket(), Router::new().route_sync(kind.clone(), echo));
    tokio::spawn(async move { bob.serve(router).await });
    let looks = Arc::new(AtomicUsize::new(0));
    let clock = Arc::new(Counting(Arc::clone(&looks)));
    let builder = Node::builder().spin(spin).clock(clock);
    // A task of this thread, so that it has its turn as often as the test has.
    let (alice, driver) = builder.start_inline().unwrap();
    tokio::spawn(driver);
    alice.request(ticket, Message::new(kind, "hello")).await.unwrap();
    (alice, looks)
}

/// How often it looks while the test has this many turns.
async fn looks_in(turns: usize, looks: &AtomicUsize) -> usize {
    let before = looks.load(Relaxed);
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    looks.load(Relaxed) - before
}

#[tokio::test]
async fn a_driver_looks_for_more_as_long_as_it_was_told_and_no_longer() {
    let (_plain, looks) = asker(Duration::ZERO).await;
    let plain = looks_in(10_000, &looks).await;
    assert!(plain < 1_000, "it looked {plain} times, though not told to");

    let (_long, looks) = asker(Duration::from_hours(1)).await;
    let spinning = looks_in(10_000, &looks).await;
    assert!(spinning >= 9_000, "it looked {spinning} times");

    let (_short, looks) = asker(Duration::from_millis(1)).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(100) {
        tokio::task::yield_now().await;
    }
    let asleep = looks_in(10_000, &looks).await;
    assert!(asleep < 1_000, "it looked {asleep} times after its time was over");
}
