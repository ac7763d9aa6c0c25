//! "Take 10 nanobux": an account that is debited once for each request, whatever fails in between.
//!
//! The bank keeps balances in its store. Its handler runs inside the store's own transaction, so that the
//! debit, the mark that the request was taken, and the reply are on the disk together or not at all. It is
//! stopped in between here; `kill -9` would do as well.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use egtp::store::{SqliteStore, Values};
use egtp::{Kind, Message, Node, QueryEvent, Refusal, Router};

/// Replies with what is left; refuses what is not there.
fn take(accounts: &mut dyn Values, query: &QueryEvent) -> Result<String, Refusal> {
    let amount: u64 = number(&query.message.body)?;
    let account = query.message.from;
    let balance = accounts.get(account.as_bytes())?.map_or(Ok(100), |found| number(&found))?;
    let left = balance.checked_sub(amount).ok_or(Refusal::NotAllowed)?;
    accounts.put(account.as_bytes(), left.to_string().as_bytes())?;
    Ok(left.to_string())
}

fn number(text: &[u8]) -> Result<u64, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::Failed)?;
    text.parse().map_err(|_| Refusal::Failed)
}

/// A bank that remembers what is in this folder.
async fn open_bank(folder: &Path) -> Result<Node, Box<dyn Error>> {
    let bank = Node::builder()
        .key_file(folder.join("key"))
        .listen(([127, 0, 0, 1], 0).into())
        .store(SqliteStore::open(folder.join("store.db"))?)
        .serve(Router::new().transact(Kind::new("take/1")?, take));
    Ok(bank.start().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("egtp-ledger-{}", std::process::id()));
    // A key is refused where others may read it.
    DirBuilder::new().mode(0o700).create(&folder)?;
    let customer = Node::builder().start().await?;
    for expected in ["90", "80"] {
        let bank = open_bank(&folder).await?;
        let message = Message::new(Kind::new("take/1")?, "10");
        let reply = customer.request(bank.ticket(), message).durable().await?;
        println!("10 nanobux taken, {} left", String::from_utf8_lossy(&reply.body));
        assert_eq!(reply.body, expected.as_bytes());
        // The next one finds the balance as this one leaves it.
        bank.close().await;
    }
    customer.close().await;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
