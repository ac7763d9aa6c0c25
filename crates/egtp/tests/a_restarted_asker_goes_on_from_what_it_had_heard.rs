//! Cards of peers that a program keeps for its next run.

use std::time::Duration;

use egtp::testing::{Network, spawn};
use egtp::{Kind, Message, Node, PeerCard, Router, SecretKey};

fn kind() -> Kind {
    Kind::new("echo/1").unwrap()
}

async fn took(asker: &Node, peer: &Node) -> Duration {
    let reply = asker.request(peer.key(), Message::new(kind(), "hello")).await.unwrap();
    assert_eq!(reply.body, "hello");
    reply.took
}

/// Proves H-4 for programs: with the card the first request of a new run takes one round trip less.
#[tokio::test(start_paused = true)]
async fn with_a_kept_card_a_new_run_needs_one_round_trip_less() {
    let delay = Duration::from_millis(50);
    let network = Network::new(37).delay(delay);
    let bob = spawn(network.node()).unwrap();
    let echo = |query: &egtp::QueryEvent| query.message.body.clone();
    let (serving, router) = (bob.clone(), Router::new().route_sync(kind(), echo));
    tokio::spawn(async move { serving.serve(router).await });
    let alice = || spawn(network.node().key(SecretKey::from_seed([9; 32]))).unwrap();

    // It knows its age for certain from the first second on.
    tokio::time::advance(Duration::from_secs(10)).await;
    let first = alice();
    assert_eq!(first.card_of(&bob.key()).await, None, "nothing was heard yet");
    let without = took(&first, &bob).await;
    let bytes = first.card_of(&bob.key()).await.unwrap().encode();
    first.close().await;

    let second = alice();
    second.learn_card(PeerCard::decode(&bytes).unwrap());
    let with = took(&second, &bob).await;
    assert!(with + delay * 2 <= without + Duration::from_millis(10), "{with:?}, {without:?}");
}
