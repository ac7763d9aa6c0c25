//! TCP-1 to TCP-4, CON-2, C-7, C-8: both ends close idle connections at ticks of 8 s, and nothing is
//! lost.

mod common;

use std::time::Duration;

use common::{ON_TICK, Peer, connected, packet, secs};
use egtp::clock::Clock;
use egtp::path::{Closed, Hint, NotSent, Path, PathEvent};

fn closed_idle(event: &PathEvent) -> bool {
    matches!(event, PathEvent::Closed { why: Closed::Idle, .. })
}

fn since_tick(peer: &Peer) -> Duration {
    peer.clock.wall().saturating_sub(ON_TICK)
}

/// Timers are exact to a millisecond.
fn is_about(found: Duration, expected: Duration) -> bool {
    found >= expected && found <= expected + Duration::from_millis(5)
}

/// Proves TCP-1, TCP-2, TCP-3, CON-2 and B-16: last use on a tick, no traffic, both ends act alike.
/// Proves P-6.
#[tokio::test(start_paused = true)]
async fn tcp_3_no_reuse_from_24_seconds_on_both_ends_and_closed_by_32() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, theirs) = connected(&mut alice, &mut bob, 2).await;
    let (first, second) = tokio::join!(alice.next(), bob.next());
    assert!(closed_idle(&first) && closed_idle(&second));
    assert!(is_about(since_tick(&alice), secs(24)) && is_about(since_tick(&bob), secs(24)));
    assert_eq!(alice.path.room(ours), 0);
    assert_eq!(alice.path.send(ours, packet(1, 50)), Err(NotSent::Closed));
    assert_eq!(bob.path.send(theirs, packet(1, 50)), Err(NotSent::Closed));
    // After the last check nothing is left, so no timer is either.
    let quiet = tokio::join!(alice.within(secs(60)), bob.within(secs(60)));
    assert!(quiet.0.is_none() && quiet.1.is_none(), "one word about each connection");
    assert!(!format!("{:?}", alice.path).contains("Entry"), "the connection is gone");
    assert!(!format!("{:?}", bob.path).contains("Entry"));
}

#[tokio::test(start_paused = true)]
async fn tcp_1_use_starts_the_eighteen_seconds_anew() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, theirs) = connected(&mut alice, &mut bob, 2).await;
    assert!(tokio::join!(alice.within(secs(20)), bob.within(secs(20))).0.is_none());
    bob.send(theirs, packet(1, 50));
    assert_eq!(alice.received().await.0, ours);
    // Last use at 20: 40 is the first tick with 18 s idle.
    let (first, second) = tokio::join!(alice.next(), bob.next());
    assert!(closed_idle(&first) && closed_idle(&second));
    assert!(is_about(since_tick(&alice), secs(40)) && is_about(since_tick(&bob), secs(40)));
}

#[tokio::test(start_paused = true)]
async fn tcp_4_a_message_in_the_drain_window_takes_a_new_connection_and_is_not_lost() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, _) = connected(&mut alice, &mut bob, 2).await;
    let (first, second) = tokio::join!(alice.next(), bob.next());
    assert!(closed_idle(&first) && closed_idle(&second));
    assert_eq!(alice.path.send(ours, packet(7, 50)), Err(NotSent::Closed));
    let anew = alice.dial(2, bob.address()).await.unwrap();
    assert_ne!(anew, ours);
    alice.send(anew, packet(7, 50));
    bob.accepted().await;
    assert_eq!(bob.received().await.1, vec![7; 50]);
}

/// Proves P-6.
#[tokio::test(start_paused = true)]
async fn tcp_4_what_a_lagging_peer_sent_before_its_own_check_is_still_delivered() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    // Bob's wall clock is three seconds behind, so he has not checked yet.
    bob.clock.shift_wall(-3);
    let (ours, theirs) = connected(&mut alice, &mut bob, 2).await;
    assert!(closed_idle(&alice.next().await));
    bob.send(theirs, packet(4, 70));
    assert_eq!(alice.received().await, (ours, packet(4, 70).into()));
    // And he learns at once that no answer will come this way.
    let told = bob.within(secs(1)).await;
    assert!(
        matches!(told, Some(PathEvent::Closed { path, why: Closed::ByPeer }) if path == theirs)
    );
}

/// Proves P-7.
#[tokio::test(start_paused = true)]
async fn c_8_an_expected_answer_keeps_a_connection_but_not_for_ever() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, theirs) = connected(&mut alice, &mut bob, 2).await;
    alice.path.hint(ours, Hint::ExpectReply);
    bob.path.hint(theirs, Hint::ExpectMore);
    let (quiet, other) = tokio::join!(alice.within(secs(890)), bob.within(secs(890)));
    assert!(quiet.is_none() && other.is_none());
    let (first, second) = tokio::join!(alice.within(secs(20)), bob.within(secs(20)));
    assert!(first.is_some_and(|event| closed_idle(&event)));
    assert!(second.is_some_and(|event| closed_idle(&event)));
}

#[tokio::test(start_paused = true)]
async fn c_8_no_more_makes_a_connection_due_at_the_next_tick() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, _) = connected(&mut alice, &mut bob, 2).await;
    alice.path.hint(ours, Hint::NoMore);
    assert!(closed_idle(&alice.next().await));
    assert!(is_about(since_tick(&alice), secs(8)));
    let closed = tokio::select! {
        other = alice.next() => panic!("{other:?}"),
        closed = bob.next() => closed,
    };
    assert!(matches!(closed, PathEvent::Closed { why: Closed::ByPeer, .. }));
    assert!(is_about(since_tick(&bob), secs(16)));
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_neither_kills_nor_keeps_a_connection() {
    for jump in [86_400, -86_400, 5, -5] {
        let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
        let (_, theirs) = connected(&mut alice, &mut bob, 2).await;
        alice.clock.shift_wall(jump);
        assert!(alice.within(secs(17)).await.is_none(), "{jump}");
        let closed = alice.within(secs(10)).await;
        assert!(closed.is_some_and(|event| closed_idle(&event)), "{jump}");
        alice.clock.shift_wall(jump);
        // The drain goes on for a while all the same.
        bob.send(theirs, packet(4, 70));
        assert!(matches!(alice.within(secs(1)).await, Some(PathEvent::Received { .. })), "{jump}");
    }
}
