//! A machine in the middle: passes everything on, and keeps a copy of what one side sends.
//!
//! Knows bytes only, as any router on the way does. Invariant: what it replays is exactly what it
//! recorded, each connection on a connection of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::failure::{Code, Failure};

/// The recorder. Dropping it ends what goes through it.
#[derive(Debug)]
pub(super) struct Recorder {
    address: SocketAddr,
    target: SocketAddr,
    recordings: Arc<Mutex<Vec<Recording>>>,
    task: AbortHandle,
}

/// What came on one connection.
type Recording = Arc<Mutex<Vec<u8>>>;

/// What a replay did.
#[derive(Debug)]
pub(super) struct Replayed {
    /// How many recorded connections there were.
    pub(super) streams: usize,
    /// Bytes that were sent again.
    pub(super) sent: usize,
    /// Bytes that came back.
    pub(super) answered: usize,
}

impl Recorder {
    /// Listens, and passes connections on to `target`.
    pub(super) async fn between(target: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let recordings = Arc::default();
        let task = tokio::spawn(record(listener, target, Arc::clone(&recordings))).abort_handle();
        Ok(Self { address, target, recordings, task })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// To whom it passes everything on.
    pub(super) const fn target(&self) -> SocketAddr {
        self.target
    }

    /// Sends everything again, and waits until nothing more comes back.
    pub(super) async fn replay(&self) -> Result<Replayed, Failure> {
        let recordings: Vec<Vec<u8>> =
            lock(&self.recordings).iter().map(|one| lock(one).clone()).collect();
        let mut replayed = Replayed { streams: 0, sent: 0, answered: 0 };
        for recording in recordings.iter().filter(|recording| !recording.is_empty()) {
            let stream = TcpStream::connect(self.target).await.map_err(|error| failed(&error))?;
            replayed.streams += 1;
            replayed.sent += recording.len();
            replayed.answered += play(stream, recording).await;
        }
        Ok(replayed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(listener: TcpListener, target: SocketAddr, recordings: Arc<Mutex<Vec<Recording>>>) {
    let mut passing = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let recording = Recording::default();
        lock(&recordings).push(Arc::clone(&recording));
        passing.spawn(async move {
            // While the target is down, the connection ends at once, as it does behind a router.
            let Ok(server) = TcpStream::connect(target).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let (inward, outward) = (
                pass(from_client, to_server, Some(&recording)),
                pass(from_server, to_client, None),
            );
            tokio::join!(inward, outward);
        });
    }
}

/// Passes bytes on until one side closes or fails, then closes the other.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    recording: Option<&Recording>,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count) = from.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        if let Some(recording) = recording {
            lock(recording).extend_from_slice(bytes);
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    // It may have closed by itself.
    let _ = to.shutdown().await;
}

/// Sends a recording and closes; how many bytes came back.
async fn play(mut stream: TcpStream, recording: &[u8]) -> usize {
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(recording).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut answer).await
    };
    // A node that hangs up, or says nothing at all, is what we expect.
    let _ = tokio::time::timeout(ANSWER_AWAITED, exchange).await;
    answer.len()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::new(Code::Internal, format_args!("the recorder has no network: {error}"))
}

const BUFFER_BYTES: usize = 16 * 1024;
const ANSWER_AWAITED: Duration = Duration::from_secs(2);
