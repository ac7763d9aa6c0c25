//! Durable stores: what a node has taken from whom, kept over crashes.
//!
//! The protocol says which rows must be durable together before something counts; a [`Store`] makes
//! them so. It knows nothing of sessions, messages or time. Invariant: after [`Store::commit`] has
//! returned, no crash and no loss of power takes the rows away.

mod asked;
mod backup;
mod dialogs;
mod fault;
mod handled;
mod letters;
mod log;
mod new;
mod rows;
mod schema;
mod sqlite;
mod writer;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
pub use egtp_proto::exchange::durable::{
    MessageName, Offer, Ran, Run, SavedAnswer, SavedAsk, SavedDialog, SavedMailboxPrekey,
    SavedOutbox, SavedOutcome, SavedQuery, Write,
};
pub use egtp_proto::exchange::outgoing::Binding;
pub use egtp_proto::exchange::saved::{Saved, SavedLetters};
use egtp_proto::{PublicKey, QueryEvent, RefusedWhy};

pub use self::backup::restore;
pub use self::sqlite::SqliteStore;
pub(crate) use self::writer::{BackUp, Writer};

/// Where durable stores are kept, one for each identity.
pub trait Store: Debug + Send + 'static {
    /// Reads the store of an identity back, or makes a new one if there is none.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is made or changed, and the node does not start.
    fn load(&mut self, identity: &PublicKey) -> Result<Saved, StoreError>;

    /// Makes these rows durable, all of them or none. Takes as long as the disk needs. For each
    /// [`Write::Run`] it calls `run` with the values of that identity: what that puts there is part of the
    /// whole, and so is the answer, if one is wanted; of one that refuses nothing remains but the answer.
    ///
    /// # Errors
    /// [`StoreError`]: none of the rows is there; the same rows are tried again later.
    fn commit(
        &mut self,
        rows: &[(PublicKey, Write)],
        run: &mut RunHandler<'_>,
    ) -> Result<Vec<Ran>, StoreError>;

    /// Writes what may be brought back later, and these files beside it, to a new file: see
    /// [`SqliteStore::back_up`]. A store that has no such form says so.
    ///
    /// # Errors
    /// [`StoreError`]: no file is made.
    fn back_up(&mut self, to: &Path, files: &[File]) -> Result<(), StoreError> {
        let _ = (to, files);
        Err(StoreError::Unavailable { why: "this kind of store makes no backups" })
    }
}

/// A file that belongs to a backup: its name, in small letters, and what is in it.
pub type File = (String, Vec<u8>);

/// Runs the handler of a message.
pub type RunHandler<'a> = dyn FnMut(&mut dyn Values, &QueryEvent) -> Result<Bytes, RefusedWhy> + 'a;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What a handler inside a transaction of a store has for itself: values by keys of its own choice, in one
/// space for each identity of the node.
pub trait Values {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreFailed`].
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed>;

    /// The first key after this one, which need not be there itself, and its value: keys are in the order of their
    /// bytes, and a key comes before those that begin with it. `None` if there is no further one.
    ///
    /// # Errors
    /// [`StoreFailed`].
    fn next(&mut self, after: &[u8]) -> Result<Option<Entry>, StoreFailed>;

    /// Gives a key a value.
    ///
    /// # Errors
    /// [`StoreFailed`].
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreFailed>;

    /// Takes a key's value away, if it has one.
    ///
    /// # Errors
    /// [`StoreFailed`].
    fn remove(&mut self, key: &[u8]) -> Result<(), StoreFailed>;
}

/// The store could not do what its handler wanted: the whole transaction is undone and tried again, handler
/// included, whatever that answers now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the store failed; the transaction will be tried again")]
pub struct StoreFailed;

impl From<StoreFailed> for RefusedWhy {
    /// So that handlers can use `?`. Nobody hears of it.
    fn from(_: StoreFailed) -> Self {
        Self::Failed
    }
}

/// Why a store cannot be used. It was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a newer version of the program.
    #[error(
        "{path} was written by a newer version (store version {found}; this one knows up to {known})"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is understood.
        known: i64,
    },
    /// What is in it cannot be right. Going on with it could run a message twice.
    #[error("{path} cannot be used as a store: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was seen.
        why: String,
    },
    /// The operating system or the disk refuses.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What was said.
        source: io::Error,
    },
    /// There is nothing that could do it.
    #[error("{why}")]
    Unavailable {
        /// What is missing.
        why: &'static str,
    },
}

impl StoreError {
    /// What the owner of the store can do about it.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "end the process that uses it, or use another directory",
            Self::Newer { .. } => "use that version, or one that is newer still",
            Self::Damaged { .. } => {
                "keep a copy of it and of its -wal; with both moved away a new store begins, and peers \
                 are told `unknown` about what was under way"
            }
            Self::Io { .. } => {
                "look at what it is, at its permissions, and at the space on its disk"
            }
            Self::Unavailable { .. } => "nothing was made; try again when that has changed",
        }
    }
}
