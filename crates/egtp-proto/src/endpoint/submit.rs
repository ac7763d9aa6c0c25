//! Messages of ours: from the application's call to the one outcome.
//!
//! Invariant: every accepted submission ends in exactly one [`Outcome`], and then nothing of it is
//! left but the fact that its serial is closed.

use std::time::Duration;

use bytes::Bytes;

use super::peer::Trust;
use super::{Endpoint, Timer};
use crate::exchange::outgoing::{Outgoing, State};
use crate::exchange::query::Answer;
use crate::key::PublicKey;
use crate::message::{Kind, MessageClass, MessageId};
use crate::output::{Event, EventCode, IdentityId, NotSent, Outcome, QueryId, RefusedWhy, Taken};
use crate::time::Now;

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What the caller calls it in events.
    pub token: u64,
    /// Which of our identities sends it.
    pub identity: IdentityId,
    /// To whom.
    pub to: PublicKey,
    /// Request or send.
    pub class: MessageClass,
    /// Its kind.
    pub kind: Kind,
    /// Its body.
    pub body: Bytes,
    /// Bytes reserved for the reply; `None`: as the limits say.
    pub room: Option<usize>,
    /// When to report that it is slow, if at all.
    pub soft: Option<Duration>,
    /// When to give up.
    pub hard: Duration,
}

impl Endpoint {
    /// Takes over a message. Its outcome comes as an event.
    ///
    /// # Errors
    /// [`NotSent`]: a local reason; nothing is remembered.
    pub fn submit(
        &mut self,
        now: Now,
        submission: Submission,
    ) -> Result<(EventCode, MessageId), NotSent> {
        let Submission { token, identity, to, class, kind, body, room, soft, hard } = submission;
        let own = self.identity(identity).ok_or(NotSent::NoIdentity)?.secret_keys.public;
        if own == to {
            return Err(NotSent::Oneself);
        }
        let limit = self.limits.message_bytes_max;
        if body.len() > limit {
            return Err(NotSent::TooLarge { bytes: body.len(), limit });
        }
        if self.closing || self.outgoing.len() >= self.limits.open_max {
            return Err(NotSent::Busy);
        }
        let code = self.peer_code(now.boot, identity, to).ok_or(NotSent::Busy)?;
        let peer = self.peers.get_mut(code).ok_or(NotSent::Busy)?;
        if peer.outbox.bytes_open.saturating_add(body.len()) > self.limits.open_bytes_per_peer {
            return Err(NotSent::Busy);
        }
        let hard = hard.min(self.limits.hard_timeout_max);
        let room = room.unwrap_or(usize::MAX).min(self.limits.reply_bytes_max);
        let (serial, id) = peer.outbox.number(class, kind.as_str(), &body);
        let bytes = body.len();
        let outgoing = Outgoing::new(token, code, serial, id, class, kind, body, room, hard);
        let event = self.outgoing.insert(outgoing);
        peer.outbox.open(serial, event, bytes);
        let hard_timer = self.timers.set(now.boot.after(hard), Timer::Hard(event));
        let soft_timer = soft
            .filter(|soft| *soft < hard)
            .map(|soft| self.timers.set(now.boot.after(soft), Timer::Soft(event)));
        if let Some(outgoing) = self.outgoing.get_mut(event) {
            outgoing.hard_due = now.boot.after(hard);
            outgoing.hard_timer = Some(hard_timer);
            outgoing.soft_timer = soft_timer;
        }
        self.counters.submitted += 1;
        self.soil(code);
        Ok((EventCode(event), id))
    }

    /// The open message to `to` with this id: looks through all of them, for people who ask about one.
    pub fn find(&self, to: &PublicKey, id: &MessageId) -> Option<EventCode> {
        let is_meant = |one: &Outgoing| {
            one.id == *id && self.peers.get(one.peer).is_some_and(|peer| peer.key == *to)
        };
        self.outgoing.iter().find(|(_, one)| is_meant(one)).map(|(code, _)| EventCode(code))
    }

    /// The application wants nothing more of a message: it is forgotten without an outcome event.
    pub fn cancel(&mut self, code: EventCode) {
        self.finish(code.0);
    }

    /// Gives the one reply to a query. A query that its asker has closed takes none, silently.
    pub fn reply(&mut self, now: Now, query: QueryId, reply: Result<Bytes, RefusedWhy>) {
        let Some(entry) = self.queries.get_mut(query.0) else { return };
        if entry.answer.is_some() {
            return;
        }
        let (mut status, mut body) = match reply {
            Ok(body) => (0, body),
            Err(why) => (why.status(), Bytes::new()),
        };
        if body.len() > entry.room {
            (status, body) = (RefusedWhy::TooLarge.status(), Bytes::new());
        }
        let (peer, in_flight) = (entry.peer, entry.in_flight);
        let before = std::mem::replace(&mut entry.bytes, body.len());
        let after = body.len();
        entry.answer = Some(Answer {
            status,
            body,
            is_queued: true,
            attempts: 0,
            sent: None,
            offset: 0,
            arrived: 0,
        });
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.query_bytes = peer.query_bytes.saturating_sub(before).saturating_add(after);
            peer.replies.push_back(query.0);
            if in_flight && let Some(answering) = peer.answering.as_mut() {
                answering.waiting = answering.waiting.saturating_sub(1);
                if answering.waiting == 0 {
                    answering.due = now.boot;
                }
            }
        }
        self.soil(peer);
    }

    /// The handler will never reply: the asker sees its own timeout. The query is remembered as
    /// taken, and nothing else.
    pub fn ignore(&mut self, query: QueryId) {
        self.drop_query(query.0);
    }

    /// No path to `to` can be had now. Messages of which nothing ever left end as not sent; the
    /// others go on being tried.
    pub fn connect_failed(&mut self, now: Now, identity: IdentityId, to: &PublicKey, why: NotSent) {
        let Some(&code) = self.by_key.get(&(identity, *to)) else { return };
        let Some(peer) = self.peers.get_mut(code) else { return };
        peer.connect.asked = false;
        // Down now: when it is back, it may have begun a new life.
        peer.trust = Trust::Gone;
        peer.connect.failures += 1;
        let random = self.random.u64();
        peer.connect.after =
            now.boot.after(super::flush::reconnect_delay(peer.connect.failures, random));
        let unsent: Vec<u32> = peer
            .outbox
            .codes()
            .filter(|code| self.outgoing.get(*code).is_some_and(|one| one.attempts == 0))
            .collect();
        for event in unsent {
            self.end(event, Outcome::NotSent(why));
        }
        self.soil(code);
    }

    /// Ends everything of ours and says goodbye; call [`Endpoint::transmit`] once more afterwards.
    pub fn close(&mut self) {
        self.closing = true;
        let open: Vec<u32> = self.outgoing.iter().map(|(code, _)| code).collect();
        for code in open {
            self.end(code, Outcome::Closing);
        }
        let peers: Vec<u32> = self.peers.iter().map(|(code, _)| code).collect();
        for code in peers {
            if let Some(peer) = self.peers.get_mut(code) {
                peer.owes.record = peer.owes.record || !peer.sessions.is_empty();
            }
            self.soil(code);
        }
    }

    /// Ends a message with its outcome.
    pub(super) fn end(&mut self, code: u32, outcome: Outcome) {
        if let Some(token) = self.finish(code) {
            self.events.push_back(Event::Outcome { token, outcome });
        }
    }

    /// Frees everything of a message and closes its serial.
    pub(super) fn finish(&mut self, code: u32) -> Option<u64> {
        let outgoing = self.outgoing.remove(code)?;
        for timer in [outgoing.soft_timer, outgoing.hard_timer].into_iter().flatten() {
            self.timers.cancel(timer);
        }
        if let Some(peer) = self.peers.get_mut(outgoing.peer) {
            if outgoing.state == State::Sent {
                peer.outbox.landed(length(&outgoing));
            }
            peer.outbox.close(outgoing.serial, outgoing.bytes());
        }
        self.soil(outgoing.peer);
        Some(outgoing.token)
    }

    /// What a hard timeout means for a message.
    pub(super) fn timed_out(&self, code: u32) -> Option<Outcome> {
        let outgoing = self.outgoing.get(code)?;
        let taken = match outgoing.state {
            State::Taken | State::Doubtful { taken: true } => Taken::Yes,
            _ if outgoing.may_have_arrived() => Taken::Unknown,
            _ => Taken::No,
        };
        Some(Outcome::TimedOut { taken })
    }

    /// Frees a query; its dialog may be forgotten again.
    pub(super) fn drop_query(&mut self, code: u32) {
        let Some(query) = self.queries.remove(code) else { return };
        if let Some(timer) = query.timer {
            self.timers.cancel(timer);
        }
        let Some(peer) = self.peers.get_mut(query.peer) else { return };
        peer.queries.remove(&(query.dialog, query.serial));
        peer.query_bytes = peer.query_bytes.saturating_sub(query.bytes);
        if query.in_flight
            && query.answer.is_none()
            && let Some(answering) = peer.answering.as_mut()
        {
            answering.waiting = answering.waiting.saturating_sub(1);
        }
        let identity = peer.identity;
        if let Some(identity) = self.identity_mut(identity)
            && let Some(dialog) = identity.inbox.dialog_mut(query.place)
        {
            dialog.open = dialog.open.saturating_sub(1);
        }
    }
}

/// Bytes of a body as credit counts them.
pub(super) fn length(outgoing: &Outgoing) -> u64 {
    u64::try_from(outgoing.body.len()).unwrap_or(u64::MAX)
}
