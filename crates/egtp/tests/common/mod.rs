//! What the tests of the TCP path share: a driver in miniature, and raw sockets beside it.

// Each test file uses its own part of this.
#![allow(dead_code)]
// The lints spare test functions only, and the helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use egtp::clock::TokioClock;
use egtp::path::tcp::{TcpLimits, TcpPath};
use egtp::path::{DialError, DialId, Path, PathEvent, PathId};
use egtp_proto::wire::stream::{Direction, Framer, LengthMask, Preamble, StreamKey};
use egtp_proto::{PublicKey, SecretKey, Strategy};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A moment on a tick of the idle schedule.
pub(crate) const ON_TICK: Duration = Duration::from_secs(8 * 212_500_000);

pub(crate) fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn packet(fill: u8, size: usize) -> Bytes {
    Bytes::from(vec![fill; size])
}

/// A path and what came from it.
pub(crate) struct Peer {
    pub(crate) path: TcpPath,
    pub(crate) clock: Arc<TokioClock>,
    events: VecDeque<PathEvent>,
    dials: u64,
}

impl Peer {
    /// Listens on a free port of the loopback interface, with the key of this seed.
    pub(crate) fn listening(seed: u8) -> Self {
        Self::with(&["127.0.0.1:0".parse().unwrap()], &[key(seed)], TcpLimits::default())
    }

    pub(crate) fn with(listen: &[SocketAddr], identities: &[PublicKey], limits: TcpLimits) -> Self {
        let clock = Arc::new(TokioClock::new(ON_TICK));
        let path = TcpPath::bind(listen, identities.to_vec(), clock.clone(), limits).unwrap();
        Self { path, clock, events: VecDeque::new(), dials: 0 }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let Some(Strategy::Tcp(host_port)) = self.path.listening().into_iter().next() else {
            panic!("listens nowhere")
        };
        host_port.socket_addr().unwrap()
    }

    pub(crate) async fn next(&mut self) -> PathEvent {
        if self.events.is_empty() {
            let mut events = Vec::new();
            std::future::poll_fn(|context| self.path.poll(context, &mut events)).await;
            self.events.extend(events);
        }
        self.events.pop_front().unwrap()
    }

    /// The next event, if it comes within so long.
    pub(crate) async fn within(&mut self, time: Duration) -> Option<PathEvent> {
        timeout(time, self.next()).await.ok()
    }

    pub(crate) async fn dial(
        &mut self,
        seed: u8,
        address: SocketAddr,
    ) -> Result<PathId, DialError> {
        self.dials += 1;
        let dialed = DialId(self.dials);
        let to = Strategy::Tcp(address.into());
        self.path.dial(dialed, key(seed), &to);
        match self.next().await {
            PathEvent::Opened { dial, path, strategy } if dial == dialed && strategy == to => {
                Ok(path)
            }
            PathEvent::DialFailed { dial, error } if dial == dialed => Err(error),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn send(&mut self, path: PathId, packet: Bytes) {
        self.path.send(path, packet).unwrap();
        self.path.flush();
    }

    pub(crate) async fn accepted(&mut self) -> (PathId, PublicKey) {
        match self.next().await {
            PathEvent::Accepted { path, identity, from: Strategy::Tcp(_) } => (path, identity),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn received(&mut self) -> (PathId, BytesMut) {
        match self.next().await {
            PathEvent::Received { path, packet } => (path, packet),
            other => panic!("{other:?}"),
        }
    }
}

/// Two paths with a trusted connection between them, each with its id of it.
pub(crate) async fn connected(
    dialer: &mut Peer,
    acceptor: &mut Peer,
    seed: u8,
) -> (PathId, PathId) {
    let ours = dialer.dial(seed, acceptor.address()).await.unwrap();
    dialer.send(ours, packet(0, 100));
    let (theirs, identity) = acceptor.accepted().await;
    assert_eq!(identity, key(seed));
    acceptor.path.accept_peer(theirs);
    assert_eq!(acceptor.received().await.0, theirs);
    (ours, theirs)
}

/// A socket that speaks as a test wants it to.
pub(crate) struct RawDialer {
    pub(crate) stream: TcpStream,
    framer: Framer,
    preamble: Preamble,
}

impl RawDialer {
    pub(crate) async fn open(address: SocketAddr, seed: u8) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let stream_key = StreamKey::new(key(seed).as_bytes());
        let preamble = Preamble::new(&stream_key, [7; 12]);
        let mask = LengthMask::new(&stream_key, preamble.as_bytes(), Direction::FromDialer);
        Self { stream, framer: Framer::new(mask), preamble }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) fn preamble(&self) -> [u8; 16] {
        *self.preamble.as_bytes()
    }

    pub(crate) fn frame(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.framer.append(packet, &mut bytes).unwrap();
        bytes
    }

    /// How long until the other end closes, having sent nothing.
    pub(crate) async fn silence_until_closed(&mut self) -> Duration {
        let start = tokio::time::Instant::now();
        loop {
            self.stream.readable().await.unwrap();
            let mut bytes = [0; 100];
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return start.elapsed(),
                Ok(count) => panic!("was answered {:?}", &bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return start.elapsed(),
            }
        }
    }
}
