//! What became of each address: refused, open but without the key's proof, or reached.

use std::time::Duration;

use egtp::path::{Attempts, Became, DialError};
use egtp::{Kind, Message, Node, NotSent, RequestError, Router, SecretKey, Strategy, Ticket};

fn kind() -> Kind {
    Kind::new("echo/1").unwrap()
}

async fn server() -> Node {
    let echo = Router::new().route_sync(kind(), |query| Ok(query.message.body.clone()));
    let listening = Node::builder().listen(([127, 0, 0, 1], 0).into()).serve(echo);
    listening.start().await.unwrap()
}

/// An address of this machine at which nobody listens.
fn dead_address() -> Strategy {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Strategy::Tcp(listener.local_addr().unwrap().into())
}

fn became(attempts: &Attempts, ticket: &Ticket) -> Vec<(Strategy, Became)> {
    let known = attempts.of(&ticket.key).into_iter();
    known.map(|attempt| (attempt.strategy, attempt.became)).collect()
}

#[tokio::test]
async fn a_refused_address_and_one_where_the_key_was_proved_are_told_apart() {
    let (bob, attempts, dead) = (server().await, Attempts::default(), dead_address());
    let alice = Node::builder().attempts(attempts.clone()).start().await.unwrap();
    let nowhere = Ticket { key: bob.key(), strategies: vec![dead.clone()] };
    let outcome = alice.request(&nowhere, Message::new(kind(), "x")).await.unwrap_err();
    assert_eq!(outcome, RequestError::NotSent(NotSent::Unreachable));
    let refused = (dead, Became::Failed(DialError::Refused));
    assert_eq!(became(&attempts, &nowhere), std::slice::from_ref(&refused));

    let ticket = bob.ticket();
    alice.request(&ticket, Message::new(kind(), "x")).await.unwrap();
    let reached = (ticket.strategies[0].clone(), Became::Proved);
    assert_eq!(became(&attempts, &ticket), [refused, reached]);
}

#[tokio::test]
async fn an_address_where_somebody_else_lives_is_said_to_be_unproved() {
    let (bob, attempts) = (server().await, Attempts::default());
    let alice = Node::builder().attempts(attempts.clone()).start().await.unwrap();
    let key = SecretKey::from_seed([7; 32]).public();
    let ticket = Ticket { key, strategies: bob.ticket().strategies };
    let request = alice.request(&ticket, Message::new(kind(), "x"));
    let outcome = request.hard_timeout(Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(outcome, RequestError::TimedOut { .. }), "{outcome}");
    assert_eq!(became(&attempts, &ticket), [(ticket.strategies[0].clone(), Became::Unproved)]);
    let text = attempts.of(&key)[0].to_string();
    assert!(text.contains("nobody there proved to be egtp1"), "{text}");
    assert_eq!(attempts.of(&bob.key()), []);
}

/// Loops count their dials each for itself, and what becomes of one is never told of another's.
#[tokio::test]
async fn what_became_of_an_address_is_told_of_the_right_one_by_each_loop() {
    let attempts = Attempts::default();
    let alice = Node::builder().attempts(attempts.clone()).loops(4).insecure_seed([5; 32]);
    let alice = alice.start().await.unwrap();
    for number in 0..12 {
        let (bob, dead) = (server().await, dead_address());
        let key = SecretKey::from_seed([number; 32]).public();
        let nowhere = Ticket { key, strategies: vec![dead.clone()] };
        alice.request(&nowhere, Message::new(kind(), "x")).await.unwrap_err();
        alice.request(bob.ticket(), Message::new(kind(), "x")).await.unwrap();
        let refused = (dead, Became::Failed(DialError::Refused));
        assert_eq!(became(&attempts, &nowhere), [refused], "{number}");
        let ticket = bob.ticket();
        assert_eq!(became(&attempts, &ticket), [(ticket.strategies[0].clone(), Became::Proved)]);
    }
}
