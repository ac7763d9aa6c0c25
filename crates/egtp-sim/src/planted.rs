//! Which planted bug a run has: named in the environment, so that child processes have the same.
//!
//! Only a build with `--cfg planted` has bugs to plant. Invariant: a name that cannot be planted ends
//! the run, so that no control passes for want of its bug.

use crate::process::failure::Failure;

/// The variable that names the bug.
const VARIABLE: &str = "EGTP_PLANTED";

/// Plants the bug that the environment names. Returns its name, `None` if none is named.
///
/// # Errors
/// [`Failure::Usage`] if there is no such bug in this build.
pub fn from_environment() -> Result<Option<String>, Failure> {
    let Ok(name) = std::env::var(VARIABLE) else { return Ok(None) };
    plant(&name)?;
    Ok(Some(name))
}

/// The names of all bugs that this build can plant.
///
/// # Errors
/// [`Failure::Usage`] if it can plant none.
#[cfg(planted)]
pub fn names() -> Result<Vec<&'static str>, Failure> {
    Ok(egtp_proto::planted::ALL.iter().map(|(_, name)| *name).collect())
}

/// The names of all bugs that this build can plant: none.
///
/// # Errors
/// [`Failure::Usage`], always.
#[cfg(not(planted))]
pub fn names() -> Result<Vec<&'static str>, Failure> {
    Err(Failure::Usage("this build has no bugs to plant; build with --cfg planted".to_owned()))
}

/// Plants the bug of this name.
///
/// # Errors
/// [`Failure::Usage`] if there is no such bug in this build.
#[cfg(planted)]
pub fn plant(name: &str) -> Result<(), Failure> {
    let all = egtp_proto::planted::ALL;
    let found = all.iter().find(|(_, known)| *known == name);
    let known: Vec<&str> = all.iter().map(|(_, known)| *known).collect();
    let (bug, _) = found.ok_or_else(|| {
        Failure::Usage(format!("there is no bug named {name:?}; there are: {}", known.join(", ")))
    })?;
    egtp_proto::planted::plant(Some(*bug));
    Ok(())
}

/// Plants the bug of this name: this build has none.
///
/// # Errors
/// [`Failure::Usage`], always.
#[cfg(not(planted))]
pub fn plant(name: &str) -> Result<(), Failure> {
    Err(Failure::Usage(format!("this build cannot plant {name:?}; build with --cfg planted")))
}
