//! Messages of ours that outlive this run: what our own disk must know before the peer may, and what it
//! gives back.
//!
//! Invariant: a transmission leaves only under a binding that is on the disk, and a peer is told that a
//! message is over only when the disk knows its outcome; so no crash makes us forget what may be out, nor
//! ask for what the peer was allowed to forget.

use std::collections::BTreeMap;

use super::journal::Waiting;
use super::submit::Forgotten;
use super::{Endpoint, Timer};
use crate::card::StoreKind;
use crate::exchange::durable::{MessageName, SavedAsk, SavedOutbox, SavedOutcome, Write};
use crate::exchange::outbox::Outbox;
use crate::exchange::outgoing::{Kept, Outgoing, State};
use crate::key::PublicKey;
use crate::message::MessageId;
use crate::output::{Event, IdentityId, Outcome};
use crate::planted::{Bug, is};
use crate::strategy::Strategy;
use crate::time::Now;

/// Our dialogs for messages that outlive our runs, with the serial that the next message gets.
#[derive(Debug, Default)]
pub(super) struct KeptDialogs {
    known: BTreeMap<PublicKey, (u64, u64)>,
    /// The disk knows more of them: a later run may go on with one that this run does not know.
    is_partial: bool,
}

impl KeptDialogs {
    fn note(&mut self, outbox: &SavedOutbox, max: usize) {
        self.known.insert(outbox.peer, (outbox.dialog, outbox.next_serial));
        if self.known.len() > max {
            // Any but this one: with that peer another one begins.
            let is_other = |peer: &&PublicKey| **peer != outbox.peer;
            if let Some(other) = self.known.keys().find(is_other).copied() {
                self.leave_to_the_disk(&other);
            }
        }
    }

    /// This run does not use the dialog with a peer.
    fn leave_to_the_disk(&mut self, peer: &PublicKey) {
        self.known.remove(peer);
        self.is_partial = true;
    }

    pub(super) fn with(&self, peer: &PublicKey) -> Option<(u64, u64)> {
        self.known.get(peer).copied()
    }

    /// Whether a dialog that is not among them is over for good.
    pub(super) const fn are_all(&self) -> bool {
        !self.is_partial
    }
}

impl Endpoint {
    /// Whether an identity has a disk that takes rows at present.
    pub(super) fn can_keep(&self, identity: IdentityId) -> bool {
        self.identity(identity).is_some_and(|one| one.stores.get(StoreKind::Durable).is_some())
    }

    /// Plans the rows of a new message that is to outlive this run.
    pub(super) fn keep(&mut self, now: Now, event: u32, hints: Vec<Strategy>) {
        let Some((identity, name)) = self.name_of(event) else { return };
        let Some(peer) = self.by_key.get(&(identity, name.peer)) else { return };
        let Some(outbox) = self.peers.get(*peer).and_then(|peer| peer.outboxes.of(name.dialog))
        else {
            return;
        };
        let next_serial = outbox.next_serial();
        let Some(one) = self.outgoing.get_mut(event) else { return };
        one.kept = Some(Box::new(Kept::new(None)));
        let ask = SavedAsk {
            name,
            id: one.id,
            class: one.class,
            kind: one.kind.clone(),
            body: one.body.clone(),
            room: one.room,
            expires: now.wall.saturating_add(one.patience),
            post_quantum: one.post_quantum,
            hints,
            binding: None,
        };
        let MessageName { peer, dialog, .. } = name;
        let outbox = SavedOutbox { peer, dialog, next_serial };
        let max = self.limits.kept_dialogs_max;
        if let Some(own) = self.identity_mut(identity) {
            own.kept_dialogs.note(&outbox, max);
        }
        self.write(identity, Write::Outbox(outbox));
        self.write(identity, Write::Ask(ask));
        self.wait_for_disk(Waiting::Kept(event));
    }

    /// A message is about to be sent under a binding that our disk does not know: it must wait.
    pub(super) fn record_binding(&mut self, event: u32) {
        let Some((identity, name)) = self.name_of(event) else { return };
        let Some(one) = self.outgoing.get_mut(event) else { return };
        let Some(peer) = self.peers.get(one.peer) else { return };
        let Some(binding) = peer.binding_of(one) else { return };
        one.state = State::Recorded;
        self.write(identity, Write::Bind { name, binding });
        self.wait_for_disk(Waiting::Bound(event, binding));
    }

    /// Whether the outcome of a message is to be on our disk first. It comes when it is.
    pub(super) fn keep_outcome(&mut self, code: u32, outcome: Option<&Outcome>) -> bool {
        let Some(one) = self.outgoing.get_mut(code) else { return false };
        let Some(kept) = one.kept.as_mut().filter(|_| !is(Bug::OutcomeNotKept)) else {
            return false;
        };
        if one.state == State::Over {
            return true;
        }
        kept.outcome = outcome.cloned();
        let (id, peer, bytes) = (one.id, one.peer, one.bytes());
        self.retire(code);
        let Some((identity, name)) = self.name_of(code) else { return true };
        let outcome = outcome.cloned().map(|outcome| SavedOutcome { id, outcome });
        self.write(identity, Write::Over { name, outcome });
        let (dialog, serial) = (name.dialog, name.serial);
        self.wait_for_disk(Waiting::Over { code, peer, dialog, serial, bytes });
        true
    }

    /// The application wants nothing more of a message that outlives this run. Returns whether it is one:
    /// then its serial is closed when the disk knows.
    pub(super) fn drop_kept(&mut self, code: u32) -> bool {
        let is_over = |one: &Outgoing| one.kept.is_some() && one.state == State::Over;
        let ended = self.outgoing.get(code).filter(|one| is_over(one)).map(|one| one.id);
        if !self.keep_outcome(code, None) {
            return false;
        }
        if let (Some(id), Some((identity, _))) = (ended, self.name_of(code)) {
            self.write(identity, Write::Collected(id));
        }
        self.forget_message(code);
        true
    }

    /// Nothing more is sent of a message, and nothing changes it. It can still be slow: whoever waits for
    /// it waits for the disk.
    fn retire(&mut self, code: u32) {
        let Some(one) = self.outgoing.get_mut(code) else { return };
        if let Some(timer) = one.hard_timer.take() {
            self.timers.cancel(timer);
        }
        let was_sent = one.state == State::Sent;
        one.state = State::Over;
        one.reply = None;
        if was_sent && let Some(peer) = self.peers.get_mut(one.peer) {
            peer.landed(one);
        }
    }

    /// What our disk knows now.
    pub(super) fn kept(&mut self, waiting: &Waiting) {
        match *waiting {
            Waiting::Kept(event) => {
                if let Some(one) = self.outgoing.get(event) {
                    self.events.push_back(Event::Kept { token: one.token });
                }
            }
            Waiting::Bound(event, binding) => {
                let Some(one) = self.outgoing.get_mut(event) else { return };
                if let Some(kept) = one.kept.as_mut() {
                    kept.binding = Some(binding);
                }
                if one.state != State::Recorded {
                    return;
                }
                one.state = State::Queued;
                let code = one.peer;
                if let Some(peer) = self.peers.get_mut(code)
                    && let Some(outbox) = peer.outboxes.of_mut(one.dialog)
                {
                    outbox.enqueue(one.serial, event);
                }
                self.soil(code);
            }
            Waiting::Over { code, peer, dialog, serial, bytes } => {
                let kept = self.outgoing.get_mut(code).and_then(|one| one.kept.take());
                let forgotten = self.forget_message(code);
                self.close_serial(peer, (dialog, serial), bytes);
                if let Some(Forgotten { token, .. }) = forgotten
                    && let Some(outcome) = kept.and_then(|kept| kept.outcome)
                {
                    self.events.push_back(Event::Outcome { token, outcome });
                }
            }
            Waiting::Letter { number, all_taken } => {
                self.events.push_back(Event::LetterRead { number, all_taken });
            }
            Waiting::MailboxPrekey { identity, id } => self.mailbox_prekey_written(identity, id),
            Waiting::Taken { .. } | Waiting::Run { .. } => {}
        }
    }

    /// Goes on with messages of an earlier run. Returns those for which there is no room: they stay on
    /// the disk.
    pub(super) fn restore_asks(
        &mut self,
        now: Now,
        identity: IdentityId,
        outboxes: &[SavedOutbox],
        asks: Vec<SavedAsk>,
        mut token: impl FnMut(&SavedAsk) -> u64,
    ) -> usize {
        let max = self.limits.kept_dialogs_max;
        let Some(own) = self.identity_mut(identity) else { return asks.len() };
        for outbox in outboxes {
            own.kept_dialogs.note(outbox, max);
        }
        let own = own.secret_keys.public;
        // By dialog: a peer with nothing open yet might be forgotten again for the next.
        let mut by_dialog: BTreeMap<(PublicKey, u64), Vec<SavedAsk>> = BTreeMap::new();
        for ask in asks {
            by_dialog.entry((ask.name.peer, ask.name.dialog)).or_default().push(ask);
        }
        let mut left_out = 0;
        for ((key, dialog), asks) in by_dialog {
            let next_serial = outboxes
                .iter()
                .find(|one| (one.peer, one.dialog) == (key, dialog))
                .map_or(0, |one| one.next_serial);
            if let Some(code) = self.peer_code(now.boot, identity, key)
                && let Some(peer) = self.peers.get_mut(code)
            {
                let open: Vec<u64> = asks.iter().map(|ask| ask.name.serial).collect();
                let next_serial = open.last().map_or(0, |last| last + 1).max(next_serial);
                let outbox = Outbox::new(StoreKind::Durable, dialog, &own, &key);
                peer.outboxes.resume(outbox.resumed(next_serial, open));
            } else if let Some(own) = self.identity_mut(identity) {
                // Going on with it would close what is open there.
                own.kept_dialogs.leave_to_the_disk(&key);
            }
            for ask in asks {
                let token = token(&ask);
                if self.restore_ask(now, identity, token, ask).is_none() {
                    left_out += 1;
                }
            }
        }
        left_out
    }

    /// Our dialog with a peer for messages that outlive our runs: the one that there was, because whoever remembers what
    /// came by letter remembers each dialog for months, and few of one sender.
    pub(super) fn kept_dialog(
        known: Option<(u64, u64)>,
        begins: Outbox,
        ends: (&PublicKey, &PublicKey),
    ) -> Outbox {
        match known {
            Some(known) => Self::resumed(known, ends),
            None => begins,
        }
    }

    /// A dialog of ours in which nothing is open.
    fn resumed((dialog, next_serial): (u64, u64), (own, peer): (&PublicKey, &PublicKey)) -> Outbox {
        Outbox::new(StoreKind::Durable, dialog, own, peer).resumed(next_serial, [])
    }

    /// Takes our dialog with a peer up again, if it is this one and nothing has been open in it.
    pub(super) fn recall_kept_dialog(&mut self, code: u32, dialog: u64) {
        let Some(peer) = self.peers.get(code) else { return };
        let Some(own) = self.identity(peer.identity) else { return };
        let (own_key, key) = (own.secret_keys.public, peer.key);
        let known = own.kept_dialogs.with(&key).filter(|known| known.0 == dialog);
        if let Some((known, peer)) = known.zip(self.peers.get_mut(code)) {
            peer.outboxes.for_kept(|| Self::resumed(known, (&own_key, &key)));
        }
    }

    fn restore_ask(
        &mut self,
        now: Now,
        identity: IdentityId,
        token: u64,
        ask: SavedAsk,
    ) -> Option<()> {
        let SavedAsk { name, id, class, kind, body, room, expires, binding, .. } = ask;
        let code = self.by_key.get(&(identity, name.peer)).copied()?;
        let peer = self.peers.get_mut(code)?;
        let outbox = peer.outboxes.of_mut(name.dialog)?;
        peer.post_quantum_open += usize::from(ask.post_quantum);
        let hard = expires.saturating_sub(now.wall).min(self.limits.longest_kept());
        let (wants, bytes, serial) = (StoreKind::Durable, body.len(), name.serial);
        let place = (name.dialog, serial);
        let mut one = Outgoing::new(token, code, wants, place, id, class, kind, body, room, hard);
        one.kept = Some(Box::new(Kept::new(binding)));
        if let Some(binding) = binding.filter(|_| !is(Bug::EarlierRunForgotten)) {
            one.sent_by_earlier_run(binding);
        }
        one.hard_due = now.boot.after(hard);
        one.hard_end = one.hard_due;
        one.post_quantum = ask.post_quantum;
        let event = self.outgoing.insert(one);
        outbox.open(serial, event, bytes);
        let timer = self.timers.set(now.boot.after(hard), Timer::Hard(event));
        if let Some(one) = self.outgoing.get_mut(event) {
            one.hard_timer = Some(timer);
        }
        self.soil(code);
        Some(())
    }

    /// The application has taken the outcome of a message: its row may go.
    pub fn collected(&mut self, identity: IdentityId, id: MessageId) {
        if self.can_keep(identity) {
            self.write(identity, Write::Collected(id));
        }
    }

    fn name_of(&self, event: u32) -> Option<(IdentityId, MessageName)> {
        let one = self.outgoing.get(event)?;
        let peer = self.peers.get(one.peer)?;
        let (dialog, serial) = (one.dialog, one.serial);
        Some((peer.identity, MessageName { peer: peer.key, dialog, serial }))
    }
}
