//! The scenario of the impatient asker, in its own time.

use std::time::Duration;

use egtp::testing::{Network, spawn};
use egtp::{Kind, Message, Node, RequestError, Router, Taken, respond};
use tokio::time::Instant;

fn kind() -> Kind {
    Kind::new("block.get/1").unwrap()
}

/// Answers after so long; `quick` at once.
fn serve(node: &Node, after: Duration) {
    let answer = respond(move |_, body: bytes::Bytes| async move {
        if body != "quick" {
            tokio::time::sleep(after).await;
        }
        body
    });
    let (node, router) = (node.clone(), Router::new().route(kind(), answer));
    tokio::spawn(async move { node.serve(router).await });
}

/// Proves SCENARIO-8, TMO-3..5, B-9 and B-10: P answers after 5 s; soft timeout 1 s, hard 10 s: the
/// soft event comes once, Q is asked and answers, then P's answer comes too. With a hard timeout of
/// 3 s P's answer is dropped and counted. 99 other requests to P are undisturbed.
#[tokio::test(start_paused = true)]
async fn the_impatient_asker() {
    let network = Network::new(8).delay(Duration::from_millis(40));
    let [p, q, asker] = [0; 3].map(|_| spawn(network.node()).unwrap());
    serve(&p, Duration::from_secs(5));
    serve(&q, Duration::ZERO);
    let start = Instant::now();
    let ask = |peer: &Node, body: &'static str, hard: u64| {
        let request = asker.request(peer.key(), Message::new(kind(), body));
        request.hard_timeout(Duration::from_secs(hard))
    };

    let mut patient = ask(&p, "slow", 10).soft_timeout(Duration::from_secs(1)).start();
    let others: Vec<_> = (0..99).map(|_| ask(&p, "quick", 10).start()).collect();
    let short = ask(&p, "too slow", 3).start();

    assert_eq!(patient.before_slow().await.unwrap(), None);
    let slow_at = start.elapsed();
    assert!(
        slow_at >= Duration::from_secs(1) && slow_at < Duration::from_millis(1100),
        "{slow_at:?}"
    );
    assert_eq!(ask(&q, "replacement", 10).await.unwrap().body, "replacement");
    for other in others {
        assert_eq!(other.await.unwrap().body, "quick");
    }
    let over = short.await.unwrap_err();
    let after = Duration::from_secs(3);
    assert_eq!(over, RequestError::TimedOut { after, taken: Taken::Yes });
    assert_eq!(patient.await.unwrap().body, "slow");
    assert!(start.elapsed() >= Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = asker.status().await.unwrap();
    assert_eq!(status.sizes.open, 0);
    assert_eq!(p.status().await.unwrap().sizes.queries, 0);
}

/// Proves THR-1, RTY-1: a fifth of all packets is lost; every request is answered, and no handler
/// runs twice, without a hand from the application.
#[tokio::test(start_paused = true)]
async fn a_bad_network_costs_time_and_nothing_else() {
    let network = Network::new(9).delay(Duration::from_millis(25)).loss(0.2);
    let (bob, alice) = (spawn(network.node()).unwrap(), spawn(network.node()).unwrap());
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&runs);
    let router = Router::new().route_sync(kind(), move |query| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        query.message.body.clone()
    });
    let serving = bob.clone();
    tokio::spawn(async move { serving.serve(router).await });
    let pending: Vec<_> = (0..300_u32)
        .map(|n| alice.request(bob.key(), Message::new(kind(), n.to_string())).start())
        .collect();
    for (n, one) in pending.into_iter().enumerate() {
        assert_eq!(one.await.unwrap().body, n.to_string());
    }
    assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), 300);
}
