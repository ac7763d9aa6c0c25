//! The tables of what others are asked: our dialogs, open messages, what they are bound to, and outcomes.
//!
//! Invariant: an open message has a row in `ask`; one that may have been sent has one in `binding` too.

use std::time::Duration;

use bytes::Bytes;
use egtp_proto::{
    Kind, MessageClass, MessageId, NotSent, Outcome, PublicKey, RefusedWhy, StoreKind, Strategy,
    Taken,
};
use rusqlite::{Connection, Row, Transaction, params};

use super::fault::{Rows, damaged, fits, public_key, small};
use super::rows::check;
use super::{Binding, MessageName, SavedAsk, SavedOutbox, SavedOutcome};

pub(super) fn write_outbox(
    transaction: &Transaction<'_>,
    key: &[u8],
    outbox: &SavedOutbox,
) -> Rows<()> {
    let SavedOutbox { peer, dialog, next_serial } = outbox;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO outbox VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            key,
            peer.as_bytes(),
            dialog.cast_signed(),
            next_serial.cast_signed(),
            outbox_mark(key, outbox)
        ])?;
    Ok(())
}

/// Forgets the dialogs in which nothing is open.
pub(super) fn forget_ended_outboxes(connection: &Connection, key: &[u8]) -> Rows<()> {
    connection.execute(
        "DELETE FROM outbox WHERE identity = ?1 AND NOT EXISTS (SELECT 1 FROM ask \
         WHERE ask.identity = ?1 AND ask.peer = outbox.peer AND ask.dialog = outbox.dialog)",
        [key],
    )?;
    Ok(())
}

pub(super) fn write_ask(transaction: &Transaction<'_>, key: &[u8], ask: &SavedAsk) -> Rows<()> {
    let MessageName { peer, dialog, serial } = &ask.name;
    let plain = Plain::of(ask);
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO ask VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            key,
            peer.as_bytes(),
            dialog.cast_signed(),
            serial.cast_signed(),
            ask.id.as_bytes(),
            plain.class,
            ask.kind.as_str(),
            &ask.body[..],
            plain.room,
            plain.expires_ms,
            plain.hints,
            plain.post_quantum,
            ask_mark(key, ask, &plain)
        ])?;
    Ok(())
}

pub(super) fn write_binding(
    transaction: &Transaction<'_>,
    key: &[u8],
    name: &MessageName,
    binding: &Binding,
) -> Rows<()> {
    let MessageName { peer, dialog, serial } = name;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO binding VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            key,
            peer.as_bytes(),
            dialog.cast_signed(),
            serial.cast_signed(),
            store_kind(binding.kind),
            binding.store.cast_signed(),
            binding.generation,
            binding_mark(key, name, binding)
        ])?;
    Ok(())
}

/// The message goes, and its outcome, if the application wants one, takes its place.
pub(super) fn write_end(
    transaction: &Transaction<'_>,
    key: &[u8],
    name: &MessageName,
    outcome: Option<&SavedOutcome>,
) -> Rows<()> {
    for delete in [
        "DELETE FROM ask WHERE identity = ?1 AND peer = ?2 AND dialog = ?3 AND serial = ?4",
        "DELETE FROM binding WHERE identity = ?1 AND peer = ?2 AND dialog = ?3 AND serial = ?4",
    ] {
        let (dialog, serial) = (name.dialog.cast_signed(), name.serial.cast_signed());
        let values = params![key, name.peer.as_bytes(), dialog, serial];
        transaction.prepare_cached(delete)?.execute(values)?;
    }
    outcome.map_or(Ok(()), |outcome| write_outcome(transaction, key, outcome))
}

pub(super) fn write_outcome(
    transaction: &Transaction<'_>,
    key: &[u8],
    SavedOutcome { id, outcome }: &SavedOutcome,
) -> Rows<()> {
    let (code, detail, number, body) = encode(outcome);
    let mark = outcome_mark(key, id, (code, detail, number), &body);
    transaction
        .prepare_cached("INSERT OR REPLACE INTO outcome VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![key, id.as_bytes(), code, detail, number, &body[..], mark])?;
    Ok(())
}

pub(super) fn forget_outcome(
    transaction: &Transaction<'_>,
    key: &[u8],
    id: &MessageId,
) -> Rows<()> {
    transaction
        .prepare_cached("DELETE FROM outcome WHERE identity = ?1 AND id = ?2")?
        .execute(params![key, id.as_bytes()])?;
    Ok(())
}

/// Outcomes that nobody takes are dropped, the oldest first: so many of them, and so many bytes of
/// replies, are kept.
pub(super) fn drop_oldest_outcomes(transaction: &Transaction<'_>) -> Rows<()> {
    transaction.execute(
        "DELETE FROM outcome WHERE rowid IN (SELECT rowid FROM (
            SELECT rowid, row_number() OVER newest AS place, sum(length(body)) OVER newest AS bytes
            FROM outcome WINDOW newest AS (ORDER BY rowid DESC)
        ) WHERE place > ?1 OR bytes > ?2)",
        [OUTCOMES_MAX, OUTCOME_BYTES_MAX],
    )?;
    Ok(())
}

pub(super) fn read_outboxes(transaction: &Transaction<'_>, key: &[u8]) -> Rows<Vec<SavedOutbox>> {
    let mut statement = transaction
        .prepare("SELECT peer, dialog, next_serial, mark FROM outbox WHERE identity = ?1")?;
    let mut rows = statement.query([key])?;
    let mut outboxes = Vec::new();
    while let Some(row) = rows.next()? {
        let (peer, dialog, next_serial) =
            (public_key(row.get(0)?)?, number(row, 1)?, number(row, 2)?);
        let outbox = SavedOutbox { peer, dialog, next_serial };
        fits("outbox", &outbox_mark(key, &outbox), &row.get::<_, Vec<u8>>(3)?)?;
        outboxes.push(outbox);
    }
    Ok(outboxes)
}

pub(super) fn read_asks(transaction: &Transaction<'_>, key: &[u8]) -> Rows<Vec<SavedAsk>> {
    let mut statement = transaction.prepare(
        "SELECT peer, dialog, serial, id, class, ask.kind, body, room, expires_ms, hints, post_quantum, ask.mark, \
         binding.kind, store, generation, binding.mark \
         FROM ask LEFT JOIN binding USING (identity, peer, dialog, serial) \
         WHERE identity = ?1 ORDER BY dialog, serial",
    )?;
    let mut rows = statement.query([key])?;
    let mut asks = Vec::new();
    while let Some(row) = rows.next()? {
        let (peer, dialog, serial) = (public_key(row.get(0)?)?, number(row, 1)?, number(row, 2)?);
        let name = MessageName { peer, dialog, serial };
        let plain = Plain {
            class: row.get(4)?,
            room: row.get(7)?,
            expires_ms: row.get(8)?,
            hints: row.get(9)?,
            post_quantum: row.get(10)?,
        };
        let (kind, body): (String, Vec<u8>) = (row.get(5)?, row.get(6)?);
        let ask = plain.ask(name, MessageId::from_bytes(row.get(3)?), &kind, body);
        let mut ask = ask.ok_or_else(|| damaged("ask"))?;
        fits("ask", &ask_mark(key, &ask, &plain), &row.get::<_, Vec<u8>>(11)?)?;
        if let Some(kind) = row.get::<_, Option<i64>>(12)? {
            let kind = read_store_kind(kind).ok_or_else(|| damaged("binding"))?;
            let binding =
                Binding { kind, store: number(row, 13)?, generation: small(row.get(14)?)? };
            fits("binding", &binding_mark(key, &name, &binding), &row.get::<_, Vec<u8>>(15)?)?;
            ask.binding = Some(binding);
        }
        asks.push(ask);
    }
    Ok(asks)
}

pub(super) fn read_outcomes(transaction: &Transaction<'_>, key: &[u8]) -> Rows<Vec<SavedOutcome>> {
    let mut statement = transaction.prepare(
        "SELECT id, outcome, detail, number, body, mark FROM outcome WHERE identity = ?1 \
         ORDER BY rowid",
    )?;
    let mut rows = statement.query([key])?;
    let mut outcomes = Vec::new();
    while let Some(row) = rows.next()? {
        let id = MessageId::from_bytes(row.get(0)?);
        let numbers: (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let (body, mark): (Vec<u8>, Vec<u8>) = (row.get(4)?, row.get(5)?);
        fits("outcome", &outcome_mark(key, &id, numbers, &body), &mark)?;
        let outcome = decode(numbers, body.into()).ok_or_else(|| damaged("outcome"))?;
        outcomes.push(SavedOutcome { id, outcome });
    }
    Ok(outcomes)
}

/// What a message is in plain numbers and text.
struct Plain {
    class: i64,
    room: i64,
    expires_ms: i64,
    hints: String,
    post_quantum: i64,
}

impl Plain {
    fn of(ask: &SavedAsk) -> Self {
        let hints: Vec<String> = ask.hints.iter().map(ToString::to_string).collect();
        Self {
            class: i64::from(ask.class == MessageClass::Send),
            room: i64::try_from(ask.room).unwrap_or(i64::MAX),
            expires_ms: i64::try_from(ask.expires.as_millis()).unwrap_or(i64::MAX),
            hints: hints.join(" "),
            post_quantum: ask.post_quantum.into(),
        }
    }

    fn ask(&self, name: MessageName, id: MessageId, kind: &str, body: Vec<u8>) -> Option<SavedAsk> {
        let class = match self.class {
            0 => MessageClass::Request,
            1 => MessageClass::Send,
            _ => return None,
        };
        let hints: Result<Vec<Strategy>, _> =
            self.hints.split_whitespace().map(str::parse).collect();
        Some(SavedAsk {
            name,
            id,
            class,
            kind: Kind::new(kind).ok()?,
            body: body.into(),
            room: usize::try_from(self.room).ok()?,
            expires: Duration::from_millis(u64::try_from(self.expires_ms).ok()?),
            post_quantum: match self.post_quantum {
                0 => false,
                1 => true,
                _ => return None,
            },
            hints: hints.ok()?,
            binding: None,
        })
    }
}

fn number(row: &Row<'_>, index: usize) -> Rows<u64> {
    Ok(row.get::<_, i64>(index)?.cast_unsigned())
}

pub(super) fn store_kind(kind: StoreKind) -> i64 {
    kind.id().into()
}

pub(super) fn read_store_kind(number: i64) -> Option<StoreKind> {
    StoreKind::from_id(u8::try_from(number).ok()?)
}

/// An outcome as three numbers and bytes: what it is, which of its kind, a count, the reply.
fn encode(outcome: &Outcome) -> (i64, i64, i64, Bytes) {
    let none = Bytes::new();
    match outcome {
        Outcome::Reply { body, attempts, .. } => (0, 0, (*attempts).into(), body.clone()),
        Outcome::Accepted { attempts, .. } => (1, 0, (*attempts).into(), none),
        Outcome::Refused(why) => {
            let wait = match why {
                RefusedWhy::Busy { retry_after } => retry_after.as_millis(),
                _ => 0,
            };
            (2, why.status().into(), i64::try_from(wait).unwrap_or(i64::MAX), none)
        }
        Outcome::NotSent(why) => (3, not_sent(*why), 0, none),
        Outcome::TimedOut { taken } => {
            let taken = match taken {
                Taken::Yes => 0,
                Taken::No => 1,
                Taken::Unknown => 2,
            };
            (4, taken, 0, none)
        }
        Outcome::Unknown { attempts } => (5, 0, (*attempts).into(), none),
        Outcome::Closing => (6, 0, 0, none),
    }
}

fn decode((code, detail, number): (i64, i64, i64), body: Bytes) -> Option<Outcome> {
    let attempts = || u32::try_from(number).ok();
    Some(match code {
        0 => Outcome::Reply { body, attempts: attempts()?, path: None },
        1 => Outcome::Accepted { attempts: attempts()?, path: None },
        2 => Outcome::Refused(match RefusedWhy::from_status(u8::try_from(detail).ok()?) {
            RefusedWhy::Busy { .. } => {
                RefusedWhy::Busy { retry_after: Duration::from_millis(u64::try_from(number).ok()?) }
            }
            why => why,
        }),
        3 => Outcome::NotSent(read_not_sent(detail)?),
        4 => {
            let taken = match detail {
                0 => Taken::Yes,
                1 => Taken::No,
                2 => Taken::Unknown,
                _ => return None,
            };
            Outcome::TimedOut { taken }
        }
        5 => Outcome::Unknown { attempts: attempts()? },
        6 => Outcome::Closing,
        _ => return None,
    })
}

/// Of what was kept nothing ends so but for want of a path; sizes are looked at before it is kept.
fn not_sent(why: NotSent) -> i64 {
    match why {
        NotSent::NotFound => 1,
        NotSent::Unreachable => 2,
        NotSent::NoHybridSuite => 3,
        _ => 0,
    }
}

fn read_not_sent(detail: i64) -> Option<NotSent> {
    match detail {
        0 => Some(NotSent::Busy),
        1 => Some(NotSent::NotFound),
        2 => Some(NotSent::Unreachable),
        3 => Some(NotSent::NoHybridSuite),
        _ => None,
    }
}

fn outbox_mark(key: &[u8], outbox: &SavedOutbox) -> [u8; 16] {
    let (dialog, next) = (outbox.dialog.to_le_bytes(), outbox.next_serial.to_le_bytes());
    check("outbox", &[key, outbox.peer.as_bytes(), &dialog, &next])
}

fn ask_mark(key: &[u8], ask: &SavedAsk, plain: &Plain) -> [u8; 16] {
    let MessageName { peer, dialog, serial } = &ask.name;
    let (dialog, serial) = (dialog.to_le_bytes(), serial.to_le_bytes());
    let numbers = [plain.class, plain.room, plain.expires_ms, plain.post_quantum];
    let [class, room, expires_ms, post_quantum] = numbers.map(i64::to_le_bytes);
    check(
        "ask",
        &[
            key,
            peer.as_bytes(),
            &dialog,
            &serial,
            ask.id.as_bytes(),
            &class,
            ask.kind.as_str().as_bytes(),
            &ask.body,
            &room,
            &expires_ms,
            plain.hints.as_bytes(),
            &post_quantum,
        ],
    )
}

fn binding_mark(key: &[u8], name: &MessageName, binding: &Binding) -> [u8; 16] {
    let (dialog, serial) = (name.dialog.to_le_bytes(), name.serial.to_le_bytes());
    let kind = store_kind(binding.kind).to_le_bytes();
    let (store, generation) = (binding.store.to_le_bytes(), binding.generation.to_le_bytes());
    let peer: &PublicKey = &name.peer;
    check("binding", &[key, peer.as_bytes(), &dialog, &serial, &kind, &store, &generation])
}

fn outcome_mark(key: &[u8], id: &MessageId, numbers: (i64, i64, i64), body: &[u8]) -> [u8; 16] {
    let (code, detail, number) =
        (numbers.0.to_le_bytes(), numbers.1.to_le_bytes(), numbers.2.to_le_bytes());
    check("outcome", &[key, id.as_bytes(), &code, &detail, &number, body])
}

/// Outcomes that are kept until the application takes them.
const OUTCOMES_MAX: i64 = 65_536;
/// Bytes of replies in them.
const OUTCOME_BYTES_MAX: i64 = 64 * 1024 * 1024;
