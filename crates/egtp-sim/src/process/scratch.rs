//! A folder for one run, and a port that nobody uses.
//!
//! Invariant: the folder is this run's own and is gone with it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::dice::Dice;
use super::failure::{Failure, trying};

/// A folder that is removed with everything in it when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder, below the system's own for such things.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub fn new(name: &str) -> Result<Self, Failure> {
        let unique = format!("egtp-{name}-{}-{:x}", std::process::id(), Dice::fresh_seed());
        let path = std::env::temp_dir().join(unique);
        let mut builder = std::fs::DirBuilder::new();
        // A key file is refused in a folder that others may use.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        trying(format!("make {}", path.display()), builder.create(&path))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind in the system's own folder for such things hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An address of this machine whose port is free at this moment.
///
/// # Errors
/// [`Failure::System`].
pub fn free_address() -> Result<SocketAddr, Failure> {
    let listener = trying("find a free port", TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    trying("find a free port", listener.local_addr())
}
