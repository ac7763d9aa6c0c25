//! Durable stores in an `SQLite` file.
//!
//! One transaction for a batch, in write-ahead mode and synced before it counts. The file belongs to one
//! process at a time, and says itself whether a log belongs to it (`log.rs`). Invariant: a file that is
//! damaged, newer or somebody else's is refused and left as it is; it never turns into a new store by itself.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::{MessageId, PublicKey, QueryEvent, RefusedWhy, StoreKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, params};

use super::asked::{self, read_asks, read_outboxes, read_outcomes};
use super::dialogs;
use super::fault::{Fault, Rows, damaged, fits, public_key, small, told};
use super::handled::{self, Table};
use super::letters;
use super::log::{self, AT_REST, Found, IN_USE, LOG_BYTES};
use super::new;
use super::rows::check;
use super::schema::{application, bring_up, version};
use super::{
    File, MessageName, Ran, RunHandler, Saved, SavedAnswer, SavedQuery, Store, StoreError, Write,
};

/// Durable stores in one file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    pub(super) connection: Connection,
    /// Whether the file says that a log belongs to it.
    in_use: bool,
    /// Whether anything was written by this run.
    written: bool,
    /// Messages that have ended since outcomes were last counted.
    ended: usize,
}

/// Our dialogs with peers that are kept although nothing is open in them: letter stores remember each for months.
const OUTBOXES_MAX: usize = 65_536;
/// Statements that are kept for their next use: more than there are.
const STATEMENTS: usize = 64;
/// Pages of the file that are kept in memory: so many KiB at most, which is what a negative number says.
const CACHE_KIB: i32 = -16 * 1024;
/// Messages that end before outcomes are counted again.
const ENDED_BETWEEN_LOOKS: usize = 256;

impl SqliteStore {
    /// Opens the file, or makes it, readable for its owner alone.
    ///
    /// # Errors
    /// [`StoreError`]; a file that was there is as it was.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let said_in_use = match log::look(&path)? {
            Found::Nothing => {
                new::make(&path)?;
                false
            }
            Found::Database { in_use } => in_use,
        };
        // `SQLite` would open it for reading only, and say so at the first write.
        let opened = OpenOptions::new().append(true).open(&path);
        opened.map_err(|source| StoreError::Io { action: "open", path: path.clone(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        let connection = connection.map_err(|error| told(&path, error.into()))?;
        let mut store = Self { path, connection, in_use: false, written: false, ended: 0 };
        store.prepare().map_err(|fault| store.told(fault))?;
        // A run that was killed while it closed has left a log that says something else than the file.
        let in_use = application(&store.connection).map_err(|fault| store.told(fault))? == IN_USE;
        store.in_use = said_in_use && in_use;
        Ok(store)
    }

    pub(super) fn told(&self, fault: Fault) -> StoreError {
        told(&self.path, fault)
    }

    fn prepare(&mut self) -> Rows<()> {
        let connection = &mut self.connection;
        connection.busy_timeout(Duration::ZERO)?;
        // Until it is found sound, the file and its log stay as they are, also when it is closed.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Otherwise a walk over values is planned anew at each step, in case another value wanted another plan.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // What one batch changes, or it is written to the log more than once.
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        // Secrets of mailbox prekeys are to be gone when they are deleted.
        connection.pragma_update(None, "secure_delete", "FAST")?;
        // Takes the lock, and keeps it.
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")?;
        let version = version(connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let sound: String =
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            let why = sound.lines().last().unwrap_or_default();
            return Err(Fault::Damaged(format!("its pages do not fit together ({why})")));
        }
        bring_up(connection, version)
    }

    /// From now on the file is not whole without its log, and says so: before anything is written. Whoever
    /// kills us at any moment of this leaves a log that is long enough, or a file that does not ask for one.
    pub(super) fn say_in_use(&mut self) -> Rows<()> {
        self.written = true;
        if self.in_use {
            return Ok(());
        }
        self.connection.pragma_update(None, "application_id", IN_USE)?;
        let log = OpenOptions::new().append(true).open(log::log_of(&self.path))?;
        if log.metadata()?.len() < LOG_BYTES {
            log.set_len(LOG_BYTES)?;
            log.sync_all()?;
        }
        self.empty_log()?;
        self.in_use = true;
        Ok(())
    }

    /// Brings what the log holds into the file itself. The log stays as long as it is.
    fn empty_log(&self) -> Rows<()> {
        let looked = self.connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| {
            Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        match looked? {
            (false, held, brought) if held == brought => Ok(()),
            _ => Err(Fault::Damaged("its log cannot be emptied".into())),
        }
    }

    fn read(&mut self, identity: &PublicKey) -> Rows<Saved> {
        let key = identity.as_bytes().as_slice();
        let mut saved = match self.read_store(key)? {
            Some(saved) => saved,
            None => self.begin(key)?,
        };
        let transaction = self.connection.transaction()?;
        saved.dialogs = dialogs::read(&transaction, key, StoreKind::Durable)?;
        saved.letters = letters::read(&transaction, key)?;
        saved.queries = read_queries(&transaction, key)?;
        saved.outboxes = read_outboxes(&transaction, key)?;
        saved.asks = read_asks(&transaction, key)?;
        saved.outcomes = read_outcomes(&transaction, key)?;
        transaction.commit()?;
        if saved.outboxes.len() > OUTBOXES_MAX {
            // Those in which nothing is open begin anew, under another id.
            let open: BTreeSet<_> =
                saved.asks.iter().map(|ask| (ask.name.peer, ask.name.dialog)).collect();
            saved.outboxes.retain(|outbox| open.contains(&(outbox.peer, outbox.dialog)));
            // A full disk is no reason not to start: they may as well be forgotten next time.
            let _ = self
                .say_in_use()
                .and_then(|()| asked::forget_ended_outboxes(&self.connection, key));
        }
        Ok(saved)
    }

    fn read_store(&self, key: &[u8]) -> Rows<Option<Saved>> {
        let select = "SELECT life, generation, floor, mark FROM store WHERE identity = ?1";
        let found = self.connection.query_row(select, [key], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get::<_, Vec<u8>>(3)?))
        });
        let Some((life, generation, floor, mark)) = found.optional()? else { return Ok(None) };
        let (generation, floor) = (small(generation)?, small(floor)?);
        let life = life.cast_unsigned();
        fits("store", &store_mark(key, life, (generation, floor)), &mark)?;
        let mut saved = Saved::new(life);
        (saved.generation, saved.floor) = (generation, floor);
        Ok(Some(saved))
    }

    /// The store of an identity that has none in this file.
    fn begin(&mut self, key: &[u8]) -> Rows<Saved> {
        let saved = Saved::new(random()?);
        self.say_in_use()?;
        let transaction = self.connection.transaction()?;
        write_store(&transaction, key, saved.store, (saved.generation, saved.floor))?;
        transaction.commit()?;
        Ok(saved)
    }

    fn write(&mut self, rows: &[(PublicKey, Write)], run: &mut RunHandler<'_>) -> Rows<Vec<Ran>> {
        self.say_in_use()?;
        let transaction = self.connection.transaction()?;
        let mut all = Vec::new();
        for (identity, write) in rows {
            if let Write::Run(one) = write {
                let ran = run_handler(&transaction, identity.as_bytes(), &one.event, run)?;
                if one.wants_reply {
                    let (name, answer) = (one.name, ran.answer.clone());
                    write_row(&transaction, identity.as_bytes(), &Write::Answer { name, answer })?;
                }
                all.push(ran);
            }
            write_row(&transaction, identity.as_bytes(), write)?;
        }
        let is_over = |(_, write): &&(PublicKey, Write)| matches!(write, Write::Over { .. });
        self.ended += rows.iter().filter(is_over).count();
        if self.ended >= ENDED_BETWEEN_LOOKS {
            self.ended = 0;
            asked::drop_oldest_outcomes(&transaction)?;
        }
        transaction.commit()?;
        Ok(all)
    }
}

/// Runs a handler. Of one that refuses, or panics, nothing stays but its answer.
fn run_handler(
    transaction: &Transaction<'_>,
    key: &[u8],
    event: &QueryEvent,
    run: &mut RunHandler<'_>,
) -> Rows<Ran> {
    let order = |order| transaction.prepare_cached(order)?.execute([]);
    // Written out, so that it is not parsed each time. If anything fails below, nothing of the transaction stays.
    order("SAVEPOINT handler")?;
    let mut values = Table::new(transaction, key);
    let reply = catch_unwind(AssertUnwindSafe(|| run(&mut values, event)));
    values.failed()?;
    let ran = Ran::new(event, reply.unwrap_or(Err(RefusedWhy::Failed)));
    if ran.answer.status != 0 {
        order("ROLLBACK TO handler")?;
    }
    order("RELEASE handler")?;
    Ok(ran)
}

impl Store for SqliteStore {
    fn load(&mut self, identity: &PublicKey) -> Result<Saved, StoreError> {
        self.read(identity).map_err(|fault| self.told(fault))
    }

    fn commit(
        &mut self,
        rows: &[(PublicKey, Write)],
        run: &mut RunHandler<'_>,
    ) -> Result<Vec<Ran>, StoreError> {
        let mut written = self.write(rows, run);
        // On a full disk the log cannot grow; it begins again at its start when the file has it all.
        if matches!(&written, Err(Fault::Sql(error)) if is_full(error)) && self.empty_log().is_ok()
        {
            written = self.write(rows, run);
        }
        written.map_err(|fault| self.told(fault))
    }

    fn back_up(&mut self, to: &Path, files: &[File]) -> Result<(), StoreError> {
        // The one that its owner may call as well.
        SqliteStore::back_up(self, to, files)
    }
}

impl Drop for SqliteStore {
    /// Brings everything into the file itself, if the disk takes it; else the log stays, and the file says
    /// that it needs it. What was only looked at stays as it is.
    fn drop(&mut self) {
        let connection = &self.connection;
        let is_at_rest =
            || self.written && connection.pragma_update(None, "application_id", AT_REST).is_ok();
        let is_empty = || log::log_of(&self.path).metadata().is_ok_and(|found| found.len() == 0);
        if is_empty() || is_at_rest() {
            // Where this fails the log stays, which is safe.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
    }
}

fn write_row(transaction: &Transaction<'_>, key: &[u8], write: &Write) -> Rows<()> {
    match write {
        Write::Store { generation, floor } => {
            let life: i64 = transaction
                .prepare_cached("SELECT life FROM store WHERE identity = ?1")?
                .query_row([key], |row| row.get(0))?;
            write_store(transaction, key, life.cast_unsigned(), (*generation, *floor))?;
        }
        Write::Letters { store, floor } => letters::write(transaction, key, (*store, *floor))?,
        Write::MailboxPrekey(prekey) => letters::write_prekey(transaction, key, prekey)?,
        Write::ErasePrekey(id) => letters::erase_prekey(transaction, key, *id)?,
        Write::Dialog(one) => dialogs::write(transaction, key, one)?,
        Write::Forget { store, peer, dialog } => {
            dialogs::forget(transaction, key, *store, (peer, *dialog))?;
        }
        Write::Query(query) => {
            let SavedQuery { name, store, code, id, room, patience, offer } = query;
            if let Some(offer) = offer {
                handled::write_offer(transaction, key, name, offer)?;
            }
            let MessageName { peer, dialog, serial } = name;
            let room = i64::try_from(*room).unwrap_or(i64::MAX);
            let patience = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
            let mark = query_mark(key, (name, *store), (*code, id.as_bytes()), (room, patience));
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO query VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )?
                .execute(params![
                    key,
                    peer.as_bytes(),
                    dialog.cast_signed(),
                    serial.cast_signed(),
                    code,
                    id.as_bytes(),
                    room,
                    patience,
                    mark,
                    asked::store_kind(*store)
                ])?;
        }
        // Its handler has run before.
        Write::Run(_) => {}
        Write::Answer { name, answer } => {
            handled::forget_offer(transaction, key, name)?;
            let MessageName { peer, dialog, serial } = name;
            let mark = answer_mark(key, name, answer.status, &answer.body);
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO answer VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    key,
                    peer.as_bytes(),
                    dialog.cast_signed(),
                    serial.cast_signed(),
                    answer.status,
                    &answer.body[..],
                    mark
                ])?;
        }
        Write::Done(name) => {
            handled::forget_offer(transaction, key, name)?;
            for delete in [
                "DELETE FROM query WHERE identity = ?1 AND peer = ?2 AND dialog = ?3 AND serial = ?4",
                "DELETE FROM answer WHERE identity = ?1 AND peer = ?2 AND dialog = ?3 AND serial = ?4",
            ] {
                let (dialog, serial) = (name.dialog.cast_signed(), name.serial.cast_signed());
                transaction.prepare_cached(delete)?.execute(params![
                    key,
                    name.peer.as_bytes(),
                    dialog,
                    serial
                ])?;
            }
        }
        Write::Outbox(outbox) => asked::write_outbox(transaction, key, outbox)?,
        Write::Ask(ask) => asked::write_ask(transaction, key, ask)?,
        Write::Bind { name, binding } => asked::write_binding(transaction, key, name, binding)?,
        Write::Over { name, outcome } => {
            asked::write_end(transaction, key, name, outcome.as_ref())?;
        }
        Write::Collected(id) => asked::forget_outcome(transaction, key, id)?,
    }
    Ok(())
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn write_store(
    transaction: &Transaction<'_>,
    key: &[u8],
    life: u64,
    (generation, floor): (u32, u32),
) -> Rows<()> {
    let mark = store_mark(key, life, (generation, floor));
    transaction
        .prepare_cached("INSERT OR REPLACE INTO store VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![key, life.cast_signed(), generation, floor, mark])?;
    Ok(())
}

fn read_queries(
    transaction: &Transaction<'_>,
    key: &[u8],
) -> Rows<Vec<(SavedQuery, Option<SavedAnswer>)>> {
    let mut statement = transaction.prepare(
        "SELECT peer, dialog, serial, code, query.id, room, patience_ms, query.mark, status, body, \
         answer.mark, query.store FROM query LEFT JOIN answer USING (identity, peer, dialog, serial) \
         WHERE identity = ?1 ORDER BY query.rowid",
    )?;
    let mut rows = statement.query([key])?;
    let mut queries = Vec::new();
    while let Some(row) = rows.next()? {
        let peer = public_key(row.get(0)?)?;
        let (dialog, serial): (i64, i64) = (row.get(1)?, row.get(2)?);
        let (dialog, serial) = (dialog.cast_unsigned(), serial.cast_unsigned());
        let name = MessageName { peer, dialog, serial };
        let (code, id): (u32, [u8; 32]) = (small(row.get(3)?)?, row.get(4)?);
        let (room, patience): (i64, i64) = (row.get(5)?, row.get(6)?);
        let mark: Vec<u8> = row.get(7)?;
        let store = asked::read_store_kind(row.get(11)?).ok_or_else(|| damaged("query"))?;
        fits("query", &query_mark(key, (&name, store), (code, &id), (room, patience)), &mark)?;
        let answer = match row.get::<_, Option<u8>>(8)? {
            None => None,
            Some(status) => {
                let (body, mark): (Vec<u8>, Vec<u8>) = (row.get(9)?, row.get(10)?);
                fits("answer", &answer_mark(key, &name, status, &body), &mark)?;
                Some(SavedAnswer { status, body: Bytes::from(body) })
            }
        };
        let room = usize::try_from(room).map_err(|_| damaged("query"))?;
        let patience = u64::try_from(patience).map_err(|_| damaged("query"))?;
        let patience = Duration::from_millis(patience);
        let id = MessageId::from_bytes(id);
        let offer = handled::read_offer(transaction, key, &name)?;
        queries.push((SavedQuery { name, store, code, id, room, patience, offer }, answer));
    }
    Ok(queries)
}

fn store_mark(key: &[u8], life: u64, (generation, floor): (u32, u32)) -> [u8; 16] {
    let numbers = (life.to_le_bytes(), generation.to_le_bytes(), floor.to_le_bytes());
    check("store", &[key, &numbers.0, &numbers.1, &numbers.2])
}

fn query_mark(
    key: &[u8],
    (name, store): (&MessageName, StoreKind),
    (code, id): (u32, &[u8; 32]),
    (room, patience): (i64, i64),
) -> [u8; 16] {
    let (dialog, serial) = (name.dialog.to_le_bytes(), name.serial.to_le_bytes());
    let (code, room, patience) = (code.to_le_bytes(), room.to_le_bytes(), patience.to_le_bytes());
    let peer = name.peer.as_bytes();
    // What came by letter is marked as if its table were another one.
    let table = if store == StoreKind::Letter { "query of a letter" } else { "query" };
    check(table, &[key, peer, &dialog, &serial, &code, id, &room, &patience])
}

fn answer_mark(key: &[u8], name: &MessageName, status: u8, body: &[u8]) -> [u8; 16] {
    let (dialog, serial) = (name.dialog.to_le_bytes(), name.serial.to_le_bytes());
    check("answer", &[key, name.peer.as_bytes(), &dialog, &serial, &[status], body])
}

fn random() -> Rows<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| Fault::NoRandomness)?;
    Ok(u64::from_le_bytes(bytes))
}
