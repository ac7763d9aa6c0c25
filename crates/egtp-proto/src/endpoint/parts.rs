//! Large bodies, which travel in parts: what arrives of messages and replies, and what a peer says to
//! have of ours.
//!
//! Invariant: memory is held only within a peer's share, and a body is looked at only when it is
//! complete.

use super::Endpoint;
use super::frames::{Arrival, Context};
use super::peer::{Incoming, owe_partial};
use super::progress::PROGRESS_STEP;
use crate::card::StoreKind;
use crate::exchange::assembly::{Assembly, Progress};
use crate::exchange::inbox::Verdict;
use crate::exchange::outgoing::{LargeReply, State};
use crate::exchange::resend::Item;
use crate::message::Kind;
use crate::output::{Arriving, Event, Outcome, RefusedWhy, Way};
use crate::time::Now;
use crate::wire::frame::{MessageHead, Part, PartOf, Refusal, ReplyHead};

impl Endpoint {
    /// A part of a large message. It is taken when it is complete.
    pub(super) fn receive_part(
        &mut self,
        now: Now,
        arrival: Arrival,
        context: &mut Context,
        part: &Part<'_>,
        head: Option<&MessageHead<'_>>,
    ) -> Option<()> {
        let (dialog, place, _) = context.dialog.as_ref()?;
        let dialog = *dialog;
        let name = (dialog.dialog, part.serial);
        let identity = self.identity(arrival.identity)?;
        let verdict = match *place {
            Ok(place) => {
                identity.stores.get(dialog.kind).map_or(Verdict::Refuse(Refusal::Stale), |inbox| {
                    inbox.would_take(place, dialog.low_water, part.serial)
                })
            }
            Err(why) => Verdict::Refuse(why),
        };
        let total = usize::try_from(part.total).ok()?;
        let verdict = match verdict {
            Verdict::Take(_) => {
                self.begin_assembly(arrival, (name, dialog.kind), total, head).err()
            }
            other => Some(other),
        };
        match verdict {
            None => {}
            // Only the first part is a transmission that can be refused by name.
            Some(Verdict::Refuse(_)) if head.is_none() => return Some(()),
            Some(verdict) => {
                let names = [arrival.name];
                self.answer_verdict(now, arrival.peer, &names, &dialog, part.serial, verdict);
                return Some(());
            }
        }
        let peer = self.peers.get_mut(arrival.peer)?;
        let progress = match peer.assemblies.get_mut(&name) {
            Some(incoming) => incoming.assembly.add(part.offset, part.total, part.bytes),
            None => Progress::Ignored,
        };
        match progress {
            Progress::Partial => self.tell_arriving(arrival, name),
            Progress::Ignored => owe_partial(peer, (name.0, name.1, PartOf::Message)),
            Progress::Complete(body) => {
                let incoming = peer.assemblies.remove(&name)?;
                peer.assembly_bytes = peer.assembly_bytes.saturating_sub(total);
                let (class, kind) = (incoming.class, incoming.kind.as_str());
                let head = MessageHead { serial: part.serial, class, kind };
                self.receive_message(now, arrival, context, &incoming.names, &head, body)?;
            }
        }
        self.soil(arrival.peer);
        Some(())
    }

    /// Makes room for a large message at its first part, and notes the transmission that it is.
    ///
    /// # Errors
    /// The verdict, if there is no room for it.
    fn begin_assembly(
        &mut self,
        arrival: Arrival,
        (name, store): ((u64, u64), StoreKind),
        total: usize,
        head: Option<&MessageHead<'_>>,
    ) -> Result<(), Verdict> {
        let limits = &self.limits;
        let is_client = self.peers.get(arrival.peer).is_some_and(|peer| peer.client);
        if total > limits.largest_taken(is_client) {
            return Err(Verdict::Refuse(Refusal::TooLarge));
        }
        let (Some(head), Some(peer)) = (head, self.peers.get_mut(arrival.peer)) else {
            return Ok(());
        };
        if let Some(incoming) = peer.assemblies.get_mut(&name) {
            if incoming.names.len() < NAMES_MAX {
                incoming.names.push(arrival.name);
            }
            return Ok(());
        }
        let bytes = peer.assembly_bytes.saturating_add(total);
        if bytes > limits.reassembly_bytes_per_peer || !peer.has_share_left(total, limits) {
            return Err(Verdict::Refuse(Refusal::Busy));
        }
        let Ok(kind) = Kind::new(head.kind) else { return Ok(()) };
        if self.belongs_elsewhere(arrival.identity, store, (&head.class, &kind)) {
            return Err(Verdict::Refuse(Refusal::OtherStore));
        }
        let Some(peer) = self.peers.get_mut(arrival.peer) else { return Ok(()) };
        let (class, names) = (head.class, vec![arrival.name]);
        peer.assembly_bytes = bytes;
        peer.assemblies
            .insert(name, Incoming { class, kind, assembly: Assembly::new(total), told: 0, names });
        Ok(())
    }

    /// More of a large message is there.
    fn tell_arriving(&mut self, arrival: Arrival, name: (u64, u64)) {
        let Some(peer) = self.peers.get_mut(arrival.peer) else { return };
        let from = peer.key;
        let Some(incoming) = peer.assemblies.get_mut(&name) else { return };
        let (bytes, total) = (incoming.assembly.received(), incoming.assembly.total());
        let is_first = incoming.told == 0;
        if is_first || bytes >= incoming.told.saturating_add(PROGRESS_STEP) {
            incoming.told = bytes;
            let (identity, kind) = (arrival.identity, incoming.kind.clone());
            self.events.push_back(Event::Arriving(Arriving { identity, from, kind, bytes, total }));
        }
    }

    pub(super) fn receive_reply_part(
        &mut self,
        now: Now,
        code: u32,
        dialog: u64,
        part: &Part<'_>,
        head: Option<&ReplyHead>,
    ) {
        let request = match head {
            Some(head) => self.find_request(code, dialog, head),
            // Later parts name the request by its serial alone.
            None => self
                .peers
                .get(code)
                .and_then(|peer| peer.outboxes.of(dialog))
                .and_then(|outbox| outbox.code(part.serial)),
        };
        let Some(request) = request else { return self.refuse_reply(code, dialog, part.serial) };
        let Some(outgoing) = self.outgoing.get_mut(request) else { return };
        if outgoing.state == State::Over {
            return;
        }
        let total = usize::try_from(part.total).unwrap_or(usize::MAX);
        if total > outgoing.room {
            return self.end(request, Outcome::Refused(RefusedWhy::TooLarge));
        }
        if let Some(head) = head
            && outgoing.reply.is_none()
        {
            let (status, body) = (head.status, Assembly::new(total));
            outgoing.reply = Some(Box::new(LargeReply { status, body }));
        }
        let progress = match outgoing.reply.as_mut() {
            Some(reply) => reply.body.add(part.offset, part.total, part.bytes),
            None => Progress::Ignored,
        };
        match progress {
            Progress::Partial => {
                let received = outgoing.reply.as_ref().map_or(0, |reply| reply.body.received());
                self.has_come(now, request, Way::Receiving, received);
            }
            Progress::Ignored => {
                if let Some(peer) = self.peers.get_mut(code) {
                    owe_partial(peer, (dialog, part.serial, PartOf::Reply));
                }
                self.soil(code);
            }
            Progress::Complete(body) => {
                let status = outgoing.reply.as_ref().map_or(0, |reply| reply.status);
                let head = ReplyHead {
                    serial: outgoing.serial,
                    code: request,
                    reference: outgoing.id.reference(),
                    status,
                };
                self.receive_reply(code, dialog, &head, body);
            }
        }
    }

    pub(super) fn receive_partial(
        &mut self,
        code: u32,
        dialog: u64,
        serial: u64,
        of: PartOf,
        received: usize,
    ) {
        let Some(peer) = self.peers.get(code) else { return };
        match of {
            PartOf::Message => {
                let event = peer.outboxes.of(dialog).and_then(|outbox| outbox.code(serial));
                if let Some(one) = event.and_then(|event| self.outgoing.get_mut(event))
                    && one.state == State::Sent
                    && one.reported.is_none_or(|before| received > before)
                {
                    one.reported = Some(received);
                    one.arrived = received.min(one.body.len());
                    one.offset = one.arrived;
                    let item = event.map(Item::Message);
                    self.send_parts(code, item);
                }
            }
            PartOf::Reply => {
                let query = peer.queries.get((dialog, serial));
                let entry = query.and_then(|query| self.queries.get_mut(query));
                if let Some(answer) = entry.and_then(|entry| entry.answer.as_mut())
                    && answer.reported.is_none_or(|before| received > before)
                {
                    answer.reported = Some(received);
                    answer.arrived = received.min(answer.body.len());
                    answer.offset = answer.arrived;
                    let item = query.map(Item::Reply);
                    self.send_parts(code, item);
                }
            }
        }
    }
}

/// Transmissions of one unfinished message that are told apart; a refusal does not name more.
const NAMES_MAX: usize = 16;
