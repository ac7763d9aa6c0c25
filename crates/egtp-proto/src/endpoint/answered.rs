//! What a peer says about messages of ours and about its own requests: replies, acknowledgements,
//! refusals, and what it has closed.
//!
//! Invariant: a reply that does not fit an open request in everything it names has no effect but to
//! let its sender know.

use bytes::Bytes;

use super::Endpoint;
use super::frames::Arrival;
use crate::card::StoreKind;
use crate::exchange::outgoing::{Binding, Consequence, State};
use crate::exchange::resend::Item;
use crate::exchange::stores::DialogCode;
use crate::limits::{ACK_DELAY, REPORTS_MAX};
use crate::message::MessageClass;
use crate::output::{Event, LOST, Outcome, RefusedWhy};
use crate::planted::{Bug, is};
use crate::time::Now;
use crate::wire::Serials;
use crate::wire::frame::{Ack, Refusal, Refused, ReplyHead};

impl Endpoint {
    /// Finds the request that a reply answers: by event code, and by everything else that it names.
    pub(super) fn find_request(&self, code: u32, dialog: u64, head: &ReplyHead) -> Option<u32> {
        let fits = self.outgoing.get(head.code).is_some_and(|one| {
            if is(Bug::ReplyByCodeOnly) {
                return true;
            }
            one.peer == code
                && one.dialog == dialog
                && one.serial == head.serial
                && one.class == MessageClass::Request
                && one.id.reference() == head.reference
                && one.state != State::Over
        });
        if fits { Some(head.code) } else { self.find_earlier_request(code, dialog, head) }
    }

    /// A request of an earlier run has a new event code, which the answerer need not have heard of.
    fn find_earlier_request(&self, code: u32, dialog: u64, head: &ReplyHead) -> Option<u32> {
        let request = self.peers.get(code)?.outboxes.of(dialog)?.code(head.serial)?;
        let one = self.outgoing.get(request)?;
        let fits = one.is_from_earlier_run()
            && one.class == MessageClass::Request
            && one.id.reference() == head.reference
            && one.state != State::Over;
        fits.then_some(request)
    }

    pub(super) fn receive_reply(&mut self, code: u32, dialog: u64, head: &ReplyHead, body: Bytes) {
        let Some(request) = self.find_request(code, dialog, head) else {
            return self.refuse_reply(code, dialog, head.serial);
        };
        if is(Bug::ReplyNeedsWindow)
            && self.peers.get(code).is_some_and(|peer| peer.outboxes.len() > PARALLEL_MAX)
        {
            return;
        }
        let Some(outgoing) = self.outgoing.get(request) else { return };
        let attempts = outgoing.attempts;
        let outcome = if head.status == LOST {
            Outcome::Unknown { attempts }
        } else if head.status != 0 {
            Outcome::Refused(RefusedWhy::from_status(head.status))
        } else if body.len() > outgoing.room {
            Outcome::Refused(RefusedWhy::TooLarge)
        } else {
            let path = self.peers.get(code).and_then(|peer| peer.path);
            Outcome::Reply { body, attempts, path }
        };
        self.end(request, outcome);
    }

    /// A reply to nothing that is open: late, repeated, or to an earlier life of ours. It has no
    /// effect, but its sender should know that it can forget it.
    pub(super) fn refuse_reply(&mut self, code: u32, dialog: u64, serial: u64) {
        self.counters.late_dropped += 1;
        // Other messages of that dialog may be yet to come.
        self.recall_kept_dialog(code, dialog);
        let Some(peer) = self.peers.get(code) else { return };
        let are_all = self.identity(peer.identity).is_some_and(|own| own.kept_dialogs.are_all());
        let Some(peer) = self.peers.get_mut(code) else { return };
        if let Some(outbox) = peer.outboxes.of_mut(dialog) {
            outbox.tell_again(serial);
        } else if peer.foreign_dialogs.len() < REPORTS_MAX {
            let mut over = Serials::below(if are_all { u64::MAX } else { 0 });
            over.insert(serial);
            if !peer.foreign_dialogs.contains(&(dialog, over.clone())) {
                peer.foreign_dialogs.push((dialog, over));
            }
        }
        self.soil(code);
    }

    pub(super) fn receive_ack(&mut self, now: Now, code: u32, ack: &Ack) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let Some(outbox) = peer.outboxes.of_mut(ack.dialog) else { return };
        for event in outbox.acknowledge(ack) {
            self.acknowledged(now, code, event);
        }
        self.soil(code);
    }

    /// The receiver has taken a message of ours.
    fn acknowledged(&mut self, now: Now, code: u32, event: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let Some(outgoing) = self.outgoing.get_mut(event) else { return };
        if outgoing.state == State::Over {
            return;
        }
        if outgoing.state == State::Sent {
            peer.landed(outgoing);
        }
        if let Some(sent) = outgoing.sent.filter(|_| outgoing.attempts == 1) {
            peer.trip.sample(now.boot.since(sent));
        }
        outgoing.acknowledged();
        let (token, attempts) = (outgoing.token, outgoing.attempts);
        if outgoing.class == MessageClass::Send {
            let path = peer.path;
            self.end(event, Outcome::Accepted { attempts, path });
        } else {
            self.events.push_back(Event::Taken { token });
        }
    }

    pub(super) fn receive_closed(
        &mut self,
        now: Now,
        arrival: Arrival,
        dialog: u64,
        serials: &Serials,
    ) {
        let Some(peer) = self.peers.get(arrival.peer) else { return };
        let key = peer.key;
        let moved: Vec<DialogCode> = self
            .identity_mut(arrival.identity)
            .map(|identity| identity.stores.close(&key, dialog, serials).collect())
            .unwrap_or_default();
        self.close_queries(arrival.peer, dialog, serials);
        if !moved.is_empty() {
            self.soil(arrival.peer);
        }
        let Some(peer) = self.peers.get_mut(arrival.peer) else { return };
        for place in moved {
            // What was voided moves the window: the sender must hear how far.
            peer.owe_ack(place, now.boot.after(ACK_DELAY));
        }
        let first = peer.assemblies.range((dialog, 0)..=(dialog, u64::MAX)).map(|(name, _)| *name);
        let over: Vec<_> = first.filter(|(_, serial)| serials.contains(*serial)).collect();
        for name in over {
            if let Some(incoming) = peer.assemblies.remove(&name) {
                let total = incoming.assembly.total();
                peer.assembly_bytes = peer.assembly_bytes.saturating_sub(total);
            }
        }
    }

    pub(super) fn receive_refused(&mut self, now: Now, code: u32, refused: &Refused) {
        let Some(peer) = self.peers.get(code) else { return };
        let outbox = peer.outboxes.of(refused.dialog);
        let Some(event) = outbox.and_then(|one| one.code(refused.serial)) else { return };
        let Some(outgoing) = self.outgoing.get_mut(event) else { return };
        if outgoing.state == State::Over {
            return;
        }
        let stale = outgoing.binding().filter(|_| refused.why == Refusal::Stale);
        let consequence = outgoing.after_refusal(refused.transmission, refused.why);
        if let Some(stale) = stale.filter(|_| consequence != Consequence::None) {
            self.void_forgotten(code, refused.dialog, stale);
            self.forget_mailbox(code, stale);
        }
        match consequence {
            Consequence::None => {}
            Consequence::BindAnew => self.rebind(event),
            Consequence::BindToDisk => self.bind_to_disk(now, event),
            Consequence::Doubt => self.put_in_doubt(now, event),
            Consequence::Wait => self.lay_by(now, event),
            Consequence::End(Refusal::TooLarge) => {
                self.end(event, Outcome::Refused(RefusedWhy::TooLarge));
            }
            Consequence::End(_) => {
                let retry_after = std::time::Duration::from_millis(refused.retry_ms);
                self.end(event, Outcome::Refused(RefusedWhy::Busy { retry_after }));
            }
        }
    }

    /// A receiver that calls a binding stale has forgotten the dialog since, which it does only when it has
    /// nothing of it in hand. What it took under that binding, or an older one, never comes up again: its new
    /// memory must not wait for it.
    fn void_forgotten(&mut self, code: u32, dialog: u64, stale: Binding) {
        let Some(outbox) = self.peers.get_mut(code).and_then(|peer| peer.outboxes.of_mut(dialog))
        else {
            return;
        };
        let outgoing = &self.outgoing;
        outbox.void(|event| outgoing.get(event).is_some_and(|one| one.was_taken_under(stale)));
    }

    /// The receiver remembers this kind on its disk: so does this message want it, and the next ones of its
    /// kind.
    fn bind_to_disk(&mut self, now: Now, event: u32) {
        let Some(one) = self.outgoing.get_mut(event) else { return };
        let Some(peer) = self.peers.get_mut(one.peer) else { return };
        let has_disk = peer.binding(StoreKind::Durable);
        if has_disk.is_none_or(|binding| binding.kind != StoreKind::Durable) {
            // Its card says nothing of such a store, yet.
            return self.lay_by(now, event);
        }
        one.wants = StoreKind::Durable;
        peer.learn_durable_kind(&one.kind);
        self.rebind(event);
    }

    /// A message that was refused for now waits for its time, and leaves its credit to others.
    fn lay_by(&mut self, now: Now, event: u32) {
        let jitter = self.random.u64();
        let Some(one) = self.outgoing.get_mut(event).filter(|one| one.state == State::Sent) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(one.peer) else { return };
        one.state = State::Refused;
        peer.landed(one);
        // Its next transmission is planned with the last part: those that are left are not sent.
        let item = Item::Message(event);
        if let Some(index) = peer.large.iter().position(|other| *other == item) {
            peer.large.remove(index);
            let delay = peer.trip.delay(one.attempts, jitter);
            peer.resend.plan_again(now.boot.after(delay), item);
        }
    }
}

/// Where [`Bug::ReplyNeedsWindow`] sees no more room.
const PARALLEL_MAX: usize = 64;
