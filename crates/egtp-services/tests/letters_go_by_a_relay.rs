//! Two nodes that are never up together exchange messages through a relay that keeps their letters, and is restarted in
//! between.

mod place;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use egtp::lookup::{Lookup, MemoryLookup};
use egtp::mailbox::{LARGEST, decode_mailboxes, encode_count};
use egtp::store::SqliteStore;
use egtp::{
    ContactDraft, Kind, Message, Node, Pending, Progress, PublicKey, Router, SecretKey, Strategy,
    Ticket, respond,
};
use egtp_services::mailbox::{Limits, Mail};
use egtp_services::post::{Courier, Postbox};
use place::{Place, ask, operator};
use tokio::time::timeout;

/// How often each body was handed over.
type Seen = Arc<Mutex<BTreeMap<Vec<u8>, usize>>>;

fn kind() -> Kind {
    Kind::new("note/1").unwrap()
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// Somebody in one of its runs: nobody can call it, and a relay keeps its letters.
struct Run {
    node: Node,
    _courier: Courier,
    _postbox: Postbox,
}

async fn begun(seed: u8, folder: &Path, known: &MemoryLookup, relay: &Node, noting: &Seen) -> Run {
    let (mail, noted) = (Mail::new(), Arc::clone(noting));
    let taking = respond(move |_asker, body: bytes::Bytes| {
        *noted.lock().unwrap().entry(body.to_vec()).or_default() += 1;
        async move { body }
    });
    let node = Node::builder()
        .key(key(seed))
        .only_instance()
        .store(SqliteStore::open(folder.join(format!("{seed}.db"))).unwrap())
        .lookup(known.clone())
        .serve(Router::new().route(kind(), taking))
        .serve(mail.router().unwrap())
        .start()
        .await
        .unwrap();
    let listed = node.open_mailbox().changed().await.unwrap();
    let known_contact = known.resolve(node.key()).await.unwrap();
    let Ticket { key: relay_key, strategies } = relay.ticket();
    let at = strategies.first().and_then(Strategy::host_port).cloned();
    let draft = ContactDraft {
        sequence: known_contact.map_or(1, |contact| contact.sequence() + 1),
        strategies: vec![Strategy::Relay { relay: relay_key, at }],
        suites: vec![1, 2],
        mailbox_prekey: Some(listed.prekey),
        letter_store: Some(listed.store),
        instance: 1,
        message_bytes_max: 1 << 21,
        idle_out_seconds: 3600,
        expiry_day: 20_000,
        parent: None,
    };
    let contact = draft.sign(&key(seed), 19_990).unwrap();
    node.learn(contact.clone());
    known.publish(contact).await.unwrap();
    let courier = Courier::start(node.clone());
    let postbox = Postbox::open(&node, &[relay.ticket()], &mail);
    Run { node, _courier: courier, _postbox: postbox }
}

async fn stored(pending: &mut Pending) {
    while pending.progress().await.unwrap() != Progress::Stored {}
}

/// Letters that the relay keeps for somebody, as its operator sees it.
async fn letters_for(recipient: &PublicKey, relay: &Node) -> u32 {
    let operator = Node::builder().key(operator()).start().await.unwrap();
    let largest = ask(&operator, relay, LARGEST, encode_count(9).to_vec()).await.unwrap();
    let mailboxes = decode_mailboxes(&largest).unwrap();
    mailboxes.iter().find(|one| one.recipient == *recipient).map_or(0, |one| one.letters)
}

/// Proves LNG-5, REL-4, SPL-2: a thousand messages, each once, and the sender learns in its next run that all have arrived.
#[tokio::test]
async fn a_thousand_messages_reach_one_who_was_away_each_once() {
    let (place, folder) =
        (Place::new("post", Limits::default()), Place::new("post-ends", Limits::default()));
    let (known, seen) = (MemoryLookup::new(), Seen::default());
    let relay = place.start().await;
    // Bob says where his letters go.
    begun(12, folder.folder(), &known, &relay, &seen).await.node.close().await;
    let alice = begun(11, folder.folder(), &known, &relay, &seen).await;
    let alice_key = alice.node.key();
    let mut all: Vec<Pending> = (0_u32..1_000)
        .map(|number| {
            let message = Message::new(kind(), number.to_le_bytes().to_vec());
            let request = alice.node.request(key(12).public(), message).durable();
            request.hard_timeout(Duration::from_hours(24 * 7)).start_send()
        })
        .collect();
    for pending in &mut all {
        stored(pending).await;
    }
    let ids: Vec<_> = all.iter().map(|pending| pending.id().unwrap()).collect();
    alice.node.close().await;
    drop(all);
    relay.close().await;

    let relay = place.start().await;
    let bob = begun(12, folder.folder(), &known, &relay, &seen).await;
    while letters_for(&alice_key, &relay).await == 0 || seen.lock().unwrap().len() < 1_000 {}
    // Longer than what is owed waits for company.
    let _ = timeout(Duration::from_millis(500), std::future::pending::<()>()).await;
    bob.node.close().await;
    assert!(seen.lock().unwrap().values().all(|count| *count == 1));

    let alice = begun(11, folder.folder(), &known, &relay, &seen).await;
    for id in ids {
        let pending = alice.node.attach(id).await.unwrap();
        assert_eq!(pending.await.unwrap().body, "");
    }
    assert!(seen.lock().unwrap().values().all(|count| *count == 1));
    alice.node.close().await;
}
