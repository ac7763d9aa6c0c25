//! CON-1, CON-3, CON-4, FF-1: connections open, stay, carry packets both ways, and say when they
//! cannot.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Peer, RawDialer, connected, key, packet, secs};
use egtp::path::tcp::TcpLimits;
use egtp::path::{Closed, DialError, DialId, NotSent, Path, PathEvent};
use egtp_proto::Strategy;
use egtp_proto::wire::stream::PACKET_BYTES_MAX;

#[tokio::test(start_paused = true)]
async fn con_1_one_connection_carries_many_packets_both_ways() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, theirs) = connected(&mut alice, &mut bob, 2).await;
    for round in 0..50 {
        alice.send(ours, packet(round, 33 + usize::from(round)));
        assert_eq!(bob.received().await, (theirs, packet(round, 33 + usize::from(round)).into()));
        bob.send(theirs, packet(round, 5_000));
        assert_eq!(alice.received().await, (ours, packet(round, 5_000).into()));
    }
}

#[tokio::test(start_paused = true)]
async fn con_3_every_connection_is_one_object_with_its_own_name() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (first, their_first) = connected(&mut alice, &mut bob, 2).await;
    let (second, their_second) = connected(&mut alice, &mut bob, 2).await;
    assert!(first != second && their_first != their_second);
    alice.path.close(first);
    assert!(
        matches!(alice.next().await, PathEvent::Closed { path, why: Closed::ByUs } if path == first)
    );
    assert!(
        matches!(bob.next().await, PathEvent::Closed { path, why: Closed::ByPeer } if path == their_first)
    );
    alice.send(second, packet(9, 40));
    assert_eq!(bob.received().await.0, their_second);
    assert_eq!(alice.path.send(first, packet(9, 40)), Err(NotSent::Closed));
    assert_eq!(alice.path.room(first), 0);
}

#[tokio::test(start_paused = true)]
async fn con_4_a_dialer_that_writes_a_byte_at_a_time_is_understood() {
    let mut bob = Peer::listening(2);
    let mut raw = RawDialer::open(bob.address(), 2).await;
    let mut bytes = raw.preamble().to_vec();
    bytes.extend(raw.frame(&packet(5, 600)));
    bytes.extend(raw.frame(&packet(6, 33)));
    for byte in bytes {
        raw.write(&[byte]).await;
        assert!(bob.within(Duration::from_millis(1)).await.is_none_or(|event| match event {
            PathEvent::Accepted { .. } => true,
            PathEvent::Received { packet, .. } => packet == vec![5; 600] || packet == vec![6; 33],
            other => panic!("{other:?}"),
        }));
    }
}

#[tokio::test(start_paused = true)]
async fn con_4_bulk_larger_than_every_buffer_arrives_whole_and_in_order() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, theirs) = connected(&mut alice, &mut bob, 2).await;
    let (mut sent, mut received) = (0_u32, 0_u32);
    while received < 1_000 {
        while sent < 1_000 && alice.path.room(ours) >= PACKET_BYTES_MAX {
            let mut body = sent.to_le_bytes().to_vec();
            body.resize(PACKET_BYTES_MAX - usize::try_from(sent % 500).unwrap(), 1);
            alice.path.send(ours, body.into()).unwrap();
            sent += 1;
        }
        alice.path.flush();
        let packet = tokio::select! {
            event = alice.next() => {
                assert!(matches!(event, PathEvent::Writable { path } if path == ours), "{event:?}");
                continue;
            }
            packet = bob.received() => packet,
        };
        assert_eq!(packet.0, theirs);
        assert_eq!(packet.1[..4], received.to_le_bytes());
        assert_eq!(packet.1.len(), PACKET_BYTES_MAX - usize::try_from(received % 500).unwrap());
        received += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_does_not_read_stops_the_sender_and_the_room_comes_back() {
    let limits = TcpLimits { unread_bytes_max: 100_000, ..TcpLimits::default() };
    let mut alice = Peer::listening(1);
    let mut bob = Peer::with(&["127.0.0.1:0".parse().unwrap()], &[key(2)], limits);
    let (ours, _) = connected(&mut alice, &mut bob, 2).await;
    let mut sent = 0_usize;
    // Bob's tasks run while Alice waits here, but nobody empties his inbox.
    loop {
        match alice.path.send(ours, packet(1, PACKET_BYTES_MAX)) {
            Ok(()) => sent += 1,
            Err(error) => {
                assert_eq!(error, NotSent::Full);
                if alice.within(secs(5)).await.is_none() {
                    break;
                }
            }
        }
        alice.path.flush();
    }
    assert!(sent * PACKET_BYTES_MAX < 64 << 20, "the system's own buffers are bounded");
    for _ in 0..sent {
        bob.received().await;
    }
    assert!(matches!(alice.next().await, PathEvent::Writable { path } if path == ours));
    alice.send(ours, packet(2, 50));
    assert_eq!(bob.received().await.1, vec![2; 50]);
}

#[tokio::test]
async fn ff_1_a_closed_port_is_refused_in_under_a_second() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut alice = Peer::listening(1);
    let start = std::time::Instant::now();
    assert_eq!(alice.dial(2, closed).await, Err(DialError::Refused));
    assert!(start.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_packet_or_has_no_connection_is_refused_at_once() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, _) = connected(&mut alice, &mut bob, 2).await;
    for size in [0, 31, PACKET_BYTES_MAX + 1, 70_000] {
        assert_eq!(alice.path.send(ours, packet(1, size)), Err(NotSent::Size), "{size}");
    }
    alice.send(ours, packet(3, PACKET_BYTES_MAX));
    assert_eq!(bob.received().await.1.len(), PACKET_BYTES_MAX, "the stream is as it was");
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_is_written_before_we_close() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, theirs) = connected(&mut alice, &mut bob, 2).await;
    alice.path.send(ours, packet(8, 900)).unwrap();
    alice.path.close(ours);
    assert!(matches!(alice.next().await, PathEvent::Closed { why: Closed::ByUs, .. }));
    assert_eq!(bob.received().await, (theirs, packet(8, 900).into()));
    assert!(matches!(bob.next().await, PathEvent::Closed { why: Closed::ByPeer, .. }));
}

#[tokio::test(start_paused = true)]
async fn several_identities_live_behind_one_port() {
    let mut bob =
        Peer::with(&["127.0.0.1:0".parse().unwrap()], &[key(2), key(3)], TcpLimits::default());
    let mut alice = Peer::listening(1);
    let first = connected(&mut alice, &mut bob, 3).await;
    let second = connected(&mut alice, &mut bob, 2).await;
    bob.send(first.1, packet(3, 60));
    assert_eq!(alice.received().await, (first.0, packet(3, 60).into()));
    bob.send(second.1, packet(2, 60));
    assert_eq!(alice.received().await, (second.0, packet(2, 60).into()));
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_listens_on_both_families_and_a_name_finds_it() {
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let mut bob = Peer::with(&[wildcard.parse().unwrap()], &[key(2)], TcpLimits::default());
        assert_eq!(bob.path.listening().len(), 2, "{wildcard}");
        let port = bob.address().port();
        let mut guests = Vec::new();
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let mut alice = Peer::listening(1);
            let address: SocketAddr = address.parse().unwrap();
            let ours = alice.dial(2, address).await.unwrap();
            alice.send(ours, packet(1, 40));
            assert_eq!(bob.accepted().await.1, key(2));
            bob.received().await;
            guests.push(alice);
        }
        let mut alice = Peer::listening(1);
        let strategy = format!("tcp/localhost:{port}").parse().unwrap();
        assert!(alice.path.reaches(&strategy));
        alice.path.dial(DialId(1), key(2), &strategy);
        assert!(matches!(alice.next().await, PathEvent::Opened { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_path_closes_its_connections_and_its_port() {
    let (mut alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let (ours, _) = connected(&mut alice, &mut bob, 2).await;
    let address = bob.address();
    drop(bob);
    assert!(matches!(alice.next().await, PathEvent::Closed { path, .. } if path == ours));
    assert_eq!(alice.dial(2, address).await, Err(DialError::Refused));
}

/// Proves STR-5: whoever drives a path needs its trait and nothing else.
#[tokio::test(start_paused = true)]
async fn str_5_a_path_is_driven_through_its_trait_alone() {
    let (alice, mut bob) = (Peer::listening(1), Peer::listening(2));
    let mut paths: Vec<Box<dyn Path>> = vec![Box::new(alice.path)];
    let to = Strategy::Tcp(bob.address().into());
    let path = paths.iter_mut().find(|path| path.reaches(&to)).unwrap();
    path.dial(DialId(1), key(2), &to);
    let mut events = Vec::new();
    std::future::poll_fn(|context| path.poll(context, &mut events)).await;
    let [PathEvent::Opened { path: opened, .. }] = &events[..] else { panic!("{events:?}") };
    path.send(*opened, packet(1, 40)).unwrap();
    path.flush();
    bob.accepted().await;
    assert_eq!(bob.received().await.1, vec![1; 40]);
}
