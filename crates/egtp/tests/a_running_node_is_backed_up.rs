//! A node makes a backup of its own store while it goes on.

mod folder;

use bytes::Bytes;
use egtp::store::{SqliteStore, StoreError, Values, restore};
use egtp::testing::{Network, spawn};
use egtp::{Kind, Message, Node, QueryEvent, Refusal, Router, SecretKey};
use folder::Folder;

fn count() -> Kind {
    Kind::new("count/1").unwrap()
}

/// One more than last time.
fn next(values: &mut dyn Values, _: &QueryEvent) -> Result<Bytes, Refusal> {
    let number = values.get(b"number")?.and_then(|bytes| bytes.first().copied()).unwrap_or(0) + 1;
    values.put(b"number", &[number])?;
    Ok(Bytes::copy_from_slice(&[number]))
}

async fn ask(asker: &Node, counter: &Node) -> u8 {
    asker.request(counter.key(), Message::new(count(), "")).await.unwrap().body[0]
}

/// What was booked before is in the backup, whatever goes on meanwhile, and the identity goes on from there.
#[tokio::test]
async fn what_was_booked_before_is_in_it_and_requests_go_on_meanwhile() {
    let folder = Folder::made("running-backup");
    let network = Network::new(1);
    let counter = |name: &str| {
        let store = SqliteStore::open(folder.0.join(name)).unwrap();
        let router = Router::new().transact(count(), next);
        let same_key = network.node_with_key(SecretKey::from_seed([9; 32]));
        spawn(same_key.store(store).serve(router)).unwrap()
    };
    let (asker, first) = (spawn(network.node()).unwrap(), counter("store.db"));
    for number in 1..=10 {
        assert_eq!(ask(&asker, &first).await, number);
    }
    let (file, files) = (folder.0.join("backup"), vec![("key".to_owned(), b"secret".to_vec())]);
    let later = async {
        for number in 11..=30 {
            assert_eq!(ask(&asker, &first).await, number);
        }
    };
    let (made, ()) = tokio::join!(first.back_up(&file, files.clone()), later);
    made.unwrap();
    let again = first.back_up(&file, Vec::new()).await;
    assert!(matches!(again, Err(StoreError::Io { .. })), "it replaces nothing: {again:?}");

    first.close().await;
    assert_eq!(restore(&file, &folder.0.join("restored.db")).unwrap(), files);
    let restored = counter("restored.db");
    let goes_on_at = ask(&asker, &restored).await;
    assert!((11..=31).contains(&goes_on_at), "{goes_on_at}");
}

#[tokio::test]
async fn a_node_without_a_store_says_so_and_one_that_has_closed_too() {
    let folder = Folder::made("no-backup");
    let network = Network::new(1);
    let node = spawn(network.node()).unwrap();
    let file = folder.0.join("backup");
    for state in ["has no store", "has closed"] {
        let error = node.back_up(&file, Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains(state), "{error}");
        assert!(!file.exists());
        node.clone().close().await;
    }
}
