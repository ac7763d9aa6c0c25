//! Making a store file.
//!
//! Invariant: it appears under its name when it is whole and on the disk, and never in place of something;
//! so whatever has its name and is no store, an empty file too, was damaged by somebody.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use super::fault::{Fault, Rows, told};
use super::schema::bring_up;

/// Makes a file without any identity's store in it, readable for its owner alone. One that another process
/// makes at the same moment is as good.
///
/// # Errors
/// [`StoreError::Io`]; nothing is left then.
pub(super) fn make(path: &Path) -> Result<(), StoreError> {
    let made = beside(path).and_then(|beside| {
        let written = write(&beside).and_then(|()| match std::fs::hard_link(&beside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => Ok(linked?),
        });
        let removed = std::fs::remove_file(&beside);
        written.and(Ok(removed?))
    });
    made.and_then(|()| Ok(File::open(directory(path))?.sync_all()?)).map_err(|fault| match fault {
        Fault::System(source) => StoreError::Io { action: "make", path: path.to_owned(), source },
        fault => told(path, fault),
    })
}

/// A name that nothing has.
fn beside(path: &Path) -> Rows<PathBuf> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| Fault::NoRandomness)?;
    let mut name = OsString::from(path);
    name.push(format!(".new-{:016x}", u64::from_le_bytes(bytes)));
    Ok(PathBuf::from(name))
}

fn write(beside: &Path) -> Rows<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(beside, flags)?;
    // Nothing beside it that would have to be removed; it counts for nothing until it has its name.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "MEMORY")?;
    bring_up(&mut connection, 0)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(File::open(beside)?.sync_all()?)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
