//! Small text files that people edit and this program reads.
//!
//! Knows no contents. Invariant: a file is replaced whole or not at all, and is nobody else's to
//! read.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::{Code, Failure};

/// Reads a file; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Failure> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| failed("read", path, &error))?,
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX + 1).unwrap_or(u64::MAX);
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(|error| failed("read", path, &error))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(damaged(path, format_args!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| damaged(path, "it is not a text file"))
}

/// Puts a text in the place of whatever the file holds, in one step that survives a loss of power.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let mut beside = path.file_name().unwrap_or_default().to_os_string();
    beside.push(format!(".new-{}", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // What is left of it would be in nobody's way, and of no use.
        let _ = std::fs::remove_file(&beside);
    }
    let synced = written.and_then(|()| match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    });
    synced.map_err(|error| failed("write", path, &error))
}

/// Waits until no other process changes the file, and keeps others waiting until it is dropped.
/// Whoever replaces a file by what it has read from it holds it from before the reading.
#[derive(Debug)]
#[must_use = "it is let go when it is dropped"]
pub(crate) struct Held {
    _lock: File,
}

/// Holds a file, which need not exist, in a directory that does.
pub(crate) fn hold(path: &Path) -> Result<Held, Failure> {
    let mut beside = path.file_name().unwrap_or_default().to_os_string();
    beside.push(".lock");
    let beside = path.with_file_name(beside);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let locked = options.open(&beside).and_then(|file| file.lock().map(|()| file));
    let lock = locked.map_err(|error| failed("lock", &beside, &error))?;
    Ok(Held { _lock: lock })
}

/// The lines that are neither empty nor comments, with their numbers as editors count them.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// A file whose contents are of no use.
pub(crate) fn damaged(path: &Path, what: impl std::fmt::Display) -> Failure {
    let message = format_args!("the file {} is damaged: {what}", path.display()).to_string();
    let next = format!("repair {} in an editor, or restore it from a backup", path.display());
    Failure::with_next(Code::Damaged, message, next)
}

/// The operating system's refusal.
pub(crate) fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Io, format_args!("could not {action} {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Some thousands of lines; more is not edited by hand.
const FILE_BYTES_MAX: usize = 1024 * 1024;
