//! Messages of ours: from the application's call to the one outcome.
//!
//! Invariant: every accepted submission ends in exactly one [`Outcome`], and then nothing of it is
//! left but the fact that its serial is closed.

use std::time::Duration;

use bytes::Bytes;

use super::peer::Trust;
use super::{Endpoint, Timer};
use crate::card::StoreKind;
use crate::exchange::outbox::Outbox;
use crate::exchange::outgoing::{Outgoing, State};
use crate::key::PublicKey;
use crate::message::{Kind, MessageClass, MessageId};
use crate::output::{Event, EventCode, IdentityId, NotSent, Outcome};
use crate::strategy::Strategy;
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
    /// Until when progress of a large body may put that off: then `hard` counts from the last progress on,
    /// but ends this long after the submission. No longer than `hard`: nothing is put off.
    pub hard_max: Duration,
    /// The store of the receiver that is to remember it, if it has that; its RAM otherwise.
    pub wants: StoreKind,
    /// Whether it is to outlive this run, if its identity has a durable store: then it is written down
    /// before it is sent, with these places where the peer may be reached.
    pub keep: Option<Vec<Strategy>>,
    /// Whether it may travel only in records of a session with a hybrid suite. It then waits for one, and
    /// ends as [`NotSent::NoHybridSuite`] if the peer takes none.
    pub post_quantum: bool,
}

/// Who is told goodbye.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Closing {
    No,
    /// Those who are reached through relays.
    Relayed,
    All,
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
        let Submission {
            token,
            identity,
            to,
            class,
            kind,
            body,
            room,
            soft,
            hard,
            hard_max,
            wants,
            keep,
            ..
        } = submission;
        let keep = keep.filter(|_| self.can_keep(identity));
        let wants = if keep.is_some() { StoreKind::Durable } else { wants };
        let post_quantum = submission.post_quantum;
        let own = self.identity(identity).ok_or(NotSent::NoIdentity)?;
        let known_dialog = own.kept_dialogs.with(&to);
        let own = own.secret_keys.public;
        if own == to {
            return Err(NotSent::Oneself);
        }
        if post_quantum && !self.suites.has_hybrid() {
            return Err(NotSent::NoHybridSuite);
        }
        let limit = self.limits.message_bytes_max;
        if body.len() > limit {
            return Err(NotSent::TooLarge { bytes: body.len(), limit });
        }
        if keep.is_some() && self.journal.refuses() {
            return Err(NotSent::DiskRefuses);
        }
        let waits_long = keep.is_some() && self.journal.takes_no_more();
        if self.closing != Closing::No || waits_long || self.outgoing.len() >= self.limits.open_max
        {
            return Err(NotSent::Busy);
        }
        let code = self.peer_code(now.boot, identity, to).ok_or(NotSent::Busy)?;
        let peer = self.peers.get_mut(code).ok_or(NotSent::Busy)?;
        let limit = self.limits.largest_sent(peer.client);
        if body.len() > limit {
            return Err(NotSent::TooLarge { bytes: body.len(), limit });
        }
        if peer.outboxes.bytes_open().saturating_add(body.len()) > self.limits.open_bytes_per_peer {
            return Err(NotSent::Busy);
        }
        let longest =
            if keep.is_some() { self.limits.longest_kept() } else { self.limits.hard_timeout_max };
        let hard = hard.min(longest);
        let hard_max = hard_max.min(longest).max(hard);
        let room = room.unwrap_or(usize::MAX).min(self.limits.reply_bytes_max);
        let random = &mut self.random;
        let mut make = || Outbox::new(wants, random.u64(), &own, &to);
        let on_disk = peer.durable_kinds.contains(&kind);
        let wants = if on_disk { StoreKind::Durable } else { wants };
        let outboxes = &mut peer.outboxes;
        let outbox = if keep.is_some() {
            outboxes.for_kept(|| Self::kept_dialog(known_dialog, make(), (&own, &to)))
        } else {
            outboxes.for_store(wants, make)
        };
        let (serial, id) = outbox.number(class, kind.as_str(), &body);
        let bytes = body.len();
        let name = (outbox.dialog(), serial);
        let outgoing = Outgoing::new(token, code, wants, name, id, class, kind, body, room, hard);
        let event = self.outgoing.insert(outgoing);
        outbox.open(serial, event, bytes);
        peer.post_quantum_open += usize::from(post_quantum);
        let hard_timer = self.timers.set(now.boot.after(hard), Timer::Hard(event));
        let soft_timer = soft
            .filter(|soft| *soft < hard)
            .map(|soft| self.timers.set(now.boot.after(soft), Timer::Soft(event)));
        if let Some(outgoing) = self.outgoing.get_mut(event) {
            outgoing.post_quantum = post_quantum;
            outgoing.hard_due = now.boot.after(hard);
            outgoing.hard_end = now.boot.after(hard_max);
            outgoing.patience = hard_max;
            outgoing.hard_timer = Some(hard_timer);
            outgoing.soft_timer = soft_timer;
        }
        if let Some(hints) = keep {
            self.keep(now, event, hints);
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
        if !self.drop_kept(code.0) {
            self.finish(code.0);
        }
    }

    /// No path to `to` can be had now. Messages of which nothing ever left end as not sent; the
    /// others go on being tried, and so do those that outlive a run.
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
            .outboxes
            .codes()
            .filter(|code| {
                let is_unsent = |one: &Outgoing| one.never_left() && one.kept.is_none();
                self.outgoing.get(*code).is_some_and(is_unsent)
            })
            .collect();
        for event in unsent {
            self.end(event, Outcome::NotSent(why));
        }
        self.soil(code);
    }

    /// Ends everything of ours and says goodbye; call [`Endpoint::transmit`] once more afterwards. What
    /// outlives this run is over for this run alone.
    pub fn close(&mut self) {
        self.close_paths(Closing::All);
    }

    /// The same, but says goodbye only to those who are reached through relays: a relay that has heard its own passes
    /// nothing on any more. [`Endpoint::close`] is to follow.
    pub fn close_relayed(&mut self) {
        self.close_paths(Closing::Relayed);
    }

    fn close_paths(&mut self, closing: Closing) {
        self.closing = closing;
        let open: Vec<u32> = self.outgoing.iter().map(|(code, _)| code).collect();
        for code in open {
            match self.outgoing.get(code) {
                Some(one) if one.kept.is_some() => {
                    let (token, outcome) = (one.token, Outcome::Closing);
                    self.forget_message(code);
                    self.events.push_back(Event::Outcome { token, outcome });
                }
                _ => self.end(code, Outcome::Closing),
            }
        }
        let peers: Vec<u32> = self.peers.iter().map(|(code, _)| code).collect();
        for code in peers {
            let is_due = self.says_goodbye(code);
            if let Some(peer) = self.peers.get_mut(code) {
                peer.owes.record = peer.owes.record || (is_due && !peer.sessions.is_empty());
            }
            self.soil(code);
        }
    }

    /// Whether a peer is told goodbye with each record now.
    pub(super) fn says_goodbye(&self, code: u32) -> bool {
        match self.closing {
            Closing::No => false,
            Closing::Relayed => {
                let path = self.peers.get(code).and_then(|peer| peer.path);
                path.is_some_and(|path| self.is_relayed(path))
            }
            Closing::All => true,
        }
    }

    /// Ends a message with its outcome.
    pub(super) fn end(&mut self, code: u32, outcome: Outcome) {
        if self.keep_outcome(code, Some(&outcome)) {
            return;
        }
        if let Some(token) = self.finish(code) {
            self.events.push_back(Event::Outcome { token, outcome });
        }
    }

    /// Frees everything of a message and closes its serial.
    pub(super) fn finish(&mut self, code: u32) -> Option<u64> {
        let Forgotten { token, peer, dialog, serial, bytes } = self.forget_message(code)?;
        self.close_serial(peer, (dialog, serial), bytes);
        Some(token)
    }

    /// Frees everything of a message. Its serial stays open: the peer is told nothing.
    pub(super) fn forget_message(&mut self, code: u32) -> Option<Forgotten> {
        let one = self.outgoing.get(code)?;
        for timer in [one.soft_timer, one.hard_timer].into_iter().flatten() {
            self.timers.cancel(timer);
        }
        if let Some(peer) = self.peers.get_mut(one.peer) {
            if one.state == State::Sent {
                peer.landed(one);
            }
            if one.post_quantum {
                peer.post_quantum_open = peer.post_quantum_open.saturating_sub(1);
            }
        }
        let Outgoing { token, peer, dialog, serial, .. } = *one;
        let forgotten = Forgotten { token, peer, dialog, serial, bytes: one.bytes() };
        self.outgoing.discard(code);
        Some(forgotten)
    }

    /// Nothing more will be sent under a serial, and the peer is to be told.
    pub(super) fn close_serial(&mut self, code: u32, (dialog, serial): (u64, u64), bytes: usize) {
        let peer = self.peers.get_mut(code);
        if let Some(outbox) = peer.and_then(|peer| peer.outboxes.of_mut(dialog)) {
            outbox.close(serial, bytes);
        }
        self.soil(code);
    }

    /// What a hard timeout means for a message.
    pub(super) fn timed_out(&self, code: u32) -> Option<Outcome> {
        Some(Outcome::TimedOut { taken: self.outgoing.get(code)?.taken() })
    }
}

/// What is still to be known of a message that was forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forgotten {
    pub(super) token: u64,
    pub(super) peer: u32,
    pub(super) dialog: u64,
    pub(super) serial: u64,
    pub(super) bytes: usize,
}

/// Bytes of a body as credit counts them.
pub(super) fn length(outgoing: &Outgoing) -> u64 {
    u64::try_from(outgoing.body.len()).unwrap_or(u64::MAX)
}
