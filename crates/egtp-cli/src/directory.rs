//! The data directory: one identity, and what belongs to it.
//!
//! Text files that people may edit: `key`, `port`, `listening`, `contact`, `contacts`, `peers`, `relays`; `lock`,
//! which names the process that owns the directory; and `store.db`, what the node has taken from whom.
//! Knows no network. Invariant: what exists is never replaced by a new identity, whatever is wrong with it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use egtp::keyfile::{self, KeyFileError};
use egtp::{SecretKey, Strategy};

use crate::failure::{Code, Failure};
use crate::text_file;

/// A data directory, which need not exist.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

/// Whether an identity was there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Identity {
    /// It was.
    Found,
    /// It was made just now.
    Made,
}

/// The lock on a directory. Whoever holds it is its owner; it goes with the process at the latest.
#[derive(Debug)]
pub(crate) struct Ownership {
    _file: File,
}

impl Directory {
    /// The directory of this name.
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The directory that is used when none is named: `egtp` where the system keeps data of users.
    pub(crate) fn usual() -> Option<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let data = set("XDG_DATA_HOME").map(PathBuf::from);
        let data = data.or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/share")))?;
        Some(Self::at(data.join("egtp")))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the node has taken from whom.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("store.db")
    }

    /// Contacts of others, one a line.
    pub(crate) fn contacts(&self) -> PathBuf {
        self.path.join("contacts")
    }

    /// Petnames, one a line.
    pub(crate) fn peers(&self) -> PathBuf {
        self.path.join("peers")
    }

    /// Relays that the node is to be reached through, one a line.
    pub(crate) fn relays(&self) -> PathBuf {
        self.path.join("relays")
    }

    /// The contact of its own identity that was signed last.
    pub(crate) fn contact(&self) -> PathBuf {
        self.path.join("contact")
    }

    /// Its key.
    ///
    /// # Errors
    /// When there is none, or it cannot be used. Nothing is changed.
    pub(crate) fn key(&self) -> Result<SecretKey, Failure> {
        self.refuse_lost_key()?;
        let path = self.key_path();
        keyfile::load(&path).map_err(|error| match error {
            KeyFileError::Missing { .. } if path.is_symlink() => leads_nowhere(&path),
            error => error.into(),
        })
    }

    /// Whether something has the name of its key file, whatever is wrong with it.
    pub(crate) fn has_key(&self) -> bool {
        self.key_path().symlink_metadata().is_ok()
    }

    /// Its key, or a new one in a directory that is missing or empty.
    ///
    /// # Errors
    /// As [`Directory::key`]; also when it is not ours.
    pub(crate) fn key_or_new(&self) -> Result<(SecretKey, Identity), Failure> {
        self.refuse_lost_key()?;
        if self.has_key() {
            return Ok((self.key()?, Identity::Found));
        }
        Ok((keyfile::load_or_create(&self.key_path())?, Identity::Made))
    }

    /// Becomes its owner, and creates it if it is missing.
    ///
    /// # Errors
    /// [`Code::Owned`] when another process owns it, [`Code::Damaged`] when it has lost its key.
    pub(crate) fn own(&self, command: &str) -> Result<Ownership, Failure> {
        // Nothing is left in a directory that turns out not to be ours.
        self.refuse_lost_key()?;
        let failed = |error| text_file::failed("create", &self.path, &error);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(failed)?;
        let failed = |error| text_file::failed("lock", &self.lock_path(), &error);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(self.lock_path()).map_err(failed)?;
        let mut tries = LOCK_TRIES;
        while let Err(error) = file.try_lock() {
            let std::fs::TryLockError::WouldBlock = error else { return Err(failed(error.into())) };
            tries -= 1;
            if tries == 0 {
                return Err(self.owned_by(&owner_in(&mut file)));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        let line = format!("process {} (egtp {command})\n", std::process::id());
        let written = file.set_len(0).and_then(|()| file.write_all(line.as_bytes()));
        written.map_err(failed)?;
        Ok(Ownership { _file: file })
    }

    /// Who owns it, if anybody does.
    ///
    /// # Errors
    /// When the lock cannot be looked at.
    pub(crate) fn owner(&self) -> Result<Option<String>, Failure> {
        let failed = |error| text_file::failed("look at", &self.lock_path(), &error);
        let mut file = match File::open(self.lock_path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        // Held for an instant only; who wants to own it tries a little longer than that.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(std::fs::TryLockError::WouldBlock) => Ok(Some(owner_in(&mut file))),
            Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The port that was chosen at the first start, if there was one.
    ///
    /// # Errors
    /// When the file says something else than a port.
    pub(crate) fn port(&self) -> Result<Option<u16>, Failure> {
        let path = self.path.join("port");
        let Some(text) = text_file::read(&path)? else { return Ok(None) };
        let mut lines = text_file::lines(&text);
        let port = lines.next().and_then(|(_, line)| line.parse().ok()).filter(|port| *port != 0);
        match (port, lines.next()) {
            (Some(port), None) => Ok(Some(port)),
            _ => Err(text_file::damaged(&path, "it should hold one number from 1 to 65535")),
        }
    }

    /// Keeps the port for the next start.
    pub(crate) fn keep_port(&self, port: u16) -> Result<(), Failure> {
        let text =
            format!("# The port at which this node listens, unless told otherwise.\n{port}\n");
        text_file::replace(&self.path.join("port"), &text)
    }

    /// Where the node could be reached when it was started last.
    ///
    /// # Errors
    /// When a line is no strategy.
    pub(crate) fn listening(&self) -> Result<Vec<Strategy>, Failure> {
        let path = self.path.join("listening");
        let text = text_file::read(&path)?.unwrap_or_default();
        let read = text_file::lines(&text).map(|(number, line)| {
            let parsed = line.parse::<Strategy>();
            parsed
                .map_err(|error| text_file::damaged(&path, format_args!("line {number}: {error}")))
        });
        read.collect()
    }

    /// Keeps where the node can be reached, for its contact.
    pub(crate) fn keep_listening(&self, strategies: &[Strategy]) -> Result<(), Failure> {
        let mut text = "# Where this node could be reached when it was started last.\n".to_owned();
        for strategy in strategies {
            text = format!("{text}{strategy}\n");
        }
        text_file::replace(&self.path.join("listening"), &text)
    }

    /// The files that a backup holds, those that there are.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn files_to_keep(&self) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let mut files = Vec::new();
        for name in KEPT {
            let path = self.path.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => files.push(((*name).to_owned(), bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(text_file::failed("read", &path, &error)),
            }
        }
        Ok(files)
    }

    /// Puts the files of a backup here. The key comes last: without it the directory is none yet.
    ///
    /// # Errors
    /// When one is there already, or cannot be written.
    pub(crate) fn bring_back(&self, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
        for name in KEPT {
            let Some((_, bytes)) = files.iter().find(|(one, _)| one == name) else { continue };
            let path = self.path.join(name);
            let mut options = OpenOptions::new();
            let made = options.write(true).create_new(true).mode(0o600).open(&path);
            let written = made.and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            });
            written.map_err(|error| text_file::failed("write", &path, &error))?;
        }
        Ok(())
    }

    fn key_path(&self) -> PathBuf {
        self.path.join("key")
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// A directory with our files and without a key has lost it; one with other files is not ours.
    fn refuse_lost_key(&self) -> Result<(), Failure> {
        if self.has_key() {
            return Ok(());
        }
        let entries = match self.path.read_dir() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| text_file::failed("read", &self.path, &error))?,
        };
        let mut others = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        let other = others.find(|name| name != "lock" && !is_unfinished_key(name));
        let Some(other) = other else { return Ok(()) };
        let (path, other) = (self.path.display(), other.display());
        Err(Failure::with_next(
            Code::Damaged,
            format_args!("{path} holds {other} and no key file, so it gets no new identity"),
            format_args!("restore {path}/key from a backup, or name an empty or new directory"),
        ))
    }

    fn owned_by(&self, owner: &str) -> Failure {
        let path = self.path.display();
        Failure::with_next(
            Code::Owned,
            format_args!("{path} belongs to {owner}, and has one owner at a time"),
            "stop that process, or give this command another --data, or none",
        )
    }
}

/// A link is somebody's decision to keep the key elsewhere; a new one would be somebody else.
fn leads_nowhere(path: &Path) -> Failure {
    let target = path.read_link().unwrap_or_default();
    let (path, target) = (path.display(), target.display());
    Failure::with_next(
        Code::Damaged,
        format_args!("the key file {path} is a link to {target}, and nothing is there"),
        format_args!("bring {target} back; no new identity is made in its place"),
    )
}

/// What the owner wrote about itself.
fn owner_in(file: &mut File) -> String {
    let mut text = String::new();
    // What cannot be read is as good as not written.
    let _ = Read::by_ref(file).take(200).read_to_string(&mut text);
    let text = text.trim();
    if text.is_empty() { "another process".to_owned() } else { text.to_owned() }
}

/// What a power failure leaves of a key that was being made.
fn is_unfinished_key(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"key.new-")
}

/// What a backup holds, in the order in which it is brought back.
const KEPT: &[&str] = &["peers", "relays", "contacts", "contact", "port", "key"];

/// Somebody may look at the lock for an instant without wanting to own it.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
