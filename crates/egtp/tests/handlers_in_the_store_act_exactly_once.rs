//! Handlers inside the store's own transaction, and handlers that are given again what a stop cut off.

mod folder;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use egtp::store::{SqliteStore, Values};
use egtp::testing::{Network, spawn};
use egtp::{
    Kind, Message, Node, QueryEvent, Refusal, RequestError, Router, SecretKey, ServeError,
    StartError,
};
use folder::Folder;

fn take() -> Kind {
    Kind::new("take/1").unwrap()
}

/// "Take 10 nanobux": replies with what is left.
fn withdraw(values: &mut dyn Values, query: &QueryEvent) -> Result<String, Refusal> {
    let amount: u64 = std::str::from_utf8(&query.message.body)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Refusal::Failed)?;
    let left = values.get(b"balance")?.unwrap_or_else(|| b"100".to_vec());
    let left: u64 = String::from_utf8(left).unwrap().parse().unwrap();
    // Before it is known whether there is enough: a refusal undoes it.
    values.put(b"taken by", query.message.from.as_bytes())?;
    let left = left.checked_sub(amount).ok_or(Refusal::NotAllowed)?;
    assert_ne!(amount, 13, "an unlucky amount");
    values.put(b"balance", left.to_string().as_bytes())?;
    Ok(left.to_string())
}

fn bank(network: &Network, path: &Path) -> Node {
    let router = Router::new().transact(take(), withdraw);
    let builder = network.node_with_key(SecretKey::from_seed([9; 32])).only_instance();
    spawn(builder.store(SqliteStore::open(path).unwrap()).serve(router)).unwrap()
}

async fn ask(asker: &Node, bank: &Node, amount: &str) -> Result<String, RequestError> {
    let message = Message::new(take(), amount.to_owned());
    let reply = asker.request(bank.key(), message).await?;
    Ok(String::from_utf8(reply.body.to_vec()).unwrap())
}

/// Proves RTY-2: "take 10 nanobux" is booked once for each request, over restarts of the bank; what is
/// refused, or panics, changes nothing.
#[tokio::test]
async fn an_account_is_debited_once_for_each_request() {
    let folder = Folder::made("transact");
    let path = folder.0.join("store.db");
    let network = Network::new(1);
    let asker = spawn(network.node()).unwrap();
    let first = bank(&network, &path);
    assert_eq!(ask(&asker, &first, "10").await.unwrap(), "90");
    assert_eq!(ask(&asker, &first, "10").await.unwrap(), "80");
    let too_much = ask(&asker, &first, "81").await;
    assert_eq!(too_much, Err(RequestError::Refused(Refusal::NotAllowed)));
    let unlucky = ask(&asker, &first, "13").await;
    assert_eq!(unlucky, Err(RequestError::Refused(Refusal::Failed)));
    first.close().await;
    let second = bank(&network, &path);
    assert_eq!(ask(&asker, &second, "30").await.unwrap(), "50");
    second.close().await;
}

/// Proves RTY-2: what was with its handler when the node stopped is given to it again, and says so.
#[tokio::test]
async fn a_request_that_was_cut_off_is_given_again() {
    let folder = Folder::made("redeliver");
    let path = folder.0.join("store.db");
    let network = Network::new(1);
    let asker = spawn(network.node()).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = |silent: bool| {
        let seen = Arc::clone(&seen);
        let router = Router::new().redeliver(take()).route(take(), move |query: egtp::Query| {
            seen.lock().unwrap().push(query.redelivered());
            async move {
                if silent {
                    std::future::pending::<()>().await;
                }
                query.reply("taken");
            }
        });
        let builder = network.node_with_key(SecretKey::from_seed([9; 32])).only_instance();
        spawn(builder.store(SqliteStore::open(&path).unwrap()).serve(router)).unwrap()
    };
    let first = server(true);
    let request = asker.request(first.key(), Message::new(take(), "10"));
    let mut pending = request.hard_timeout(Duration::from_mins(10)).start();
    assert_eq!(pending.progress().await.unwrap(), egtp::Progress::Taken);
    first.close().await;
    let second = server(false);
    assert_eq!(pending.await.unwrap().body, "taken");
    assert_eq!(*seen.lock().unwrap(), [false, true]);
    second.close().await;
}

/// A node without a store says so before it takes anything.
#[tokio::test]
async fn without_a_store_such_a_kind_is_refused_at_the_start() {
    let network = Network::new(1);
    let router = || Router::new().transact(take(), withdraw);
    let refused = spawn(network.node().serve(router()));
    let needs = ServeError::NeedsStore { kind: take() };
    assert!(matches!(refused, Err(StartError::Serve(error)) if error == needs));
    let node = spawn(network.node()).unwrap();
    assert_eq!(node.serve(router()).await, Err(needs));
}
