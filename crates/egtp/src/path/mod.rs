//! Paths: the seam between the driver and the network.
//!
//! A path moves packets between this machine and others, over one kind of network. It knows
//! addresses, sockets and deadlines; it refuses to know sessions and messages, and of keys what they
//! open: every packet is an opaque string of bytes, and who is at the other end is for the layers above
//! to find out.
//! Another kind of network is another implementation of [`Path`], and nothing above changes.
//!
//! The driver owns its paths, calls them from one place, and never waits in a call: whatever takes
//! time comes back later as a [`PathEvent`]. Invariant: for every [`PathId`] there is first one
//! `Opened`, `Accepted` or `HandedOver`, then at most one `Closed`, and after `Closed { Idle }` nothing but
//! `Received` for what was still on its way.

use std::fmt::Debug;
use std::io;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
pub use egtp_proto::PathId;
use egtp_proto::{PublicKey, Strategy, Stray};

mod attempts;
mod copies;
pub mod tcp;

pub(crate) use attempts::watched;
pub use attempts::{Attempt, Attempts, Became};
pub(crate) use copies::Copies;

/// Names one attempt to open a connection. Chosen by the driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct DialId(pub u64);

/// What happened on a path since the driver last asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum PathEvent {
    /// A dialed connection is open and takes packets.
    Opened {
        /// The attempt that succeeded.
        dial: DialId,
        /// The new connection.
        path: PathId,
        /// The strategy that was dialed.
        strategy: Strategy,
    },
    /// An attempt failed. Nothing of ours was written, so this is no transmission.
    DialFailed {
        /// The attempt that failed.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// A dialer named one of our identities. Its first packet follows in the same batch.
    /// It has proved nothing yet: see [`Path::accept_peer`].
    Accepted {
        /// The new connection.
        path: PathId,
        /// Which of our identities it asked for.
        identity: PublicKey,
        /// The address that it came from.
        from: Strategy,
    },
    /// Another loop of this node has handed a connection over, see [`Path::hand_over`]. Somebody else has opened it, and
    /// has proved nothing yet.
    HandedOver {
        /// The connection, as it was called there.
        path: PathId,
        /// Which of our identities it asked for.
        identity: PublicKey,
        /// The address that it came from.
        from: Strategy,
        /// What it has brought.
        luggage: Luggage,
    },
    /// A whole packet arrived.
    Received {
        /// The connection that brought it.
        path: PathId,
        /// The packet, still sealed.
        packet: BytesMut,
    },
    /// There is room again, after [`Path::room`] had fallen below one largest packet.
    Writable {
        /// The connection that takes packets again.
        path: PathId,
    },
    /// The connection takes no more packets. What was queued and not written is lost.
    Closed {
        /// The connection that ended.
        path: PathId,
        /// Why it ended.
        why: Closed,
    },
}

/// What a connection has brought when a loop hands it over to another one. Paths only carry it.
#[derive(Debug)]
pub struct Luggage {
    pub(crate) stray: Stray,
    /// Packets that came behind.
    pub(crate) behind: Vec<BytesMut>,
}

/// Why a connection ended. Never a reason to end a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum Closed {
    /// Unused for long enough. Packets that were on their way to us are still delivered.
    Idle,
    /// The other end closed it.
    ByPeer,
    /// The network failed, or a packet was begun and never finished.
    Error,
    /// What came did not look like our protocol, or proved nothing in time.
    Stranger,
    /// [`Path::close`] was called; what had been queued before is written, or given up.
    ByUs,
}

/// Why a connection could not be opened. Nothing left this machine as far as the peer is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The machine is there and nobody listens. Try another strategy, or look the peer up again.
    #[error("nobody listens at that address")]
    Refused,
    /// This machine knows no way there. Try another strategy.
    #[error("no route to that address")]
    Unreachable,
    /// No answer within the time that an attempt may take. Try another strategy.
    #[error("no answer from that address in time")]
    TimedOut,
    /// The host name has no address, or could not be resolved. Look the peer up again.
    #[error("the host name could not be resolved")]
    NameNotFound,
    /// This path does not serve that kind of strategy.
    #[error("this path does not serve that kind of address")]
    NotServed,
    /// A relay that cannot be reached itself, or does not answer. Try another one.
    #[error("that relay cannot be reached, or does not relay")]
    NoRelay,
    /// The peer is not at that relay, or the relay does not say. Try another strategy, or later.
    #[error("the peer is not connected to that relay")]
    Absent,
    /// A relay that is reached by a relay itself, which is not done. Try another strategy.
    #[error("a relay is asked directly, and this one is known by a relay only")]
    Nested,
    /// This node has as many connections as it may have. Try again when some have closed.
    #[error("too many connections are open")]
    TooMany,
    /// Another failure of the operating system.
    #[error("could not connect: {0}")]
    Failed(io::ErrorKind),
}

/// Why a packet was not taken. It certainly did not leave this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// The connection is closed, or takes nothing new because it is idle. Dial anew.
    #[error("the connection is closed")]
    Closed,
    /// No room: the caller did not look at [`Path::room`]. Wait for [`PathEvent::Writable`].
    #[error("the connection takes no more for now")]
    Full,
    /// No packet has this size, so the other end would take us for a stranger. Never retry.
    #[error("not the size of a packet")]
    Size,
}

/// What the driver expects of a connection; it decides how long an idle one is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Hash)]
pub enum Hint {
    /// Nothing in particular: the ordinary idle schedule.
    #[default]
    Nothing,
    /// An answer is outstanding: keep it.
    ExpectReply,
    /// More will be said: keep it.
    ExpectMore,
    /// Nothing more will be said: close it at the next occasion.
    NoMore,
}

/// One way of moving packets. All calls return at once.
pub trait Path: Debug + Send + 'static {
    /// Whether this path serves that kind of strategy.
    fn reaches(&self, strategy: &Strategy) -> bool;

    /// Starts to open a connection to `peer`. Ends with `Opened` or `DialFailed` under this id.
    fn dial(&mut self, dial: DialId, peer: PublicKey, strategy: &Strategy);

    /// Takes a packet for an open connection. It is written with the next [`Path::flush`], or
    /// earlier. On a connection that was accepted, the layers above send nothing before they have
    /// read a packet masked for our identity: whoever does not know our key gets no answer.
    ///
    /// # Errors
    /// [`NotSent`]; the packet certainly did not leave this machine.
    fn send(&mut self, path: PathId, packet: Bytes) -> Result<(), NotSent>;

    /// Writes what [`Path::send`] queued, as much as the network takes now. The rest follows by
    /// itself.
    fn flush(&mut self);

    /// The size of the largest packet that [`Path::send`] will still take; 0 for a connection that
    /// takes nothing new.
    fn room(&self, path: PathId) -> usize;

    /// What the driver expects of a connection from now on.
    fn hint(&mut self, path: PathId, hint: Hint);

    /// The layers above authenticated something from this connection: its sender is no stranger.
    fn accept_peer(&mut self, path: PathId);

    /// Writes what is queued, within a short time, and closes the connection.
    fn close(&mut self, path: PathId);

    /// Lets another loop of this node go on with an accepted connection: it hears of it by
    /// [`PathEvent::HandedOver`], and here nothing more is heard. What came and was not told yet goes along. A path that
    /// serves one loop only closes it.
    ///
    /// # Errors
    /// The luggage, if the connection has ended or is about to.
    fn hand_over(&mut self, path: PathId, to: usize, luggage: Luggage) -> Result<(), Luggage> {
        let _ = to;
        self.close(path);
        Err(luggage)
    }

    /// Appends what happened. `Ready` when there was something; otherwise `Pending`, and the task
    /// of `context` is woken when there is.
    fn poll(&mut self, context: &mut Context<'_>, events: &mut Vec<PathEvent>) -> Poll<()>;

    /// Where this path listens, as bound: a wildcard stays a wildcard.
    fn listening(&self) -> Vec<Strategy>;
}
