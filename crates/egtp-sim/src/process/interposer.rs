//! Somebody in the middle of a TCP connection who knows whose it is.
//!
//! Cuts both directions into packets with the public stream key, lets a [`Meddler`] look at each, and
//! frames what is to go on anew. Knows no secret key. Invariant: without a meddler every packet
//! passes once, in order, and everything that passed is on record.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use egtp_proto::PublicKey;
use egtp_proto::wire::stream::StreamKey;
use tokio::net::{TcpListener, TcpStream};

use super::failure::{Failure, trying};
use super::leg::{Ended, Leg};

/// Where a packet is going.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Toward {
    /// To the node that was dialed.
    Server,
    /// To the node that dialed.
    Asker,
}

/// What becomes of a packet that wants to pass.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Original {
    /// It goes on, unchanged.
    #[default]
    Passes,
    /// It is lost.
    Swallowed,
}

/// What a meddler does when it sees a packet.
#[derive(Clone, Debug, Default)]
pub struct Meddling {
    /// What becomes of the packet itself.
    pub original: Original,
    /// Packets that go to the server before it.
    pub to_server: Vec<Vec<u8>>,
    /// Packets that go to the asker before it.
    pub to_asker: Vec<Vec<u8>>,
}

/// Decides about each packet.
pub type Meddler = Box<dyn FnMut(Toward, &[u8]) -> Meddling + Send>;

/// What happens to the asker's connection when the server's is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnLoss {
    /// It is closed as well.
    Close,
    /// It stays open, and the server is dialed again until it is there. What arrives meanwhile is
    /// lost.
    Hide,
}

/// One connection, as it was seen.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// All bytes that the asker wrote, preamble included.
    pub asker_bytes: Vec<u8>,
    /// The packets in them.
    pub to_server: Vec<Vec<u8>>,
    /// The packets that the server wrote.
    pub to_asker: Vec<Vec<u8>>,
}

/// A running interposer; it ends with the runtime.
#[derive(Clone)]
pub struct Interposer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    key: StreamKey,
    on_loss: OnLoss,
    meddler: Mutex<Option<Meddler>>,
    recordings: Mutex<Vec<Recording>>,
}

impl Interposer {
    /// Stands between whoever connects here and the identity `key` at `upstream`.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub async fn start(
        upstream: SocketAddr,
        key: &PublicKey,
        on_loss: OnLoss,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = trying("listen for the interposer", listener)?;
        let address = trying("listen for the interposer", listener.local_addr())?;
        let shared = Arc::new(Shared {
            upstream,
            key: StreamKey::new(key.as_bytes()),
            on_loss,
            meddler: Mutex::default(),
            recordings: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            // A connection that could not be accepted is one that was cut very early.
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(&accepting).pass(stream));
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Where to connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets `meddler` decide from now on.
    pub fn set_meddler(&self, meddler: Meddler) {
        *lock(&self.shared.meddler) = Some(meddler);
    }

    /// Everything passes again.
    pub fn clear_meddler(&self) {
        *lock(&self.shared.meddler) = None;
    }

    /// What was seen so far, a recording for each connection in the order of their opening.
    pub fn recordings(&self) -> Vec<Recording> {
        lock(&self.shared.recordings).clone()
    }
}

impl Shared {
    /// Serves one connection. Its end, for whatever reason, is the end of both sides.
    async fn pass(self: Arc<Self>, stream: TcpStream) {
        let number = {
            let mut recordings = lock(&self.recordings);
            recordings.push(Recording::default());
            recordings.len() - 1
        };
        let _: Result<(), Ended> = self.pass_until_lost(stream, number).await;
    }

    async fn pass_until_lost(&self, stream: TcpStream, number: usize) -> Result<(), Ended> {
        let mut first = BytesMut::new();
        let mut asker = Leg::accept(stream, &self.key, &mut first).await?;
        self.note(number, |recording| recording.asker_bytes.extend_from_slice(&first));
        let mut server = Some(Leg::dial(self.upstream, &self.key).await?);
        loop {
            tokio::select! {
                read = asker.read() => {
                    let bytes = read?;
                    self.note(number, |recording| recording.asker_bytes.extend_from_slice(&bytes));
                    while let Some(packet) = asker.next_packet()? {
                        self.note(number, |one| keep(&mut one.to_server, &packet));
                        let meddling = self.meddle(Toward::Server, &packet);
                        self.forward(&mut asker, &mut server, Toward::Server, meddling, &packet)
                            .await?;
                    }
                }
                read = read_server(&mut server) => {
                    if let Err(ended) = read {
                        if self.on_loss == OnLoss::Close {
                            return Err(ended);
                        }
                        server = None;
                        continue;
                    }
                    while let Some(packet) = server.as_mut().map_or(Ok(None), Leg::next_packet)? {
                        self.note(number, |one| keep(&mut one.to_asker, &packet));
                        let meddling = self.meddle(Toward::Asker, &packet);
                        self.forward(&mut asker, &mut server, Toward::Asker, meddling, &packet)
                            .await?;
                    }
                }
                again = Leg::dial(self.upstream, &self.key), if server.is_none() => {
                    server = again.ok();
                    if server.is_none() {
                        tokio::time::sleep(REDIAL).await;
                    }
                }
            }
        }
    }

    async fn forward(
        &self,
        asker: &mut Leg,
        server: &mut Option<Leg>,
        toward: Toward,
        meddling: Meddling,
        packet: &[u8],
    ) -> Result<(), Ended> {
        let Meddling { original, mut to_server, mut to_asker } = meddling;
        if original == Original::Passes {
            match toward {
                Toward::Server => to_server.push(packet.to_vec()),
                Toward::Asker => to_asker.push(packet.to_vec()),
            }
        }
        asker.write(&to_asker).await?;
        if let Some(leg) = server
            && let Err(ended) = leg.write(&to_server).await
        {
            if self.on_loss == OnLoss::Close {
                return Err(ended);
            }
            *server = None;
        }
        Ok(())
    }

    fn meddle(&self, toward: Toward, packet: &[u8]) -> Meddling {
        lock(&self.meddler).as_mut().map(|meddler| meddler(toward, packet)).unwrap_or_default()
    }

    fn note(&self, number: usize, change: impl FnOnce(&mut Recording)) {
        if let Some(recording) = lock(&self.recordings).get_mut(number) {
            change(recording);
        }
    }
}

async fn read_server(server: &mut Option<Leg>) -> Result<BytesMut, Ended> {
    match server {
        Some(leg) => leg.read().await,
        None => std::future::pending().await,
    }
}

fn keep(packets: &mut Vec<Vec<u8>>, packet: &[u8]) {
    if packets.len() < PACKETS_KEPT {
        packets.push(packet.to_vec());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Packets kept of each direction of a connection.
const PACKETS_KEPT: usize = 20_000;
/// How long to wait before a lost server is dialed again.
const REDIAL: Duration = Duration::from_millis(20);
