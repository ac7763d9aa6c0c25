//! Opening a connection to a peer: resolve, race the addresses, and serve the winner.
//!
//! Knows how to reach a port and not who is behind it. Nothing is written before the driver sends,
//! so an attempt that fails was no transmission. Invariant: an attempt ends within
//! `dial_time_max`, in one event.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use egtp_proto::wire::stream::{Direction, Framer, LengthMask, Preamble, RANDOM_BYTES, StreamKey};
use egtp_proto::{Host, HostPort, PublicKey, Strategy};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::inbox::Inward;
use super::inflow::Inflow;
use super::outgoing::Outgoing;
use super::shared::Shared;
use super::traffic::{Served, Traffic};
use crate::path::{DialError, DialId, PathEvent};

/// Opens a connection and serves it to its end.
pub(super) async fn dial(shared: Arc<Shared>, dial: DialId, peer: PublicKey, strategy: Strategy) {
    let connection = match open(&shared, peer, &strategy).await {
        Ok(connection) => connection,
        Err(error) => {
            let event = PathEvent::DialFailed { dial, error };
            return shared.inbox.push_one(Inward::Happened(event));
        }
    };
    let path = connection.id;
    let event = PathEvent::Opened { dial, path, strategy };
    shared.inbox.push_one(Inward::Started { connection: Arc::clone(&connection), event });
    let inflow = Inflow::from_acceptor(StreamKey::new(peer.as_bytes()));
    let served = Served { inflow, delivered: 0 };
    let traffic = Traffic::new(connection, Arc::clone(&shared), served, Instant::now(), None);
    let why = traffic.run().await.why;
    shared.inbox.push_one(Inward::Ended { path, why });
}

async fn open(
    shared: &Shared,
    peer: PublicKey,
    strategy: &Strategy,
) -> Result<Arc<Connection>, DialError> {
    let Strategy::Tcp(target) = strategy else { return Err(DialError::NotServed) };
    let slot = shared.slots.connection().ok_or(DialError::TooMany)?;
    let connecting = async { race(resolve(target).await?).await };
    let connected = timeout(shared.limits.dial_time_max, connecting).await;
    let stream = connected.map_err(|_| DialError::TimedOut)??;
    // Packets are gathered before they are written, so the system must not wait for more.
    stream.set_nodelay(true).map_err(|error| dial_error(&error))?;

    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|_| DialError::Failed(io::ErrorKind::Other))?;
    let key = StreamKey::new(peer.as_bytes());
    let preamble = Preamble::new(&key, random);
    let mask = LengthMask::new(&key, preamble.as_bytes(), Direction::FromDialer);
    let outgoing = Outgoing::new(*preamble.as_bytes(), Framer::new(mask));
    let queued_max = shared.limits.queued_bytes_max;
    let connection =
        Connection::new(shared.name_path(), stream, outgoing, queued_max, (slot, None));
    connection.note_use(shared.clock.boot());
    Ok(Arc::new(connection))
}

async fn resolve(target: &HostPort) -> Result<Vec<SocketAddr>, DialError> {
    let Host::Name(name) = &target.host else {
        return Ok(target.socket_addr().into_iter().collect());
    };
    let found = lookup_host((name.as_str(), target.port)).await;
    let found = found.map_err(|_| DialError::NameNotFound)?;
    Ok(alternate(found.take(ADDRESSES_MAX).collect()))
}

/// Families in turn, beginning with the one that the system prefers: if one family does not work
/// here, the second attempt is already of the other.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let preferred_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == preferred_is_v6);
    let mut others = others.into_iter();
    let mut alternated = Vec::new();
    for address in preferred {
        alternated.push(address);
        alternated.extend(others.next());
    }
    alternated.extend(others);
    alternated
}

/// Tries one address after another without waiting long for any; the first to open wins.
async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = DialError::NameNotFound;
    loop {
        match waiting.next() {
            Some(address) => drop(attempts.spawn(TcpStream::connect(address))),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        let ended = if waiting.len() > 0 {
            let Ok(ended) = timeout(STAGGER, attempts.join_next()).await else { continue };
            ended
        } else {
            attempts.join_next().await
        };
        match ended {
            Some(Ok(Ok(stream))) if is_connected_to_itself(&stream) => {
                failure = DialError::Refused;
            }
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure = dial_error(&error),
            Some(Err(_)) | None => {}
        }
    }
}

/// On one machine, dialing a port that nobody listens on can meet the very socket that dials.
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(ours), Ok(theirs)) if ours == theirs)
}

fn dial_error(error: &io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => DialError::Unreachable,
        io::ErrorKind::TimedOut => DialError::TimedOut,
        kind => DialError::Failed(kind),
    }
}

/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 8;

/// How long an attempt has before the next one starts beside it.
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
