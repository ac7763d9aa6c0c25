//! Processes of the running program that play a part: each has a folder, is started with words that say which part, and
//! dies by SIGKILL.
//!
//! Knows no node. Invariant: one that has ended by itself is a failure of the run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::failure::{Failure, trying};
use super::scratch::Scratch;

/// Makes a folder for one of them that only its owner may use, as a key file wants it.
///
/// # Errors
/// [`Failure::System`].
pub fn folder(scratch: &Scratch, name: &str) -> Result<PathBuf, Failure> {
    let folder = scratch.path().join(name);
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    trying(format!("make {}", folder.display()), builder.create(&folder))?;
    Ok(folder)
}

/// Starts this program again with these words.
///
/// # Errors
/// [`Failure::System`].
pub fn start(words: &[&str]) -> Result<Child, Failure> {
    let mut command = Command::new(trying("find this program", std::env::current_exe())?);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    trying(format!("start {command:?}"), command.spawn())
}

/// Kills a process, if there is one, and waits until it is gone.
///
/// # Errors
/// [`Failure::Process`] if it has ended by itself, [`Failure::System`].
pub fn end(child: Option<Child>) -> Result<(), Failure> {
    let Some(mut child) = child else { return Ok(()) };
    if let Some(code) = trying("look after a process", child.try_wait())? {
        let what = format!("ended by itself ({code})");
        return Err(Failure::Process { what, arguments: "see above".into() });
    }
    trying("kill a process", child.kill())?;
    trying("wait for a killed process", child.wait())?;
    Ok(())
}

/// A folder as a word.
///
/// # Errors
/// [`Failure::Usage`] if it is none.
pub fn word(folder: &Path) -> Result<&str, Failure> {
    folder.to_str().ok_or_else(|| Failure::Usage(format!("{} is no text", folder.display())))
}
