//! What of a store may be brought back later, or elsewhere: a file of its own.
//!
//! A store that is copied as it is, and goes on while its copy does, would take messages twice. So a backup
//! has no life of a store, no dialogs and no marks; what was open in it ends as unknown. Invariant: from a
//! backup comes a new store.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use egtp_proto::Outcome;
use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::asked::{read_asks, read_outcomes, write_outcome};
use super::fault::{Fault, Rows, damaged, fits, told};
use super::rows::check;
use super::{File, SavedOutcome, SqliteStore, StoreError};

/// Says that a file is a backup: `EGTB` in big-endian order.
const APPLICATION: i64 = 0x4547_5442;
/// The newest version that this program knows.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE file (name TEXT NOT NULL PRIMARY KEY, bytes BLOB NOT NULL, mark BLOB NOT NULL) STRICT;
CREATE TABLE value (
    identity BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, mark BLOB NOT NULL,
    PRIMARY KEY (identity, key)
) STRICT;
CREATE TABLE outcome (
    identity BLOB NOT NULL, id BLOB NOT NULL, outcome INTEGER NOT NULL, detail INTEGER NOT NULL,
    number INTEGER NOT NULL, body BLOB NOT NULL, mark BLOB NOT NULL, PRIMARY KEY (identity, id)
) STRICT;
";

impl SqliteStore {
    /// Writes a backup to a new file, readable for its owner alone: what handlers keep, outcomes that nobody
    /// has taken, and these files. Requests under way are in it as unknown.
    ///
    /// # Errors
    /// [`StoreError`], also if there is such a file: it stays as it is.
    pub fn back_up(&mut self, to: &Path, files: &[File]) -> Result<(), StoreError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        made.map_err(|source| StoreError::Io { action: "make", path: to.to_owned(), source })?;
        let transaction = self.connection.transaction().map_err(Fault::from);
        let written = transaction.and_then(|from| write(&from, to, files));
        written.map_err(|fault| {
            // Half a backup is none.
            let _ = std::fs::remove_file(to);
            self.told(fault)
        })
    }
}

/// Makes a new store from a backup, and gives the files that are in it.
///
/// # Errors
/// [`StoreError`]: the backup cannot be used, or there is a store already; that stays as it is.
pub fn restore(from: &Path, store: &Path) -> Result<Vec<File>, StoreError> {
    let files = read_files(from).map_err(|fault| told(from, fault))?;
    if store.exists() {
        let source = std::io::ErrorKind::AlreadyExists.into();
        return Err(StoreError::Io { action: "make", path: store.to_owned(), source });
    }
    let mut made = SqliteStore::open(store)?;
    let filled = open(from).and_then(|backup| {
        made.say_in_use()?;
        let transaction = made.connection.transaction()?;
        copy_values(&backup, &transaction)?;
        for identity in identities(&backup, "outcome")? {
            for outcome in read_outcomes(&backup.unchecked_transaction()?, &identity)? {
                write_outcome(&transaction, &identity, &outcome)?;
            }
        }
        Ok(transaction.commit()?)
    });
    filled.map_err(|fault| told(from, fault))?;
    Ok(files)
}

fn write(from: &Transaction<'_>, to: &Path, files: &[File]) -> Rows<()> {
    let mut backup = Connection::open(to)?;
    backup.pragma_update(None, "synchronous", "FULL")?;
    let transaction = backup.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    for (name, bytes) in files {
        let mark = check("file", &[name.as_bytes(), bytes]);
        transaction.execute("INSERT INTO file VALUES (?1, ?2, ?3)", params![name, bytes, mark])?;
    }
    copy_values(from, &transaction)?;
    for identity in identities(from, "outcome")? {
        for outcome in read_outcomes(from, &identity)? {
            write_outcome(&transaction, &identity, &outcome)?;
        }
    }
    for identity in identities(from, "ask")? {
        for ask in read_asks(from, &identity)? {
            let outcome = Outcome::Unknown { attempts: 0 };
            write_outcome(&transaction, &identity, &SavedOutcome { id: ask.id, outcome })?;
        }
    }
    Ok(transaction.commit()?)
}

fn open(path: &Path) -> Rows<Connection> {
    let backup = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let number = |name: &str| backup.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION, VERSION) => {}
        (APPLICATION, found) if found > VERSION => return Err(Fault::Newer(found)),
        _ => return Err(Fault::Damaged("it is no backup of this program".into())),
    }
    let sound: String = backup.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound == "ok" { Ok(backup) } else { Err(Fault::Damaged(sound)) }
}

fn read_files(path: &Path) -> Rows<Vec<File>> {
    let backup = open(path)?;
    let mut statement = backup.prepare("SELECT name, bytes, mark FROM file")?;
    let mut rows = statement.query([])?;
    let mut files = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, bytes, mark): (String, Vec<u8>, Vec<u8>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        fits("file", &check("file", &[name.as_bytes(), &bytes]), &mark)?;
        // It will be the name of a file in a directory, and nothing else.
        if !name.bytes().all(|byte| byte.is_ascii_lowercase()) || name.is_empty() {
            return Err(damaged("file"));
        }
        files.push((name, bytes));
    }
    Ok(files)
}

fn copy_values(from: &Connection, to: &Transaction<'_>) -> Rows<()> {
    let mut statement = from.prepare("SELECT identity, key, value, mark FROM value")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (identity, key): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let (value, mark): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
        fits("value", &check("value", &[&identity, &key, &value]), &mark)?;
        to.prepare_cached("INSERT INTO value VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![identity, key, value, mark])?;
    }
    Ok(())
}

/// Whose rows are in a table.
fn identities(from: &Connection, table: &str) -> Rows<Vec<Vec<u8>>> {
    let mut statement = from.prepare(&format!("SELECT DISTINCT identity FROM {table}"))?;
    let found = statement.query_map([], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}
