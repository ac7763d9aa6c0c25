//! Connections on their way into a loop of a node from another one: those that were just accepted, and those that
//! turned out to be another loop's.
//!
//! Knows no packets. Invariant: a connection is in one place, with the places that it takes; if the loop that it is
//! for has ended, it is closed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection::{Connection, Held};
use super::greet::{Guest, Served, Whence, greet, serve};
use super::inbox::Inward;
use super::inflow::Inflow;
use super::shared::Shared;
use crate::path::{Luggage, PathEvent};

/// The ways into all loops of a node. How much is under way is bounded by the places for connections.
#[derive(Debug)]
pub(super) struct Doors {
    doors: Vec<mpsc::UnboundedSender<Arrival>>,
    next: AtomicUsize,
}

/// A loop's side of its door.
pub(super) type Entrance = mpsc::UnboundedReceiver<Arrival>;

/// Who comes in. No runtime knows the socket meanwhile.
#[derive(Debug)]
pub(super) struct Arrival {
    stream: std::net::TcpStream,
    who: Who,
}

#[derive(Debug)]
enum Who {
    /// Somebody who has not said a word.
    Newcomer(Newcomer),
    /// Somebody whose first words were for this loop.
    Moved(Box<Moved>),
}

type Newcomer = (std::net::SocketAddr, super::slots::Slot, super::slots::StrangerSlot);

#[derive(Debug)]
struct Moved {
    held: Held,
    inflow: Inflow,
    whence: Whence,
    delivered: usize,
    luggage: Luggage,
}

/// Where a connection is to go, and with what.
#[derive(Debug)]
pub(super) struct Leave {
    pub(super) to: usize,
    pub(super) luggage: Luggage,
}

impl Doors {
    /// The doors of so many loops, at least one, and the inside of the first and of the others.
    pub(super) fn new(count: usize) -> (Self, Entrance, Vec<Entrance>) {
        let (door, first) = mpsc::unbounded_channel();
        let (others, entrances): (Vec<_>, _) =
            (1..count).map(|_| mpsc::unbounded_channel()).unzip();
        let doors = std::iter::once(door).chain(others).collect();
        (Self { doors, next: AtomicUsize::new(0) }, first, entrances)
    }

    /// The loop whose turn it is to take a newcomer in.
    pub(super) fn whose_turn(&self) -> usize {
        match self.doors.len() {
            0 | 1 => 0,
            count => self.next.fetch_add(1, Ordering::Relaxed) % count,
        }
    }

    /// Lets a newcomer in by another loop's door.
    pub(super) fn send_newcomer(&self, to: usize, guest: Guest) -> io::Result<()> {
        let Guest { stream, from, slot, stranger } = guest;
        let who = Who::Newcomer((from, slot, stranger));
        self.send(to, Arrival { stream: stream.into_std()?, who });
        Ok(())
    }

    /// Sends a connection that was served here to where it belongs.
    pub(super) fn send_on(
        &self,
        connection: Connection,
        leave: Leave,
        whence: Whence,
        served: Served,
    ) -> io::Result<()> {
        let (stream, held) = connection.into_parts();
        let Served { inflow, delivered } = served;
        let moved = Moved { held, inflow, whence, delivered, luggage: leave.luggage };
        let who = Who::Moved(Box::new(moved));
        self.send(leave.to, Arrival { stream: stream.into_std()?, who });
        Ok(())
    }

    fn send(&self, to: usize, arrival: Arrival) {
        if let Some(door) = self.doors.get(to) {
            // A loop that has ended takes nobody in: he hears that by the end of his connection.
            let _ = door.send(arrival);
        }
    }
}

/// Takes in who comes through the door, for as long as the future lives. Dropping it ends all whom it took in.
pub(super) async fn take_in(mut entrance: Entrance, shared: Arc<Shared>) {
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            arrival = entrance.recv() => {
                let Some(Arrival { stream, who }) = arrival else { return };
                // Without a place in this runtime there is no connection.
                let Ok(stream) = TcpStream::from_std(stream) else { continue };
                match who {
                    Who::Newcomer((from, slot, stranger)) => {
                        let guest = Guest { stream, from, slot, stranger };
                        guests.spawn(greet(guest, Arc::clone(&shared)));
                    }
                    Who::Moved(moved) => {
                        guests.spawn(go_on(stream, *moved, Arc::clone(&shared)));
                    }
                }
            }
            Some(_) = guests.join_next() => {}
        }
    }
}

/// Serves a connection from where another loop has left it.
async fn go_on(stream: TcpStream, moved: Moved, shared: Arc<Shared>) {
    let Moved { held, inflow, whence, delivered, luggage } = moved;
    let connection = Arc::new(Connection::again(stream, held, shared.limits.queued_bytes_max));
    connection.note_use(shared.clock.boot());
    let Whence { identity, from, .. } = whence.clone();
    let event = PathEvent::HandedOver { path: connection.id, identity, from, luggage };
    shared.inbox.push_one(Inward::Started { connection: Arc::clone(&connection), event });
    serve(connection, shared, whence, Served { inflow, delivered }, None).await;
}
