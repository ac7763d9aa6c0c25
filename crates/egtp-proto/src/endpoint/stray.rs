//! What has come to this endpoint and is another one's, where several are behind one identity.
//!
//! A header shows whose a session or prekey is, and a first flight shows its peer when it has been opened: only then is
//! it clear which part it is for. The connection goes there as a whole, with what it brought. Invariant: only a
//! connection on which nobody has shown himself is handed over, and not often, so that a stranger cannot keep parts busy
//! with each other.

use bytes::BytesMut;

use super::greet::Flight;
use super::{Endpoint, Source};
use crate::output::PathId;
use crate::time::Now;
use crate::wire::Header;

/// A connection for another part.
#[derive(Debug)]
pub struct Elsewhere {
    /// The connection. This endpoint has forgotten it.
    pub path: PathId,
    /// The part that it is for.
    pub part: u16,
    /// What it has brought, for [`Endpoint::adopt`].
    pub stray: Stray,
}

/// What a connection has brought, on its way from one endpoint of an identity to another one.
#[derive(Debug)]
pub struct Stray {
    what: What,
    moves: u8,
}

#[derive(Debug)]
enum What {
    /// As it came: under a session or prekey of the other part.
    Packet(BytesMut),
    /// Opened here, from a peer of the other part. It may have heard of our generation, which the other part then
    /// issues too.
    Flight(Box<Flight>, u32),
    /// A flight that was handed over before, by its ephemeral key: its answer may have been lost.
    Again([u8; 32]),
}

/// How often a connection is handed on: to where the prekey is, to where the peer is, and once more.
const MOVES_MAX: u8 = 3;

impl Endpoint {
    /// The connection that the last packet has shown to be another part's. Ask after each packet where there are
    /// several parts: a connection that was not taken when the next one is found is lost.
    pub const fn take_elsewhere(&mut self) -> Option<Elsewhere> {
        self.elsewhere.take()
    }

    /// Goes on with a connection that another part has handed over. It is told of before by [`Endpoint::path_up`],
    /// as one that somebody else has opened. It may turn out to be for yet another part.
    pub fn adopt(&mut self, now: Now, path: PathId, stray: Stray) {
        let Some(state) = self.paths.get_mut(&path) else { return };
        state.moves = stray.moves;
        let identity = state.identity;
        match stray.what {
            What::Packet(packet) => self.receive(now, path, packet),
            What::Flight(flight, generation) => {
                if let Some(own) = self.identity_mut(identity) {
                    own.stores.issue(generation);
                }
                self.accept_flight(now, path, identity, *flight);
            }
            What::Again(ephemeral) => self.repeat_answer(now, path, &ephemeral),
        }
    }

    /// The other part that this header is for, if its connection can be handed over.
    pub(super) fn part_of_header(&self, path: PathId, header: &Header) -> Option<u16> {
        let (Header::Record { session: code, .. } | Header::Ini { prekey: code, .. }) = *header
        else {
            return None;
        };
        let is_other = code != 0 && !self.part.issues(code) && self.may_move(path);
        is_other.then(|| self.part.of_code(code))
    }

    /// Nobody has shown himself on this connection.
    pub(super) fn may_move(&self, path: PathId) -> bool {
        self.paths.get(&path).is_some_and(|state| {
            state.peers.is_empty() && state.source == Source::Verified && state.moves < MOVES_MAX
        })
    }

    pub(super) fn pass_packet_on(&mut self, path: PathId, part: u16, packet: BytesMut) {
        self.pass_on(path, part, What::Packet(packet));
    }

    pub(super) fn pass_flight_on(&mut self, path: PathId, part: u16, flight: Flight) {
        let identity = self.paths.get(&path).and_then(|state| self.identity(state.identity));
        let [generation, _] = identity.map_or([0; 2], |own| own.stores.generations());
        self.pass_on(path, part, What::Flight(Box::new(flight), generation));
    }

    pub(super) fn pass_repeat_on(&mut self, path: PathId, part: u16, ephemeral: [u8; 32]) {
        self.pass_on(path, part, What::Again(ephemeral));
    }

    fn pass_on(&mut self, path: PathId, part: u16, what: What) {
        let Some(state) = self.paths.remove(&path) else { return };
        self.counters.handed_over += 1;
        let stray = Stray { what, moves: state.moves + 1 };
        self.elsewhere = Some(Elsewhere { path, part, stray });
    }
}
