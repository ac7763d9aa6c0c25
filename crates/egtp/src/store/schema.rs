//! The tables of a store file, version by version.
//!
//! Invariant: a version that has been used is never changed here; a later one adds a step, and a file of
//! any earlier version takes the steps that it lacks, all or none.

use rusqlite::Connection;

use super::fault::{Fault, Rows};
use super::log::{AT_REST, IN_USE};

/// What brings a file from each version to the next; a new one is of version 0.
const STEPS: [&str; 5] = [RECEIVED, ASKED, HANDLED, TOLD, LETTERS];
/// The newest version that this program knows: one for each step.
pub(super) const VERSION: i64 = 5;

/// What was taken from others, and what they were answered.
const RECEIVED: &str = "
CREATE TABLE store (
    identity BLOB NOT NULL PRIMARY KEY, life INTEGER NOT NULL, generation INTEGER NOT NULL,
    floor INTEGER NOT NULL, mark BLOB NOT NULL
) STRICT;
CREATE TABLE dialog (
    identity BLOB NOT NULL, peer BLOB NOT NULL, dialog INTEGER NOT NULL, floor INTEGER NOT NULL,
    highest INTEGER NOT NULL, taken BLOB NOT NULL, mark BLOB NOT NULL,
    PRIMARY KEY (identity, peer, dialog)
) STRICT;
CREATE TABLE query (
    identity BLOB NOT NULL, peer BLOB NOT NULL, dialog INTEGER NOT NULL, serial INTEGER NOT NULL,
    code INTEGER NOT NULL, id BLOB NOT NULL, room INTEGER NOT NULL, patience_ms INTEGER NOT NULL,
    mark BLOB NOT NULL, PRIMARY KEY (identity, peer, dialog, serial)
) STRICT;
CREATE TABLE answer (
    identity BLOB NOT NULL, peer BLOB NOT NULL, dialog INTEGER NOT NULL, serial INTEGER NOT NULL,
    status INTEGER NOT NULL, body BLOB NOT NULL, mark BLOB NOT NULL,
    PRIMARY KEY (identity, peer, dialog, serial)
) STRICT;
";

/// What others are asked, and how that ended.
const ASKED: &str = "
CREATE TABLE outbox (
    identity BLOB NOT NULL, peer BLOB NOT NULL, dialog INTEGER NOT NULL,
    next_serial INTEGER NOT NULL, mark BLOB NOT NULL, PRIMARY KEY (identity, peer)
) STRICT;
CREATE TABLE ask (
    identity BLOB NOT NULL, peer BLOB NOT NULL, dialog INTEGER NOT NULL, serial INTEGER NOT NULL,
    id BLOB NOT NULL, class INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
    room INTEGER NOT NULL, expires_ms INTEGER NOT NULL, hints TEXT NOT NULL,
    post_quantum INTEGER NOT NULL, mark BLOB NOT NULL,
    PRIMARY KEY (identity, peer, dialog, serial)
) STRICT;
CREATE TABLE binding (
    identity BLOB NOT NULL, peer BLOB NOT NULL, dialog INTEGER NOT NULL, serial INTEGER NOT NULL,
    kind INTEGER NOT NULL, store INTEGER NOT NULL, generation INTEGER NOT NULL, mark BLOB NOT NULL,
    PRIMARY KEY (identity, peer, dialog, serial)
) STRICT;
CREATE TABLE outcome (
    identity BLOB NOT NULL, id BLOB NOT NULL, outcome INTEGER NOT NULL, detail INTEGER NOT NULL,
    number INTEGER NOT NULL, body BLOB NOT NULL, mark BLOB NOT NULL, PRIMARY KEY (identity, id)
) STRICT;
";

/// What a later life hands over again, and what handlers have for themselves.
const HANDLED: &str = "
CREATE TABLE offer (
    identity BLOB NOT NULL, peer BLOB NOT NULL, dialog INTEGER NOT NULL, serial INTEGER NOT NULL,
    kind TEXT NOT NULL, body BLOB NOT NULL, assurance INTEGER NOT NULL, mark BLOB NOT NULL,
    PRIMARY KEY (identity, peer, dialog, serial)
) STRICT;
CREATE TABLE value (
    identity BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, mark BLOB NOT NULL,
    PRIMARY KEY (identity, key)
) STRICT;
";

/// What is handed over again may be a message that wants no reply.
const TOLD: &str = "ALTER TABLE offer ADD COLUMN wants_reply INTEGER NOT NULL DEFAULT 1";

/// What comes by letter.
const LETTERS: &str = "
CREATE TABLE letter_store (
    identity BLOB NOT NULL PRIMARY KEY, life INTEGER NOT NULL, floor INTEGER NOT NULL,
    mark BLOB NOT NULL
) STRICT;
CREATE TABLE letter_dialog (
    identity BLOB NOT NULL, peer BLOB NOT NULL, dialog INTEGER NOT NULL, floor INTEGER NOT NULL,
    highest INTEGER NOT NULL, taken BLOB NOT NULL, mark BLOB NOT NULL,
    PRIMARY KEY (identity, peer, dialog)
) STRICT;
CREATE TABLE mailbox_prekey (
    identity BLOB NOT NULL, id INTEGER NOT NULL, secret BLOB NOT NULL, made_ms INTEGER NOT NULL,
    mark BLOB NOT NULL, PRIMARY KEY (identity, id)
) STRICT;
ALTER TABLE query ADD COLUMN store INTEGER NOT NULL DEFAULT 1;
";

/// The version of a file that is ours.
///
/// # Errors
/// [`Fault`] if it is newer, or not ours. One without anything in it is not ours: a store is made whole.
pub(super) fn version(connection: &Connection) -> Rows<i64> {
    let version =
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    match (application(connection)?, version) {
        (AT_REST | IN_USE, 1..=VERSION) => Ok(version),
        (AT_REST | IN_USE, found) if found > VERSION => Err(Fault::Newer(found)),
        _ => Err(Fault::Damaged("it is not a store of this program".into())),
    }
}

/// What a file says whose it is.
pub(super) fn application(connection: &Connection) -> Rows<i32> {
    Ok(connection.pragma_query_value(None, "application_id", |row| row.get(0))?)
}

/// Takes the steps from this version, which is 0 for a file with nothing in it, to the newest.
pub(super) fn bring_up(connection: &mut Connection, version: i64) -> Rows<()> {
    let taken = usize::try_from(version).unwrap_or(STEPS.len());
    if taken >= STEPS.len() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(taken) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    if version == 0 {
        transaction.pragma_update(None, "application_id", AT_REST)?;
    }
    Ok(transaction.commit()?)
}
