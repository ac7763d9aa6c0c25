//! Lookup: from a key to its current contact.
//!
//! A [`Lookup`] is a place to ask. It may be wrong, slow or hostile: a [`Contact`] cannot exist
//! unverified, answers about another key are dropped here, and [`resolve_first`] waits only so
//! long. Refuses to know who asks and what for. Invariant: "nobody knows" (`Ok(None)`) and "the
//! asking failed" (`Err`) are never confused.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use egtp_proto::{Contact, PublicKey};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

mod file;
mod memory;

pub use file::{DamagedLine, FileLookup, LineError};
pub use memory::MemoryLookup;

/// A future on the heap, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place where contacts are kept. Calls must not block their thread.
pub trait Lookup: Debug + Send + Sync + 'static {
    /// What this place is called, in messages to people.
    fn name(&self) -> &str;

    /// The newest contact of `key` that this place has; `None` when it has none.
    fn resolve(&self, key: PublicKey) -> BoxFuture<'_, Result<Option<Contact>, LookupError>>;

    /// Leaves a contact there. A place that has a newer one keeps that, which is no error.
    fn publish(&self, contact: Contact) -> BoxFuture<'_, Result<(), LookupError>>;
}

/// Why a place could not be asked. Says nothing about whether it knows the key; ask again later, or
/// elsewhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// It did not answer in time.
    #[error("{lookup} did not answer in time; ask again later")]
    TimedOut {
        /// Who was asked.
        lookup: String,
    },
    /// It stopped without an answer, which is a fault in it.
    #[error("a lookup stopped without an answer")]
    Stopped,
    /// A file could not be read or written.
    #[error("could not use the file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another machine could not be asked.
    #[error("could not ask {lookup}: {source}")]
    Network {
        /// Who was asked.
        lookup: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is full, or too large to be read. Remove what is not needed.
    #[error("{lookup} holds as much as it may; remove contacts that are not needed")]
    Full {
        /// Which one.
        lookup: String,
    },
}

/// Asks all places at once for the contact of `key`, and gives the newest that they know. Waits at
/// most `limit`, and hardly any longer once somebody has answered. `None` means that all were
/// asked and nobody knows.
///
/// Must be called within a tokio runtime. A place that hangs or panics harms no other.
///
/// # Errors
/// The first failure, when no place knew the key and not all could be asked.
pub async fn resolve_first(
    lookups: &[Arc<dyn Lookup>],
    key: PublicKey,
    limit: Duration,
) -> Result<Option<Contact>, LookupError> {
    let mut until = Instant::now() + limit;
    let mut asked = ask_all(lookups, key, until);
    let mut newest: Option<Contact> = None;
    let mut failure = None;
    // The tasks end by themselves at the limit, and say who was late; so this gives them a moment.
    while let Ok(Some(answer)) = timeout_at(until + GRACE, asked.join_next()).await {
        match answer {
            Ok(Ok(Some(contact))) if contact.key() == key => {
                let is_newer = newest.as_ref().is_none_or(|known| contact.supersedes(known));
                if is_newer {
                    newest = Some(contact);
                }
                until = until.min(Instant::now());
            }
            // An answer about somebody else is as good as none.
            Ok(Ok(_)) => {}
            Ok(Err(error)) => drop(failure.get_or_insert(error)),
            Err(_) => drop(failure.get_or_insert(LookupError::Stopped)),
        }
    }
    match (newest, failure) {
        (Some(contact), _) => Ok(Some(contact)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(None),
    }
}

type Answer = Result<Option<Contact>, LookupError>;

fn ask_all(lookups: &[Arc<dyn Lookup>], key: PublicKey, until: Instant) -> JoinSet<Answer> {
    let mut asked = JoinSet::new();
    for lookup in lookups {
        let lookup = Arc::clone(lookup);
        asked.spawn(async move {
            let answer = timeout_at(until, lookup.resolve(key)).await;
            answer.unwrap_or_else(|_| Err(LookupError::TimedOut { lookup: lookup.name().into() }))
        });
    }
    asked
}

/// How long a first answer waits for a newer one. Longer than a file or a neighbour takes, shorter
/// than a person notices.
const GRACE: Duration = Duration::from_millis(100);
