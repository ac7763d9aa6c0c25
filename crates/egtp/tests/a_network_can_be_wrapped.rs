//! What a test puts around real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use egtp::testing::copies;
use egtp::{Kind, Message, Node, Router};

/// Proves MSG-9 and RTY-1 over TCP: each packet comes twice, at both ends, and each request is taken once.
#[tokio::test]
async fn where_each_packet_comes_twice_each_request_is_taken_once() {
    let kind = Kind::new("echo/1").unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let doubled = || Node::builder().around_path(|path| copies(path, |_| 2));
    let (bob, alice) = (doubled().listen(address), doubled());
    let (bob, alice) = (bob.start().await.unwrap(), alice.start().await.unwrap());
    let echo = |query: &egtp::QueryEvent| query.message.body.clone();
    let (serving, router) = (bob.clone(), Router::new().route_sync(kind.clone(), echo));
    tokio::spawn(async move { serving.serve(router).await });
    for number in 0..100_u32 {
        let message = Message::new(kind.clone(), number.to_string());
        let reply = alice.request(bob.ticket(), message).await.unwrap();
        assert_eq!(reply.body, number.to_string());
    }
    let (asked, answered) = (alice.status().await.unwrap(), bob.status().await.unwrap());
    assert_eq!(answered.counters.taken, 100);
    for status in [asked, answered] {
        let refused = status.counters.dropped.replayed;
        assert!(refused >= 50, "{refused} doubles refused");
    }
}

/// Proves RTY-1 over TCP: every third packet of the asker is lost.
#[tokio::test]
async fn where_packets_are_lost_each_request_is_answered_all_the_same() {
    let kind = Kind::new("echo/1").unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let bob = Node::builder().listen(address).start().await.unwrap();
    let lost = Arc::new(AtomicUsize::new(0));
    let (mut number, counter) = (0_u32, Arc::clone(&lost));
    let lossy = move |_: &[u8]| {
        number += 1;
        let is_lost = number.is_multiple_of(3);
        counter.fetch_add(usize::from(is_lost), Relaxed);
        usize::from(!is_lost)
    };
    let alice = Node::builder().around_path(move |path| copies(path, lossy)).start().await.unwrap();
    let echo = |query: &egtp::QueryEvent| query.message.body.clone();
    let (serving, router) = (bob.clone(), Router::new().route_sync(kind.clone(), echo));
    tokio::spawn(async move { serving.serve(router).await });
    for number in 0..20_u32 {
        let message = Message::new(kind.clone(), number.to_string());
        let reply = alice.request(bob.ticket(), message).await.unwrap();
        assert_eq!(reply.body, number.to_string());
    }
    assert!(lost.load(Relaxed) >= 5);
    assert_eq!(bob.status().await.unwrap().counters.taken, 20);
}
