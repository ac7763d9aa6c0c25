//! Whether this command owns a data directory, or uses it through whoever does.
//!
//! Invariant: a directory has one owner, and a command ends up as that or as its guest.

use std::time::{Duration, Instant};

use crate::control::Attached;
use crate::directory::{Directory, Ownership};
use crate::failure::{Code, Failure};

/// A way to use a directory.
#[derive(Debug)]
pub(crate) enum Access {
    /// As its owner.
    Owner(Ownership),
    /// Through its owner.
    Guest(Attached),
}

/// Attaches to the owner of a directory, or becomes it.
///
/// # Errors
/// [`Code::Owned`] when its owner listens to nobody, and what owning it can say.
pub(crate) async fn to(directory: &Directory, command: &str) -> Result<Access, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(attached) = Attached::to(directory).await? {
            return Ok(Access::Guest(attached));
        }
        match directory.own(command) {
            Ok(ownership) => return Ok(Access::Owner(ownership)),
            // An owner that is starting will listen in a moment, one that is ending be gone.
            Err(failure) if failure.code == Code::Owned && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// A little longer than an owner takes to end.
const PATIENCE: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(20);
