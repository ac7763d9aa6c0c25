//! The demonstration's directory: the file of marks, and Bob's data directory.
//!
//! Invariant: nothing of it is left when the demonstration ends.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::failure::Failure;
use crate::text_file;

/// A directory that is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes it where the system keeps files for a moment.
    pub(super) fn make() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("egtp-demo-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| text_file::failed("create", &path, &error))?;
        Ok(Self { path })
    }

    /// Bob's data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("bob")
    }

    /// The file to which Bob's handler adds a mark for each request that it acts on.
    pub(super) fn marks_file(&self) -> PathBuf {
        self.path.join("marks")
    }

    /// How many marks there are.
    pub(super) fn marks(&self) -> Result<u64, Failure> {
        let path = self.marks_file();
        match path.metadata() {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(text_file::failed("look at", &path, &error)),
        }
    }

    /// Waits until there are so many. The caller has a limit of its own.
    pub(super) async fn wait_for_marks(&self, count: u64) -> Result<(), Failure> {
        while self.marks()? < count {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Ends the handler that a killed node has left behind: nobody else will.
    pub(super) fn end_handler(&self) {
        let text = fs::read_to_string(handler_file(&self.path)).unwrap_or_default();
        if let Some(id) = text.trim().parse().ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is cleared away by the system in time.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Where the handler writes which process it is.
fn handler_file(path: &Path) -> PathBuf {
    path.join("marks.handler")
}

const LOOK_AGAIN: Duration = Duration::from_millis(5);
