//! A wire that can be cut, and whose way back can be held up: passes bytes between two TCP
//! connections until told not to.
//!
//! Knows neither packets nor keys. Invariant: after a cut both ends of every connection are closed,
//! with whatever was under way lost, and new connections pass again; what was held up arrives later
//! and in order.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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

#[derive(Clone)]
struct Watched {
    cuts: watch::Receiver<u64>,
    way_back: watch::Receiver<WayBack>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    cut: AtomicU64,
}

impl Forwarder {
    /// Passes connections to `upstream`, from an address of its own.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub async fn start(upstream: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = trying("listen for the forwarder", listener)?;
        let address = trying("listen for the forwarder", listener.local_addr())?;
        let (cuts, cuts_seen) = watch::channel(0);
        let (way_back, way_back_seen) = watch::channel(WayBack::Flows);
        let counts = Arc::new(Counts::default());
        let watched =
            Watched { cuts: cuts_seen, way_back: way_back_seen, counts: Arc::clone(&counts) };
        tokio::spawn(accept(listener, upstream, watched));
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

    /// Connections that ended by a cut.
    pub fn connections_cut(&self) -> u64 {
        self.counts.cut.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, watched: Watched) {
    // A connection that could not be accepted is one that was cut very early.
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, upstream, watched.clone()));
        }
    }
}

async fn pass(mut here: TcpStream, upstream: SocketAddr, watched: Watched) {
    let Watched { mut cuts, way_back, counts } = watched;
    cuts.mark_unchanged();
    // Nobody there: whoever connected sees its connection closed, as with a real middle box.
    let Ok(mut there) = TcpStream::connect(upstream).await else { return };
    let _ = (here.set_nodelay(true), there.set_nodelay(true));
    let (mut questions, to_asker) = here.split();
    let (answers, mut to_server) = there.split();
    tokio::select! {
        // However it ended, both connections are closed now, which is all that a wire can do.
        _ = copy(&mut questions, &mut to_server) => {}
        () = pass_back(answers, to_asker, way_back) => {}
        _ = cuts.changed() => { counts.cut.fetch_add(1, Ordering::Relaxed); }
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
