//! Two nodes with disks that are never up together write to each other: letters are carried by the test.

mod folder;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use egtp::letters::{LetterError, Letters, OwnMailbox};
use egtp::lookup::{Lookup, MemoryLookup};
use egtp::store::SqliteStore;
use egtp::{
    Contact, ContactDraft, Kind, Message, Node, Progress, RequestError, Router, SecretKey, respond,
};
use folder::Folder;

fn kind() -> Kind {
    Kind::new("post/1").unwrap()
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// A node that nobody can call. It answers with what it is told.
async fn started(seed: u8, path: &Path, known: &MemoryLookup) -> Node {
    let echo = respond(|_asker, body| async move { body });
    Node::builder()
        .key(key(seed))
        .only_instance()
        .store(SqliteStore::open(path).unwrap())
        .lookup(known.clone())
        .serve(Router::new().route(kind(), echo))
        .start()
        .await
        .unwrap()
}

fn contact(seed: u8, sequence: u64, listed: OwnMailbox) -> Contact {
    let draft = ContactDraft {
        sequence,
        strategies: Vec::new(),
        suites: vec![1, 2],
        mailbox_prekey: Some(listed.prekey),
        letter_store: Some(listed.store),
        instance: 1,
        message_bytes_max: 1 << 21,
        idle_out_seconds: 3600,
        expiry_day: 20_000,
        parent: None,
    };
    draft.sign(&key(seed), 19_990).unwrap()
}

/// A node opens its mailbox, and says so in its contact.
async fn listed(node: &Node, seed: u8, known: &MemoryLookup) {
    let listed = node.open_mailbox().changed().await.unwrap();
    let contact = contact(seed, 1, listed);
    node.learn(contact.clone());
    known.publish(contact).await.unwrap();
}

async fn next_stored(letters: &mut Letters) -> Bytes {
    let letter = letters.next().await.unwrap();
    let bytes = letter.bytes().clone();
    letter.stored();
    bytes
}

/// Proves LNG-5, SPL-2, REL-4: a request goes by letter to one who was away, and its reply by letter to a later run of
/// the asker.
#[tokio::test]
async fn a_request_and_its_reply_go_by_letter_between_runs() {
    let folder = Folder::made("letters");
    let (here, there) = (folder.0.join("a.db"), folder.0.join("b.db"));
    let known = MemoryLookup::new();
    let bob = started(2, &there, &known).await;
    listed(&bob, 2, &known).await;
    bob.close().await;

    let alice = started(1, &here, &known).await;
    listed(&alice, 1, &known).await;
    let mut letters = alice.letters();
    let request = alice.request(key(2).public(), Message::new(kind(), "are you there?"));
    let mut pending = request.durable().hard_timeout(Duration::from_hours(24 * 10)).start();
    assert_eq!(pending.progress().await.unwrap(), Progress::Kept);
    let letter = next_stored(&mut letters).await;
    assert_eq!(pending.progress().await.unwrap(), Progress::Stored);
    let id = pending.id().unwrap();
    drop(letters);
    alice.close().await;
    assert_eq!(pending.await, Err(RequestError::Closing));

    let bob = started(2, &there, &known).await;
    listed(&bob, 2, &known).await;
    let mut letters = bob.letters();
    let read = bob.read_letter(letter.clone()).await.unwrap();
    assert_eq!((read.from, read.all_taken), (key(1).public(), true));
    // What it says first, before its handler has answered, is that it has it.
    let mut answers = vec![next_stored(&mut letters).await];
    let again = bob.read_letter(letter).await.unwrap();
    assert!(again.all_taken, "it is known");
    answers.push(next_stored(&mut letters).await);
    bob.close().await;

    let alice = started(1, &here, &known).await;
    let pending = alice.attach(id).await.unwrap();
    for letter in answers {
        alice.read_letter(letter).await.unwrap();
    }
    assert_eq!(pending.await.unwrap().body, "are you there?");
    alice.close().await;
}

/// A letter that is for somebody else, or was altered, is told apart from one that may be taken later.
#[tokio::test]
async fn what_is_no_letter_to_this_node_is_refused() {
    let folder = Folder::made("letters-refused");
    let known = MemoryLookup::new();
    let bob = started(2, &folder.0.join("b.db"), &known).await;
    listed(&bob, 2, &known).await;
    let alice = started(1, &folder.0.join("a.db"), &known).await;
    let mut letters = alice.letters();
    let sent = alice.request(key(2).public(), Message::new(kind(), "hello")).durable().start_send();
    let letter = next_stored(&mut letters).await;
    assert_eq!(alice.read_letter(letter.clone()).await, Err(LetterError::NotForUs));
    let mut altered = letter.to_vec();
    altered[60] ^= 1;
    assert_eq!(bob.read_letter(altered.into()).await, Err(LetterError::Damaged));
    assert_eq!(bob.read_letter(Bytes::from_static(b"junk")).await, Err(LetterError::NotForUs));
    assert!(bob.read_letter(letter).await.unwrap().all_taken);
    drop(sent);
}

/// What nobody carries is tried on a path alone, and what is dropped by its carrier is written again.
#[tokio::test]
async fn a_letter_that_was_dropped_is_written_again() {
    let folder = Folder::made("letters-dropped");
    let known = MemoryLookup::new();
    let bob = started(2, &folder.0.join("b.db"), &known).await;
    listed(&bob, 2, &known).await;
    let alice = started(1, &folder.0.join("a.db"), &known).await;
    let mut letters = alice.letters();
    let request = alice.request(key(2).public(), Message::new(kind(), "hello"));
    let mut pending = request.durable().hard_timeout(Duration::from_hours(24)).start_send();
    assert_eq!(pending.progress().await.unwrap(), Progress::Kept);
    drop(letters.next().await.unwrap());
    let letter = next_stored(&mut letters).await;
    assert_eq!(pending.progress().await.unwrap(), Progress::Stored);
    assert!(bob.read_letter(letter).await.unwrap().all_taken);
}
