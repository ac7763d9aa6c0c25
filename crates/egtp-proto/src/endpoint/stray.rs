//! What has come to this endpoint and is another one's, where several are behind one identity.
//!
//! A header shows whose a session or prekey is, and a first flight shows its peer when it has been opened: only then is
//! it clear which part it is for. The connection goes there as a whole, with what it brought. Invariant: only a
//! connection on which nobody has shown himself is handed over, and not often, so that a stranger cannot keep parts busy
//! with each other; and a first flight is remembered as let through only where somebody goes on with it.

use bytes::BytesMut;

use super::greet::Flight;
use super::{Answer, Endpoint, Source};
use crate::output::{IdentityId, PathId};
use crate::time::Now;
use crate::wire::Header;

/// A connection that this endpoint does not go on with. It has forgotten it.
#[derive(Debug)]
pub enum Elsewhere {
    /// It is another part's.
    Part {
        /// The connection.
        path: PathId,
        /// Whose it is.
        part: u16,
        /// What it has brought, for [`Endpoint::adopt`] there.
        stray: Stray,
    },
    /// It has been handed on too often. Closed, it makes its peer come anew.
    Nowhere {
        /// The connection.
        path: PathId,
    },
}

/// What a connection has brought, on its way from one endpoint of an identity to another one.
#[derive(Debug)]
pub struct Stray {
    what: What,
    /// Answers of the first one that have not left.
    ready: Vec<Vec<u8>>,
    moves: u8,
}

#[derive(Debug)]
enum What {
    /// As it came: under a session or prekey of the other part.
    Packet(BytesMut),
    /// Opened here under this prekey, from a peer of the other part.
    Flight(Box<Flight>, IdentityId, u32),
    /// A flight that was handed over before, by its ephemeral key: its answer may have been lost.
    Again([u8; 32]),
}

/// How often a connection is handed on: to where the prekey is, to where the peer is, and once more.
const MOVES_MAX: u8 = 3;

impl Endpoint {
    /// The connection that the last packet has shown not to be this endpoint's. Ask after each packet, and after
    /// [`Endpoint::adopt`], where there are several parts: one that was not taken when the next one is found is lost.
    pub const fn take_elsewhere(&mut self) -> Option<Elsewhere> {
        self.elsewhere.take()
    }

    /// Goes on with a connection that another part has handed over. It is told of before by [`Endpoint::path_up`],
    /// as one that somebody else has opened. It may turn out to be for yet another part.
    pub fn adopt(&mut self, now: Now, path: PathId, stray: Stray) {
        let Some(state) = self.paths.get_mut(&path) else { return };
        state.moves = stray.moves;
        let identity = state.identity;
        self.ready.extend(stray.ready.into_iter().map(|packet| (path, packet)));
        match stray.what {
            // The other part has counted it.
            What::Packet(packet) => self.take_in(now, path, packet),
            What::Flight(flight, ..) => self.accept_flight(now, path, identity, *flight),
            What::Again(ephemeral) => self.repeat_answer(now, path, &ephemeral),
        }
    }

    /// A connection could not be handed over, and is gone: a first flight that it brought may be let through when it
    /// comes again.
    pub fn take_back(&mut self, stray: Stray) {
        if let What::Flight(flight, identity, prekey) = stray.what
            && let Some(own) = self.identity_mut(identity)
        {
            own.prekeys.forget(prekey, &flight.ephemeral);
        }
    }

    /// The other part that this header is for, if its connection is nobody's.
    pub(super) fn part_of_header(&self, path: PathId, header: &Header) -> Option<u16> {
        let (Header::Record { session: code, .. } | Header::Ini { prekey: code, .. }) = *header
        else {
            return None;
        };
        let is_other = code != 0 && !self.part.issues(code) && self.is_nobodys(path);
        is_other.then(|| self.part.of_code(code))
    }

    /// Somebody else has opened this connection, and nobody has shown himself on it.
    fn is_nobodys(&self, path: PathId) -> bool {
        self.paths.get(&path).is_some_and(|state| {
            let is_verified = state.source == Source::Verified;
            state.is_incoming && is_verified && state.heard == 0 && state.peers.is_empty()
        })
    }

    /// The same, and it can go to another part.
    pub(super) fn may_move(&self, path: PathId) -> bool {
        let has_moves = self.paths.get(&path).is_some_and(|state| state.moves < MOVES_MAX);
        has_moves && self.is_nobodys(path)
    }

    /// Costs what an answer to a stranger costs.
    pub(super) fn pass_packet_on(&mut self, now: Now, path: PathId, part: u16, packet: BytesMut) {
        if !self.may_answer(now, path) {
            self.counters.dropped.budget += 1;
        } else if self.may_move(path) {
            self.pass_on(path, part, What::Packet(packet));
        } else {
            self.let_go(path);
        }
    }

    pub(super) fn pass_flight_on(
        &mut self,
        (path, part): (PathId, u16),
        flight: Flight,
        (identity, prekey): (IdentityId, u32),
    ) {
        self.pass_on(path, part, What::Flight(Box::new(flight), identity, prekey));
    }

    /// Of a peer of another part, on a connection that cannot go there.
    pub(super) fn refuse_flight(&mut self, path: PathId) {
        self.counters.dropped.elsewhere += 1;
        if self.is_nobodys(path) {
            self.let_go(path);
        }
    }

    /// The same flight again, perhaps over another path: the same answer again.
    pub(super) fn repeat_answer(&mut self, now: Now, path: PathId, ephemeral: &[u8; 32]) {
        let kept = self.answers.iter().find(|kept| kept.ephemeral == *ephemeral);
        match kept.filter(|kept| kept.until > now.boot).map(|kept| &kept.answer) {
            Some(Answer::Packet(packet)) => self.ready.push_back((path, packet.clone())),
            Some(&Answer::Due(code)) => self.answer_there(code, path, ephemeral),
            Some(&Answer::At(part)) if self.may_move(path) => {
                self.pass_on(path, part, What::Again(*ephemeral));
            }
            Some(Answer::At(_)) => self.refuse_flight(path),
            None => {}
        }
    }

    /// The answer is on its way to be made: the peer waits for it on this path now.
    fn answer_there(&mut self, code: u32, path: PathId, ephemeral: &[u8; 32]) {
        let answering = self.peers.get_mut(code).and_then(|peer| peer.answering.as_mut());
        if let Some(answering) = answering.filter(|one| one.ephemeral == *ephemeral) {
            answering.path = path;
            self.remember_path(code, path);
        }
    }

    /// Whether a flight was answered, is about to be, or went to another part.
    pub(super) fn has_answered(&self, ephemeral: &[u8; 32]) -> bool {
        self.answers.iter().any(|kept| kept.ephemeral == *ephemeral)
    }

    fn pass_on(&mut self, path: PathId, part: u16, what: What) {
        let Some(state) = self.paths.remove(&path) else { return };
        self.counters.handed_over += 1;
        let ready = self.ready_for(path);
        let stray = Stray { what, ready, moves: state.moves + 1 };
        self.elsewhere = Some(Elsewhere::Part { path, part, stray });
    }

    fn let_go(&mut self, path: PathId) {
        self.paths.remove(&path);
        self.elsewhere = Some(Elsewhere::Nowhere { path });
    }

    /// Takes out what was to be sent on a path.
    fn ready_for(&mut self, path: PathId) -> Vec<Vec<u8>> {
        let mut here = Vec::new();
        for (to, packet) in std::mem::take(&mut self.ready) {
            if to == path {
                here.push(packet);
            } else {
                self.ready.push_back((to, packet));
            }
        }
        here
    }
}
