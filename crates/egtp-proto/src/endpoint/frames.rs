//! What authenticated frames say.
//!
//! Invariant: a frame that makes no sense ends the reading of its record and nothing else; the peer
//! is authenticated, so this is its own fault and harms only its own conversation.

use bytes::Bytes;

use super::peer::Incoming;
use super::submit::length;
use super::{Endpoint, Slot, Timer};
use crate::exchange::assembly::{Assembly, Progress};
use crate::exchange::inbox::{Place, Verdict};
use crate::exchange::outgoing::{Judgement, State};
use crate::exchange::query::{Query, kept};
use crate::limits::ACK_DELAY;
use crate::message::{Canonical, Kind, MessageClass};
use crate::output::{
    Assurance, Event, IdentityId, MessageEvent, Outcome, QueryEvent, QueryId, RefusedWhy,
};
use crate::session::live::TransmissionName;
use crate::time::Now;
use crate::wire::Reader;
use crate::wire::Serials;
use crate::wire::frame::{
    Ack, Class, DialogHead, Frame, MessageHead, Part, PartOf, Refusal, Refused, ReplyHead,
};

/// Who sent a payload and how it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub peer: u32,
    pub identity: IdentityId,
    /// Names the transmission in refusals.
    pub name: TransmissionName,
    pub assurance: Assurance,
    /// Whether it is a first flight, whose answer waits for quick replies.
    pub flight: bool,
}

/// What the context frames of a payload have said so far.
struct Context {
    dialog: Option<(DialogHead, Result<Place, Refusal>, Canonicals)>,
    replies: Option<u64>,
}

/// The canonical forms of a dialog, made when first needed.
type Canonicals = Option<(MessageClass, Canonical)>;

impl Endpoint {
    /// Takes in all frames of a payload.
    pub(super) fn receive_frames(&mut self, now: Now, arrival: Arrival, payload: &Bytes) {
        let mut reader = Reader::new(payload);
        let mut context = Context { dialog: None, replies: None };
        while !reader.is_empty() {
            let taken = Frame::decode(&mut reader)
                .ok()
                .and_then(|frame| self.receive_frame(now, arrival, &mut context, frame, payload));
            if taken.is_none() {
                self.counters.dropped.frames += 1;
                return;
            }
        }
    }

    /// `None`: the peer broke the format.
    fn receive_frame(
        &mut self,
        now: Now,
        arrival: Arrival,
        context: &mut Context,
        frame: Frame<'_>,
        payload: &Bytes,
    ) -> Option<()> {
        let code = arrival.peer;
        match frame {
            Frame::Pad => {}
            Frame::Ping => {
                self.peers.get_mut(code)?.owes_record = true;
                self.soil(code);
            }
            Frame::Card(card) => self.learn_card(now, code, card, None),
            // Contacts are for the lookup, which does not live here.
            Frame::Contact(_) => {}
            Frame::Dialog(head) => self.enter_dialog(arrival, context, head),
            Frame::Message(head, body) => {
                let body = keep(payload, body);
                self.receive_message(now, arrival, context, &head, body)?;
            }
            Frame::Fragment(part, head) => {
                self.receive_part(now, arrival, context, &part, head.as_ref())?;
            }
            Frame::Replies(dialog) => context.replies = Some(dialog),
            Frame::Reply(head, body) => {
                self.receive_reply(code, context.replies?, &head, keep(payload, body));
            }
            Frame::ReplyFragment(part, head) => {
                self.receive_reply_part(code, context.replies?, &part, head.as_ref());
            }
            Frame::Ack(ack) => self.receive_ack(now, code, &ack),
            Frame::Closed { dialog, serials } => self.receive_closed(arrival, dialog, &serials),
            Frame::Refused(refused) => self.receive_refused(now, code, &refused),
            Frame::Partial { dialog, serial, of, received } => {
                self.receive_partial(code, dialog, serial, of, usize::try_from(received).ok()?);
            }
            Frame::Hint { kind, body } => self.receive_hint(arrival, kind, keep(payload, body))?,
            Frame::PathChallenge(bytes) => {
                let peer = self.peers.get_mut(code)?;
                if peer.challenges.is_empty() {
                    peer.challenges.push(bytes);
                }
                self.soil(code);
            }
            Frame::PathResponse(_) => {}
            Frame::Close => self.receive_goodbye(code),
        }
        Some(())
    }

    fn enter_dialog(&mut self, arrival: Arrival, context: &mut Context, head: DialogHead) {
        let Some(peer) = self.peers.get(arrival.peer) else { return };
        let key = peer.key;
        let Some(identity) = self.identity_mut(arrival.identity) else { return };
        let place = identity.inbox.place(&key, &head);
        if place.is_ok() {
            self.close_queries(arrival.peer, head.dialog, &Serials::below(head.low_water));
        }
        context.dialog = Some((head, place, None));
    }

    fn receive_message(
        &mut self,
        now: Now,
        arrival: Arrival,
        context: &mut Context,
        head: &MessageHead<'_>,
        body: Bytes,
    ) -> Option<()> {
        let (dialog, place, canonicals) = context.dialog.as_mut()?;
        let kind = Kind::new(head.kind).ok()?;
        let verdict =
            self.decide(now, arrival, dialog, *place, head.serial, &head.class, body.len());
        if let Verdict::Take(code) = verdict {
            *place = Ok(Place::Known(code));
            let canonical = self.canonical(arrival, dialog.dialog, &head.class, canonicals)?;
            let id = canonical.id(head.serial, 0, None, head.kind, &body);
            let message = MessageEvent {
                identity: arrival.identity,
                from: self.peers.get(arrival.peer)?.key,
                kind,
                body,
                assurance: arrival.assurance,
                id,
            };
            self.hand_over(now, arrival, (dialog.dialog, head.serial, code), &head.class, message);
        }
        self.answer_verdict(now, arrival, dialog.dialog, head.serial, verdict);
        Some(())
    }

    /// The bounds of a peer's share, then the rules of the inbox.
    #[expect(clippy::too_many_arguments, reason = "all that the decision depends on")]
    fn decide(
        &mut self,
        now: Now,
        arrival: Arrival,
        dialog: &DialogHead,
        place: Result<Place, Refusal>,
        serial: u64,
        class: &Class,
        bytes: usize,
    ) -> Verdict {
        let place = match place {
            Ok(place) => place,
            Err(why) => return Verdict::Refuse(why),
        };
        let limits = &self.limits;
        if bytes > limits.message_bytes_max {
            return Verdict::Refuse(Refusal::TooLarge);
        }
        let Some(peer) = self.peers.get(arrival.peer) else {
            return Verdict::Refuse(Refusal::Busy);
        };
        let over = peer.queries.len() >= limits.queries_per_peer
            || peer.query_bytes.saturating_add(bytes) > limits.query_bytes_per_peer;
        let key = peer.key;
        let Some(identity) = self.identities.get_mut(usize::from(arrival.identity.0)) else {
            return Verdict::Refuse(Refusal::Busy);
        };
        if over && matches!(class, Class::Request { .. }) {
            // A request that was taken before is still only acknowledged.
            return match identity.inbox.would_take(place, dialog.low_water, serial) {
                Verdict::Take(_) => Verdict::Refuse(Refusal::Busy),
                other => other,
            };
        }
        identity.inbox.take(&now, &key, dialog, place, serial)
    }

    fn answer_verdict(
        &mut self,
        now: Now,
        arrival: Arrival,
        dialog: u64,
        serial: u64,
        verdict: Verdict,
    ) {
        let Some(peer) = self.peers.get_mut(arrival.peer) else { return };
        match verdict {
            Verdict::Take(place) => {
                self.counters.taken += 1;
                peer.owe_ack(place, now.boot.after(ACK_DELAY));
            }
            Verdict::Known(place) => {
                self.counters.duplicates += 1;
                peer.owe_ack(place, now.boot.after(ACK_DELAY));
                // A repeated request whose reply is ready: the reply may have been lost.
                if let Some(query) = peer.queries.get(&(dialog, serial)).copied()
                    && self.queries.get(query).is_some_and(|query| query.answer.is_some())
                    && !peer.replies.contains(&query)
                {
                    peer.replies.push_back(query);
                }
            }
            Verdict::Refuse(why) => {
                if peer.refusals.len() < REFUSALS_MAX {
                    let transmission = arrival.name;
                    let retry_ms = if why == Refusal::Busy { BUSY_RETRY_MS } else { 0 };
                    peer.refusals.push(Refused { dialog, serial, transmission, why, retry_ms });
                }
                // The sender needs to know what to bind to instead.
                peer.card_news = peer.card_news || why == Refusal::Stale;
            }
        }
        self.soil(arrival.peer);
    }

    /// Gives a message that was just taken to the application.
    fn hand_over(
        &mut self,
        now: Now,
        arrival: Arrival,
        (dialog, serial, place): (u64, u64, u32),
        class: &Class,
        message: MessageEvent,
    ) {
        let Class::Request { code, hard_ms, room } = *class else {
            self.events.push_back(Event::Message(message));
            return;
        };
        let patience = kept(hard_ms, self.limits.hard_timeout_max);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(self.limits.reply_bytes_max);
        let bytes = message.body.len();
        let query = self.queries.insert(Query {
            peer: arrival.peer,
            place,
            dialog,
            serial,
            code,
            id: message.id,
            room,
            bytes,
            timer: None,
            in_flight: arrival.flight,
            answer: None,
        });
        let timer = self.timers.set(now.boot.after(patience), Timer::Query(query));
        if let Some(entry) = self.queries.get_mut(query) {
            entry.timer = Some(timer);
        }
        if let Some(peer) = self.peers.get_mut(arrival.peer) {
            peer.queries.insert((dialog, serial), query);
            peer.query_bytes += bytes;
            if let Some(answering) = peer.answering.as_mut().filter(|_| arrival.flight) {
                answering.waiting += 1;
            }
        }
        if let Some(identity) = self.identity_mut(arrival.identity)
            && let Some(dialog) = identity.inbox.dialog_mut(place)
        {
            dialog.open += 1;
        }
        let query = QueryId(query);
        self.events.push_back(Event::Query(QueryEvent { query, message, room, patience }));
    }

    /// A part of a large message. It is taken when it is complete.
    fn receive_part(
        &mut self,
        now: Now,
        arrival: Arrival,
        context: &mut Context,
        part: &Part<'_>,
        head: Option<&MessageHead<'_>>,
    ) -> Option<()> {
        let (dialog, place, _) = context.dialog.as_ref()?;
        let (dialog, place) = (*dialog, *place);
        let identity = self.identity(arrival.identity)?;
        let verdict = match place {
            Ok(place) => identity.inbox.would_take(place, dialog.low_water, part.serial),
            Err(why) => Verdict::Refuse(why),
        };
        let total = usize::try_from(part.total).ok()?;
        let name = (dialog.dialog, part.serial);
        match verdict {
            Verdict::Take(_) if total > self.limits.message_bytes_max => {
                if head.is_some() {
                    let refused = Verdict::Refuse(Refusal::TooLarge);
                    self.answer_verdict(now, arrival, dialog.dialog, part.serial, refused);
                }
                return Some(());
            }
            Verdict::Take(_) => {}
            // Only the first part is a transmission that can be refused by name.
            Verdict::Refuse(_) if head.is_none() => return Some(()),
            other => {
                self.answer_verdict(now, arrival, dialog.dialog, part.serial, other);
                return Some(());
            }
        }
        let bytes_max = self.limits.reassembly_bytes_per_peer;
        let peer = self.peers.get_mut(arrival.peer)?;
        if let Some(head) = head
            && !peer.assemblies.contains_key(&name)
        {
            if peer.assembly_bytes.saturating_add(total) > bytes_max {
                let busy = Verdict::Refuse(Refusal::Busy);
                self.answer_verdict(now, arrival, dialog.dialog, part.serial, busy);
                return Some(());
            }
            let (class, kind) = (head.class, Kind::new(head.kind).ok()?);
            peer.assemblies.insert(name, Incoming { class, kind, assembly: Assembly::new(total) });
            peer.assembly_bytes += total;
        }
        let progress = match peer.assemblies.get_mut(&name) {
            Some(incoming) => incoming.assembly.add(part.offset, part.total, part.bytes),
            None => Progress::Ignored,
        };
        match progress {
            Progress::Partial => {}
            Progress::Ignored => owe_partial(peer, (name.0, name.1, PartOf::Message)),
            Progress::Complete(body) => {
                let incoming = peer.assemblies.remove(&name)?;
                peer.assembly_bytes = peer.assembly_bytes.saturating_sub(total);
                let head = MessageHead {
                    serial: part.serial,
                    class: incoming.class,
                    kind: incoming.kind.as_str(),
                };
                self.receive_message(now, arrival, context, &head, body)?;
            }
        }
        self.soil(arrival.peer);
        Some(())
    }

    /// Finds the request that a reply answers: by event code, and by everything else that it names.
    fn find_request(&mut self, code: u32, dialog: u64, head: &ReplyHead) -> Option<u32> {
        let fits = self.peers.get(code)?.outbox.dialog() == dialog
            && self.outgoing.get(head.code).is_some_and(|one| {
                one.peer == code
                    && one.serial == head.serial
                    && one.class == MessageClass::Request
                    && one.id.reference() == head.reference
            });
        fits.then_some(head.code)
    }

    fn receive_reply(&mut self, code: u32, dialog: u64, head: &ReplyHead, body: Bytes) {
        let Some(request) = self.find_request(code, dialog, head) else {
            return self.refuse_reply(code, dialog, head.serial);
        };
        let Some(outgoing) = self.outgoing.get(request) else { return };
        let attempts = outgoing.attempts;
        let outcome = if head.status != 0 {
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
    fn refuse_reply(&mut self, code: u32, dialog: u64, serial: u64) {
        self.counters.late_dropped += 1;
        let Some(peer) = self.peers.get_mut(code) else { return };
        if peer.outbox.dialog() == dialog {
            peer.outbox.tell_again(serial);
        } else if peer.foreign_dialogs.len() < REFUSALS_MAX
            && !peer.foreign_dialogs.contains(&dialog)
        {
            peer.foreign_dialogs.push(dialog);
        }
        self.soil(code);
    }

    fn receive_reply_part(
        &mut self,
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
                .filter(|peer| peer.outbox.dialog() == dialog)
                .and_then(|peer| peer.outbox.code(part.serial)),
        };
        let Some(request) = request else { return self.refuse_reply(code, dialog, part.serial) };
        let Some(outgoing) = self.outgoing.get_mut(request) else { return };
        let total = usize::try_from(part.total).unwrap_or(usize::MAX);
        if total > outgoing.room {
            return self.end(request, Outcome::Refused(RefusedWhy::TooLarge));
        }
        if let Some(head) = head
            && outgoing.reply.is_none()
        {
            outgoing.reply = Some((head.status, Assembly::new(total)));
        }
        let progress = match outgoing.reply.as_mut() {
            Some((_, assembly)) => assembly.add(part.offset, part.total, part.bytes),
            None => Progress::Ignored,
        };
        match progress {
            Progress::Partial => {}
            Progress::Ignored => {
                if let Some(peer) = self.peers.get_mut(code) {
                    owe_partial(peer, (dialog, part.serial, PartOf::Reply));
                }
                self.soil(code);
            }
            Progress::Complete(body) => {
                let status = outgoing.reply.as_ref().map_or(0, |(status, _)| *status);
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

    fn receive_ack(&mut self, now: Now, code: u32, ack: &Ack) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        if peer.outbox.dialog() != ack.dialog {
            return;
        }
        for event in peer.outbox.acknowledge(ack) {
            self.acknowledged(now, code, event);
        }
        self.soil(code);
    }

    /// The receiver has taken a message of ours.
    fn acknowledged(&mut self, now: Now, code: u32, event: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let Some(outgoing) = self.outgoing.get_mut(event) else { return };
        if let State::Doubtful { taken } = &mut outgoing.state {
            *taken = true;
        } else {
            if outgoing.state == State::Sent {
                peer.outbox.landed(length(outgoing));
            }
            if let Some(sent) = outgoing.sent.filter(|_| outgoing.attempts == 1) {
                peer.trip.sample(now.boot.since(sent));
            }
            outgoing.state = State::Taken;
        }
        let (token, attempts) = (outgoing.token, outgoing.attempts);
        if outgoing.class == MessageClass::Send {
            let path = peer.path;
            self.end(event, Outcome::Accepted { attempts, path });
        } else {
            self.events.push_back(Event::Taken { token });
        }
    }

    fn receive_closed(&mut self, arrival: Arrival, dialog: u64, serials: &Serials) {
        let Some(peer) = self.peers.get(arrival.peer) else { return };
        let key = peer.key;
        if let Some(identity) = self.identity_mut(arrival.identity) {
            identity.inbox.close(&key, dialog, serials);
        }
        self.close_queries(arrival.peer, dialog, serials);
        let Some(peer) = self.peers.get_mut(arrival.peer) else { return };
        let first = peer.assemblies.range((dialog, 0)..=(dialog, u64::MAX)).map(|(name, _)| *name);
        let over: Vec<_> = first.filter(|(_, serial)| serials.contains(*serial)).collect();
        for name in over {
            if let Some(incoming) = peer.assemblies.remove(&name) {
                let total = incoming.assembly.total();
                peer.assembly_bytes = peer.assembly_bytes.saturating_sub(total);
            }
        }
    }

    /// The asker wants nothing more about these requests: replies are forgotten, handlers told.
    fn close_queries(&mut self, code: u32, dialog: u64, serials: &Serials) {
        let Some(peer) = self.peers.get(code) else { return };
        let open = peer.queries.range((dialog, 0)..=(dialog, u64::MAX));
        let end = serials.ranges().last().map_or(serials.base(), |range| range.1);
        let over: Vec<u32> = open
            .take_while(|((_, serial), _)| *serial < end)
            .filter(|((_, serial), _)| serials.contains(*serial))
            .map(|(_, query)| *query)
            .collect();
        for query in over {
            self.withdraw(query);
        }
    }

    /// Frees a query, and tells its handler if that is still at work.
    pub(super) fn withdraw(&mut self, query: u32) {
        if self.queries.get(query).is_some_and(|entry| entry.answer.is_none()) {
            self.events.push_back(Event::QueryClosed { query: QueryId(query) });
        }
        self.drop_query(query);
    }

    fn receive_refused(&mut self, now: Now, code: u32, refused: &Refused) {
        let Some(peer) = self.peers.get(code) else { return };
        if peer.outbox.dialog() != refused.dialog {
            return;
        }
        let Some(event) = peer.outbox.code(refused.serial) else { return };
        let Some(outgoing) = self.outgoing.get_mut(event) else { return };
        let judgement = outgoing.refused(refused.transmission);
        match (refused.why, judgement) {
            (Refusal::Stale, Judgement::Free) => self.rebind(event),
            // Some other transmission may have been taken: nothing more is sent under this binding.
            (Refusal::Stale, _) => self.put_in_doubt(now, event),
            // The same binding is sent again, when its time comes or when credit arrives.
            (Refusal::Window, _) => {}
            (Refusal::Busy, Judgement::Free) => {
                let retry_after = std::time::Duration::from_millis(refused.retry_ms);
                self.end(event, Outcome::Refused(RefusedWhy::Busy { retry_after }));
            }
            (Refusal::TooLarge, Judgement::Free) => {
                self.end(event, Outcome::Refused(RefusedWhy::TooLarge));
            }
            (Refusal::Busy | Refusal::TooLarge, _) => {}
        }
    }

    fn receive_partial(
        &mut self,
        code: u32,
        dialog: u64,
        serial: u64,
        of: PartOf,
        received: usize,
    ) {
        let Some(peer) = self.peers.get(code) else { return };
        match of {
            PartOf::Message if peer.outbox.dialog() == dialog => {
                let event = peer.outbox.code(serial);
                if let Some(one) = event.and_then(|event| self.outgoing.get_mut(event)) {
                    one.arrived = received.min(one.body.len());
                    one.offset = one.arrived;
                    let item = event.map(crate::exchange::resend::Item::Message);
                    self.send_parts(code, item);
                }
            }
            PartOf::Message => {}
            PartOf::Reply => {
                let query = peer.queries.get(&(dialog, serial)).copied();
                let entry = query.and_then(|query| self.queries.get_mut(query));
                if let Some(answer) = entry.and_then(|entry| entry.answer.as_mut()) {
                    answer.arrived = received.min(answer.body.len());
                    answer.offset = answer.arrived;
                    let item = query.map(crate::exchange::resend::Item::Reply);
                    self.send_parts(code, item);
                }
            }
        }
    }

    fn receive_hint(&mut self, arrival: Arrival, kind: &str, body: Bytes) -> Option<()> {
        let from = self.peers.get(arrival.peer)?.key;
        let own = self.identity(arrival.identity)?.secret_keys.public;
        let id = Canonical::new(&from, &own, MessageClass::Send, 0).id(0, 1, None, kind, &body);
        self.events.push_back(Event::Hint(MessageEvent {
            identity: arrival.identity,
            from,
            kind: Kind::new(kind).ok()?,
            body,
            assurance: arrival.assurance,
            id,
        }));
        Some(())
    }

    /// The peer goes away: its sessions are not used for sending any more.
    fn receive_goodbye(&mut self, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        for session in std::mem::take(&mut peer.sessions) {
            self.sessions.remove(session);
        }
    }

    /// The canonical form of a dialog's messages, made once for a payload.
    fn canonical<'a>(
        &self,
        arrival: Arrival,
        dialog: u64,
        class: &Class,
        cache: &'a mut Canonicals,
    ) -> Option<&'a Canonical> {
        let class = match class {
            Class::Request { .. } => MessageClass::Request,
            Class::Send => MessageClass::Send,
        };
        if cache.as_ref().is_none_or(|(cached, _)| *cached != class) {
            let from = self.peers.get(arrival.peer)?.key;
            let own = self.identity(arrival.identity)?.secret_keys.public;
            *cache = Some((class, Canonical::new(&from, &own, class, dialog)));
        }
        cache.as_ref().map(|(_, canonical)| canonical)
    }

    /// The session of an id, if it has keys.
    pub(super) fn live(&mut self, id: u32) -> Option<&mut crate::session::live::Session> {
        match self.sessions.get_mut(id) {
            Some(Slot::Live(session)) => Some(session),
            _ => None,
        }
    }
}

fn owe_partial(peer: &mut super::peer::Peer, name: (u64, u64, PartOf)) {
    if peer.partials.len() < REFUSALS_MAX && !peer.partials.contains(&name) {
        peer.partials.push(name);
    }
}

/// A body out of a payload: a large one shares the payload's memory, a small one is copied so that
/// it does not keep the whole payload alive.
fn keep(payload: &Bytes, body: &[u8]) -> Bytes {
    if body.len() * 4 >= payload.len() {
        payload.slice_ref(body)
    } else {
        Bytes::copy_from_slice(body)
    }
}

/// Refusals, foreign dialogs and partial reports that wait for a record; more are dropped, and asked
/// for again by the sender's own repetition.
const REFUSALS_MAX: usize = 256;
/// What a busy receiver suggests.
const BUSY_RETRY_MS: u64 = 500;
