//! Every bound of the TCP path, with its reason and what happens at it.
//!
//! Numbers only; who keeps to them is elsewhere. Invariant: none of them is infinite.

use std::time::Duration;

/// The bounds of one TCP path. The defaults suit a machine with a gigabyte to spare.
#[derive(Clone, Debug)]
pub struct TcpLimits {
    /// Connections, dialed and accepted. Each costs a file descriptor and a few kilobytes. At the
    /// bound accepted ones are closed at once and dialed ones fail with `TooMany`.
    pub connections_max: usize,
    /// Accepted connections that have proved nothing yet. At the bound further ones are closed.
    pub strangers_max: usize,
    /// The same for one source (an IPv4 address or an IPv6 /64), so that one stranger cannot keep
    /// out the others. Generous, because a whole office may share one address.
    pub strangers_per_source_max: usize,
    /// What a stranger may send before it has proved anything: two of the largest packets. At the
    /// bound we stop reading.
    pub stranger_bytes_max: usize,
    /// How long a connection may take to prove something. Then it is closed.
    pub stranger_time_max: Duration,
    /// Connections of those who do not speak our protocol, kept a while without an answer. At the
    /// bound further ones are closed at once.
    pub lingerers_max: usize,
    /// What is read and thrown away from each of them. At the bound we stop reading.
    pub lingerer_bytes_max: usize,
    /// Packets received on one connection that the driver has not taken yet. At the bound we stop
    /// reading, and the network's own flow control stops the sender.
    pub unread_bytes_max: usize,
    /// Packets taken for one connection and not written yet. At the bound `room` is 0.
    pub queued_bytes_max: usize,
    /// How long opening a connection may take, resolving its name included. Well under the time
    /// after which a person gives up, and longer than two lost connection requests.
    pub dial_time_max: Duration,
    /// How long a begun frame may go without a byte. Then the connection is closed.
    pub frame_silence_max: Duration,
    /// How long a frame may take. Then the connection is closed.
    pub frame_time_max: Duration,
    /// How long `close` goes on writing what had been queued.
    pub finish_time_max: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            strangers_max: 1_024,
            strangers_per_source_max: 256,
            stranger_bytes_max: 80 * 1024,
            stranger_time_max: Duration::from_secs(10),
            lingerers_max: 256,
            lingerer_bytes_max: 64 * 1024,
            unread_bytes_max: 4 * 1024 * 1024,
            queued_bytes_max: 256 * 1024,
            dial_time_max: Duration::from_secs(8),
            frame_silence_max: Duration::from_secs(10),
            frame_time_max: Duration::from_mins(1),
            finish_time_max: Duration::from_secs(2),
        }
    }
}
