//! The first moments of an accepted connection: which of our identities does it mean?
//!
//! Writes nothing. The driver hears of the connection when its first whole packet is there.
//! Invariant: who names none of our identities learns nothing but that the port is open.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use egtp_proto::wire::Reader;
use egtp_proto::wire::stream::{
    Direction, Framer, LengthMask, PREAMBLE_BYTES, Preamble, StreamKey,
};
use egtp_proto::{PublicKey, Strategy};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::inbox::Inward;
use super::inflow::{Inflow, READ_BYTES_MIN};
use super::outgoing::Outgoing;
use super::shared::Shared;
use super::slots::{Slot, StrangerSlot};
use super::stranger::linger;
pub(super) use super::traffic::Served;
use super::traffic::Traffic;
use crate::path::{Closed, PathEvent};

/// Someone who was let in, with the places he takes.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) stream: TcpStream,
    pub(super) from: SocketAddr,
    pub(super) slot: Slot,
    pub(super) stranger: StrangerSlot,
}

/// Where an accepted connection comes from.
#[derive(Clone, Debug)]
pub(super) struct Whence {
    /// Which of our identities is meant.
    pub(super) identity: PublicKey,
    pub(super) from: Strategy,
    pub(super) opened: Instant,
}

/// Hears whom an accepted connection means, and serves it.
pub(super) async fn greet(guest: Guest, shared: Arc<Shared>) {
    let opened = Instant::now();
    let mut buffer = BytesMut::with_capacity(READ_BYTES_MIN);
    let reading = read_preamble(&guest.stream, &mut buffer);
    let Ok(Some(preamble)) = timeout(shared.limits.stranger_time_max, reading).await else {
        return;
    };
    let Some((identity, key)) = shared.named_by(&preamble).cloned() else {
        drop(guest.stranger);
        return linger(&guest.stream, &shared, buffer.len()).await;
    };
    let Some(outgoing) = fresh_direction(&key) else { return };
    let from = Strategy::Tcp(canonical(guest.from).into());
    let queued_max = shared.limits.queued_bytes_max;
    let places = (guest.slot, Some(guest.stranger));
    let path = shared.name_path();
    let connection = Arc::new(Connection::new(path, guest.stream, outgoing, queued_max, places));
    connection.note_use(shared.clock.boot());

    let mask = LengthMask::new(&key, preamble.as_bytes(), Direction::FromDialer);
    let served = Served { inflow: Inflow::from_dialer(mask, buffer), delivered: 0 };
    let introduction = Some(introduce(&connection, identity, from.clone()));
    serve(connection, shared, Whence { identity, from, opened }, served, introduction).await;
}

/// Serves an accepted connection to its end, or until another loop is to go on.
pub(super) async fn serve(
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    whence: Whence,
    served: Served,
    introduction: Option<Inward>,
) {
    let (path, opened) = (connection.id, whence.opened);
    let traffic =
        Traffic::new(Arc::clone(&connection), Arc::clone(&shared), served, opened, introduction);
    let ending = traffic.run().await;
    if let Some(leave) = connection.take_leave() {
        // The driver has let go of it, and there is nobody else.
        let Some(connection) = Arc::into_inner(connection) else { return };
        if let Err(error) = shared.doors.send_on(connection, leave, whence, ending.served) {
            tracing::warn!(%error, "a connection was lost on its way to its loop");
        }
        return;
    }
    if ending.is_known {
        shared.inbox.push_one(Inward::Ended { path, why: ending.why });
    }
    connection.leave_strangers();
    let is_stranger =
        ending.why == Closed::Stranger || (ending.why == Closed::ByUs && !connection.is_trusted());
    // Whoever had a stranger's whole time, or was no stranger until now, is not kept longer.
    if is_stranger && opened.elapsed() < shared.limits.stranger_time_max {
        linger(&connection.stream, &shared, 0).await;
    }
}

fn introduce(connection: &Arc<Connection>, identity: PublicKey, from: Strategy) -> Inward {
    let event = PathEvent::Accepted { path: connection.id, identity, from };
    Inward::Started { connection: Arc::clone(connection), event }
}

async fn read_preamble(stream: &TcpStream, buffer: &mut BytesMut) -> Option<Preamble> {
    while buffer.len() < PREAMBLE_BYTES {
        stream.readable().await.ok()?;
        match stream.try_read_buf(buffer) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
    Preamble::decode(&mut Reader::new(&buffer.split_to(PREAMBLE_BYTES))).ok()
}

/// Our direction, with a salt of its own. Without randomness there is no connection.
fn fresh_direction(key: &StreamKey) -> Option<Outgoing> {
    let mut salt = [0; PREAMBLE_BYTES];
    getrandom::fill(&mut salt).ok()?;
    let mask = LengthMask::new(key, &salt, Direction::FromAcceptor);
    Some(Outgoing::new(salt, Framer::new(mask)))
}

/// An IPv4 address in the clothes of IPv6 is an IPv4 address.
fn canonical(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}
