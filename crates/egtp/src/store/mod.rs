//! Durable stores: what a node has taken from whom, kept over crashes.
//!
//! The protocol says which rows must be durable together before something counts; a [`Store`] makes
//! them so. It knows nothing of sessions, messages or time. Invariant: after [`Store::commit`] has
//! returned, no crash and no loss of power takes the rows away.

mod asked;
mod fault;
mod log;
mod new;
mod rows;
mod schema;
mod sqlite;
mod writer;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use egtp_proto::PublicKey;
pub use egtp_proto::exchange::durable::{
    MessageName, SavedAnswer, SavedAsk, SavedDialog, SavedOutbox, SavedOutcome, SavedQuery, Write,
};
pub use egtp_proto::exchange::outgoing::Binding;
pub use egtp_proto::exchange::saved::Saved;

pub use self::sqlite::SqliteStore;
pub(crate) use self::writer::Writer;

/// Where durable stores are kept, one for each identity.
pub trait Store: Debug + Send + 'static {
    /// Reads the store of an identity back, or makes a new one if there is none.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is made or changed, and the node does not start.
    fn load(&mut self, identity: &PublicKey) -> Result<Saved, StoreError>;

    /// Makes these rows durable, all of them or none. Takes as long as the disk needs.
    ///
    /// # Errors
    /// [`StoreError`]: none of the rows is there; the same rows are tried again later.
    fn commit(&mut self, rows: &[(PublicKey, Write)]) -> Result<(), StoreError>;
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
        }
    }
}
