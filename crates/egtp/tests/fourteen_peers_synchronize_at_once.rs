//! One node exchanges large things with fourteen others at once, both ways, over links that lose packets.

// The lints spare test functions only, and the helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use egtp::testing::{Network, spawn};
use egtp::{Group, Kind, Limits, Message, Node, Router, Status, respond};
use tokio::task::JoinSet;
use tokio::time::timeout;

const PEERS: usize = 14;
/// Pieces that each asks of the other.
const PIECES: usize = 200;
const PIECE_BYTES: usize = 2_000;
/// Pieces that each has under way at once.
const UNDER_WAY: usize = 32;

fn kind() -> Kind {
    Kind::new("piece.get/1").unwrap()
}

/// Lets so much of the paused time pass.
async fn pass(span: Duration) {
    let nothing = timeout(span, std::future::pending::<()>()).await;
    assert!(nothing.is_err());
}

/// Requests that are with a handler now, and the most that ever were.
#[derive(Default)]
struct InHand {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// Gives pieces, each after a while as from a disk.
fn give(node: &Node, in_hand: &Arc<InHand>) {
    let in_hand = Arc::clone(in_hand);
    let answer = respond(move |_, body: bytes::Bytes| {
        let in_hand = Arc::clone(&in_hand);
        async move {
            in_hand.most.fetch_max(in_hand.now.fetch_add(1, SeqCst) + 1, SeqCst);
            pass(Duration::from_millis(50)).await;
            in_hand.now.fetch_sub(1, SeqCst);
            body.repeat(PIECE_BYTES / body.len())
        }
    });
    let (node, router) = (node.clone(), Router::new().route(kind(), answer));
    tokio::spawn(async move { node.serve(router).await });
}

/// Gets all pieces of `peer`, and counts them as they come.
async fn get(node: Node, peer: Node, done: Arc<AtomicUsize>) {
    let body = |index: usize| format!("{index:04}");
    let ask =
        |member: egtp::Member| node.request(peer.key(), Message::new(kind(), body(member.index)));
    let mut group = Group::new(PIECES, ask).under_way(UNDER_WAY);
    while let Some(piece) = group.next().await.unwrap() {
        assert_eq!(piece.reply.body, body(piece.member.index).repeat(PIECE_BYTES / 4));
        done.fetch_add(1, SeqCst);
    }
}

async fn status(node: &Node) -> Status {
    node.status().await.unwrap()
}

/// 5,600 pieces, 896 under way at once: all arrive, nobody starves, bounds hold, handshakes are few, little is
/// sent twice, and nothing is left.
/// Proves DBS-5.
#[tokio::test(start_paused = true)]
async fn fourteen_peers_are_served_at_once_and_none_starves() {
    // A network in which no handshake is lost: whoever loses one begins a second later than the others, and that is not
    // what is looked for here.
    let network = Network::new(7).delay(Duration::from_millis(20)).loss(0.02);
    let mut limits = Limits::default();
    // No room to spare: what is under way, and not one more.
    limits.open_max = PEERS * UNDER_WAY;
    limits.queries_per_peer = 2 * UNDER_WAY;
    let center = spawn(network.node().limits(limits.clone())).unwrap();
    let peers: Vec<Node> =
        (0..PEERS).map(|_| spawn(network.node().limits(limits.clone())).unwrap()).collect();
    let in_hand = Arc::<InHand>::default();
    for node in peers.iter().chain([&center]) {
        give(node, &in_hand);
    }

    let (mut going, mut counts) = (JoinSet::new(), Vec::new());
    for peer in &peers {
        for (from, to) in [(&center, peer), (peer, &center)] {
            let done = Arc::<AtomicUsize>::default();
            counts.push(Arc::clone(&done));
            going.spawn(get(from.clone(), to.clone(), done));
        }
    }
    // Until the first of the 28 is through.
    going.join_next().await.unwrap().unwrap();
    let slowest = counts.iter().map(|done| done.load(SeqCst)).min().unwrap();
    let held = status(&center).await.sizes;
    assert!(held.open <= PEERS * UNDER_WAY && held.queries <= PEERS * 2 * UNDER_WAY, "{held:?}");
    while let Some(ended) = going.join_next().await {
        ended.unwrap();
    }
    println!("{} at once, the slowest had {slowest} of {PIECES}", in_hand.most.load(SeqCst));
    assert!(in_hand.most.load(SeqCst) > PEERS * UNDER_WAY, "{}", in_hand.most.load(SeqCst));
    assert!(slowest >= PIECES / 4, "{slowest} of {PIECES} when the first was through");

    pass(Duration::from_secs(5)).await;
    let at_center = status(&center).await;
    assert_eq!(at_center.counters.taken, u64::try_from(PEERS * PIECES).unwrap());
    // A packet in fifty is lost, and each carries several messages; a handshake may be lost as well.
    let counters = at_center.counters;
    let handshakes = counters.handshakes_finished + counters.flights_accepted;
    println!("{handshakes} handshakes, {} transmissions", counters.transmissions);
    assert!(handshakes <= u64::try_from(2 * PEERS).unwrap(), "{handshakes}");
    let asked = u64::try_from(PEERS * PIECES).unwrap();
    assert!(counters.transmissions < asked * 5 / 4, "{}", counters.transmissions);
    for node in peers.iter().chain([&center]) {
        let sizes = status(node).await.sizes;
        assert_eq!((sizes.open, sizes.queries), (0, 0));
    }
}
