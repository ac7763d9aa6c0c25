//! A new cipher suite among nodes of different age, over TCP on loopback.
//!
//! An old node is one that is made with the suites 0x01 and 0x02 only. How often a node has worked with
//! ML-KEM tells which suite was used: twice for who opened a hybrid session, once for who answered.

use std::net::SocketAddr;

use egtp::lookup::{Lookup, MemoryLookup};
use egtp::{
    Builder, Cipher, Contact, ContactDraft, Kind, Message, Node, NotSent, RequestError, Router,
    SecretKey, Strategy, Suites,
};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn kind() -> Kind {
    Kind::new("echo/1").unwrap()
}

fn old(builder: Builder) -> Builder {
    builder.suites(Suites::classical(Cipher::Aes256Gcm))
}

fn new(builder: Builder) -> Builder {
    builder.suites(Suites::all(Cipher::Aes256Gcm))
}

async fn server(seed: u8, age: fn(Builder) -> Builder) -> Node {
    let router = Router::new().route_sync(kind(), |query| query.message.body.clone());
    let builder = Node::builder().key(SecretKey::from_seed([seed; 32])).listen(loopback());
    age(builder).serve(router).start().await.unwrap()
}

async fn client(age: fn(Builder) -> Builder) -> Node {
    age(Node::builder()).start().await.unwrap()
}

async fn encapsulations(node: &Node) -> u64 {
    node.status().await.unwrap().counters.encapsulations
}

fn contact(seed: u8, sequence: u64, suites: Vec<u8>, strategies: &[Strategy]) -> Contact {
    let draft = ContactDraft {
        sequence,
        strategies: strategies.to_vec(),
        suites,
        mailbox_prekey: None,
        letter_store: None,
        instance: 1,
        message_bytes_max: 1 << 20,
        idle_out_seconds: 3600,
        expiry_day: 90,
        parent: None,
    };
    draft.sign(&SecretKey::from_seed([seed; 32]), 0).unwrap()
}

/// Proves CIP-1, SCENARIO-19.
#[tokio::test]
async fn cip_1_old_nodes_talk_with_new_ones_and_new_ones_use_the_new_suite() {
    let ages: [fn(Builder) -> Builder; 2] = [old, new];
    for (asker, answerer) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let bob = server(1, ages[answerer]).await;
        let alice = client(ages[asker]).await;
        let reply = alice.request(bob.ticket(), Message::new(kind(), "hi")).await.unwrap();
        assert_eq!(reply.body, "hi");
        let done = (encapsulations(&alice).await, encapsulations(&bob).await);
        assert_eq!(done, if asker + answerer == 2 { (2, 1) } else { (0, 0) });
    }
}

/// Proves PRO-4, CIP-1, SCENARIO-19: a contact without the new suite can be made only by its owner; the one that was true
/// last year changes nothing.
#[tokio::test]
async fn pro_4_a_stripped_contact_is_refused_and_an_old_one_changes_nothing() {
    let bob = server(2, new).await;
    let last_year = contact(2, 6, vec![0x02, 0x01], bob.listening());
    let genuine = contact(2, 7, vec![0x12, 0x11, 0x02, 0x01], bob.listening());
    let stripped = [&genuine.encode()[..104], last_year.value()].concat();
    assert!(Contact::decode(&stripped).is_err(), "the signature covers the list");

    let lookup = MemoryLookup::new();
    lookup.publish(genuine.clone()).await.unwrap();
    let alice = new(Node::builder().lookup(lookup)).start().await.unwrap();
    alice.learn(genuine);
    alice.learn(last_year);
    let reply = alice.request(bob.key(), Message::new(kind(), "hi")).await.unwrap();
    assert_eq!(reply.body, "hi");
    assert_eq!((encapsulations(&alice).await, encapsulations(&bob).await), (2, 1));
}

/// Proves CIP-1, H-29: what must stay secret for long goes to a new node and not to an old one.
#[tokio::test]
async fn a_post_quantum_request_reaches_new_nodes_only() {
    let (old_bob, new_bob, alice) = (server(3, old).await, server(4, new).await, client(new).await);
    let secret = || Message::new(kind(), "until 2050");
    let reply = alice.request(new_bob.ticket(), secret()).post_quantum().await.unwrap();
    assert_eq!(reply.body, "until 2050");
    let refused = alice.request(old_bob.ticket(), secret()).post_quantum().await;
    assert!(matches!(refused, Err(RequestError::NotSent(NotSent::NoHybridSuite))), "{refused:?}");
    let reply = alice.request(old_bob.ticket(), Message::new(kind(), "today")).await.unwrap();
    assert_eq!(reply.body, "today");
    assert_eq!(old_bob.status().await.unwrap().counters.taken, 1, "it never had the other one");
}
