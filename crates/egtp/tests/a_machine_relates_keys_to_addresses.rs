//! What a machine knows of others: one file that relates public keys to addresses, for all of its nodes.

// The lints spare test functions only, and the helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod folder;

use egtp::lookup::{FileLookup, Lookup};
use egtp::{Contact, ContactDraft, Kind, Message, Node, RequestError, Router, SecretKey, respond};
use folder::Folder;

fn kind() -> Kind {
    Kind::new("who/1").unwrap()
}

/// A node at a port of its own, which answers with its key.
async fn server(seed: u8) -> Node {
    let node = Node::builder().key(SecretKey::from_seed([seed; 32]));
    let node = node.listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let key = node.key().to_string();
    let answer = respond(move |_, _: bytes::Bytes| {
        let key = key.clone();
        async move { key }
    });
    let (serving, router) = (node.clone(), Router::new().route(kind(), answer));
    tokio::spawn(async move { serving.serve(router).await });
    node
}

/// What a node says of itself.
fn contact(seed: u8, sequence: u64, node: &Node) -> Contact {
    let draft = ContactDraft {
        sequence,
        strategies: node.listening().to_vec(),
        suites: vec![1, 2],
        mailbox_prekey: None,
        letter_store: None,
        instance: 1,
        message_bytes_max: 1 << 20,
        idle_out_seconds: 3_600,
        expiry_day: 90,
        parent: None,
    };
    draft.sign(&SecretKey::from_seed([seed; 32]), 0).unwrap()
}

/// One after another nodes of this machine start that know nothing but the file, as after a restart; each finds
/// each key's address and port there, and none that is not there. A server that has moved is found again.
/// Proves DBS-2.
#[tokio::test]
async fn each_node_of_a_machine_finds_keys_in_the_machines_file() {
    let folder = Folder::made("machine");
    let file = folder.0.join("contacts");
    let bobs = [server(31).await, server(32).await, server(33).await];
    let book = FileLookup::new(&file);
    for (seed, bob) in (31..).zip(&bobs) {
        book.publish(contact(seed, 1, bob)).await.unwrap();
    }
    for _ in 0..2 {
        let node = Node::builder().lookup(FileLookup::new(&file)).start().await.unwrap();
        for bob in &bobs {
            let reply = node.request(bob.key(), Message::new(kind(), "")).await.unwrap();
            assert_eq!(reply.body, bob.key().to_string());
            assert_eq!(reply.via.as_ref(), bob.listening().first());
        }
        let nobody = SecretKey::from_seed([99; 32]).public();
        let outcome = node.request(nobody, Message::new(kind(), "")).await;
        assert!(matches!(outcome, Err(RequestError::NotSent(_))), "{outcome:?}");
    }
    let [bob, ..] = bobs;
    let before = bob.listening().to_vec();
    bob.close().await;
    let moved = server(31).await;
    assert_ne!(moved.listening(), before);
    book.publish(contact(31, 2, &moved)).await.unwrap();
    let node = Node::builder().lookup(FileLookup::new(&file)).start().await.unwrap();
    let reply = node.request(moved.key(), Message::new(kind(), "")).await.unwrap();
    assert_eq!(reply.via.as_ref(), moved.listening().first());
}
