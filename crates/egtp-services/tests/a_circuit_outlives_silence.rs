//! Whoever has not registered keeps no connection to a relay when nothing goes by it. With whole nodes over TCP, and a
//! clock that only the test moves on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egtp::clock::TokioClock;
use egtp::{Allowed, Builder, Kind, Message, Node, Router, Strategy, Ticket, respond};
use egtp_services::relay::{Client, Limits, Relay};
use tokio::time::sleep;

/// A moment on a tick of the idle schedule, of eight seconds.
const ON_TICK: Duration = Duration::from_secs(8 * 212_500_000);

fn start(builder: Builder, clock: &Arc<TokioClock>) -> Node {
    let (node, driver) = builder.clock(clock.clone()).start_inline().unwrap();
    tokio::spawn(driver);
    node
}

fn kind() -> Kind {
    Kind::new("slow/1").unwrap()
}

/// A relay, somebody registered there who answers after as many seconds as the body says, and how to reach him.
async fn place(clock: &Arc<TokioClock>) -> (Node, Client, Ticket) {
    let mut relay = Node::builder().listen("127.0.0.1:0".parse().unwrap());
    for router in Relay::new(Limits::default()).routers(Allowed::Anybody).unwrap() {
        relay = relay.serve(router);
    }
    let relay = start(relay, clock);
    let slow = respond(|_, body: Bytes| async move {
        sleep(Duration::from_secs(body.first().copied().unwrap_or(0).into())).await;
        body
    });
    let bob = start(Node::builder().serve(Router::new().route(kind(), slow)), clock);
    let mut client = Client::start(bob.clone(), vec![relay.ticket()]);
    assert_eq!(client.registered().await, Some(relay.key()));
    let at = relay.listening()[0].host_port().cloned();
    let strategies = vec![Strategy::Relay { relay: relay.key(), at }];
    (relay, client, Ticket { key: bob.key(), strategies })
}

/// Proves P-7, B-16: a circuit through a connection that was closed for silence is not believed to stand.
#[tokio::test(start_paused = true)]
async fn after_silence_the_next_message_opens_the_way_through_the_relay_again() {
    let clock = Arc::new(TokioClock::new(ON_TICK));
    let (relay, _client, bob) = place(&clock).await;
    let alice = start(Node::builder(), &clock);
    for _ in 0..3 {
        let asked = alice.request(&bob, Message::new(kind(), vec![0]));
        let reply = asked.hard_timeout(Duration::from_secs(20)).await;
        assert_eq!(reply.map(|reply| reply.body).as_deref(), Ok(&[0][..]));
        sleep(Duration::from_secs(40)).await;
        let open = alice.status().await.unwrap().paths;
        assert!(open.is_empty(), "nothing is open after silence: {open:?}");
    }
    relay.close().await;
}

/// Proves P-7, CON-2: while a reply is awaited the way to it is kept, however long that takes.
#[tokio::test(start_paused = true)]
async fn a_reply_that_takes_long_finds_its_way_through_the_relay() {
    let clock = Arc::new(TokioClock::new(ON_TICK));
    let (_relay, _client, bob) = place(&clock).await;
    let alice = start(Node::builder(), &clock);
    for seconds in [30, 120, 240] {
        let asked = alice.request(&bob, Message::new(kind(), vec![seconds]));
        let reply = asked.hard_timeout(Duration::from_secs(u64::from(seconds) + 5)).await;
        assert_eq!(reply.map(|reply| reply.body).as_deref(), Ok(&[seconds][..]));
    }
}
