//! The yardstick for what is durable: rows into SQLite, as many in a transaction as others have in flight, with a sync
//! for each transaction. No network: the server does nothing.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rusqlite::Connection;

use super::Side;
use crate::bodies::{self, Bodies};
use crate::outcome::Outcome;
use crate::server::announce;
use crate::system;
use crate::tally::Tally;

pub struct Sqlite;

/// The database, and the number of the next row.
#[derive(Clone)]
pub struct Rows(Arc<Mutex<(Connection, i64)>>);

const TABLE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE taken (peer BLOB, dialog INTEGER, serial INTEGER, body BLOB,
        PRIMARY KEY (peer, dialog, serial)) WITHOUT ROWID";

impl Rows {
    fn open() -> Outcome<Self> {
        let rows = Connection::open(system::folder()?.join("rows.db"))?;
        rows.execute_batch(TABLE)?;
        Ok(Self(Arc::new(Mutex::new((rows, 0)))))
    }

    /// Writes all of them in one transaction.
    fn write(&self, all: &[Bytes]) -> Outcome<()> {
        let (rows, next) = &mut *self.0.lock().expect("nobody panics with it");
        let transaction = rows.transaction()?;
        let mut insert = transaction.prepare_cached("INSERT INTO taken VALUES (?1, 7, ?2, ?3)")?;
        for body in all {
            insert.execute((&[1_u8; 32][..], *next, &body[..]))?;
            *next += 1;
        }
        drop(insert);
        Ok(transaction.commit()?)
    }
}

impl Side for Sqlite {
    type Local = ();
    type Link = Rows;

    async fn serve(_: bool) -> Outcome<()> {
        announce("nowhere");
        std::future::pending().await
    }

    async fn local(_: bool) -> Outcome<()> {
        Ok(())
    }

    async fn connect((): &(), _: &str) -> Outcome<Rows> {
        Rows::open()
    }

    async fn ask(rows: &Rows, body: Bytes) -> Outcome<Bytes> {
        rows.write(std::slice::from_ref(&body))?;
        Ok(bodies::answer(body))
    }

    async fn close((): &(), rows: Rows) {
        drop(rows);
    }

    async fn pump(rows: Rows, (many, bytes): (usize, usize), tally: Arc<Tally>) -> Outcome<()> {
        let write = move || {
            let mut bodies = Bodies::new(0, bytes);
            while !tally.is_over() {
                let all: Vec<Bytes> = (0..many).map(|_| bodies.next()).collect();
                rows.write(&all)?;
                tally.add(0, many as u64);
            }
            Outcome::Ok(())
        };
        tokio::task::spawn_blocking(write).await?
    }
}
