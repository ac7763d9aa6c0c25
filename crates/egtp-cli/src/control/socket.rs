//! The file `control.sock`: made by the owner of a directory, for its user and nobody else.
//!
//! Knows nothing of what is said. Invariant: only the owner of a directory makes or removes its socket;
//! whoever else is at the other end has been refused before a byte is read.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The socket, as the owner holds it. The file is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens in this directory, which the caller owns. What a dead owner has left is replaced.
    pub(super) fn bind(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        let beside = directory.join(UNFINISHED);
        remove(&beside)?;
        let listener = through(&beside, |short| UnixListener::bind(short))?;
        // Others see it only when nobody else may use it any more.
        std::fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
        std::fs::rename(&beside, &path)?;
        Ok(Self { listener, path })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that stays behind is replaced by the next owner.
        let _ = remove(&self.path);
    }
}

/// Connects to the owner of a directory; `None` if nobody listens there.
pub(super) async fn connect(directory: &Path) -> io::Result<Option<UnixStream>> {
    let path = directory.join(NAME);
    let connected = match shorter(&path)? {
        Short::AsItIs => UnixStream::connect(&path).await,
        Short::Through(_held, short) => UnixStream::connect(short).await,
    };
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the process at the other end may say anything: it runs as the same user, or as root.
pub(super) fn may_speak(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| is_admitted(peer.uid(), own))
}

const fn is_admitted(user: u32, own: u32) -> bool {
    user == own || user == ROOT
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | ConnectionRefused)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A name for a path that the system takes for a socket.
enum Short {
    AsItIs,
    /// By the open directory, which is held meanwhile.
    Through(File, PathBuf),
}

fn through<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    match shorter(path)? {
        Short::AsItIs => act(path),
        Short::Through(_held, short) => act(&short),
    }
}

/// The system bounds the length of a socket's name, not that of a path. Linux lets a directory be
/// named by its descriptor; elsewhere the refusal of the system says that the path is too long.
fn shorter(path: &Path) -> io::Result<Short> {
    let fits = path.as_os_str().as_bytes().len() <= NAME_BYTES_MAX;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Short::AsItIs);
    };
    let descriptors = Path::new("/proc/self/fd");
    if fits || !descriptors.is_dir() {
        return Ok(Short::AsItIs);
    }
    let held = File::open(directory)?;
    let short = descriptors.join(held.as_raw_fd().to_string()).join(name);
    Ok(Short::Through(held, short))
}

const NAME: &str = "control.sock";
const UNFINISHED: &str = "control.sock.new";
/// What `sockaddr_un` holds on all systems without its closing zero: 104 bytes on some, 108 on others.
const NAME_BYTES_MAX: usize = 103;
const ROOT: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_user_and_root_are_admitted() {
        assert!(is_admitted(1000, 1000) && is_admitted(ROOT, 1000) && is_admitted(ROOT, ROOT));
        assert!(!is_admitted(1001, 1000) && !is_admitted(1000, ROOT));
    }
}
