//! A wire that can be cut, and whose way back can be held up: passes bytes between two TCP
//! connections until told not to.
//!
//! It may also be slow and stall. Knows neither packets nor keys. Invariant: after a cut both ends of every
//! connection are closed, with whatever was under way lost, and new connections pass again; what was held up
//! arrives later and in order.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::dice::Dice;
use super::failure::{Failure, trying};

/// A running forwarder; it ends with the runtime.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    cuts: watch::Sender<u64>,
    way_back: watch::Sender<WayBack>,
    counts: Arc<Counts>,
}

/// The way from the upstream end to whoever connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WayBack {
    /// Bytes pass.
    Flows,
    /// Bytes wait.
    Held,
}

/// How well a wire passes bytes.
#[derive(Clone, Debug)]
pub enum Quality {
    /// As they come.
    Good,
    /// At a rate, and with stalls as a stream has them whose packets are lost.
    Bad {
        /// What passes each way in a second.
        bits: u64,
        /// Packets' worths of bytes that stall, of a hundred.
        stalled: u64,
        /// Which of them do.
        dice: Dice,
    },
}

#[derive(Clone)]
struct Watched {
    cuts: watch::Receiver<u64>,
    way_back: watch::Receiver<WayBack>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    cut: AtomicU64,
    open: AtomicU64,
}

impl Forwarder {
    /// Passes connections to `upstream`, from an address of its own.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub async fn start(upstream: SocketAddr) -> Result<Self, Failure> {
        Self::start_with(upstream, Quality::Good).await
    }

    /// The same, with connections of this quality.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub async fn start_with(upstream: SocketAddr, quality: Quality) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = trying("listen for the forwarder", listener)?;
        let address = trying("listen for the forwarder", listener.local_addr())?;
        let (cuts, cuts_seen) = watch::channel(0);
        let (way_back, way_back_seen) = watch::channel(WayBack::Flows);
        let counts = Arc::new(Counts::default());
        let watched =
            Watched { cuts: cuts_seen, way_back: way_back_seen, counts: Arc::clone(&counts) };
        tokio::spawn(accept(listener, upstream, watched, quality));
        Ok(Self { address, cuts, way_back, counts })
    }

    /// Where to connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection that is open now.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Holds up the way back of all connections, or lets it flow again.
    pub fn set_way_back(&self, to: WayBack) {
        self.way_back.send_replace(to);
    }

    /// Connections that are open.
    pub fn open_now(&self) -> u64 {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// Connections that ended by a cut.
    pub fn connections_cut(&self) -> u64 {
        self.counts.cut.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    watched: Watched,
    mut quality: Quality,
) {
    // A connection that could not be accepted is one that was cut very early.
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, upstream, watched.clone(), quality.branch()));
        }
    }
}

async fn pass(mut here: TcpStream, upstream: SocketAddr, watched: Watched, quality: Quality) {
    let Watched { mut cuts, way_back, counts } = watched;
    cuts.mark_unchanged();
    // Nobody there: whoever connected sees its connection closed, as with a real middle box.
    let Ok(mut there) = TcpStream::connect(upstream).await else { return };
    let _ = (here.set_nodelay(true), there.set_nodelay(true));
    let (mut questions, mut to_asker) = here.split();
    let (mut answers, mut to_server) = there.split();
    counts.open.fetch_add(1, Ordering::Relaxed);
    let passing = async {
        // However it ended, both connections are closed then, which is all that a wire can do.
        match quality {
            Quality::Good => tokio::select! {
                _ = copy(&mut questions, &mut to_server) => {}
                () = pass_back(answers, to_asker, way_back) => {}
            },
            Quality::Bad { bits, stalled, mut dice } => tokio::select! {
                () = trickle(&mut questions, &mut to_server, (bits, stalled), dice.branch()) => {}
                () = trickle(&mut answers, &mut to_asker, (bits, stalled), dice) => {}
            },
        }
    };
    tokio::select! {
        () = passing => {}
        _ = cuts.changed() => { counts.cut.fetch_add(1, Ordering::Relaxed); }
    }
    counts.open.fetch_sub(1, Ordering::Relaxed);
}

impl Quality {
    /// That of the next connection.
    fn branch(&mut self) -> Self {
        match self {
            Self::Good => Self::Good,
            Self::Bad { bits, stalled, dice } => {
                Self::Bad { bits: *bits, stalled: *stalled, dice: dice.branch() }
            }
        }
    }
}

/// Passes bytes as a stream does over a slow link that loses packets: one packet's worth after another, each
/// as long as the link needs for it, and some of them only after a retransmission, or several.
async fn trickle(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    (bits, stalled): (u64, u64),
    mut dice: Dice,
) {
    let mut buffer = vec![0; SEGMENT_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let taken = u64::try_from(count).unwrap_or(0) * 8 * 1_000_000 / bits;
        sleep(Duration::from_micros(taken)).await;
        let mut stall = STALL;
        while dice.among(1..=100) <= stalled {
            sleep(stall).await;
            stall *= 2;
        }
        if to.write_all(buffer.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

async fn pass_back(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut way_back: watch::Receiver<WayBack>,
) {
    let mut buffer = bytes::BytesMut::with_capacity(READ_BYTES);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        if way_back.wait_for(|now| *now == WayBack::Flows).await.is_err()
            || to.write_all_buf(&mut buffer).await.is_err()
        {
            return;
        }
    }
}

const READ_BYTES: usize = 64 * 1024;
/// A packet's worth of a stream.
const SEGMENT_BYTES: usize = 1460;
/// The least after which a system sends a lost packet of a stream again; it doubles each time.
const STALL: Duration = Duration::from_millis(200);
