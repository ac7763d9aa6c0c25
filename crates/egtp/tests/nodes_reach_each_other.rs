//! Real nodes over TCP on loopback: addresses that change or fail, identities, closing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use egtp::lookup::{Lookup, MemoryLookup};
use egtp::{
    Contact, ContactDraft, Kind, Message, Node, NotSent, RequestError, Router, SecretKey, Strategy,
    Ticket, respond,
};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn kind() -> Kind {
    Kind::new("echo/1").unwrap()
}

fn echo(node: &Node) {
    let router = Router::new().route_sync(kind(), |query| query.message.body.clone());
    let node = node.clone();
    tokio::spawn(async move { node.serve(router).await });
}

async fn server(key: SecretKey) -> Node {
    let node = Node::builder().key(key).listen(loopback()).start().await.unwrap();
    echo(&node);
    node
}

fn contact(key: &SecretKey, sequence: u64, strategies: &[Strategy]) -> Contact {
    let draft = ContactDraft {
        sequence,
        strategies: strategies.to_vec(),
        suites: vec![1, 2],
        mailbox_prekey: None,
        letter_store: None,
        instance: 1,
        message_bytes_max: 1 << 20,
        idle_out_seconds: 3600,
        expiry_day: 90,
        parent: None,
    };
    draft.sign(key, 0).unwrap()
}

/// An address on which nobody listens: bound once, so that it is ours, and closed.
fn dead_address() -> Strategy {
    let listener = std::net::TcpListener::bind(loopback()).unwrap();
    Strategy::Tcp(listener.local_addr().unwrap().into())
}

/// Proves LOOK-1: given only a key, the node finds the address and delivers.
#[tokio::test]
async fn a_key_alone_is_enough_with_a_lookup() {
    let secret = SecretKey::from_seed([1; 32]);
    let lookup = MemoryLookup::new();
    let bob = server(SecretKey::from_seed([1; 32])).await;
    lookup.publish(contact(&secret, 1, bob.listening())).await.unwrap();
    let alice = Node::builder().lookup(lookup).start().await.unwrap();
    let reply = alice.request(bob.key(), Message::new(kind(), "hi")).await.unwrap();
    assert_eq!(reply.body, "hi");
    assert_eq!(reply.via.as_ref(), bob.listening().first());
}

/// Proves LOOK-2, STR-6: the peer has moved; the old address fails, the lookup brings the new one.
#[tokio::test]
async fn a_peer_that_moved_is_found_at_its_new_address() {
    let secret = SecretKey::from_seed([2; 32]);
    let lookup = MemoryLookup::new();
    let bob = server(SecretKey::from_seed([2; 32])).await;
    lookup.publish(contact(&secret, 1, bob.listening())).await.unwrap();
    let alice = Node::builder().lookup(lookup.clone()).start().await.unwrap();
    alice.request(bob.key(), Message::new(kind(), "one")).await.unwrap();
    let key = bob.key();
    bob.close().await;
    // What would still be written into the old connection could only end as unknown.
    while alice.status().await.unwrap().connections > 0 {
        tokio::task::yield_now().await;
    }
    let moved = server(SecretKey::from_seed([2; 32])).await;
    lookup.publish(contact(&secret, 2, moved.listening())).await.unwrap();
    let reply = alice.request(key, Message::new(kind(), "two")).await.unwrap();
    assert_eq!(reply.body, "two");
    assert_eq!(reply.via.as_ref(), moved.listening().first());
}

/// Proves B-12: an address that fails costs nothing but itself; the others are tried.
#[tokio::test]
async fn only_the_failing_address_is_given_up() {
    let bob = server(SecretKey::from_seed([3; 32])).await;
    let mut strategies = vec![dead_address(), dead_address()];
    strategies.extend(bob.listening().iter().cloned());
    let ticket = Ticket { key: bob.key(), strategies };
    let alice = Node::builder().start().await.unwrap();
    for body in ["one", "two"] {
        let reply = alice.request(&ticket, Message::new(kind(), body)).await.unwrap();
        assert_eq!(reply.body, body);
    }
}

/// Proves FF-1, B-13: nobody listens, or nobody knows the key: told at once, not at the timeout.
#[tokio::test]
async fn what_cannot_leave_this_machine_is_reported_at_once() {
    let alice = Node::builder().lookup(MemoryLookup::new()).start().await.unwrap();
    let key = SecretKey::from_seed([4; 32]).public();
    let started = Instant::now();
    let ticket = Ticket { key, strategies: vec![dead_address()] };
    let refused = alice.request(&ticket, Message::new(kind(), "x")).await.unwrap_err();
    assert_eq!(refused, RequestError::NotSent(NotSent::Unreachable));
    let stranger = SecretKey::from_seed([5; 32]).public();
    let unknown = alice.request(stranger, Message::new(kind(), "x")).await.unwrap_err();
    assert_eq!(unknown, RequestError::NotSent(NotSent::NotFound));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

/// Proves STR-2, MSG-18: whoever cannot be called is reached over the connection that it opened.
#[tokio::test]
async fn a_client_is_asked_over_its_own_connection() {
    let bob = server(SecretKey::from_seed([6; 32])).await;
    let client = Node::builder().start().await.unwrap();
    echo(&client);
    assert!(client.listening().is_empty());
    client.request(bob.ticket(), Message::new(kind(), "hello")).await.unwrap();
    let reply = bob.request(client.key(), Message::new(kind(), "and you?")).await.unwrap();
    assert_eq!(reply.body, "and you?");
}

/// Proves ID-4, HND-13, DBS-3: several identities behind one port, each addressed by its own key; the asker
/// too can be several.
#[tokio::test]
async fn several_identities_live_behind_one_port() {
    let keys = [7, 8, 9].map(|seed| SecretKey::from_seed([seed; 32]).public());
    let node = Node::builder()
        .key(SecretKey::from_seed([7; 32]))
        .also(SecretKey::from_seed([8; 32]))
        .also(SecretKey::from_seed([9; 32]))
        .listen(loopback())
        .start()
        .await
        .unwrap();
    assert_eq!(node.keys(), keys);
    let who = Kind::new("who/1").unwrap();
    let answer = respond(|asker, _| async move { asker.to_string() });
    let (serving, router) = (node.clone(), Router::new().route(who.clone(), answer));
    tokio::spawn(async move { serving.serve(router).await });
    let names = [17, 18].map(|seed| SecretKey::from_seed([seed; 32]).public());
    let alice = Node::builder()
        .key(SecretKey::from_seed([17; 32]))
        .also(SecretKey::from_seed([18; 32]))
        .start()
        .await
        .unwrap();
    for key in keys {
        for name in names {
            let ticket = Ticket { key, strategies: node.listening().to_vec() };
            let request = alice.request(ticket, Message::new(who.clone(), ""));
            let reply = request.from_identity(name).await.unwrap();
            assert_eq!(reply.body, name.to_string());
        }
    }
    assert_eq!(node.status().await.unwrap().connections, 6);
}

/// Proves EVT-3, EVT-7: the handle is used from many threads at once; there is no wrong context.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_may_come_from_any_thread() {
    fn anywhere<T: Send + Sync + Clone + 'static>(_: &T) {}
    let bob = server(SecretKey::from_seed([10; 32])).await;
    let alice = Node::builder().start().await.unwrap();
    anywhere(&alice);
    let mut asking = Vec::new();
    for thread in 0..4_u32 {
        let (alice, ticket) = (alice.clone(), bob.ticket());
        asking.push(tokio::spawn(async move {
            for number in 0..250_u32 {
                let body = format!("{thread}/{number}");
                let request = alice.request(&ticket, Message::new(kind(), body.clone()));
                assert_eq!(request.await.unwrap().body, body);
            }
        }));
    }
    for task in asking {
        task.await.unwrap();
    }
    assert_eq!(bob.status().await.unwrap().counters.taken, 1000);
}

/// Proves EVT-4: a peer that never reads its socket holds up nobody else.
#[tokio::test]
async fn a_peer_that_does_not_read_holds_up_nobody() {
    let bob = server(SecretKey::from_seed([11; 32])).await;
    let Some(address) = bob.listening()[0].host_port().and_then(egtp::HostPort::socket_addr) else {
        panic!("not an address")
    };
    // Connections that say nothing and read nothing.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(std::net::TcpStream::connect(address).unwrap());
    }
    let alice = Node::builder().start().await.unwrap();
    let started = Instant::now();
    for _ in 0..50 {
        alice.request(bob.ticket(), Message::new(kind(), "x")).await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Proves EVT-10, TMO-1: dropping a pending request frees it on both sides.
#[tokio::test]
async fn dropping_a_request_frees_it_on_both_sides() {
    let bob = Node::builder().listen(loopback()).start().await.unwrap();
    let mut queries = bob.queries(kind()).unwrap();
    let alice = Node::builder().start().await.unwrap();
    let pending = alice.request(bob.ticket(), Message::new(kind(), "x")).start();
    let query = queries.next().await.unwrap();
    assert_eq!(alice.status().await.unwrap().sizes.open, 1);
    let withdrawn = query.withdrawn();
    drop(pending);
    // The other side hears of it within the delay of an acknowledgement.
    tokio::time::timeout(Duration::from_secs(5), withdrawn).await.unwrap();
    assert_eq!(alice.status().await.unwrap().sizes.open, 0);
    assert_eq!(bob.status().await.unwrap().sizes.queries, 0);
}

/// Proves B-28: closing under load takes less than five seconds, and every request that is open ends
/// once, as closing.
#[tokio::test]
async fn closing_under_load_is_quick_and_tells_everybody() {
    let bob = Node::builder().listen(loopback()).start().await.unwrap();
    let _held = bob.queries(kind()).unwrap();
    let alice = Node::builder().start().await.unwrap();
    let pending: Vec<_> =
        (0..500).map(|_| alice.request(bob.ticket(), Message::new(kind(), "x")).start()).collect();
    let started = Instant::now();
    alice.close().await;
    for one in pending {
        assert_eq!(one.await.unwrap_err(), RequestError::Closing);
    }
    bob.close().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// Proves MSG-5, MSG-11: that the peer has taken a request is reported before its reply.
#[tokio::test]
async fn taken_is_reported_while_the_handler_still_works() {
    let bob = Node::builder().listen(loopback()).start().await.unwrap();
    let mut queries = bob.queries(kind()).unwrap();
    let alice = Node::builder().start().await.unwrap();
    let mut pending = alice.request(bob.ticket(), Message::new(kind(), "x")).start();
    let query = queries.next().await.unwrap();
    assert_eq!(pending.progress().await.unwrap(), egtp::Progress::Taken);
    query.reply("done");
    assert_eq!(pending.await.unwrap().body, "done");
}

/// Proves B-22: a lookup that never answers delays nobody who can be reached without it.
#[tokio::test]
async fn a_lookup_that_hangs_delays_no_other_traffic() {
    #[derive(Debug)]
    struct Hanging;
    impl Lookup for Hanging {
        fn name(&self) -> &'static str {
            "hanging"
        }
        fn resolve(
            &self,
            _: egtp::PublicKey,
        ) -> egtp::lookup::BoxFuture<'_, Result<Option<Contact>, egtp::lookup::LookupError>>
        {
            Box::pin(std::future::pending())
        }
        fn publish(
            &self,
            _: Contact,
        ) -> egtp::lookup::BoxFuture<'_, Result<(), egtp::lookup::LookupError>> {
            Box::pin(std::future::pending())
        }
    }
    let bob = server(SecretKey::from_seed([12; 32])).await;
    let alice = Node::builder().lookup(Hanging).start().await.unwrap();
    let lost = SecretKey::from_seed([13; 32]).public();
    let waiting = alice.request(lost, Message::new(kind(), "x")).start();
    let started = Instant::now();
    for _ in 0..20 {
        alice.request(bob.ticket(), Message::new(kind(), "y")).await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(waiting.await.unwrap_err(), RequestError::NotSent(NotSent::NotFound));
}

/// Proves MSG-11: a send resolves when the receiver has taken it, and its handler gets it once.
#[tokio::test]
async fn a_send_reaches_the_handler_of_its_kind() {
    let bob = Node::builder().listen(loopback()).start().await.unwrap();
    let mut queries = bob.queries(kind()).unwrap();
    let alice = Node::builder().start().await.unwrap();
    alice.send(bob.ticket(), Message::new(kind(), "for your information")).await.unwrap();
    let told = queries.next().await.unwrap();
    assert_eq!(told.body(), "for your information");
    assert!(!told.wants_reply());
    told.reply("nobody hears this");
    let reply = alice.request(bob.ticket(), Message::new(kind(), "and now?")).start();
    let query = queries.next().await.unwrap();
    assert!(query.wants_reply());
    query.reply("this is heard");
    assert_eq!(reply.await.unwrap().body, "this is heard");
}

/// A node that was given its handlers before it started refuses nobody who comes early.
#[tokio::test]
async fn handlers_given_to_the_builder_answer_from_the_first_packet_on() {
    for _ in 0..20 {
        let address: SocketAddr = {
            let listener = std::net::TcpListener::bind(loopback()).unwrap();
            listener.local_addr().unwrap()
        };
        let secret = SecretKey::from_seed([14; 32]);
        let ticket =
            Ticket { key: secret.public(), strategies: vec![Strategy::Tcp(address.into())] };
        let alice = Node::builder().start().await.unwrap();
        // Asks until somebody is there: the first answer must be the handler's.
        let asking = tokio::spawn(async move {
            loop {
                match alice.request(&ticket, Message::new(kind(), "early")).await {
                    Err(RequestError::NotSent(_)) => tokio::task::yield_now().await,
                    ended => return ended,
                }
            }
        });
        let answer = respond(|_, body: bytes::Bytes| async move { body });
        let router = Router::new().route(kind(), answer);
        let bob = Node::builder().key(secret).listen(address).serve(router).start().await.unwrap();
        assert_eq!(asking.await.unwrap().unwrap().body, "early");
        bob.close().await;
    }
}
