//! Before a relay goes, those who are registered there move, and those who talk through it do not notice.

use std::time::Duration;

use egtp::{Allowed, Kind, Message, Node, Strategy, Ticket};
use egtp_services::echo;
use egtp_services::relay::{Client, Limits, Relay, Standing};
use tokio::time::timeout;

/// The relay, and the node that it is.
async fn relay() -> (Relay, Node) {
    let relay = Relay::new(Limits::default());
    let mut builder = Node::builder().listen("127.0.0.1:0".parse().unwrap());
    for router in relay.routers(Allowed::Anybody).unwrap() {
        builder = builder.serve(router);
    }
    (relay, builder.start().await.unwrap())
}

#[tokio::test]
async fn whoever_is_registered_moves_at_once_and_whoever_talks_goes_on() {
    let ((first, first_node), (second, second_node)) = (relay().await, relay().await);
    let bob = Node::builder().serve(echo::service().unwrap().1).start().await.unwrap();
    let mut client = Client::start(bob.clone(), vec![first_node.ticket(), second_node.ticket()]);
    assert_eq!(client.registered().await, Some(first_node.key()));
    let alice = Node::builder().start().await.unwrap();
    let at = first_node.listening()[0].host_port().cloned();
    let by_first = Ticket {
        key: bob.key(),
        strategies: vec![Strategy::Relay { relay: first_node.key(), at }],
    };
    let ask = || {
        let message = Message::new(Kind::new(echo::KIND).unwrap(), "hello");
        alice.request(by_first.clone(), message)
    };
    ask().await.unwrap();

    first.drain();
    assert_eq!(timeout(SOON, client.changed()).await.unwrap(), Some(Standing::Nowhere));
    let moved = timeout(SOON, client.registered()).await;
    assert_eq!(moved.expect("long before a probe would find out"), Some(second_node.key()));
    ask().await.unwrap();
    assert_eq!(second.counts().passed_packets, 0, "the talk went on where it was");
    let counts = first.counts();
    assert_eq!((counts.registered, counts.circuits), (0, 1));
    assert!(counts.passed_packets > 0 && counts.registrations_refused > 0, "{counts:?}");
}

/// Far shorter than the time after which a client looks for itself, and than a relay's own goodbye would matter here.
const SOON: Duration = Duration::from_secs(5);
