//! A server with a disk, stopped and started again: what it took is taken once.

mod folder;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egtp::store::SqliteStore;
use egtp::testing::{Network, spawn};
use egtp::{Kind, Message, Node, RequestError, Router, SecretKey};
use folder::Folder;

fn pay() -> Kind {
    Kind::new("pay/1").unwrap()
}

fn server(network: &Network, path: &Path, silent: bool, runs: &Arc<AtomicUsize>) -> Node {
    let runs = Arc::clone(runs);
    let router = Router::new().route(pay(), move |query: egtp::Query| {
        let runs = Arc::clone(&runs);
        async move {
            runs.fetch_add(1, Ordering::Relaxed);
            if silent {
                std::future::pending::<()>().await;
            }
            query.reply("paid");
        }
    });
    let builder = network.node_with_key(SecretKey::from_seed([9; 32])).only_instance();
    spawn(builder.store(SqliteStore::open(path).unwrap()).serve(router)).unwrap()
}

/// Proves RTY-2: it was with its handler when the server stopped; it is not run again, and its sender is
/// told that nobody knows.
#[tokio::test]
async fn a_request_that_a_server_took_with_it_is_unknown_and_runs_once() {
    let folder = Folder::made("outlives");
    let path = folder.0.join("store.db");
    let network = Network::new(1);
    let asker = spawn(network.node()).unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let first = server(&network, &path, true, &runs);
    let key = first.key();
    let message = || Message::new(pay(), "ten nanobux");
    let mut pending =
        asker.request(key, message()).durable().hard_timeout(Duration::from_mins(10)).start();
    assert_eq!(pending.progress().await.unwrap(), egtp::Progress::Taken);
    first.close().await;
    let second = server(&network, &path, false, &runs);
    let outcome = pending.await;
    assert!(matches!(outcome, Err(RequestError::Unknown { .. })), "{outcome:?}");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    // The next one is served.
    asker.request(key, message()).durable().await.unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    second.close().await;
}
