//! The store for letters: its life and floor, and the keys to which letters are sealed.
//!
//! Invariant: a secret is here from before anybody hears of its key until no letter sealed to it may come any more, and
//! what was taken from letters at least as long.

use std::time::Duration;

use egtp_proto::StoreKind;
use egtp_proto::exchange::durable::SavedMailboxPrekey;
use egtp_proto::exchange::saved::SavedLetters;
use rusqlite::{OptionalExtension, Transaction, params};
use zeroize::Zeroizing;

use super::dialogs;
use super::fault::{Rows, damaged, fits, small};
use super::rows::check;

/// Made, or with another floor.
pub(super) fn write(
    transaction: &Transaction<'_>,
    key: &[u8],
    (store, floor): (u64, u32),
) -> Rows<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO letter_store VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![key, store.cast_signed(), floor, store_mark(key, store, floor)])?;
    Ok(())
}

pub(super) fn write_prekey(
    transaction: &Transaction<'_>,
    key: &[u8],
    prekey: &SavedMailboxPrekey,
) -> Rows<()> {
    let made = i64::try_from(prekey.made.as_millis()).unwrap_or(i64::MAX);
    let mark = prekey_mark(key, prekey.id, &prekey.secret, made);
    transaction
        .prepare_cached("INSERT INTO mailbox_prekey VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![key, prekey.id, &prekey.secret[..], made, mark])?;
    Ok(())
}

/// `SQLite` is told to overwrite what it deletes; what a disk keeps of its own accord is beyond it.
pub(super) fn erase_prekey(transaction: &Transaction<'_>, key: &[u8], id: u32) -> Rows<()> {
    transaction
        .prepare_cached("DELETE FROM mailbox_prekey WHERE identity = ?1 AND id = ?2")?
        .execute(params![key, id])?;
    Ok(())
}

pub(super) fn read(transaction: &Transaction<'_>, key: &[u8]) -> Rows<Option<SavedLetters>> {
    let select = "SELECT life, floor, mark FROM letter_store WHERE identity = ?1";
    let found = transaction.query_row(select, [key], |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?))
    });
    let Some((life, floor, mark)) = found.optional()? else { return Ok(None) };
    let (store, floor) = (life.cast_unsigned(), small(floor)?);
    fits("letter_store", &store_mark(key, store, floor), &mark)?;
    let dialogs = dialogs::read(transaction, key, StoreKind::Letter)?;
    Ok(Some(SavedLetters { store, floor, dialogs, prekeys: read_prekeys(transaction, key)? }))
}

fn read_prekeys(transaction: &Transaction<'_>, key: &[u8]) -> Rows<Vec<SavedMailboxPrekey>> {
    let mut statement = transaction.prepare(
        "SELECT id, secret, made_ms, mark FROM mailbox_prekey WHERE identity = ?1 ORDER BY id",
    )?;
    let mut rows = statement.query([key])?;
    let mut prekeys = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, secret): (u32, [u8; 32]) = (small(row.get(0)?)?, row.get(1)?);
        let secret = Zeroizing::new(secret);
        let (made, mark): (i64, Vec<u8>) = (row.get(2)?, row.get(3)?);
        fits("mailbox_prekey", &prekey_mark(key, id, &secret, made), &mark)?;
        let made = u64::try_from(made).map_err(|_| damaged("mailbox_prekey"))?;
        prekeys.push(SavedMailboxPrekey { id, secret, made: Duration::from_millis(made) });
    }
    Ok(prekeys)
}

fn store_mark(key: &[u8], store: u64, floor: u32) -> [u8; 16] {
    check("letter_store", &[key, &store.to_le_bytes(), &floor.to_le_bytes()])
}

fn prekey_mark(key: &[u8], id: u32, secret: &[u8; 32], made: i64) -> [u8; 16] {
    check("mailbox_prekey", &[key, &id.to_le_bytes(), secret, &made.to_le_bytes()])
}
