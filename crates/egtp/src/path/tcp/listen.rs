//! Where we listen, and letting people in.
//!
//! Knows nothing about what they want. Invariant: whoever is let in has a place, counted until he
//! goes; without a place a connection is closed at once, and costs nothing more.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::greet::{Guest, greet};
use super::shared::Shared;

/// Opens the listening sockets. A wildcard of either family listens on both, where the machine has
/// both.
pub(super) fn open_listeners(listen: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for &address in listen {
        let is_listed = |twin: IpAddr| {
            listen.iter().any(|other| other.ip() == twin && other.port() == address.port())
        };
        match other_wildcard(address.ip()) {
            Some(twin) if !is_listed(twin) => listeners.extend(open_both(address, twin)?),
            Some(_) | None => listeners.push(open(address)?),
        }
    }
    Ok(listeners)
}

/// Opens a wildcard and its twin of the other family on the same port.
fn open_both(address: SocketAddr, twin: IpAddr) -> io::Result<Vec<TcpListener>> {
    let mut attempts = PORT_ATTEMPTS;
    loop {
        let first = open(address)?;
        let twin = SocketAddr::new(twin, first.local_addr()?.port());
        attempts -= 1;
        match open(twin) {
            Ok(second) => return Ok(vec![first, second]),
            // The system chose a port for one family that somebody has in the other.
            Err(error) if is_taken(&error) && address.port() == 0 && attempts > 0 => {}
            Err(error) if is_taken(&error) => return Err(error),
            // A machine without IPv6, or without IPv4, is served by what it has.
            Err(error) => {
                tracing::debug!(address = %twin, %error, "listening on one family only");
                return Ok(vec![first]);
            }
        }
    }
}

/// Lets people in for as long as the future lives. Dropping it ends all whom it let in.
pub(super) async fn let_in(listener: TcpListener, shared: Arc<Shared>) {
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let Some(guest) = seat(stream, from, &shared) else { continue };
                    let to = shared.doors.whose_turn();
                    if to == shared.index {
                        guests.spawn(greet(guest, Arc::clone(&shared)));
                    } else if let Err(error) = shared.doors.send_newcomer(to, guest) {
                        tracing::warn!(%error, "a connection was lost on its way to its loop");
                    }
                }
                Err(error) => {
                    // Mostly too many open files: it passes when others go, not by trying harder.
                    tracing::warn!(%error, "cannot accept connections for the moment");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = guests.join_next() => {}
        }
    }
}

fn seat(stream: TcpStream, from: SocketAddr, shared: &Shared) -> Option<Guest> {
    let stranger = shared.slots.stranger(from.ip())?;
    let slot = shared.slots.connection()?;
    // Packets are gathered before they are written, so the system must not wait for more.
    stream.set_nodelay(true).ok()?;
    Some(Guest { stream, from, slot, stranger })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restarted node gets its port back at once. On Windows this would let others steal it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn other_wildcard(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => Some(Ipv6Addr::UNSPECIFIED.into()),
        IpAddr::V6(address) if address.is_unspecified() => Some(Ipv4Addr::UNSPECIFIED.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrInUse
}

/// How often the system may choose a port that is not free in both families.
const PORT_ATTEMPTS: u32 = 16;

/// How many connections the system may hold ready for us.
const BACKLOG: i32 = 1024;

/// How long accepting rests after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
