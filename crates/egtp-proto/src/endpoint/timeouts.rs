//! What happens because time has passed.
//!
//! Invariant: everything that waits has a deadline here; nothing waits for ever.

use super::peer::Trust;
use super::{Endpoint, Slot, Timer};
use crate::exchange::outgoing::{Outgoing, State};
use crate::exchange::resend::Item;
use crate::limits::{FIRST_FLIGHT, PREKEY_REPLACED, PROVISIONAL_KEPT};
use crate::output::{Event, IdentityId, Outcome};
use crate::planted::{Bug, is};
use crate::time::{Instant, Now};
use crate::timers::Timers;

impl Endpoint {
    /// Acts on every deadline that has come.
    pub fn tick(&mut self, now: Now) {
        let mut expired = std::mem::take(&mut self.expired);
        self.timers.expire(now.boot, &mut expired);
        for timer in expired.drain(..) {
            match timer {
                Timer::Soft(code) => self.soft(code),
                Timer::Hard(code) => self.hard(code),
                Timer::Query(code) => {
                    if let Some(query) = self.queries.get_mut(code) {
                        query.timer = None;
                    }
                    self.withdraw(code);
                }
                Timer::Peer(code) => self.peer_tick(now, code),
                Timer::Prekeys(identity) => self.prekey_tick(now, identity),
                Timer::Sweep => self.sweep(now.boot),
            }
        }
        self.expired = expired;
    }

    fn soft(&mut self, code: u32) {
        if let Some(one) = self.outgoing.get_mut(code) {
            one.soft_timer = None;
            if is(Bug::SoftEndsHard)
                && let Some(timer) = one.hard_timer.take()
            {
                self.timers.cancel(timer);
            }
            self.events.push_back(Event::Soft { token: one.token });
        }
    }

    /// The hard timeout of a message, or the end of a doubt.
    fn hard(&mut self, code: u32) {
        let Some(one) = self.outgoing.get_mut(code) else { return };
        one.hard_timer = None;
        let attempts = one.attempts;
        let outcome = match one.state {
            State::Doubtful { .. } => Some(Outcome::Unknown { attempts }),
            _ => self.timed_out(code),
        };
        if let Some(outcome) = outcome {
            self.end(code, outcome);
        }
    }

    /// Binds a message anew: every transmission of it was certainly refused.
    pub(super) fn rebind(&mut self, event: u32) {
        let Some(one) = self.outgoing.get_mut(event) else { return };
        let Some(peer) = self.peers.get_mut(one.peer) else { return };
        if one.state == State::Sent {
            peer.landed(one);
        }
        if matches!(one.state, State::Doubtful { .. }) {
            // The doubt is over: the whole of the time that was asked for is left.
            let due = one.hard_due;
            set_hard_timer(&mut self.timers, one, event, due);
        }
        // What is queued is in the queue already.
        let is_queued = one.state == State::Queued;
        one.unbind();
        if !is_queued && let Some(outbox) = peer.outboxes.of_mut(one.dialog) {
            outbox.enqueue(one.serial, event);
        }
        let code = one.peer;
        self.soil(code);
    }

    /// Nothing more is sent of a message; an answer is awaited for a while, then it is `Unknown`.
    pub(super) fn put_in_doubt(&mut self, now: Now, event: u32) {
        let Some(one) = self.outgoing.get_mut(event) else { return };
        let Some(peer) = self.peers.get_mut(one.peer) else { return };
        if matches!(one.state, State::Doubtful { .. }) {
            return;
        }
        if one.state == State::Sent {
            peer.landed(one);
        }
        one.doubt();
        // At the hard timeout at the latest. It is unknown either way.
        let end = now.boot.after(peer.patience());
        let due = end.min(one.hard_due);
        set_hard_timer(&mut self.timers, one, event, due);
    }

    fn peer_tick(&mut self, now: Now, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        peer.timer = None;
        let mut due: Vec<Item> = std::iter::from_fn(|| peer.resend.next_due(now.boot)).collect();
        if is(Bug::NeverAgain) {
            due.clear();
        }
        if peer.flight.lost_at().is_some_and(|lost| lost <= now.boot) {
            peer.flight.lose();
        }
        // Turned round, because each goes to the front of its queue.
        for item in due.into_iter().rev() {
            self.requeue(now, code, item);
        }
        self.repeat_attempts(now, code);
        self.drop_stale_sessions(now, code);
        self.notice_silence(now, code);
        self.leave_if_silent(now, code);
        self.soil(code);
    }

    /// First flights are repeated as they are for a while, then given up; a late answer still counts.
    fn repeat_attempts(&mut self, now: Now, code: u32) {
        let path = self.peers.get(code).and_then(|peer| peer.path);
        if let Some(path) = path {
            self.give_up_too_long(code, path);
        }
        let Some(peer) = self.peers.get_mut(code) else { return };
        let mut repeated = Vec::new();
        let mut given_up = false;
        for (index, attempt) in peer.attempts.iter_mut().enumerate() {
            if !attempt.active {
                continue;
            }
            if now.boot.since(attempt.asked) >= FIRST_FLIGHT {
                attempt.active = false;
                given_up = true;
            } else if now.boot >= attempt.next
                && let Some(path) = path
            {
                attempt.sends += 1;
                self.ready.push_back((path, attempt.packet.clone()));
                repeated.push((index, attempt.sends));
            }
        }
        if given_up {
            // The path itself may be dead: the next attempt goes over another one.
            peer.leave_path();
            peer.connect.asked = false;
        }
        for (index, sends) in repeated {
            let delay = self.repeat_delay(sends);
            if let Some(attempt) =
                self.peers.get_mut(code).and_then(|peer| peer.attempts.get_mut(index))
            {
                attempt.next = now.boot.after(delay);
            }
        }
    }

    fn drop_stale_sessions(&mut self, now: Now, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let sessions = &mut self.sessions;
        let before = peer.provisional.len();
        peer.provisional.retain(|id| {
            let keep = matches!(sessions.get(*id), Some(Slot::Live(session))
                if now.boot.since(session.made) < PROVISIONAL_KEPT);
            if !keep {
                sessions.remove(*id);
            }
            keep
        });
        self.provisional = self.provisional.saturating_sub(before - peer.provisional.len());
    }

    /// No sign of life although something wants an answer: the peer may have forgotten us, or the
    /// path may be dead.
    fn notice_silence(&mut self, now: Now, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let asked = match peer.trust {
            Trust::Suspect { asked: Some(asked) } => Some((asked, PROBE_AWAITED)),
            _ => peer.silent_since.map(|since| (since, peer.patience())),
        };
        let Some((since, patience)) = asked else { return };
        if now.boot.since(since) < patience || peer.sessions.is_empty() {
            return;
        }
        let probed = matches!(peer.trust, Trust::Suspect { .. });
        let doubted = self.doubt(now, code);
        let Some(peer) = self.peers.get_mut(code) else { return };
        match (doubted, probed) {
            (true, true) => peer.silent_since = None,
            (true, false) => {
                peer.silent_since = None;
                peer.leave_path();
                peer.connect.asked = false;
            }
            // Too soon for another handshake: ask for a sign of life once more instead.
            (false, true) => peer.trust = Trust::Suspect { asked: None },
            (false, false) => {}
        }
    }

    /// Sets the peer's one timer to the earliest of its deadlines.
    pub(super) fn arm(&mut self, now: Now, code: u32) {
        let awaits_confirmation = self.awaits_confirmation(now, code);
        let Some(peer) = self.peers.get_mut(code) else { return };
        let (outgoing, queries) = (&self.outgoing, &self.queries);
        let resend = peer.resend.deadline(|item| match item {
            Item::Message(event) => outgoing.get(event).is_some_and(|one| {
                matches!(one.state, State::Sent | State::Posted | State::Refused)
            }),
            Item::Reply(query) => queries.get(query).is_some(),
            Item::Ack(_) => true,
        });
        let attempts = peer.attempts.iter().filter(|attempt| attempt.active);
        // Without a path nothing is repeated: only the end of the attempt is waited for.
        let has_path = peer.path.is_some();
        let attempts = attempts
            .flat_map(|one| [has_path.then_some(one.next), Some(one.asked.after(FIRST_FLIGHT))]);
        let silent = peer.silent_since.map(|since| since.after(peer.patience()));
        let silence = if let Trust::Suspect { asked: Some(asked) } = peer.trust {
            Some(asked.after(PROBE_AWAITED))
        } else {
            silent.map(|due| due.max(peer.handshake_after))
        };
        // Only where something would be done about it: see `notice_silence` and `doubt`.
        let silence = silence.filter(|_| !peer.sessions.is_empty() && !peer.is_shaking());
        let expected = awaits_confirmation || peer.answering.is_some();
        let waits_for_path =
            peer.path.is_none() && peer.wants_path() && !peer.connect.asked && !expected;
        let reconnect = waits_for_path.then_some(peer.connect.after);
        let answer = peer.answering.as_ref().map(|answering| answering.due);
        let confirmation =
            (awaits_confirmation && peer.is_pressing()).then(|| now.boot.after(CONFIRMATION_STEP));
        let parts = peer.flight.lost_at();
        let direct = peer.answer_due();
        let provisional = (!peer.provisional.is_empty()).then(|| now.boot.after(PROVISIONAL_KEPT));
        let earliest = [
            resend,
            peer.ack_due,
            silence,
            reconnect,
            answer,
            confirmation,
            provisional,
            parts,
            direct,
        ]
        .into_iter()
        .flatten()
        .chain(attempts.flatten())
        .min()
        // What is due already was just looked at: look again a little later, not at once.
        .map(|due| due.max(now.boot.after(STEP)));
        let present = peer.timer.map(|(due, _)| due);
        if present == earliest || (present < earliest && present.is_some_and(|due| due > now.boot))
        {
            // An earlier wake-up than needed does no harm, and setting timers anew costs more.
            if earliest.is_some() {
                return;
            }
        }
        if let Some((_, timer)) = peer.timer.take() {
            self.timers.cancel(timer);
        }
        if let Some(due) = earliest {
            peer.timer = Some((due, self.timers.set(due, Timer::Peer(code))));
        }
    }

    fn prekey_tick(&mut self, now: Now, id: IdentityId) {
        let Some(identity) = self.identities.get_mut(usize::from(id.0)) else { return };
        let _ = identity.prekeys.tick(&mut self.random, now.boot);
        let due = identity.prekeys.deadline();
        let due = due.unwrap_or_else(|| now.boot.after(PREKEY_REPLACED));
        self.timers.set(due.max(soon(now.boot)), Timer::Prekeys(id));
        let _ = self.replace_mailbox_prekey(now, id);
    }
}

/// Sets the deadline that ends a message.
pub(super) fn set_hard_timer(
    timers: &mut Timers<Timer>,
    one: &mut Outgoing,
    event: u32,
    due: Instant,
) {
    if let Some(timer) = one.hard_timer.take() {
        timers.cancel(timer);
    }
    one.hard_timer = Some(timers.set(due, Timer::Hard(event)));
}

fn soon(now: Instant) -> Instant {
    now.after(STEP)
}

/// The finest step in which a peer's deadlines are looked at.
const STEP: std::time::Duration = std::time::Duration::from_millis(1);
/// How often a session that waits for its first record is looked at.
const CONFIRMATION_STEP: std::time::Duration = std::time::Duration::from_millis(500);
/// How long a sign of life is awaited after a path broke.
const PROBE_AWAITED: std::time::Duration = std::time::Duration::from_secs(1);
