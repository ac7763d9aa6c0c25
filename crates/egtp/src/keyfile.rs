//! The key file: where an identity lives between runs.
//!
//! A text file with one secret key and comment lines, which a person can read, copy and print. This
//! file knows nothing of what the key is used for. Invariant: a file that exists is never written
//! to, whatever is wrong with it; losing an identity must be somebody's decision.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use egtp_proto::{KeyError, SecretKey};
use zeroize::Zeroizing;

/// Reads the key in a file.
///
/// # Errors
/// [`KeyFileError`]; each says what to do. Nothing is changed on the disk.
pub fn load(path: &Path) -> Result<SecretKey, KeyFileError> {
    let io = |source| KeyFileError::io("read", path, source);
    let file = File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => KeyFileError::Missing { path: path.into() },
        _ => io(source),
    })?;
    // The open file is asked, not its name, so that nobody can exchange it in between.
    let found = file.metadata().map_err(io)?;
    if !found.is_file() {
        return Err(KeyFileError::damaged(path, Damage::NotAFile));
    }
    refuse_open_mode(path, found.permissions().mode())?;
    let directory = directory_of(path);
    let found = directory.metadata().map_err(|e| KeyFileError::io("look at", directory, e))?;
    refuse_open_mode(directory, found.permissions().mode())?;

    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 1));
    let limit = u64::try_from(FILE_BYTES_MAX + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(io)?;
    parse(&bytes).map_err(|damage| KeyFileError::damaged(path, damage))
}

/// Makes a new key and a new file for it, and its directory if there is none. When this returns,
/// the file survives a loss of power.
///
/// # Errors
/// [`KeyFileError::Exists`] when anything has this name already, and others; there is then no new
/// file.
pub fn create(path: &Path) -> Result<SecretKey, KeyFileError> {
    let directory = directory_of(path);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| KeyFileError::io("create", directory, source))?;
    let found = directory.metadata().map_err(|e| KeyFileError::io("look at", directory, e))?;
    refuse_open_mode(directory, found.permissions().mode())?;

    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| KeyFileError::NoRandomness)?;
    let secret = SecretKey::from_seed(*seed);
    let beside = name_beside(path)?;
    let written = write_beside(&beside, &text_of(&secret));
    // A link appears whole or not at all, and never in place of something.
    let linked = written.and_then(|()| std::fs::hard_link(&beside, path));
    let removed = std::fs::remove_file(&beside);
    linked.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.into() },
        _ => KeyFileError::io("create", path, source),
    })?;
    let synced = removed.and_then(|()| File::open(directory)?.sync_all());
    synced.map_err(|source| KeyFileError::io("write down", directory, source))?;
    Ok(secret)
}

/// Reads the key, or makes one if there is nothing of this name.
///
/// # Errors
/// As [`load`] and [`create`]. A file that cannot be used is an error, never replaced.
pub fn load_or_create(path: &Path) -> Result<SecretKey, KeyFileError> {
    match load(path) {
        // A link that leads nowhere is not nothing: the key may be on a disk that is not there.
        Err(KeyFileError::Missing { .. }) if path.symlink_metadata().is_err() => match create(path)
        {
            // Another process was faster; its key is the key.
            Err(KeyFileError::Exists { .. }) => load(path),
            created => created,
        },
        loaded => loaded,
    }
}

/// Why there is no key. The file, if there is one, is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is no such file. Check the name, or create a new identity.
    #[error("there is no key file {path}; check the name, or create a new identity there")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A new key was to be made, and there is something of this name already.
    #[error("{path} exists already and is never replaced; use it, or choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others on this machine may read or change it. Tighten its mode; if it was open for long,
    /// think of the key as known to them.
    #[error("others may use {path} (mode {mode:03o}); run: chmod go-rwx {path}")]
    TooOpen {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The contents are not one secret key. Restore the file; nothing else brings the key back.
    #[error(
        "the key file {path} is damaged: {damage}; restore it from a backup (it is never replaced \
         or repaired; to begin anew as somebody else, move it away yourself)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The operating system refused.
    #[error("could not {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no random numbers, so no key was made. Try again later.
    #[error("the system gives no random numbers, so no key was made; try again later")]
    NoRandomness,
}

/// What is wrong with the contents of a key file. Never shows any of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A directory, a device or a pipe.
    #[error("it is not a file")]
    NotAFile,
    /// Far more than one key.
    #[error("it is longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Bytes that are no text.
    #[error("it is not a text file")]
    NotText,
    /// Nothing, or only comments.
    #[error("there is no key in it")]
    NoKey,
    /// More than one line that is no comment.
    #[error("there is more in it than one key")]
    MoreThanAKey,
    /// The line is no secret key.
    #[error("{0}")]
    Key(KeyError),
}

impl KeyFileError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    fn damaged(path: &Path, damage: Damage) -> Self {
        Self::Damaged { path: path.into(), damage }
    }
}

/// Locks a key file for as long as the answer lives: nobody else can then believe to be the only user
/// of this identity. `None` if somebody else has locked it.
pub(crate) fn hold(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::flock(&file, lock).ok().map(|()| file)
}

fn parse(bytes: &[u8]) -> Result<SecretKey, Damage> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Damage::TooLong);
    }
    let text = str::from_utf8(bytes).map_err(|_| Damage::NotText)?;
    let lines = text.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or(Damage::NoKey)?;
    if lines.next().is_some() {
        return Err(Damage::MoreThanAKey);
    }
    line.parse().map_err(Damage::Key)
}

fn text_of(secret: &SecretKey) -> Zeroizing<String> {
    let (public, line) = (secret.public(), secret.to_text());
    Zeroizing::new(format!(
        "# The secret key of {public}\n\
         # Whoever has the line below is you. Show it to nobody; keep a copy in a safe place.\n\
         {}\n",
        *line
    ))
}

fn write_beside(beside: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name in the same directory that nobody else uses.
fn name_beside(path: &Path) -> Result<PathBuf, KeyFileError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| KeyFileError::NoRandomness)?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".new-{:016x}", u64::from_le_bytes(random)));
    Ok(path.with_file_name(name))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn refuse_open_mode(path: &Path, mode: u32) -> Result<(), KeyFileError> {
    if mode & OPEN_TO_OTHERS != 0 {
        return Err(KeyFileError::TooOpen { path: path.into(), mode: mode & 0o777 });
    }
    Ok(())
}

/// The permissions of the group and of everybody.
const OPEN_TO_OTHERS: u32 = 0o077;

/// A key, its comments, and room for those of its owner.
const FILE_BYTES_MAX: usize = 4096;
