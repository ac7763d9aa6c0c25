//! A directory of its own for each test, gone afterwards.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its own part")]

use std::fs;
use std::path::PathBuf;

/// The directory. Not there until somebody makes it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("egtp-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    /// One that is there.
    pub(crate) fn made(name: &str) -> Self {
        let folder = Self::new(name);
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
