//! The tables of dialogs: one of the durable store, one of the store for letters.
//!
//! Invariant: they have the same columns, and a row of one is never taken for a row of the other.

use egtp_proto::{PublicKey, StoreKind};
use rusqlite::{Transaction, params};

use super::SavedDialog;
use super::fault::{Rows, damaged, fits, public_key, small};
use super::rows::{check, decode, encode};

/// The table of a store. What is in RAM is in none.
const fn table(store: StoreKind) -> &'static str {
    match store {
        StoreKind::Letter => "letter_dialog",
        StoreKind::Durable | StoreKind::Ram => "dialog",
    }
}

pub(super) fn write(transaction: &Transaction<'_>, key: &[u8], one: &SavedDialog) -> Rows<()> {
    let SavedDialog { store, peer, dialog, floor, highest, taken } = one;
    let (taken, table) = (encode(taken), table(*store));
    let mark = mark(table, key, peer, *dialog, (*floor, *highest), &taken);
    let insert = format!("INSERT OR REPLACE INTO {table} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    transaction.prepare_cached(&insert)?.execute(params![
        key,
        peer.as_bytes(),
        dialog.cast_signed(),
        floor,
        highest,
        taken,
        mark
    ])?;
    Ok(())
}

pub(super) fn forget(
    transaction: &Transaction<'_>,
    key: &[u8],
    store: StoreKind,
    (peer, dialog): (&PublicKey, u64),
) -> Rows<()> {
    let table = table(store);
    let delete = format!("DELETE FROM {table} WHERE identity = ?1 AND peer = ?2 AND dialog = ?3");
    transaction.prepare_cached(&delete)?.execute(params![
        key,
        peer.as_bytes(),
        dialog.cast_signed()
    ])?;
    Ok(())
}

pub(super) fn read(
    transaction: &Transaction<'_>,
    key: &[u8],
    store: StoreKind,
) -> Rows<Vec<SavedDialog>> {
    let table = table(store);
    // Written again at each change: the order of writing is the order of use.
    let mut statement = transaction.prepare(&format!(
        "SELECT peer, dialog, floor, highest, taken, mark FROM {table} WHERE identity = ?1 \
         ORDER BY rowid"
    ))?;
    let mut rows = statement.query([key])?;
    let mut dialogs = Vec::new();
    while let Some(row) = rows.next()? {
        let (peer, dialog) = (public_key(row.get(0)?)?, row.get::<_, i64>(1)?.cast_unsigned());
        let (floor, highest) = (small(row.get(2)?)?, small(row.get(3)?)?);
        let (taken, found): (Vec<u8>, Vec<u8>) = (row.get(4)?, row.get(5)?);
        fits(table, &mark(table, key, &peer, dialog, (floor, highest), &taken), &found)?;
        let taken = decode(&taken).ok_or_else(|| damaged(table))?;
        dialogs.push(SavedDialog { store, peer, dialog, floor, highest, taken });
    }
    Ok(dialogs)
}

fn mark(
    table: &str,
    key: &[u8],
    peer: &PublicKey,
    dialog: u64,
    (floor, highest): (u32, u32),
    taken: &[u8],
) -> [u8; 16] {
    let (dialog, floor, highest) =
        (dialog.to_le_bytes(), floor.to_le_bytes(), highest.to_le_bytes());
    check(table, &[key, peer.as_bytes(), &dialog, &floor, &highest, taken])
}
