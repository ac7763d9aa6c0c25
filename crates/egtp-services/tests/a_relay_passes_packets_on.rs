//! What a relay does for whom, as nodes around it see it: who is passed on, to whom, under which name, and what becomes of
//! a packet that cannot be.

use std::time::Duration;

use bytes::Bytes;
use egtp::path::{Attempts, Became, DialError};
use egtp::relay::{self, GONE, OPEN, PASS, Presence, REGISTER};
use egtp::{
    Allowed, Builder, Host, HostPort, Kind, Message, Node, NotSent, PublicKey, Query, RequestError,
    Router, SecretKey, ServeError, StartError, Strategy, Ticket,
};
use egtp_services::echo;
use egtp_services::relay::{Client, Limits, Relay, Standing};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

fn kind(name: &str) -> Kind {
    Kind::new(name).unwrap()
}

fn limits() -> Limits {
    Limits::default()
}

async fn relay_of(limits: Limits, registering: Allowed) -> Node {
    let mut builder = Node::builder().listen("127.0.0.1:0".parse().unwrap());
    for router in Relay::new(limits).routers(registering).unwrap() {
        builder = builder.serve(router);
    }
    builder.serve(echo::service().unwrap().1).start().await.unwrap()
}

async fn relay() -> Node {
    relay_of(limits(), Allowed::Anybody).await
}

/// Somebody who cannot be called, and answers echo/1.
async fn hidden() -> Node {
    Node::builder().serve(echo::service().unwrap().1).start().await.unwrap()
}

/// How to reach somebody by a relay.
fn by(relay: &Node, peer: &PublicKey) -> Ticket {
    let at = relay.listening()[0].host_port().cloned();
    Ticket { key: *peer, strategies: vec![Strategy::Relay { relay: relay.key(), at }] }
}

/// Registers by hand, and trusts nobody by that: what is passed is seen as it comes.
async fn at_a_desk(relay: &Node, seed: u8) -> (Node, UnboundedReceiver<(PublicKey, Bytes)>) {
    let (tell, told) = unbounded_channel();
    let desk = Router::new().route_hint(kind(PASS), move |hint, _| {
        let _ = tell.send(relay::decode_pass(&hint.body).unwrap());
    });
    let key = SecretKey::from_seed([seed; 32]);
    let node = Node::builder().key(key).serve(desk).start().await.unwrap();
    let lease = relay::encode_lease(Duration::from_secs(30)).to_vec();
    let mut request = node.request(relay.ticket(), Message::new(kind(REGISTER), lease)).start();
    while !matches!(request.progress().await.unwrap(), egtp::Progress::Taken) {}
    tokio::spawn(async move { request.progress().await.map(|_| ()) });
    (node, told)
}

async fn open(node: &Node, relay: &Node, peer: &Node) -> Presence {
    let message = Message::new(kind(OPEN), peer.key().as_bytes().to_vec());
    let reply = node.request(relay.ticket(), message).await.unwrap();
    Presence::decode(&reply.body).unwrap()
}

/// When this has been answered, the relay has seen every hint that went before.
async fn catch_up(node: &Node, relay: &Node) {
    node.request(relay.ticket(), Message::new(kind(echo::KIND), "")).await.unwrap();
}

/// What has been heard, or nothing for a while.
async fn heard<T>(told: &mut UnboundedReceiver<T>) -> Option<T> {
    timeout(WHILE, told.recv()).await.ok().flatten()
}

/// Longer than anything here takes.
const WHILE: Duration = Duration::from_secs(10);

fn pass(node: &Node, relay: &Node, to: &Node, packet: &str) {
    let body = relay::encode_pass(&to.key(), packet.as_bytes());
    node.hint(&relay.key(), Message::new(kind(PASS), body));
}

/// Proves REL-1, REL-3, REL-4, STR-3.
#[tokio::test]
async fn a_node_that_cannot_be_called_is_asked_through_a_relay_and_asks_through_it() {
    let relay = relay().await;
    let (alice, bob) = (hidden().await, hidden().await);
    for node in [&alice, &bob] {
        let mut client = Client::start(node.clone(), vec![relay.ticket()]);
        assert_eq!(client.registered().await, Some(relay.key()));
        tokio::spawn(async move { while client.changed().await.is_some() {} });
    }
    for number in 0..100 {
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            let body = format!("number {number}");
            let message = Message::new(kind(echo::KIND), body.clone());
            let reply = from.request(by(&relay, &to.key()), message).await.unwrap();
            assert_eq!(reply.body, body);
        }
    }
    let paths = alice.status().await.unwrap().paths;
    assert!(
        paths.iter().any(|one| one.peer == Some(bob.key()) && one.strategy.is_relayed()),
        "{paths:?}"
    );
}

/// Proves P-13: in pieces that a relay's records take.
#[tokio::test]
async fn a_large_body_goes_through_a_relay_in_both_directions() {
    let relay = relay().await;
    let bob = hidden().await;
    let mut client = Client::start(bob.clone(), vec![relay.ticket()]);
    client.registered().await.unwrap();
    let alice = Node::builder().listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let body: Vec<u8> = (0..80_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let message = Message::new(kind(echo::KIND), body.clone());
    let reply = alice.request(by(&relay, &bob.key()), message).await.unwrap();
    assert_eq!(reply.body, body);
}

/// Proves P-10.
#[tokio::test]
async fn a_relay_passes_only_between_two_of_which_one_has_asked_for_the_other() {
    let relay = relay().await;
    let (bob, mut told) = at_a_desk(&relay, 1).await;
    let (carol, mallory) = (hidden().await, hidden().await);
    assert_eq!(open(&carol, &relay, &mallory).await, Presence::Absent, "nobody is registered so");
    pass(&carol, &relay, &bob, "too early");
    catch_up(&carol, &relay).await;
    assert_eq!(open(&carol, &relay, &bob).await, Presence::Live);
    catch_up(&mallory, &relay).await;
    pass(&mallory, &relay, &bob, "unasked");
    catch_up(&mallory, &relay).await;
    pass(&carol, &relay, &bob, "hello");
    assert_eq!(heard(&mut told).await, Some((carol.key(), Bytes::from("hello"))));
    // As the sender it names whoever has sent it, whatever is in the packet.
    assert_eq!(open(&mallory, &relay, &bob).await, Presence::Live);
    pass(&mallory, &relay, &bob, "from carol");
    assert_eq!(heard(&mut told).await, Some((mallory.key(), Bytes::from("from carol"))));
    assert!(told.is_empty());
}

/// Somebody who hears of whom a relay says that he is gone.
async fn told_who_is_gone() -> (Node, UnboundedReceiver<PublicKey>) {
    let (tell, told) = unbounded_channel();
    let gone = Router::new().route_hint(kind(GONE), move |hint, _| {
        let _ = tell.send(relay::decode_peer(&hint.body).unwrap());
    });
    (Node::builder().serve(gone).start().await.unwrap(), told)
}

/// Proves P-11.
#[tokio::test]
async fn what_cannot_be_passed_on_is_not_kept_and_its_sender_hears_that_the_peer_is_gone() {
    let relay = relay().await;
    let (bob, _) = at_a_desk(&relay, 1).await;
    let (carol, mut told) = told_who_is_gone().await;
    assert_eq!(open(&carol, &relay, &bob).await, Presence::Live);
    bob.clone().close().await;
    relay.disconnected(&bob.key()).await;
    pass(&carol, &relay, &bob, "lost");
    assert_eq!(heard(&mut told).await, Some(bob.key()));
    assert_eq!(open(&carol, &relay, &bob).await, Presence::Absent, "it knows better now");
    // When he is there again, he is not given what came before.
    let (bob, mut told) = at_a_desk(&relay, 1).await;
    assert_eq!(open(&carol, &relay, &bob).await, Presence::Live);
    pass(&carol, &relay, &bob, "new");
    assert_eq!(heard(&mut told).await, Some((carol.key(), Bytes::from("new"))));
}

/// A relay that was restarted knows nothing of those who talk through it. If it said nothing, both would go on sending
/// there and wait. Proves P-11.
#[tokio::test]
async fn who_sends_to_somebody_that_it_has_not_asked_for_hears_that_he_is_gone() {
    let relay = relay().await;
    let (bob, _told) = at_a_desk(&relay, 1).await;
    let (carol, mut gone) = told_who_is_gone().await;
    catch_up(&carol, &relay).await;
    pass(&carol, &relay, &bob, "where are you?");
    assert_eq!(heard(&mut gone).await, Some(bob.key()));
}

/// What is no key names nobody who could be gone. Proves P-11.
#[tokio::test]
async fn a_packet_for_what_is_no_key_is_dropped_without_a_word() {
    let relay = relay().await;
    let (bob, _told) = at_a_desk(&relay, 1).await;
    let (tell, mut told) = unbounded_channel();
    let gone = Router::new().route_hint(kind(GONE), move |hint, _| {
        let _ = tell.send(hint.body.clone());
    });
    let carol = Node::builder().serve(gone).start().await.unwrap();
    catch_up(&carol, &relay).await;
    carol.hint(&relay.key(), Message::new(kind(PASS), vec![0xff; 64]));
    pass(&carol, &relay, &bob, "where are you?");
    assert_eq!(heard(&mut told).await.unwrap(), bob.key().as_bytes()[..]);
}

/// It asks that after its connection was lost, and registers again if not.
#[tokio::test]
async fn a_node_is_told_whether_it_is_registered() {
    let relay = relay().await;
    let bob = hidden().await;
    assert_eq!(open(&bob, &relay, &bob).await, Presence::Absent);
    let mut client = Client::start(bob.clone(), vec![relay.ticket()]);
    client.registered().await.unwrap();
    assert_eq!(open(&bob, &relay, &bob).await, Presence::Live);
}

/// Proves P-12: from a relay that a node is not registered at, it takes nothing in.
#[tokio::test]
async fn packets_of_a_relay_that_is_not_trusted_reach_nobody() {
    let relay = relay().await;
    let (bob, mut told) = at_a_desk(&relay, 1).await;
    let alice = Node::builder().start().await.unwrap();
    let ask = || {
        let message = Message::new(kind(echo::KIND), "");
        alice.request(by(&relay, &bob.key()), message).hard_timeout(Duration::from_millis(700))
    };
    let refused = ask().await.unwrap_err();
    assert!(matches!(refused, RequestError::TimedOut { .. }), "{refused:?}");
    let (from, knock) = heard(&mut told).await.unwrap();
    assert_eq!(from, alice.key());
    assert!(!knock.is_empty());
    // The control: with trust the same is answered.
    bob.trust_relay(relay.key(), true);
    let (_, router) = echo::service().unwrap();
    let serving = bob.clone();
    tokio::spawn(async move { serving.serve(router).await });
    let message = Message::new(kind(echo::KIND), "again");
    assert_eq!(alice.request(by(&relay, &bob.key()), message).await.unwrap().body, "again");
}

/// Proves P-12: nor is a relay reached through another one.
#[tokio::test]
async fn a_relay_behind_a_relay_is_not_used() {
    let (first, second) = (relay().await, relay().await);
    let bob = hidden().await;
    let mut clients = [
        Client::start(second.clone(), vec![first.ticket()]),
        Client::start(bob.clone(), vec![second.ticket()]),
    ];
    for client in &mut clients {
        client.registered().await.unwrap();
    }
    let attempts = Attempts::default();
    let alice = Node::builder().attempts(attempts.clone()).start().await.unwrap();
    let ask =
        |ticket| alice.request(ticket, Message::new(kind(echo::KIND), "")).hard_timeout(WHILE);
    // All that she knows of the second relay is that the first one leads to it.
    ask(by(&first, &second.key())).await.unwrap();
    let behind = Strategy::Relay { relay: second.key(), at: None };
    let refused = ask(Ticket { key: bob.key(), strategies: vec![behind] }).await.unwrap_err();
    assert_eq!(refused, RequestError::NotSent(NotSent::Unreachable));
    let tried = attempts.of(&bob.key());
    assert_eq!(tried[0].became, Became::Failed(DialError::Nested), "{tried:?}");
    // The control: who knows where it is goes there.
    let carol = Node::builder().start().await.unwrap();
    let message = Message::new(kind(echo::KIND), "");
    carol.request(by(&second, &bob.key()), message).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_named_as_absent_at_once() {
    let relay = relay().await;
    let attempts = Attempts::default();
    let alice = Node::builder().attempts(attempts.clone()).start().await.unwrap();
    let bob = SecretKey::from_seed([9; 32]).public();
    let message = Message::new(kind(echo::KIND), "");
    let refused = alice.request(by(&relay, &bob), message).await.unwrap_err();
    assert_eq!(refused, RequestError::NotSent(NotSent::Unreachable));
    assert_eq!(attempts.of(&bob)[0].became, Became::Failed(DialError::Absent));
}

#[tokio::test]
async fn who_may_not_register_is_refused_and_who_comes_when_it_is_full_hears_that_it_is_busy() {
    let closed = relay_of(limits(), Allowed::from_iter([SecretKey::from_seed([1; 32]).public()]));
    let full = relay_of(Limits { registered_max: 0, ..limits() }, Allowed::Anybody);
    let bob = hidden().await;
    let busy = egtp::Refusal::Busy { retry_after: Duration::ZERO };
    for (relay, why) in [(closed.await, egtp::Refusal::NotAllowed), (full.await, busy)] {
        let lease = relay::encode_lease(Duration::from_secs(30)).to_vec();
        let message = Message::new(kind(REGISTER), lease);
        let refused = bob.request(relay.ticket(), message).await.unwrap_err();
        assert_eq!(refused, RequestError::Refused(why));
    }
}

/// Proves P-10: a registration ends with its lease, or with whoever holds it.
#[tokio::test]
async fn a_registration_ends_with_its_lease() {
    let relay =
        relay_of(Limits { lease_max: Duration::from_millis(50), ..limits() }, Allowed::Anybody)
            .await;
    let bob = hidden().await;
    let lease = relay::encode_lease(Duration::from_secs(30)).to_vec();
    let reply = bob.request(relay.ticket(), Message::new(kind(REGISTER), lease)).await.unwrap();
    assert_eq!(relay::decode_lease(&reply.body), Some(Duration::ZERO), "in whole seconds");
    let alice = hidden().await;
    assert_eq!(open(&alice, &relay, &bob).await, Presence::Absent);
}

/// Proves DISC-3: a relay that does not answer costs a delay, and one that answers is stayed with.
#[tokio::test]
async fn when_a_relay_goes_the_next_one_is_registered_at_within_seconds() {
    let nobody: HostPort = HostPort { host: Host::V4([127, 0, 0, 1].into()), port: 9 };
    let bogus = Ticket {
        key: SecretKey::from_seed([7; 32]).public(),
        strategies: vec![Strategy::Tcp(nobody)],
    };
    let (first, second) = (relay().await, relay().await);
    let bob = hidden().await;
    let relays = vec![bogus, first.ticket(), second.ticket()];
    let mut client = Client::start(bob.clone(), relays);
    assert_eq!(client.registered().await, Some(first.key()));
    let begun = tokio::time::Instant::now();
    first.close().await;
    while client.registered().await != Some(second.key()) {
        client.changed().await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let alice = hidden().await;
    let message = Message::new(kind(echo::KIND), "moved");
    assert_eq!(alice.request(by(&second, &bob.key()), message).await.unwrap().body, "moved");
    bob.close().await;
    while let Some(standing) = client.changed().await {
        assert_eq!(standing, Standing::Nowhere);
    }
}

#[tokio::test]
async fn a_goodbye_goes_through_a_relay_before_the_relay_hears_its_own() {
    let relay = relay().await;
    let (tell, mut told) = unbounded_channel();
    let waits = Router::new().route(kind("wait/1"), move |query: Query| {
        let tell = tell.clone();
        async move {
            let _ = tell.send("asked");
            query.withdrawn().await;
            let _ = tell.send("withdrawn");
        }
    });
    let bob = Node::builder().serve(waits).serve(echo::service().unwrap().1);
    let bob = bob.start().await.unwrap();
    let mut client = Client::start(bob.clone(), vec![relay.ticket()]);
    client.registered().await.unwrap();
    let alice = Node::builder().start().await.unwrap();
    // There is a session, or nothing could be said yet.
    let hello = Message::new(kind(echo::KIND), "");
    alice.request(by(&relay, &bob.key()), hello).await.unwrap();
    let _open = alice.request(bob.key(), Message::new(kind("wait/1"), "")).start();
    assert_eq!(heard(&mut told).await, Some("asked"));
    let begun = tokio::time::Instant::now();
    alice.close().await;
    assert_eq!(heard(&mut told).await, Some("withdrawn"));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// Whoever registers again and again has one place, and keeps nobody from another. Proves REL-4.
#[tokio::test]
async fn one_key_takes_one_place_however_often_it_registers() {
    let relay = relay_of(Limits { registered_max: 2, ..limits() }, Allowed::Anybody).await;
    let (mallory, bob) = (hidden().await, hidden().await);
    let lease = relay::encode_lease(Duration::from_mins(1)).to_vec();
    let mut open_requests = Vec::new();
    for _ in 0..4_000 {
        let message = Message::new(kind(REGISTER), lease.clone());
        open_requests.push(mallory.request(relay.ticket(), message).start());
    }
    // All that came before the last one is replaced, and is answered.
    for earlier in open_requests.iter_mut().take(3_999) {
        while !matches!(earlier.progress().await.unwrap(), egtp::Progress::Replied(_)) {}
    }
    let mut client = Client::start(bob.clone(), vec![relay.ticket()]);
    assert_eq!(timeout(WHILE, client.registered()).await, Ok(Some(relay.key())));
    assert_eq!(open(&bob, &relay, &mallory).await, Presence::Live);
    let alice = hidden().await;
    let message = Message::new(kind(echo::KIND), "still there");
    let asked = alice.request(by(&relay, &bob.key()), message).hard_timeout(WHILE);
    assert_eq!(asked.await.unwrap().body, "still there");
}

/// Above what a relay keeps of pairs, a further one hears that its peer is absent. Proves P-10.
#[tokio::test]
async fn pairs_that_talk_are_bounded() {
    let relay = relay_of(Limits { circuits_max: 1, ..limits() }, Allowed::Anybody).await;
    let (bob, _told) = at_a_desk(&relay, 1).await;
    let (alice, carol) = (hidden().await, hidden().await);
    assert_eq!(open(&alice, &relay, &bob).await, Presence::Live);
    assert_eq!(open(&carol, &relay, &bob).await, Presence::Absent);
    assert_eq!(open(&alice, &relay, &bob).await, Presence::Live, "she has her place");
}

/// What leads to the peer itself may lead nowhere; the relay is for that.
#[tokio::test]
async fn a_peer_whose_own_address_is_closed_is_reached_by_its_relay() {
    let relay = relay().await;
    let bob = hidden().await;
    let mut client = Client::start(bob.clone(), vec![relay.ticket()]);
    client.registered().await.unwrap();
    let mut ticket = by(&relay, &bob.key());
    let closed = HostPort { host: Host::V4([127, 0, 0, 1].into()), port: 9 };
    ticket.strategies.insert(0, Strategy::Tcp(closed));
    let alice = hidden().await;
    let message = Message::new(kind(echo::KIND), "around");
    let asked = alice.request(ticket, message).hard_timeout(WHILE);
    assert_eq!(asked.await.unwrap().body, "around");
}

/// Packets would leave by the identity and the loop that they came to, and reach only those who are there as well.
#[tokio::test]
async fn a_node_with_several_identities_or_loops_refuses_to_be_a_relay() {
    let routers = || Relay::new(limits()).routers(Allowed::Anybody).unwrap();
    let key = || SecretKey::from_seed([1; 32]);
    let listening = || Node::builder().listen("127.0.0.1:0".parse().unwrap());
    for shared in [|node: Builder, key| node.also(key), |node: Builder, _| node.loops(2)] {
        let [register, others] = routers();
        let builder = shared(listening().serve(register).serve(others), key());
        let refused = builder.start().await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, StartError::Serve(ServeError::RelayIsShared)), "{refused}");
        assert!(refused.to_string().contains("leave out `also` and `loops`"), "{refused}");
        // Nor later.
        let node = shared(listening(), key()).start().await.unwrap();
        let [register, others] = routers();
        let refused = timeout(WHILE, node.serve(others)).await;
        assert_eq!(refused, Ok(Err(ServeError::RelayIsShared)));
        // The control: what else it serves is its own affair.
        assert!(timeout(Duration::ZERO, node.serve(register)).await.is_err());
    }
}

/// A relay that is busy enters a registration some time after it has taken it. That is no reason to go to the next one.
/// Proves B-11.
#[tokio::test]
async fn a_registration_that_is_entered_late_is_waited_for() {
    let looks = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let seen = std::sync::Arc::clone(&looks);
    let busy = Router::new()
        .route(kind(REGISTER), |query: Query| async move { query.withdrawn().await })
        .route_sync(kind(OPEN), move |_| {
            let is_early = seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 3;
            let presence = if is_early { Presence::Absent } else { Presence::Live };
            Bytes::copy_from_slice(&presence.encode())
        });
    let busy = Node::builder().listen("127.0.0.1:0".parse().unwrap()).serve(busy);
    let (busy, other) = (busy.start().await.unwrap(), relay().await);
    let bob = hidden().await;
    let mut client = Client::start(bob, vec![busy.ticket(), other.ticket()]);
    assert_eq!(timeout(WHILE, client.registered()).await, Ok(Some(busy.key())));
    assert_eq!(looks.load(std::sync::atomic::Ordering::Relaxed), 4);
}
