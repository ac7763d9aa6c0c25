//! The owner's end of the control socket: who may come in, and how many at a time.
//!
//! Knows no call. Invariant: nobody but the same user and root is read from, and never more than so many
//! connections are open.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::socket::{self, Socket};
use super::{Host, connection};
use crate::directory::Directory;
use crate::failure::{Code, Failure};
use crate::json::Object;

/// The control socket of a directory that this process owns.
#[derive(Debug)]
pub(crate) struct Control {
    /// Until no more are taken.
    accepting: Option<JoinHandle<()>>,
    room: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Control {
    /// Lets others attach to the node from now on.
    ///
    /// # Errors
    /// [`Code::Io`] when the socket cannot be made.
    pub(crate) fn listen(directory: &Directory, host: Host) -> Result<Self, Failure> {
        let socket = Socket::bind(directory.path()).map_err(|error| {
            let path = directory.path().display();
            let message = format_args!("could not listen for other commands in {path}: {error}");
            let next = "see whether that directory can be written, and whether its name is short \
                        enough for a socket";
            Failure::with_next(Code::Io, message, next)
        })?;
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let closing = watch::Sender::new(false);
        let accepting = accept(socket, host, Arc::clone(&room), closing.subscribe());
        Ok(Self { accepting: Some(tokio::spawn(accepting)), room, closing })
    }

    /// Nobody else may attach, and the socket is removed. Who has attached stays.
    pub(crate) async fn take_no_more(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        accepting.abort();
        // It was told to end; that is what it says.
        let _ = accepting.await;
    }

    /// How many are attached.
    pub(crate) fn guests(&self) -> usize {
        CONNECTIONS_MAX.saturating_sub(self.room.available_permits())
    }

    /// Waits until nobody is attached any more.
    pub(crate) async fn deserted(&self) {
        // Fails only when it is closed, which it never is.
        let _ = self.room.acquire_many(CONNECTIONS).await;
    }

    /// Tells everybody that the node closes: what is open ends with it, and nothing new begins.
    pub(crate) fn say_closing(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until everybody has been told how what they had asked has ended. Who does not listen
    /// within a moment is not waited for.
    pub(crate) async fn finish(mut self) {
        self.take_no_more().await;
        self.say_closing();
        if tokio::time::timeout(FINISHING_TIME, self.deserted()).await.is_err() {
            tracing::warn!(
                "some commands that had attached could not be told that the node closes"
            );
        }
    }
}

async fn accept(socket: Socket, host: Host, room: Arc<Semaphore>, closing: watch::Receiver<bool>) {
    loop {
        let stream = match socket.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: others are about to give some back.
                tracing::warn!(%error, "could not let a command attach");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if !socket::may_speak(&stream) {
            tracing::warn!("a process of another user wanted to attach; refused");
            continue;
        }
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            refuse(stream).await;
            continue;
        };
        let (host, closing) = (host.clone(), closing.clone());
        tokio::spawn(async move {
            connection::run(stream, host, closing).await;
            drop(permit);
        });
    }
}

/// Says why, as far as that fits into the socket's buffer.
async fn refuse(mut stream: UnixStream) {
    let message = format!("{CONNECTIONS_MAX} commands use this node already");
    let failure = Failure::with_next(Code::Owned, message, "try again when some have ended");
    let object = Object::new().object("error", failure.object());
    let line = format!("{object}\n");
    // A fresh socket has room for a line; if not, the end of the connection has to do.
    let _ = tokio::time::timeout(PAUSE, stream.write_all(line.as_bytes())).await;
}

/// Commands that are attached at a time.
const CONNECTIONS_MAX: usize = 64;
/// The same, as it is asked for.
const CONNECTIONS: u32 = 64;
/// How long whoever is attached may take to read how its requests have ended.
const FINISHING_TIME: Duration = Duration::from_millis(500);
/// Before something is tried again.
const PAUSE: Duration = Duration::from_millis(100);
