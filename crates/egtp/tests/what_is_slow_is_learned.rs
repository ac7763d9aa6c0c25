//! Soft timeouts that are learned, and peers that are chosen by what they have shown.

use std::time::Duration;

use egtp::testing::{Network, spawn};
use egtp::{Kind, Message, Node, Request, Router, respond};
use tokio::time::Instant;

const WAY: Duration = Duration::from_millis(40);

fn kind() -> Kind {
    Kind::new("block.get/1").unwrap()
}

/// Answers after as many milliseconds as it is asked for.
fn serve(node: &Node) {
    let answer = respond(|_, body: bytes::Bytes| async move {
        let millis = std::str::from_utf8(&body).unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        body
    });
    let (node, router) = (node.clone(), Router::new().route(kind(), answer));
    tokio::spawn(async move { node.serve(router).await });
}

fn ask(asker: &Node, peer: &Node, millis: u64) -> Request {
    let request = asker.request(peer.key(), Message::new(kind(), millis.to_string()));
    request.soft_timeout_learned(Duration::from_secs(30)).hard_timeout(Duration::from_mins(1))
}

/// When the soft timeout of a request came, if it did.
async fn slow_after(request: Request) -> Option<Duration> {
    let (begun, mut pending) = (Instant::now(), request.start());
    let slow = pending.before_slow().await.unwrap().is_none().then(|| begun.elapsed());
    if slow.is_some() {
        pending.await.unwrap();
    }
    slow
}

/// Proves TMO-6 and B-11: after eight answers a request is slow when it takes longer than usual; answers of
/// long polls, or of an idle peer, do not make it so at once.
#[tokio::test(start_paused = true)]
async fn tmo_6_a_soft_timeout_follows_what_the_peer_usually_takes() {
    let network = Network::new(4).delay(WAY);
    let [peer, asker] = [0; 2].map(|_| spawn(network.node()).unwrap());
    serve(&peer);
    // Long polls teach nothing.
    for _ in 0..20 {
        assert_eq!(slow_after(ask(&asker, &peer, 20_000).unmeasured()).await, None);
    }
    assert_eq!(slow_after(ask(&asker, &peer, 10)).await, None);
    assert_eq!(
        slow_after(ask(&asker, &peer, 25_000).unmeasured()).await,
        None,
        "30 s are the rule"
    );
    for _ in 0..10 {
        assert_eq!(slow_after(ask(&asker, &peer, 10)).await, None);
    }
    // Twice what it usually takes is not slow yet, and ten seconds are.
    assert_eq!(slow_after(ask(&asker, &peer, 100)).await, None);
    let slow = slow_after(ask(&asker, &peer, 10_000).unmeasured()).await.unwrap();
    assert!(slow >= Duration::from_millis(200) && slow < Duration::from_secs(1), "{slow:?}");
}

/// Proves B-17: a peer with twenty successes ranks above an unknown one, and that above one that fails.
#[tokio::test(start_paused = true)]
async fn b_17_a_proven_peer_is_preferred_to_a_stranger() {
    let network = Network::new(5).delay(WAY);
    let [proven, stranger, dead, asker] = [0; 4].map(|_| spawn(network.node()).unwrap());
    serve(&proven);
    let keys = [dead.key(), stranger.key(), proven.key()];
    assert_eq!(asker.best_first(keys, &kind()).await, keys, "nothing is known");
    for _ in 0..20 {
        ask(&asker, &proven, 300).await.unwrap();
    }
    dead.close().await;
    for _ in 0..3 {
        ask(&asker, &stranger, 1).await.unwrap_err();
        let request = asker.request(keys[0], Message::new(kind(), "1"));
        request.hard_timeout(Duration::from_secs(1)).await.unwrap_err();
    }
    // The stranger has refused the kind, which says nothing about how well it would serve it.
    let ranked = asker.best_first(keys, &kind()).await;
    assert_eq!(ranked, [proven.key(), stranger.key(), keys[0]]);
}
