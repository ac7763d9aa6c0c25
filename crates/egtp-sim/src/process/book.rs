//! A book inside the store: the server writes what it was asked there, in the transaction that takes the
//! request.
//!
//! Knows values by keys and nothing of processes. Invariant: one line for each run of the handler that
//! counts, numbered without a gap, so that a line that is there twice or not at all is seen.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use egtp::clock::{Clock, SystemClock};
use egtp::store::{MessageName, Run, SqliteStore, Store, Values, Write};
use egtp::{Assurance, Kind, PublicKey, QueryEvent, Refusal, StartError, keyfile};
use egtp_proto::{IdentityId, MessageEvent, MessageId, QueryId};

use super::failure::{Failure, trying};

/// One line of the book.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// The boot time at which it was written.
    pub at: Duration,
    /// What was asked.
    pub body: String,
}

/// The handler: adds a line with the body, and replies with it.
///
/// # Errors
/// Those of the values, and [`Refusal::Failed`] for what is no book.
pub fn book(values: &mut dyn Values, query: &QueryEvent) -> Result<Bytes, Refusal> {
    let number = lines_in(values)?;
    let body = &query.message.body;
    let at = SystemClock.boot().as_micros().to_string();
    values.put(&line_key(number), &[at.as_bytes(), b" ", body].concat())?;
    values.put(COUNT, (number + 1).to_string().as_bytes())?;
    Ok(body.clone())
}

/// Reads the book of a server that is dead: its folder has `key` and `store.db`.
///
/// # Errors
/// [`Failure`] if the store cannot be read, or holds what no handler wrote.
pub fn read(folder: &Path) -> Result<Vec<Line>, Failure> {
    let not_started = |error: keyfile::KeyFileError| Failure::Start(error.into());
    let owner = keyfile::load(&folder.join("key")).map_err(not_started)?.public();
    let mut store = SqliteStore::open(folder.join("store.db")).map_err(StartError::from)?;
    store.load(&owner).map_err(StartError::from)?;
    let mut lines = None;
    let mut look = |values: &mut dyn Values, _: &QueryEvent| {
        lines = Some(read_all(values));
        // Of a handler that refuses nothing stays: looking changes nothing.
        Err(Refusal::Failed)
    };
    store.commit(&[(owner, look_inside(owner)?)], &mut look).map_err(StartError::from)?;
    let lines = lines.and_then(Result::ok);
    let damaged = || std::io::Error::other("not every line is there");
    trying("read the book", lines.ok_or_else(damaged))
}

fn read_all(values: &mut dyn Values) -> Result<Vec<Line>, Refusal> {
    (0..lines_in(values)?)
        .map(|number| {
            let line = values.get(&line_key(number))?.ok_or(Refusal::Failed)?;
            let line = String::from_utf8(line).map_err(|_| Refusal::Failed)?;
            let (at, body) = line.split_once(' ').ok_or(Refusal::Failed)?;
            let at = Duration::from_micros(at.parse().map_err(|_| Refusal::Failed)?);
            Ok(Line { at, body: body.to_owned() })
        })
        .collect()
}

fn lines_in(values: &mut dyn Values) -> Result<u64, Refusal> {
    let Some(count) = values.get(COUNT)? else { return Ok(0) };
    let count = std::str::from_utf8(&count).map_err(|_| Refusal::Failed)?;
    count.parse().map_err(|_| Refusal::Failed)
}

fn line_key(number: u64) -> Vec<u8> {
    format!("line {number}").into_bytes()
}

/// A row that runs a handler for nobody's message: the way to the values of a store.
fn look_inside(owner: PublicKey) -> Result<Write, Failure> {
    let message = MessageEvent {
        identity: IdentityId(0),
        from: owner,
        kind: Kind::new("look/1")?,
        body: Bytes::new(),
        assurance: Assurance::Confirmed,
        id: MessageId::from_bytes([0; 32]),
    };
    let (query, patience) = (QueryId(0), Duration::ZERO);
    let event = QueryEvent { query, message, room: 0, patience, redelivered: false };
    let name = MessageName { peer: owner, dialog: 0, serial: 0 };
    Ok(Write::Run(Box::new(Run { name, wants_reply: false, event })))
}

/// The key of how many lines there are.
const COUNT: &[u8] = b"lines";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::scratch::Scratch;

    fn written(folder: &Path, bodies: &[&'static str]) {
        let owner = keyfile::load_or_create(&folder.join("key")).unwrap().public();
        let mut store = SqliteStore::open(folder.join("store.db")).unwrap();
        store.load(&owner).unwrap();
        for body in bodies {
            let Write::Run(mut run) = look_inside(owner).unwrap() else { unreachable!() };
            run.event.message.body = Bytes::from_static(body.as_bytes());
            // A reply must have room.
            run.event.room = 100;
            store.commit(&[(owner, Write::Run(run))], &mut book).unwrap();
        }
    }

    #[test]
    fn each_run_of_the_handler_is_one_line_and_looking_adds_none() {
        let scratch = Scratch::new("book").unwrap();
        written(scratch.path(), &["1", "2"]);
        written(scratch.path(), &["2"]);
        for _ in 0..2 {
            let bodies: Vec<String> =
                read(scratch.path()).unwrap().into_iter().map(|line| line.body).collect();
            assert_eq!(bodies, ["1", "2", "2"]);
        }
    }
}
