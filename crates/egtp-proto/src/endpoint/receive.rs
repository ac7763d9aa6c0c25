//! Packets, from the first cheap check to authenticated frames.
//!
//! The order of checks is the order of cost: length, shroud, type, session and window, decryption.
//! Invariant: a packet that fails a check has changed nothing but a counter.

use bytes::{Bytes, BytesMut};

use super::frames::{Arrival, Carrier};
use super::peer::{Connect, KnownCard, Trust};
use super::{Endpoint, HEARD_MAX, Paths, Slot, Source};
use crate::exchange::outbox::Outbox;
use crate::key::PublicKey;
use crate::limits::{PACKET_BYTES_MAX, PACKET_BYTES_MIN, RECORD_FRAMES_MAX, SESSIONS_PER_PEER};
use crate::output::{Assurance, Event, IdentityId, PathId};
use crate::session::epoch::OpenError;
use crate::time::Now;
use crate::wire::packet::{UNK_BYTES, encode_unknown};
use crate::wire::shroud::HEADER_BYTES;
use crate::wire::{Header, Lane};

/// What a record's header says.
#[derive(Clone, Copy)]
pub(super) struct RecordHead {
    lane: Lane,
    epoch: u8,
    pub session: u32,
    counter: u64,
}

impl RecordHead {
    /// Where in its session it stands.
    pub(super) const fn place(&self) -> (Lane, u8, u64) {
        (self.lane, self.epoch, self.counter)
    }
}

impl Endpoint {
    /// Takes in a packet. Anything may be in it.
    pub fn receive(&mut self, now: Now, path: PathId, packet: BytesMut) {
        self.counters.packets_received += 1;
        self.take_in(now, path, packet);
    }

    pub(super) fn take_in(&mut self, now: Now, path: PathId, packet: BytesMut) {
        if packet.len() < PACKET_BYTES_MIN || packet.len() > PACKET_BYTES_MAX {
            self.counters.dropped.length += 1;
            return;
        }
        let Some(state) = self.paths.get_mut(&path) else {
            self.counters.dropped.shroud += 1;
            return;
        };
        if let Some(unproven) = &mut state.unproven {
            unproven.received = unproven.received.saturating_add(packet.len());
        }
        let identity = state.identity;
        let own = self.identity(identity).and_then(|own| own.shroud.uncovered_prefix(&packet));
        match own {
            Some(header) => self.receive_own(now, path, identity, &header, packet),
            None => self.receive_foreign(now, path, packet),
        }
    }

    /// A packet under our own shroud.
    fn receive_own(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        bytes: &[u8; HEADER_BYTES],
        mut packet: BytesMut,
    ) {
        let header = match Header::decode(bytes) {
            Ok(header) if packet.len() >= header.bytes_min() => header,
            _ => {
                self.counters.dropped.header += 1;
                return;
            }
        };
        if let Some(part) = self.part_of_header(path, &header) {
            return self.pass_packet_on(now, path, part, packet);
        }
        if let Header::Record { lane, epoch, session, counter } = header {
            let head = RecordHead { lane, epoch, session, counter };
            return self.receive_record(now, path, identity, bytes, head, packet);
        }
        let Some(own) = self.identity(identity) else { return };
        own.shroud.uncover(&mut packet, header.masked_bytes());
        match header {
            Header::Ini { .. } => self.receive_flight(now, path, identity, &header, &packet),
            Header::Rsp { suite, session } => {
                self.receive_answer(now, path, identity, (suite, session), &packet);
            }
            // RETRY and UNK come under their sender's shroud; letters travel in deposits or as text.
            _ => self.counters.dropped.header += 1,
        }
    }

    /// A packet that may be under the shroud of a peer that we have sent to on this path.
    fn receive_foreign(&mut self, now: Now, path: PathId, mut packet: BytesMut) {
        let candidate = |index: usize, paths: &Paths| {
            paths.get(&path).and_then(|state| state.peers.get(index)).copied()
        };
        let mut index = 0;
        while let Some(code) = candidate(index, &self.paths) {
            index += 1;
            let Some(peer) = self.peers.get(code) else { continue };
            let Some(bytes) = peer.shroud.uncovered_prefix(&packet) else { continue };
            let header = Header::decode(&bytes);
            match header {
                Ok(header @ Header::Retry { session, kind, .. })
                    if packet.len() >= header.bytes_min() =>
                {
                    peer.shroud.uncover(&mut packet, header.masked_bytes());
                    self.receive_retry(now, code, session, kind, &mut packet);
                }
                Ok(header @ Header::Unknown { session, .. }) if packet.len() == UNK_BYTES => {
                    peer.shroud.uncover(&mut packet, header.masked_bytes());
                    self.receive_unknown(now, code, session, &packet);
                }
                // Anything else under a foreign shroud is our own packet, reflected.
                _ => self.counters.dropped.header += 1,
            }
            return;
        }
        self.counters.dropped.shroud += 1;
    }

    fn receive_record(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        header: &[u8; HEADER_BYTES],
        head: RecordHead,
        mut packet: BytesMut,
    ) {
        let RecordHead { lane, session: id, .. } = head;
        if packet.len() > RECORD_FRAMES_MAX + PACKET_BYTES_MIN {
            self.counters.dropped.length += 1;
            return;
        }
        let lane_fits = self.paths.get(&path).is_some_and(|state| state.lane == lane);
        if lane_fits
            && self.sessions.get(id).is_none()
            && let Some(Err(error)) = self.wake(now, identity, head, header, &packet)
        {
            return self.not_opened(now, path, identity, head, &packet, error);
        }
        let Some(Slot::Live(session)) = self.sessions.get_mut(id).filter(|_| lane_fits) else {
            return self.answer_unknown(now, path, identity, head, &packet);
        };
        let code = session.peer;
        if self.peers.get(code).is_none_or(|peer| peer.identity != identity) {
            return self.answer_unknown(now, path, identity, head, &packet);
        }
        match session.open(now.boot, header, head.place(), &mut packet) {
            Ok((name, newest)) => {
                self.counters.records_opened += 1;
                self.authenticated(now, code, id, path, newest);
                let arrival = Arrival {
                    peer: code,
                    identity,
                    name,
                    assurance: Assurance::Confirmed,
                    carrier: Carrier::Record,
                };
                self.receive_frames(now, arrival, &packet.freeze());
            }
            Err(error) => self.not_opened(now, path, identity, head, &packet, error),
        }
    }

    fn not_opened(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        head: RecordHead,
        packet: &[u8],
        error: OpenError,
    ) {
        match error {
            OpenError::UnknownEpoch => self.answer_unknown(now, path, identity, head, packet),
            OpenError::Replayed => self.counters.dropped.replayed += 1,
            OpenError::Forged => self.counters.dropped.forged += 1,
        }
    }

    /// A record for a session that we do not have: say so, if the budget allows. Only a hint.
    fn answer_unknown(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        head: RecordHead,
        packet: &[u8],
    ) {
        self.counters.dropped.unknown_session += 1;
        if packet.len() < UNK_BYTES || !self.may_answer(now, path) {
            return;
        }
        let (Some(own), Some(tag)) = (self.identity(identity), packet.last_chunk::<16>()) else {
            return;
        };
        let answer = encode_unknown(head.session, head.counter, tag, &own.shroud);
        self.counters.unknown_sent += 1;
        self.ready.push_back((path, answer));
    }

    /// An authenticated record or answer came from this peer on this session and path.
    pub(super) fn authenticated(
        &mut self,
        now: Now,
        code: u32,
        session: u32,
        path: PathId,
        newest: bool,
    ) {
        self.confirm(now, code, session);
        let Some(peer) = self.peers.get_mut(code) else { return };
        peer.silent_since = None;
        peer.connect = Connect::default();
        peer.used = true;
        peer.heard_on(path);
        if peer.trust != Trust::Good && !peer.is_shaking() {
            peer.trust = Trust::Good;
            self.soil(code);
        }
        let Some(state) = self.paths.get_mut(&path) else { return };
        let is_first = state.heard == 0;
        state.heard = (state.heard + 1).min(HEARD_MAX);
        if is_first {
            let peer = self.peers.get(code).map(|peer| peer.key);
            self.events.extend(peer.map(|peer| Event::Authenticated { path, peer }));
        }
        // Who has opened the session is there: nobody else could have sealed this.
        state.unproven = state.unproven.filter(|_| state.lane != Lane::Relay);
        // Roaming: only the newest authenticated record moves the path. A claimed address would first be challenged;
        // what comes by a relay goes back to whom it came from, but a direct path is not left for it while that stands.
        let lane = state.lane;
        let may_lead = lane == Lane::Relay || state.source == Source::Verified;
        if !newest || !may_lead {
            return;
        }
        let rival = if lane == Lane::Relay { self.direct_path(code) } else { None };
        match rival {
            Some(direct) => self.ask_instead(now, code, direct, path),
            None => self.move_to(now, code, path),
        }
        if is_first {
            self.send_posted(code);
        }
    }

    /// Whether a peer is reached directly or through a relay now; `None` if there is no path to it.
    pub fn reached_by(&self, identity: IdentityId, peer: &PublicKey) -> Option<Lane> {
        self.lane_to(*self.by_key.get(&(identity, *peer))?)
    }

    fn direct_path(&self, code: u32) -> Option<PathId> {
        let path = self.peers.get(code)?.path;
        path.filter(|_| self.lane_to(code) == Some(Lane::Direct))
    }

    fn lane_to(&self, code: u32) -> Option<Lane> {
        let path = self.peers.get(code)?.path?;
        self.paths.get(&path).map(|state| state.lane)
    }

    /// The peer is now reached by `path`. What is out on another path that still stands is on its way: where
    /// both sides have called each other, each would otherwise lead the other back and forth, and everything
    /// would be sent again each time.
    pub(super) fn move_to(&mut self, now: Now, code: u32, path: PathId) {
        if let Some(state) = self.paths.get_mut(&path)
            && !state.peers.contains(&code)
        {
            state.peers.push(code);
        }
        let Some(peer) = self.peers.get_mut(code) else { return };
        if peer.path == Some(path) {
            return;
        }
        let before = peer.path.replace(path);
        peer.connect.asked = false;
        if before.is_some_and(|before| self.paths.contains_key(&before)) {
            self.soil(code);
        } else {
            self.resend_all(now, code);
        }
    }

    /// The peer has shown that it has the keys of this session.
    fn confirm(&mut self, now: Now, code: u32, id: u32) {
        let Some(Slot::Live(session)) = self.sessions.get_mut(id) else { return };
        if session.confirmed.is_some() {
            return;
        }
        session.confirmed = Some(now.boot);
        let made = session.made;
        let Some(peer) = self.peers.get_mut(code) else { return };
        if let Some(index) = peer.provisional.iter().position(|one| *one == id) {
            peer.provisional.remove(index);
            self.provisional = self.provisional.saturating_sub(1);
        }
        if let Some(Slot::Live(session)) = self.sessions.get(id) {
            peer.suites.shown(session.suite);
        }
        // Its card was only a claim until now.
        if let Some((_, card)) = peer.offered.take_if(|(session, _)| *session == id) {
            let known = KnownCard { card: card.clone(), learned: now.boot, is_kept: false };
            peer.card = Some(known);
            self.saw_life(now, code, &card, made);
        }
        self.admit_session(now, code, id);
    }

    /// Adds a confirmed session to a peer; the one that was confirmed first makes room.
    pub(super) fn admit_session(&mut self, now: Now, code: u32, id: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        peer.sessions.push(id);
        let displaced = (peer.sessions.len() > SESSIONS_PER_PEER).then(|| peer.sessions.remove(0));
        peer.trust = Trust::Good;
        peer.handshakes_failed = 0;
        peer.silent_since = None;
        peer.outboxes.iter_mut().for_each(Outbox::confirmed);
        for attempt in &mut peer.attempts {
            attempt.active = false;
        }
        let (identity, peer) = (peer.identity, peer.key);
        if let Some(displaced) = displaced {
            self.sessions.remove(displaced);
        }
        self.retire_classical(code, id);
        self.events.push_back(Event::Session { identity, peer });
        self.resend_all(now, code);
    }

    /// Frames of a handshake payload.
    pub(super) fn receive_payload(&mut self, now: Now, arrival: Arrival, frames: &[u8]) {
        self.receive_frames(now, arrival, &Bytes::copy_from_slice(frames));
    }
}
