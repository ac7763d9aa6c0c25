//! The tables of handlers: messages that a later life hands over again, and the values that handlers keep
//! for themselves.
//!
//! Invariant: a value that was changed by anybody else is never given to a handler.

use egtp_proto::{Assurance, Kind};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::fault::{Fault, Rows, damaged, fits};
use super::rows::check;
use super::{Entry, MessageName, Offer, StoreFailed, Values};

pub(super) fn write_offer(
    transaction: &Transaction<'_>,
    key: &[u8],
    name: &MessageName,
    offer: &Offer,
) -> Rows<()> {
    let MessageName { peer, dialog, serial } = name;
    let assurance = assurance(offer.assurance);
    transaction
        .prepare_cached("INSERT OR REPLACE INTO offer VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            key,
            peer.as_bytes(),
            dialog.cast_signed(),
            serial.cast_signed(),
            offer.kind.as_str(),
            &offer.body[..],
            assurance,
            offer_mark(key, name, offer),
            offer.wants_reply
        ])?;
    Ok(())
}

/// It is answered, or nobody wants an answer any more.
pub(super) fn forget_offer(
    transaction: &Transaction<'_>,
    key: &[u8],
    name: &MessageName,
) -> Rows<()> {
    let (dialog, serial) = (name.dialog.cast_signed(), name.serial.cast_signed());
    transaction
        .prepare_cached(
            "DELETE FROM offer WHERE identity = ?1 AND peer = ?2 AND dialog = ?3 AND serial = ?4",
        )?
        .execute(params![key, name.peer.as_bytes(), dialog, serial])?;
    Ok(())
}

pub(super) fn read_offer(
    transaction: &Transaction<'_>,
    key: &[u8],
    name: &MessageName,
) -> Rows<Option<Offer>> {
    let (dialog, serial) = (name.dialog.cast_signed(), name.serial.cast_signed());
    let mut statement = transaction.prepare_cached(
        "SELECT kind, body, assurance, mark, wants_reply FROM offer \
         WHERE identity = ?1 AND peer = ?2 AND dialog = ?3 AND serial = ?4",
    )?;
    let mut rows = statement.query(params![key, name.peer.as_bytes(), dialog, serial])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let kind = Kind::new(&row.get::<_, String>(0)?).map_err(|_| damaged("offer"))?;
    let body = row.get::<_, Vec<u8>>(1)?.into();
    let assurance = match row.get::<_, i64>(2)? {
        0 => Assurance::FirstFlight,
        1 => Assurance::Confirmed,
        2 => Assurance::Letter,
        _ => return Err(damaged("offer")),
    };
    let (mark, wants_reply): (Vec<u8>, bool) = (row.get(3)?, row.get(4)?);
    let offer = Offer { wants_reply, kind, body, assurance };
    fits("offer", &offer_mark(key, name, &offer), &mark)?;
    Ok(Some(offer))
}

const fn assurance(assurance: Assurance) -> i64 {
    match assurance {
        Assurance::FirstFlight => 0,
        Assurance::Confirmed => 1,
        Assurance::Letter => 2,
    }
}

fn offer_mark(key: &[u8], name: &MessageName, offer: &Offer) -> [u8; 16] {
    let (dialog, serial) = (name.dialog.to_le_bytes(), name.serial.to_le_bytes());
    let (kind, body) = (offer.kind.as_str().as_bytes(), &offer.body[..]);
    let assurance = assurance(offer.assurance).to_le_bytes();
    // What is told is marked as if its table were another one.
    let table = if offer.wants_reply { "offer" } else { "offer told" };
    check(table, &[key, name.peer.as_bytes(), &dialog, &serial, kind, body, &assurance])
}

/// The values of one identity, inside a transaction.
pub(super) struct Table<'a> {
    connection: &'a Connection,
    identity: &'a [u8],
    failed: Option<Fault>,
}

impl<'a> Table<'a> {
    pub(super) const fn new(connection: &'a Connection, identity: &'a [u8]) -> Self {
        Self { connection, identity, failed: None }
    }

    /// What went wrong, if something did: then nothing of the transaction may stay.
    pub(super) fn failed(self) -> Rows<()> {
        self.failed.map_or(Ok(()), Err)
    }

    fn noted<T>(&mut self, done: Rows<T>) -> Result<T, StoreFailed> {
        done.map_err(|fault| {
            self.failed.get_or_insert(fault);
            StoreFailed
        })
    }

    fn read(&self, key: &[u8]) -> Rows<Option<Vec<u8>>> {
        let found: Option<(Vec<u8>, Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT value, mark FROM value WHERE identity = ?1 AND key = ?2")?
            .query_row([self.identity, key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((value, mark)) = found else { return Ok(None) };
        fits("value", &check("value", &[self.identity, key, &value]), &mark)?;
        Ok(Some(value))
    }

    fn read_next(&self, after: &[u8]) -> Rows<Option<Entry>> {
        let found: Option<(Vec<u8>, Vec<u8>, Vec<u8>)> = self
            .connection
            .prepare_cached(
                "SELECT key, value, mark FROM value WHERE identity = ?1 AND key > ?2 \
                 ORDER BY key LIMIT 1",
            )?
            .query_row([self.identity, after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((key, value, mark)) = found else { return Ok(None) };
        fits("value", &check("value", &[self.identity, &key, &value]), &mark)?;
        Ok(Some((key, value)))
    }

    fn write(&self, key: &[u8], value: &[u8]) -> Rows<()> {
        let mark = check("value", &[self.identity, key, value]);
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO value VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![self.identity, key, value, mark])?;
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> Rows<()> {
        self.connection
            .prepare_cached("DELETE FROM value WHERE identity = ?1 AND key = ?2")?
            .execute([self.identity, key])?;
        Ok(())
    }
}

impl Values for Table<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
        let read = self.read(key);
        self.noted(read)
    }

    fn next(&mut self, after: &[u8]) -> Result<Option<Entry>, StoreFailed> {
        let read = self.read_next(after);
        self.noted(read)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreFailed> {
        let written = self.write(key, value);
        self.noted(written)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), StoreFailed> {
        let deleted = self.delete(key);
        self.noted(deleted)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::schema::bring_up;
    use super::*;

    fn store() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        bring_up(&mut connection, 0).unwrap_or_else(|_| panic!("its tables can be made"));
        connection
    }

    /// All keys of an identity after this one, with their values; of more than there can be only some.
    fn walk(table: &mut Table<'_>, mut after: Vec<u8>) -> Vec<Entry> {
        let mut found = Vec::new();
        while let Some((key, value)) = table.next(&after).unwrap()
            && found.len() < 64
        {
            after.clone_from(&key);
            found.push((key, value));
        }
        found
    }

    #[test]
    fn a_value_that_was_changed_by_anybody_else_is_not_walked_over() {
        for change in ["value = x'07'", "key = x'07'"] {
            let connection = store();
            let mut table = Table::new(&connection, &[1; 32]);
            table.put(b"key", b"value").unwrap();
            connection.execute(&format!("UPDATE value SET {change}"), []).unwrap();
            assert_eq!(table.next(b""), Err(StoreFailed), "{change}");
            assert!(matches!(table.failed(), Err(Fault::Damaged(_))), "{change}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// As in a map that is sorted by bytes, and of this identity alone.
        #[test]
        fn values_are_walked_over_in_the_order_of_their_keys(
            keys in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..4), 0..24),
            after in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            let connection = store();
            for identity in [[0; 32], [2; 32]] {
                Table::new(&connection, &identity).put(b"another's", b"value").unwrap();
            }
            let mut table = Table::new(&connection, &[1; 32]);
            let mut model = BTreeMap::new();
            for (number, key) in (0_u8..).zip(keys) {
                if number % 4 == 3 {
                    table.remove(&key).unwrap();
                    model.remove(&key);
                } else {
                    table.put(&key, &[number]).unwrap();
                    model.insert(key, vec![number]);
                }
            }
            let expected: Vec<_> = model.into_iter().filter(|(key, _)| *key > after).collect();
            prop_assert_eq!(walk(&mut table, after), expected);
        }
    }
}
