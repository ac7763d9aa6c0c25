//! A direct path is asked whether it still stands, when its peer comes by a circuit.
//!
//! A path may be dead without a word: the peer's network has changed, and no close has come through. Invariant: a direct
//! path is left for a circuit only after a question on it has stayed without anything authentic on it, and the question
//! is asked only for the newest authentic record of the relay lane. So whoever passes records on as he likes gets questions
//! asked, one a second, and moves nothing while the direct path stands.

use std::time::Duration;

use super::Endpoint;
use super::peer::{Peer, Trust};
use crate::output::{PathId, Sink};
use crate::time::{Instant, Now};
use crate::wire::Lane;

/// The shortest time that a direct path is given to say something, and the shortest between two questions.
const ANSWER_AWAITED: Duration = Duration::from_secs(1);

/// A question whether a direct path stands.
#[derive(Debug)]
pub(super) struct Asked {
    direct: PathId,
    /// The circuit that the peer came by last.
    circuit: PathId,
    since: Instant,
    /// Whether it is still to be sent.
    is_owed: bool,
    /// Whether something authentic has come on the direct path since.
    is_answered: bool,
}

impl Peer {
    /// Something authentic has come on a path.
    pub(super) fn heard_on(&mut self, path: PathId) {
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.direct == path) {
            asked.is_answered = true;
        }
    }

    /// Until when the direct path may still say something, if it is the path and was asked.
    pub(super) fn answer_due(&self) -> Option<Instant> {
        let asked = self.asked.as_ref().filter(|asked| !asked.is_answered)?;
        let patience = (self.trip.timeout() * 3).max(ANSWER_AWAITED);
        (self.path == Some(asked.direct)).then(|| asked.since.after(patience))
    }
}

impl Endpoint {
    /// The newest authentic record of the relay lane has come by a circuit, while the peer has a direct path.
    pub(super) fn ask_instead(&mut self, now: Now, code: u32, direct: PathId, circuit: PathId) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        if let Some(asked) = peer.asked.as_mut().filter(|asked| asked.direct == direct) {
            asked.circuit = circuit;
            if !asked.is_answered || now.boot.since(asked.since) < ANSWER_AWAITED {
                return;
            }
        }
        // Where the peer's memory is in doubt, a handshake asks already.
        if peer.trust == Trust::Good {
            let since = now.boot;
            let asked = Asked { direct, circuit, since, is_owed: true, is_answered: false };
            peer.asked = Some(Box::new(asked));
            self.soil(code);
        }
    }

    /// Sends the question, if one is to be sent. A path that takes nothing is asked all the same: what it has taken
    /// before would be answered if it stood.
    pub(super) fn ask_direct(&mut self, now: Now, code: u32, sink: &mut impl Sink) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let Some(asked) = peer.asked.as_mut().filter(|asked| asked.is_owed) else { return };
        asked.is_owed = false;
        let direct = asked.direct;
        let is_good = peer.trust == Trust::Good && peer.path == Some(direct);
        let session = self.session_to_send_on(now, code).filter(|_| is_good);
        if let Some(session) = session
            && sink.room(direct) >= self.frames_max(direct)
        {
            self.send_probe(now, code, session, direct, sink);
        }
    }

    /// Leaves a direct path that has said nothing, for the circuit that its peer comes by.
    pub(super) fn leave_if_silent(&mut self, now: Now, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        if peer.answer_due().is_none_or(|due| now.boot < due) {
            return;
        }
        let Some(asked) = peer.asked.take() else { return };
        let is_there = |state: &super::PathState| state.lane == Lane::Relay;
        if self.paths.get(&asked.circuit).is_some_and(is_there) {
            peer.leave_path();
            self.move_to(now, code, asked.circuit);
        }
    }
}
