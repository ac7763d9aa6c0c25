//! What goes wrong with a store, before it has a path and a sentence.
//!
//! Invariant: whatever the database says that is not the disk's or another process's fault counts as
//! damage: the store is not used.

use std::io;
use std::path::Path;

use egtp_proto::PublicKey;
use rusqlite::ErrorCode;

use super::StoreError;
use super::schema::VERSION;

/// What reading or writing rows comes to.
pub(super) type Rows<T> = Result<T, Fault>;

/// See the head of this file.
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Damaged(String),
    Newer(i64),
    System(io::Error),
    NoRandomness,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Whether a row is as it was written.
pub(super) fn fits(table: &str, expected: &[u8; 16], found: &[u8]) -> Rows<()> {
    if expected == found { Ok(()) } else { Err(damaged(table)) }
}

/// A row that is not.
pub(super) fn damaged(table: &str) -> Fault {
    Fault::Damaged(format!("a row of its table {table} is not as it was written"))
}

/// A number of 32 bits.
pub(super) fn small(number: i64) -> Rows<u32> {
    u32::try_from(number).map_err(|_| Fault::Damaged(format!("{number} is no such number")))
}

/// A key.
pub(super) fn public_key(bytes: Vec<u8>) -> Rows<PublicKey> {
    let key = <[u8; 32]>::try_from(bytes).ok().and_then(|bytes| PublicKey::from_bytes(bytes).ok());
    key.ok_or_else(|| Fault::Damaged("it holds a key that is none".into()))
}

/// In words that say what was tried.
pub(super) fn told(path: &Path, fault: Fault) -> StoreError {
    let path = path.to_owned();
    let error = match fault {
        Fault::Sql(error) => error,
        Fault::Damaged(why) => return StoreError::Damaged { path, why },
        Fault::Newer(found) => return StoreError::Newer { path, found, known: VERSION },
        Fault::System(source) => return StoreError::Io { action: "use", path, source },
        Fault::NoRandomness => {
            let source = io::Error::other("the operating system gives no random bytes");
            return StoreError::Io { action: "begin", path, source };
        }
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path },
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied,
        ) => StoreError::Io { action: "use", path, source: io::Error::other(error) },
        _ => StoreError::Damaged { path, why: error.to_string() },
    }
}
