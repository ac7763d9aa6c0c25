//! The threat model: who does not speak our protocol gets no byte, little time and no memory.

mod common;

use std::time::Duration;

use common::{Peer, RawDialer, connected, key, packet, secs};
use egtp::path::tcp::TcpLimits;
use egtp::path::{Closed, Path, PathEvent};
use egtp_proto::wire::stream::PACKET_BYTES_MAX;
use tokio::net::TcpStream;

/// Proves P-2.
#[tokio::test(start_paused = true)]
async fn who_names_none_of_our_identities_gets_no_byte_and_is_let_go_after_a_random_while() {
    let bob = Peer::listening(2);
    let mut stays = Vec::new();
    for _ in 0..4 {
        let mut raw = RawDialer::open(bob.address(), 9).await;
        let mut bytes = raw.preamble().to_vec();
        bytes.extend(raw.frame(&packet(1, 500)));
        raw.write(&bytes).await;
        stays.push(raw.silence_until_closed().await);
    }
    assert!(stays.iter().all(|stay| *stay >= secs(5) && *stay <= secs(21)), "{stays:?}");
    assert!(stays.iter().any(|stay| stays.iter().any(|other| stay != other)), "{stays:?}");
}

/// Proves P-3.
#[tokio::test(start_paused = true)]
async fn a_length_that_no_packet_has_is_never_answered() {
    let mut bob = Peer::listening(2);
    let mut raw = RawDialer::open(bob.address(), 2).await;
    let mut bytes = raw.preamble().to_vec();
    let mut frame = raw.frame(&packet(1, 33));
    frame[1] ^= 0xff;
    bytes.extend(frame);
    raw.write(&bytes).await;
    assert!(raw.silence_until_closed().await >= secs(5));
    assert!(bob.within(secs(1)).await.is_none(), "the driver never heard of it");
}

/// Proves P-2.
#[tokio::test(start_paused = true)]
async fn the_acceptor_writes_nothing_before_the_driver_sends() {
    let mut bob = Peer::listening(2);
    let mut raw = RawDialer::open(bob.address(), 2).await;
    let mut bytes = raw.preamble().to_vec();
    bytes.extend(raw.frame(&packet(1, 100)));
    raw.write(&bytes).await;
    let (path, _) = bob.accepted().await;
    bob.received().await;
    assert!(raw.stream.try_read(&mut [0; 10]).is_err(), "not even a salt");
    bob.path.accept_peer(path);
    bob.send(path, packet(2, 33));
    raw.stream.readable().await.unwrap();
    let mut answer = [0; 100];
    assert_eq!(raw.stream.try_read(&mut answer).unwrap(), 16 + 2 + 33);
}

#[tokio::test(start_paused = true)]
async fn who_proves_nothing_in_ten_seconds_is_closed() {
    let mut bob = Peer::listening(2);
    let mut raw = RawDialer::open(bob.address(), 2).await;
    let mut bytes = raw.preamble().to_vec();
    bytes.extend(raw.frame(&packet(1, 100)));
    raw.write(&bytes).await;
    let (accepted, _) = bob.accepted().await;
    bob.received().await;
    let closed = bob.within(secs(11)).await;
    assert!(
        matches!(closed, Some(PathEvent::Closed { path, why: Closed::Stranger }) if path == accepted)
    );
    assert!(raw.silence_until_closed().await < secs(1));
    // And so is who says nothing at all.
    let mut silent = RawDialer::open(bob.address(), 2).await;
    let stay = silent.silence_until_closed().await;
    assert!(stay >= secs(9) && stay <= secs(11), "{stay:?}");
}

/// Proves P-4.
#[tokio::test(start_paused = true)]
async fn a_frame_that_is_begun_and_not_finished_closes_the_connection() {
    let mut bob = Peer::listening(2);
    for (pace, expected) in [(Duration::MAX, 10), (secs(3), 60)] {
        let mut raw = RawDialer::open(bob.address(), 2).await;
        let mut bytes = raw.preamble().to_vec();
        bytes.extend(raw.frame(&packet(1, 100)));
        let unfinished = raw.frame(&packet(1, 1_000));
        bytes.extend(&unfinished[..10]);
        raw.write(&bytes).await;
        let (path, _) = bob.accepted().await;
        bob.path.accept_peer(path);
        bob.received().await;
        let start = tokio::time::Instant::now();
        let why = loop {
            match bob.within(pace).await {
                Some(PathEvent::Closed { why, .. }) => break why,
                Some(other) => panic!("{other:?}"),
                None => raw.write(&[0]).await,
            }
        };
        assert_eq!((why, start.elapsed().as_secs()), (Closed::Error, expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_fills_no_memory_and_a_trusted_peer_goes_on_where_it_stopped() {
    let mut bob = Peer::listening(2);
    let mut raw = RawDialer::open(bob.address(), 2).await;
    let mut bytes = raw.preamble().to_vec();
    for _ in 0..20 {
        bytes.extend(raw.frame(&packet(1, PACKET_BYTES_MAX)));
    }
    raw.write(&bytes).await;
    let (path, _) = bob.accepted().await;
    let mut received = 0_usize;
    while let Some(event) = bob.within(secs(2)).await {
        assert!(matches!(event, PathEvent::Received { .. }));
        received += 1;
    }
    assert!(received < 8, "{received}");
    bob.path.accept_peer(path);
    while received < 20 {
        bob.received().await;
        received += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_is_closed_at_once_and_the_others_go_on() {
    let limits = TcpLimits { strangers_per_source_max: 2, ..TcpLimits::default() };
    let mut bob = Peer::with(&["127.0.0.1:0".parse().unwrap()], &[key(2)], limits);
    let mut alice = Peer::listening(1);
    let (ours, _) = connected(&mut alice, &mut bob, 2).await;
    let first = TcpStream::connect(bob.address()).await.unwrap();
    let _second = TcpStream::connect(bob.address()).await.unwrap();
    let mut third = RawDialer::open(bob.address(), 2).await;
    assert!(third.silence_until_closed().await < secs(1));
    drop(first);
    alice.send(ours, packet(1, 40));
    assert_eq!(bob.received().await.1, vec![1; 40]);
    let (_, again) = connected(&mut alice, &mut bob, 2).await;
    assert!(bob.path.room(again) > 0, "a place that was left is free again");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_whom_the_driver_turns_away_gets_no_byte_either() {
    let mut bob = Peer::listening(2);
    let mut raw = RawDialer::open(bob.address(), 2).await;
    let mut bytes = raw.preamble().to_vec();
    bytes.extend(raw.frame(&packet(1, 100)));
    raw.write(&bytes).await;
    let (path, _) = bob.accepted().await;
    bob.received().await;
    bob.path.close(path);
    assert!(matches!(bob.next().await, PathEvent::Closed { why: Closed::ByUs, .. }));
    assert!(raw.silence_until_closed().await >= secs(5));
}
