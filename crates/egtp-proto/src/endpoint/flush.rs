//! When to say something to a peer, and on which session and path.
//!
//! Invariant: a message is entrusted to a session only while nothing speaks against the peer still
//! having it; otherwise a sign of life or a handshake comes first.

use std::time::Duration;

use super::packed::Packed;
use super::peer::Trust;
use super::{Endpoint, Slot, Source};
use crate::crypto::Role;
use crate::exchange::backoff::doubled;
use crate::exchange::outbox::Outbox;
use crate::exchange::outgoing::State;
use crate::exchange::resend::Item;
use crate::limits::{
    ACK_DELAY, HANDSHAKE_PAYLOAD_MAX, PACKET_BYTES_MAX, RECORD_FRAMES_MAX, RELAYED_PACKET_MAX,
    SESSION_USED,
};
use crate::output::{Event, PathId, Sink};
use crate::planted::{Bug, is};
use crate::session::choice;
use crate::time::Now;
use crate::wire::Lane;
use crate::wire::shroud::PREFIX_BYTES;

/// Bytes of a record besides its frames, generously.
const RECORD_AROUND: usize = 64;
/// Bytes of a handshake packet besides payload, keys and ciphertext of a KEM, generously.
const HANDSHAKE_AROUND: usize = 256;
/// Bytes of frames in a record on a path on which nothing authentic has come yet: what fits one packet of most
/// networks.
const FIRST_FRAMES_MAX: usize = 1_200;

impl Endpoint {
    /// Sends what is waiting, packed into as few packets as possible and as far as paths have room.
    pub fn transmit(&mut self, now: Now, sink: &mut impl Sink) {
        loop {
            while let Some((path, packet)) = self.ready.pop_front() {
                self.send_within_bounds(path, packet, sink);
            }
            let Some(code) = self.dirty.pop_front() else { break };
            if let Some(peer) = self.peers.get_mut(code) {
                peer.dirty = false;
                self.flush(now, code, sink);
                self.put_off_acks(now, code);
                self.arm(now, code);
            }
        }
    }

    fn flush(&mut self, now: Now, code: u32, sink: &mut impl Sink) {
        if let Some((path, answer)) = self.answer_flight(now, code) {
            self.send_within_bounds(path, answer, sink);
        }
        self.ask_direct(now, code, sink);
        let Some(peer) = self.peers.get_mut(code) else { return };
        if peer.outboxes.has_news() && peer.ack_due.is_none() && !peer.sessions.is_empty() {
            peer.ack_due = Some(now.boot.after(ACK_DELAY));
        }
        let idle = !peer.has_news(now.boot) && !peer.awaits_word();
        if idle && (peer.path.is_some() || !peer.wants_path()) {
            return;
        }
        let Some(path) = peer.path.or_else(|| self.path_back(now, code)) else {
            return self.write_letters(now, code);
        };
        let session = self.session_to_send_on(now, code);
        if session.is_some_and(|session| self.is_worn(now, session)) {
            self.shake(now, code, path, sink);
        }
        let Some(peer) = self.peers.get_mut(code) else { return };
        if peer.lacks_card() || self.lacks_hybrid(now, code, session) {
            self.shake(now, code, path, sink);
        }
        let Some(peer) = self.peers.get_mut(code) else { return };
        match (peer.trust, session) {
            (Trust::Good, Some(session)) => self.send_records(now, code, session, path, sink),
            (Trust::Suspect { asked: None }, Some(session)) => {
                peer.trust = Trust::Suspect { asked: Some(now.boot) };
                self.send_probe(now, code, session, path, sink);
            }
            (Trust::Suspect { .. }, Some(_)) => {}
            (Trust::Gone, _) | (_, None) => self.shake(now, code, path, sink),
        }
    }

    /// An acknowledgement that could not go now must not wake us until it can: it rides with the next
    /// record, or goes when the path takes packets again.
    fn put_off_acks(&mut self, now: Now, code: u32) {
        let is_due = |due| due <= now.boot;
        if !self.peers.get(code).is_some_and(|peer| peer.ack_due.is_some_and(is_due)) {
            return;
        }
        // Sessions that were silent for too long are kept, but carry nothing.
        let has_session = self.session_to_send_on(now, code).is_some();
        let Some(peer) = self.peers.get_mut(code) else { return };
        let may_go_soon = has_session && peer.path.is_some() && peer.trust == Trust::Good;
        peer.ack_due = may_go_soon.then(|| now.boot.after(ACK_DELAY));
    }

    /// Opens a session, if there is a reason and no handshake under way.
    fn shake(&mut self, now: Now, code: u32, path: PathId, sink: &mut impl Sink) {
        self.give_up_too_long(code, path);
        let Some(peer) = self.peers.get(code) else { return };
        // The peer has just opened one itself: its first record will confirm it.
        let expected = peer.answering.is_some() || self.awaits_confirmation(now, code);
        let wanted = peer.is_pressing() || peer.awaits_word();
        if !wanted || peer.is_shaking() || expected {
            return;
        }
        if sink.room(path) < self.packet_max(path) {
            return;
        }
        self.remember_path(code, path);
        if let Some(packet) = self.begin(now, code, 0) {
            self.send_within_bounds(path, packet, sink);
        }
    }

    /// Whether a session has been in use so long that a new one should take its place. The side that
    /// opened it goes first, so that both do not renew it at once.
    pub(super) fn is_worn(&self, now: Now, session: u32) -> bool {
        let Some(Slot::Live(session)) = self.sessions.get(session) else { return false };
        let turn = match session.role {
            Role::Initiator => SESSION_USED,
            Role::Responder => SESSION_USED + RENEWAL_LEFT_TO_INITIATOR,
        };
        now.boot.since(session.made) >= turn
    }

    /// Whether a session that the peer opened waits for its first record, and has not for long.
    pub(super) fn awaits_confirmation(&self, now: Now, code: u32) -> bool {
        self.peers.get(code).is_some_and(|peer| {
            peer.provisional.iter().any(|id| match self.sessions.get(*id) {
                Some(Slot::Live(session)) => now.boot.since(session.made) < CONFIRMATION_AWAITED,
                _ => false,
            })
        })
    }

    fn send_records(
        &mut self,
        now: Now,
        code: u32,
        session: u32,
        path: PathId,
        sink: &mut impl Sink,
    ) {
        self.remember_path(code, path);
        let most = self.frames_max(path);
        while self.peers.get(code).is_some_and(|peer| peer.has_news(now.boot))
            && sink.room(path) >= most + RECORD_AROUND
        {
            let owed =
                self.peers.get_mut(code).is_some_and(|peer| std::mem::take(&mut peer.owes.record));
            let packed = self.pack_for_path(now, code, session, (path, most));
            // Everything left waits for credit, or is no longer wanted.
            if packed.is_idle() && !owed {
                break;
            }
            self.send_record(now, code, session, path, packed, sink);
        }
    }

    /// What goes first on a new path goes in small records, and in ones of twice the size with each that comes
    /// back: if the path is slow and breaks again soon, some get through, and what is known to have arrived
    /// is not sent again. Only what is longer fills one of its own.
    fn pack_for_path(
        &mut self,
        now: Now,
        code: u32,
        session: u32,
        (path, most): (PathId, usize),
    ) -> Packed {
        let heard = self.paths.get(&path).map_or(0, |state| state.heard);
        let first = FIRST_FRAMES_MAX << heard;
        if first < most {
            let packed = self.pack_record(now, code, session, first);
            if !packed.is_idle() {
                return packed;
            }
        }
        self.pack_record(now, code, session, most)
    }

    pub(super) fn is_relayed(&self, path: PathId) -> bool {
        self.paths.get(&path).is_some_and(|state| state.lane == Lane::Relay)
    }

    /// Bytes of the longest packet of a path: through a relay it is part of one of the relay's own records.
    pub(super) fn packet_max(&self, path: PathId) -> usize {
        if self.is_relayed(path) { RELAYED_PACKET_MAX } else { PACKET_BYTES_MAX }
    }

    /// Bytes of frames in a record on a path.
    pub(super) fn frames_max(&self, path: PathId) -> usize {
        RECORD_FRAMES_MAX.min(self.packet_max(path) - RECORD_AROUND)
    }

    /// Bytes of the payload of a handshake packet on a path, of which so many are beside the payload.
    pub(super) fn payload_max(&self, path: Option<PathId>, beside: usize) -> usize {
        let relayed = path.is_some_and(|path| self.is_relayed(path));
        let most =
            if relayed { RELAYED_PACKET_MAX - HANDSHAKE_AROUND } else { HANDSHAKE_PAYLOAD_MAX };
        most.saturating_sub(beside)
    }

    pub(super) fn send_probe(
        &mut self,
        now: Now,
        code: u32,
        session: u32,
        path: PathId,
        sink: &mut impl Sink,
    ) {
        self.remember_path(code, path);
        // Nothing but the question: it must not carry a message.
        let mut bytes = vec![0; PREFIX_BYTES];
        crate::wire::frame::Frame::Ping.encode(&mut bytes);
        // The shortest packet that an unknown-session hint may answer has 48 bytes.
        bytes.resize(PREFIX_BYTES + 16, 0);
        let packed = Packed { bytes, wants_answer: true, ..Default::default() };
        self.send_record(now, code, session, path, packed, sink);
    }

    fn send_record(
        &mut self,
        now: Now,
        code: u32,
        session: u32,
        path: PathId,
        mut packed: Packed,
        sink: &mut impl Sink,
    ) {
        let lane = self.paths.get(&path).map_or(Lane::Direct, |state| state.lane);
        let mut bytes = std::mem::take(&mut packed.bytes);
        let Some(peer) = self.peers.get(code) else { return };
        let Some(Slot::Live(live)) = self.sessions.get_mut(session) else { return };
        let Some(name) = live.seal(now.boot, lane, &mut bytes, &peer.shroud) else { return };
        self.counters.records_sealed += 1;
        self.note_sent(now, code, &packed, name);
        self.send(path, bytes, sink);
    }

    /// Sends part of a handshake, which may go to an address that nobody has proved yet.
    fn send_within_bounds(&mut self, path: PathId, packet: Vec<u8>, sink: &mut impl Sink) {
        let unproven = self.paths.get_mut(&path).and_then(|state| state.unproven.as_mut());
        if let Some(unproven) = unproven {
            if packet.len() > unproven.room() && !is(Bug::Amplifies) {
                // It would flood whoever really is there; the genuine one sends again.
                self.counters.unproven_held += 1;
                return;
            }
            unproven.sent = unproven.sent.saturating_add(packet.len());
        }
        self.send(path, packet, sink);
    }

    fn send(&mut self, path: PathId, packet: Vec<u8>, sink: &mut impl Sink) {
        self.counters.packets_sent += 1;
        self.counters.bytes_sent += u64::try_from(packet.len()).unwrap_or(0);
        sink.send(path, packet);
    }

    pub(super) fn session_to_send_on(&self, now: Now, code: u32) -> Option<u32> {
        let peer = self.peers.get(code)?;
        let candidates = |doubted: bool| {
            peer.sessions.iter().filter_map(move |id| match self.sessions.get(*id) {
                Some(Slot::Live(session)) if session.doubted == doubted => session.candidate(*id),
                _ => None,
            })
        };
        let idle_out = peer.idle_out.map_or(self.limits.idle_out, |(_, stated)| stated);
        choice::choose(now.boot, idle_out, candidates(false))
            .or_else(|| choice::choose(now.boot, idle_out, candidates(true)))
    }

    /// A path to a peer that has none: where it came from last, because it may be unable to be called. If that
    /// is gone, or leads nowhere, the driver is asked for one.
    fn path_back(&mut self, now: Now, code: u32) -> Option<PathId> {
        // A peer that is just opening a session will be heard from on its own path.
        if self.peers.get(code)?.answering.is_some() || self.awaits_confirmation(now, code) {
            return None;
        }
        let peer = self.peers.get_mut(code).filter(|peer| peer.wants_path())?;
        // From a claimed address anybody could have sent it; by a relay it goes back to whoever that was.
        let is_verified = |path: &PathId| {
            self.paths
                .get(path)
                .is_some_and(|state| state.source == Source::Verified || state.lane == Lane::Relay)
        };
        let path = peer.came_by.take().filter(is_verified);
        peer.path = path;
        if path.is_none() {
            self.want_path(now, code);
        }
        path
    }

    /// Asks the driver for a path, if something is worth one and the last failure is long enough ago.
    fn want_path(&mut self, now: Now, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        if !peer.wants_path() || peer.connect.asked || now.boot < peer.connect.after {
            return;
        }
        peer.connect.asked = true;
        let (identity, peer) = (peer.identity, peer.key);
        self.events.push_back(Event::Connect { identity, peer });
    }

    /// Packets under this peer's shroud may come back on this path.
    pub(super) fn remember_path(&mut self, code: u32, path: PathId) {
        if let Some(state) = self.paths.get_mut(&path)
            && !state.peers.contains(&code)
            && state.peers.len() < PEERS_PER_PATH
        {
            state.peers.push(code);
        }
    }

    /// A path is gone. What was out on it is sent again on the next one.
    pub fn path_down(&mut self, now: Now, path: PathId, lost: Lost) {
        let Some(state) = self.paths.remove(&path) else { return };
        for code in state.peers {
            let Some(peer) = self.peers.get_mut(code) else { continue };
            if peer.path != Some(path) {
                continue;
            }
            peer.leave_path();
            if lost == Lost::Broken && state.heard == 0 {
                // Accepted and dropped: as good as refused.
                peer.connect.failures += 1;
                let delay = reconnect_delay(peer.connect.failures, self.random.u64());
                peer.connect.after = now.boot.after(delay);
            }
            if is(Bug::BrokenPathBelieved) {
                continue;
            }
            if lost == Lost::Broken && peer.trust == Trust::Good {
                peer.trust = Trust::Suspect { asked: None };
            } else if let Trust::Suspect { asked } = &mut peer.trust {
                *asked = None;
            }
            // A handshake packet may have been lost with the path: repeat it on the next one.
            for attempt in &mut peer.attempts {
                attempt.next = now.boot;
            }
            self.resend_all(now, code);
        }
    }

    /// Everything that is out and not answered for is queued again.
    pub(super) fn resend_all(&mut self, now: Now, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        if !peer.acks.is_empty() {
            peer.ack_due = Some(now.boot);
        }
        peer.flight.begin_anew();
        peer.outboxes.iter_mut().for_each(Outbox::tell_gap);
        let items: Vec<Item> = peer.resend.drain().chain(peer.large.drain(..)).collect();
        // Turned round, because each goes to the front of its queue.
        for item in items.into_iter().rev() {
            self.requeue(now, code, item);
        }
        self.soil(code);
    }

    /// Queues an item for another transmission, if it still wants one.
    pub(super) fn requeue(&mut self, now: Now, code: u32, item: Item) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        match item {
            Item::Message(event) => {
                let Some(one) = self.outgoing.get_mut(event) else { return };
                if one.state == State::Sent {
                    peer.landed(one);
                }
                if matches!(one.state, State::Sent | State::Posted | State::Refused) {
                    one.state = State::Queued;
                    one.offset = one.arrived;
                    one.reported = None;
                    if let Some(outbox) = peer.outboxes.of_mut(one.dialog) {
                        outbox.enqueue(one.serial, event);
                    }
                }
            }
            Item::Reply(query) => {
                let Some(answer) = self.queries.get_mut(query).and_then(|one| one.answer.as_mut())
                else {
                    return;
                };
                answer.offset = answer.arrived;
                answer.reported = None;
                if !std::mem::replace(&mut answer.is_queued, true) {
                    peer.replies.push_front(query);
                }
            }
            Item::Ack(place) => peer.owe_ack(place, now.boot),
        }
    }

    /// Goes on with a large body from where the peer says it is.
    pub(super) fn send_parts(&mut self, code: u32, item: Option<Item>) {
        let (Some(peer), Some(item)) = (self.peers.get_mut(code), item) else { return };
        if !peer.large.contains(&item) {
            peer.large.push_back(item);
        }
        self.soil(code);
    }
}

/// How a path ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lost {
    /// We closed it because it was idle, or because we are closing.
    Closed,
    /// It broke, or the other side closed it: it may have restarted.
    Broken,
}

/// How long to wait before a path is asked for again: a quarter of a second, doubling to five.
pub(super) fn reconnect_delay(failures: u32, random: u64) -> Duration {
    let first = Duration::from_millis(250);
    doubled(first, failures.saturating_sub(1), Duration::from_secs(5), random)
}

/// Peers whose shroud is tried on one path: several only if a path is shared, as by a relay.
const PEERS_PER_PATH: usize = 4;
/// How long the first record of a session that the peer opened is awaited before we open one.
const CONFIRMATION_AWAITED: Duration = Duration::from_secs(2);
/// How long the responder of a worn session waits for the initiator to renew it.
const RENEWAL_LEFT_TO_INITIATOR: Duration = Duration::from_mins(1);
