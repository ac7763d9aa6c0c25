//! A relay passes on so many bytes a second of each sender, and drops what is above that: who floods it slows himself down
//! and nobody else. With whole nodes over TCP, and a clock that only the test moves on.

use std::sync::Arc;
use std::time::Duration;

use egtp::clock::TokioClock;
use egtp::{Allowed, Builder, Kind, Message, Node, Strategy, Ticket};
use egtp_services::echo;
use egtp_services::relay::{Client, Limits, Relay};
use tokio::time::{Instant, interval};

fn start(builder: Builder, clock: &Arc<TokioClock>) -> Node {
    let (node, driver) = builder.clock(clock.clone()).start_inline().unwrap();
    tokio::spawn(driver);
    node
}

fn relay_of(limits: Limits, clock: &Arc<TokioClock>) -> Node {
    let mut relay = Node::builder().listen("127.0.0.1:0".parse().unwrap());
    for router in Relay::new(limits).routers(Allowed::Anybody).unwrap() {
        relay = relay.serve(router);
    }
    start(relay, clock)
}

/// Somebody who is registered at a relay and answers `echo/1`, and how to reach him.
async fn registered(relay: &Node, clock: &Arc<TokioClock>) -> (Client, Ticket) {
    let node = start(Node::builder().serve(echo::service().unwrap().1), clock);
    let mut client = Client::start(node.clone(), vec![relay.ticket()]);
    client.registered().await.unwrap();
    let at = relay.listening()[0].host_port().cloned();
    let strategies = vec![Strategy::Relay { relay: relay.key(), at }];
    (client, Ticket { key: node.key(), strategies })
}

/// How long an echo takes.
async fn echoed(node: &Node, to: &Ticket, body: Vec<u8>) -> Duration {
    let begun = Instant::now();
    let message = Message::new(Kind::new(echo::KIND).unwrap(), body.clone());
    let reply = node.request(to, message).hard_timeout(Duration::from_mins(1)).await;
    assert_eq!(reply.map(|reply| reply.body).as_deref(), Ok(&body[..]));
    begun.elapsed()
}

/// Proves REL-4: large bodies take as long as the rate of their senders says and not much longer, what is dropped being sent
/// again; others do not wait for that.
#[tokio::test(start_paused = true)]
async fn who_sends_more_than_its_share_is_slowed_down_and_nobody_else() {
    let clock = Arc::new(TokioClock::new(Duration::from_secs(1_700_000_000)));
    let relay = relay_of(Limits { bytes_per_second: 1_000_000, ..Limits::default() }, &clock);
    let (_bobs, bob) = registered(&relay, &clock).await;
    let (_daves, dave) = registered(&relay, &clock).await;
    let (alice, carol) = (start(Node::builder(), &clock), start(Node::builder(), &clock));
    let large = async {
        let begun = Instant::now();
        for _ in 0..4 {
            echoed(&alice, &bob, vec![7; 1_900_000]).await;
        }
        begun.elapsed()
    };
    let small = async {
        let mut steps = interval(Duration::from_millis(100));
        loop {
            steps.tick().await;
            let took = echoed(&carol, &dave, b"meanwhile".to_vec()).await;
            assert!(took < Duration::from_millis(500), "{took:?}");
        }
    };
    let took = tokio::select! {
        took = large => took,
        () = small => unreachable!("it goes on for ever"),
    };
    // 7.6 MB each way, of which a second's worth goes at once.
    assert!(took > Duration::from_secs(6), "{took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}
