//! An asker with a disk, stopped and started again: what it asked is asked to its end.

mod folder;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egtp::store::{MessageName, SavedOutcome, SqliteStore, Store, Values, Write};
use egtp::testing::{Network, spawn};
use egtp::{Kind, Message, Node, Progress, Refusal, RequestError, Router, SecretKey};
use egtp_proto::{MessageId, Outcome, QueryEvent};
use folder::Folder;
use tokio::sync::Semaphore;

fn pay() -> Kind {
    Kind::new("pay/1").unwrap()
}

fn asker(network: &Network, path: &Path) -> Node {
    let builder = network.node_with_key(SecretKey::from_seed([8; 32])).only_instance();
    spawn(builder.store(SqliteStore::open(path).unwrap())).unwrap()
}

/// A server that answers when it is allowed to, and how often it ran.
fn server(network: &Network) -> (Node, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (shared_gate, shared_runs) = (Arc::clone(&gate), Arc::clone(&runs));
    let router = Router::new().route(pay(), move |query: egtp::Query| {
        let (gate, runs) = (Arc::clone(&shared_gate), Arc::clone(&shared_runs));
        async move {
            runs.fetch_add(1, Ordering::Relaxed);
            let allowed = gate.acquire().await;
            query.reply(if allowed.is_ok() { "paid" } else { "never" });
        }
    });
    (spawn(network.node().serve(router)).unwrap(), gate, runs)
}

/// Proves LNG-2, LNG-3: asked in one run and answered in the next, under the same id; then nothing of it is
/// left.
#[tokio::test]
async fn a_request_is_answered_in_a_later_run_of_its_asker() {
    let folder = Folder::made("asker-outlives");
    let path = folder.0.join("store.db");
    let network = Network::new(1);
    let (server, gate, runs) = server(&network);
    let first = asker(&network, &path);
    let request = first.request(server.key(), Message::new(pay(), "ten nanobux"));
    let mut pending = request.durable().hard_timeout(Duration::from_hours(2)).start();
    assert_eq!(pending.progress().await.unwrap(), Progress::Kept);
    // The one who is asked has no disk.
    assert_eq!(pending.progress().await.unwrap(), Progress::InMemory);
    assert_eq!(pending.progress().await.unwrap(), Progress::Taken);
    let id = pending.id().unwrap();
    first.close().await;
    assert_eq!(pending.await, Err(RequestError::Closing));

    let second = asker(&network, &path);
    assert_eq!(second.kept().await, [id]);
    gate.add_permits(1);
    let reply = second.attach(id).await.unwrap().await.unwrap();
    assert_eq!(reply.body, "paid");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert!(second.kept().await.is_empty(), "the application has it");
    second.close().await;
    assert!(asker(&network, &path).kept().await.is_empty(), "and so for the next run");
}

/// Proves LNG-2 for batches: one that was submitted is asked to its end also if its batch is dropped.
#[tokio::test]
async fn a_request_of_a_batch_that_is_dropped_is_asked_to_its_end() {
    let folder = Folder::made("asker-batch");
    let network = Network::new(1);
    let (server, gate, runs) = server(&network);
    let asker = asker(&network, &folder.0.join("store.db"));
    let mut batch = asker.batch(1);
    let request = asker.request(server.key(), Message::new(pay(), "ten nanobux")).durable();
    batch.push(0, request).unwrap();
    batch.submit();
    drop(batch);
    let kept = asker.kept().await;
    let [id] = kept[..] else { panic!("{kept:?}") };
    gate.add_permits(1);
    assert_eq!(asker.attach(id).await.unwrap().await.unwrap().body, "paid");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

/// Whoever still waits for a request that somebody else gives up hears of it at once.
#[tokio::test]
async fn who_waits_for_a_request_that_is_given_up_is_told() {
    let folder = Folder::made("asker-given-up");
    let network = Network::new(1);
    let (server, gate, _) = server(&network);
    let node = asker(&network, &folder.0.join("store.db"));
    let request = node.request(server.key(), Message::new(pay(), "ten nanobux"));
    let mut pending = request.durable().hard_timeout(Duration::from_hours(2)).start();
    while pending.progress().await.unwrap() != Progress::Taken {}
    let id = pending.id().unwrap();
    let other = node.attach(id).await.unwrap();
    node.forget(id);
    assert_eq!(pending.await, Err(RequestError::Closing));
    assert_eq!(other.await, Err(RequestError::Closing));
    assert!(node.kept().await.is_empty());
    gate.add_permits(1);
}

/// Proves LNG-2: an outcome that nobody has taken waits for the next run, and is given once.
#[tokio::test]
async fn an_outcome_waits_for_somebody_to_take_it() {
    let folder = Folder::made("asker-outcome");
    let path = folder.0.join("store.db");
    let network = Network::new(1);
    let me = SecretKey::from_seed([8; 32]).public();
    let id = MessageId::from_bytes([5; 32]);
    let mut store = SqliteStore::open(&path).unwrap();
    store.load(&me).unwrap();
    let outcome = Outcome::Reply { body: "paid".into(), attempts: 2, path: None };
    let name = MessageName { peer: SecretKey::from_seed([3; 32]).public(), dialog: 1, serial: 1 };
    let over = Write::Over { name, outcome: Some(SavedOutcome { id, outcome }) };
    let mut refuse = |_: &mut dyn Values, _: &QueryEvent| Err(Refusal::Failed);
    store.commit(&[(me, over)], &mut refuse).unwrap();
    drop(store);

    let node = asker(&network, &path);
    assert_eq!(node.kept().await, [id]);
    let reply = node.attach(id).await.unwrap().await.unwrap();
    assert_eq!((&reply.body[..], reply.attempts), (&b"paid"[..], 2));
    assert!(node.attach(id).await.is_none(), "taken once");
    node.close().await;
    assert!(asker(&network, &path).kept().await.is_empty());
}

/// Proves LNG-3: what is given up stays so.
#[tokio::test]
async fn a_request_that_is_forgotten_is_not_asked_by_the_next_run() {
    let folder = Folder::made("asker-forgets");
    let path = folder.0.join("store.db");
    let network = Network::new(1);
    let nobody = SecretKey::from_seed([3; 32]).public();
    let first = asker(&network, &path);
    let mut pending = first.request(nobody, Message::new(pay(), "in vain")).durable().start();
    assert_eq!(pending.progress().await.unwrap(), Progress::Kept);
    let id = pending.id().unwrap();
    first.forget(id);
    assert!(first.kept().await.is_empty());
    first.close().await;
    let second = asker(&network, &path);
    assert!(second.kept().await.is_empty());
    assert!(second.attach(id).await.is_none());
    second.close().await;
}
