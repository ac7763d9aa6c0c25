//! What a record, first flight or answer is made of: as many waiting frames as fit.
//!
//! Replies come before acknowledgements (a reply says the same and more), small messages before parts
//! of large ones, which get at least half of a record when they wait. Invariant: whatever is filled
//! is also planned to be sent again, until its receiver answers for it.

use std::time::Duration;

use super::Endpoint;
use super::copies::COPIES;
use super::heads::{message_head, part, reply_head};
use super::packed::Packed;
use super::peer::Peer;
use super::submit::length;
use crate::card::StoreKind;
use crate::codes::Table;
use crate::exchange::assembly::Assembly;
use crate::exchange::outbox::Outbox;
use crate::exchange::outgoing::{Binding, Outgoing, State};
use crate::exchange::query::Query;
use crate::exchange::resend::Item;
use crate::exchange::stores::Stores;
use crate::output::Event;
use crate::session::live::TransmissionName;
use crate::time::Now;
use crate::wire::frame::{DialogHead, Frame, PartOf, ReplyHead, encode_ack};
use crate::wire::shroud::PREFIX_BYTES;

/// The longest body that travels whole; longer ones go in parts, so that they hold up nobody.
const WHOLE_MAX: usize = 8 * 1024;
/// More than any frame has besides its body.
const HEAD_MAX: usize = 160;
/// A question about parts, as a frame.
const QUESTION_BYTES: usize = 9;
/// A part is not worth less than this.
const PART_MIN: usize = 512;

/// What the frames are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// A first flight: small messages within the first window.
    FirstFlight,
    /// The answer to one: nothing that needs the peer's card, which is not confirmed yet.
    Answer,
    /// A record of a confirmed session without post-quantum secrecy.
    Record,
    /// A record of a confirmed session with a hybrid suite.
    HybridRecord,
}

impl Phase {
    const fn is_record(self) -> bool {
        matches!(self, Self::Record | Self::HybridRecord)
    }

    /// Whether a message may ride in it as far as its secrecy is concerned.
    fn may_carry(self, one: &Outgoing) -> bool {
        self == Self::HybridRecord || !one.post_quantum
    }
}

impl Endpoint {
    /// Frames for a handshake payload of at most `max` bytes.
    pub(super) fn pack_payload(&mut self, now: Now, code: u32, phase: Phase, max: usize) -> Packed {
        self.pack(now, code, phase, Vec::new(), max)
    }

    /// Frames for one record of `session`, of so many bytes at most; the buffer begins with room for its
    /// header.
    pub(super) fn pack_record(&mut self, now: Now, code: u32, session: u32, max: usize) -> Packed {
        let few = self.peers.get(code).is_none_or(|peer| {
            peer.outboxes.queued() + peer.replies.len() < 2 && peer.large.is_empty()
        });
        let capacity = if few { 512 } else { max + 64 };
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + capacity);
        bytes.resize(PREFIX_BYTES, 0);
        let phase = if self.is_hybrid(session) { Phase::HybridRecord } else { Phase::Record };
        self.pack(now, code, phase, bytes, max)
    }

    fn pack(&mut self, now: Now, code: u32, phase: Phase, bytes: Vec<u8>, max: usize) -> Packed {
        let mut filled = Packed { bytes, ..Packed::default() };
        let end = filled.bytes.len() + max;
        let identity = self.peers.get(code).map(|peer| peer.identity).unwrap_or_default();
        let state = self.card_state(identity);
        let news = self.peers.get(code).is_some_and(|peer| peer.owes.card || peer.told != state);
        let card = (news && phase.is_record()).then(|| self.card(identity, &now)).flatten();
        let bytes_max = self.limits.query_bytes_per_peer;
        let goodbye = self.says_goodbye(code);
        let Self { peers, outgoing, queries, identities, random, counters, .. } = self;
        let Some(peer) = peers.get_mut(code) else { return filled };
        let Some(own) = identities.get(usize::from(identity.0)) else { return filled };
        let jitter = random.u64();
        let first_delay = None;
        let mut packer = Packer { now, phase, end, peer, filled: &mut filled, jitter, first_delay };
        if let Some(card) = card {
            packer.peer.owes.card = false;
            packer.peer.told = state;
            packer.frame(&Frame::Card(card));
        }
        if phase.is_record() {
            if let Some(contact) = packer.peer.untold(own.listed_contact(), packer.space()) {
                packer.frame(&Frame::Contact(contact));
            }
            packer.small_frames(outgoing);
            if goodbye {
                let before = packer.filled.bytes.len();
                packer.frame(&Frame::Close);
                packer.filled.goodbye = packer.filled.bytes.len() - before;
            }
        }
        if phase != Phase::FirstFlight {
            packer.replies(queries);
            packer.acks(&own.stores, bytes_max);
        }
        if phase.is_record() {
            packer.hints();
        }
        if phase != Phase::Answer {
            packer.messages(outgoing);
        }
        if phase.is_record() {
            packer.parts(outgoing, queries);
            packer.closed();
        }
        counters.transmissions += u64::try_from(filled.messages.len()).unwrap_or(0);
        for event in std::mem::take(&mut filled.unrecorded) {
            self.record_binding(event);
        }
        filled
    }

    /// What was filled has left under this name.
    pub(super) fn note_sent(
        &mut self,
        now: Now,
        code: u32,
        filled: &Packed,
        name: TransmissionName,
    ) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        if filled.wants_answer {
            peer.silent_since.get_or_insert(now.boot);
        }
        for event in &filled.messages {
            if let Some(outgoing) = self.outgoing.get_mut(*event)
                && let Some(binding) = peer.binding_of(outgoing)
            {
                outgoing.transmitted(binding, name, now);
                let in_memory =
                    outgoing.wants == StoreKind::Durable && binding.kind == StoreKind::Ram;
                if in_memory && outgoing.attempts == 1 {
                    self.events.push_back(Event::InMemory { token: outgoing.token });
                }
            }
        }
    }
}

struct Packer<'a> {
    now: Now,
    phase: Phase,
    end: usize,
    peer: &'a mut Peer,
    filled: &'a mut Packed,
    /// The same for all that goes together, so that it is due together.
    jitter: u64,
    /// When it is sent again for the first time, once that was needed.
    first_delay: Option<Duration>,
}

impl Packer<'_> {
    fn space(&self) -> usize {
        self.end.saturating_sub(self.filled.bytes.len())
    }

    fn fits(&self, body: usize) -> bool {
        HEAD_MAX + body <= self.space()
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        frame.encode(&mut self.filled.bytes);
    }

    /// Everything that is short and owed: questions, refusals, notes about what we do not know.
    fn small_frames(&mut self, outgoing: &Table<Outgoing>) {
        while let Some(bytes) = self.peer.challenges.pop() {
            self.frame(&Frame::PathResponse(bytes));
        }
        if self.fits(COPIES.len()) && std::mem::take(&mut self.peer.owes.copies) {
            self.frame(&Frame::Hint { kind: COPIES, body: &[] });
        }
        while self.fits(0)
            && let Some(refused) = self.peer.refusals.pop()
        {
            self.frame(&Frame::Refused(refused));
        }
        while self.fits(0)
            && let Some((dialog, serials)) = self.peer.foreign_dialogs.pop()
        {
            self.frame(&Frame::Closed { dialog, serials });
        }
        while self.fits(0)
            && let Some((dialog, serial, of)) = self.peer.partials.pop()
        {
            let assembly = match of {
                PartOf::Message => {
                    self.peer.assemblies.get(&(dialog, serial)).map(|one| &one.assembly)
                }
                PartOf::Reply => {
                    let code = self.peer.outboxes.of(dialog).and_then(|one| one.code(serial));
                    let request = code.and_then(|code| outgoing.get(code));
                    request.and_then(|one| one.reply.as_ref()).map(|reply| &reply.body)
                }
            };
            let received = assembly.map_or(0, Assembly::received);
            let received = u64::try_from(received).unwrap_or(0);
            self.frame(&Frame::Partial { dialog, serial, of, received });
        }
    }

    fn replies(&mut self, queries: &mut Table<Query>) {
        let mut context = None;
        while let Some(code) = self.peer.replies.pop_front() {
            let Some(query) = queries.get_mut(code) else { continue };
            let head = reply_head(query);
            let (dialog, Some(answer)) = (query.dialog, query.answer.as_mut()) else { continue };
            answer.is_queued = false;
            if answer.body.len() > WHOLE_MAX {
                if !self.peer.large.contains(&Item::Reply(code)) {
                    answer.offset = answer.arrived;
                    self.peer.large.push_back(Item::Reply(code));
                }
                continue;
            }
            if !self.fits(answer.body.len()) {
                answer.is_queued = true;
                self.peer.replies.push_front(code);
                break;
            }
            if context != Some(dialog) {
                context = Some(dialog);
                self.frame(&Frame::Replies(dialog));
            }
            self.peer.flight.sent_small(self.now.boot);
            self.frame(&Frame::Reply(ReplyHead { status: answer.status, ..head }, &answer.body));
            answer.attempts += 1;
            answer.sent = Some(self.now.boot);
            let attempts = answer.attempts;
            self.plan(Item::Reply(code), attempts);
        }
    }

    fn acks(&mut self, stores: &Stores, bytes_max: usize) {
        let free = bytes_max.saturating_sub(self.peer.query_bytes);
        let free = u64::try_from(free).unwrap_or(u64::MAX);
        while self.space() > ACK_MAX
            && let Some(place) = self.peer.acks.pop()
        {
            if let Some(dialog) = stores.dialog(place) {
                let bytes = &mut self.filled.bytes;
                encode_ack(bytes, dialog.id(), dialog.acknowledged(), dialog.limit(), free);
            }
        }
        self.nothing_is_due();
    }

    /// Hints are old when they have waited.
    fn hints(&mut self) {
        let Some(mut hints) = self.peer.hints.take() else { return };
        while let Some((kind, body)) = hints.next_within(|bytes| self.fits(bytes)) {
            self.frame(&Frame::Hint { kind: kind.as_str(), body: &body });
        }
        self.peer.hints = Some(hints).filter(|hints| !hints.is_empty());
    }

    /// Unless something is: what is closed comes last and may find no room. It stays due then, or full records
    /// would put it off again and again.
    fn nothing_is_due(&mut self) {
        if self.peer.acks.is_empty() && !self.peer.outboxes.has_news() {
            self.peer.ack_due = None;
        }
    }

    /// Messages of every dialog; each time another one comes first.
    fn messages(&mut self, outgoing: &mut Table<Outgoing>) {
        let count = self.peer.outboxes.count();
        let turn = u64::try_from(count).map_or(0, |count| self.jitter % count.max(1));
        let first = usize::try_from(turn).unwrap_or(0);
        for turn in 0..count {
            let index = (first + turn) % count;
            self.messages_of(index, outgoing);
        }
    }

    fn put_back(&mut self, index: usize, serial: u64, code: u32) {
        if let Some(outbox) = self.peer.outboxes.at_mut(index) {
            outbox.enqueue(serial, code);
        }
    }

    fn messages_of(&mut self, index: usize, outgoing: &mut Table<Outgoing>) {
        let mut context: Option<Binding> = None;
        let reserved = if self.peer.large.is_empty() { 0 } else { self.space() / 2 };
        let mut passed_over = Vec::new();
        while let Some(code) = self.peer.outboxes.at_mut(index).and_then(Outbox::dequeue) {
            let Some(one) = outgoing.get_mut(code) else { continue };
            if one.state != State::Queued {
                continue;
            }
            let Some(binding) = self.peer.binding_of(one) else {
                self.put_back(index, one.serial, code);
                break;
            };
            if one.is_unrecorded(binding) {
                self.filled.unrecorded.push(code);
                continue;
            }
            let large = one.body.len() > WHOLE_MAX;
            if !self.phase.may_carry(one) || (large && self.phase == Phase::FirstFlight) {
                passed_over.push((one.serial, code));
                continue;
            }
            let Some(outbox) = self.peer.outboxes.at_mut(index) else { break };
            let allowed = self.phase != Phase::FirstFlight || outbox.fits_first_flight(one.serial);
            let credit = outbox.may_send(one.serial, length(one));
            let fits = large || self.fits(one.body.len() + reserved);
            if !allowed || !credit || !fits {
                self.put_back(index, one.serial, code);
                break;
            }
            self.begin_sending(one);
            if large {
                one.offset = one.arrived;
                self.peer.large.push_back(Item::Message(code));
                continue;
            }
            if context != Some(binding) {
                context = Some(binding);
                self.dialog(one.dialog, binding);
            }
            self.peer.flight.sent_small(self.now.boot);
            self.frame(&Frame::Message(message_head(code, one), &one.body));
            self.filled.messages.push(code);
            self.filled.wants_answer = true;
            one.sent = Some(self.now.boot);
            let attempts = one.attempts;
            self.plan(Item::Message(code), attempts);
        }
        for (serial, code) in passed_over.into_iter().rev() {
            self.put_back(index, serial, code);
        }
    }

    /// Parts of large bodies, one item after another.
    fn parts(&mut self, outgoing: &mut Table<Outgoing>, queries: &mut Table<Query>) {
        let mut turns = self.peer.large.len();
        let before = self.filled.bytes.len();
        while turns > 0
            && self.peer.flight.may_send()
            && self.space() > HEAD_MAX + PART_MIN
            && let Some(item) = self.peer.large.pop_front()
        {
            turns -= 1;
            let unfinished = match item {
                Item::Message(code) => self.message_part(code, outgoing),
                Item::Reply(code) => self.reply_part(code, queries),
                Item::Ack(_) => false,
            };
            if unfinished {
                self.peer.large.push_back(item);
            }
        }
        let bytes = self.filled.bytes.len() - before;
        let is_last = self.peer.large.is_empty();
        if bytes > 0
            && let Some(mark) = self.peer.flight.sent(self.now.boot, bytes, is_last)
        {
            self.frame(&Frame::PathChallenge(mark.to_le_bytes()));
            self.peer.note_offsets(mark, outgoing);
        }
    }

    /// Bytes of a body that fit, with what is around them and a question behind them.
    fn part_size(&self, left: usize) -> usize {
        self.space().saturating_sub(HEAD_MAX + QUESTION_BYTES).min(left)
    }

    /// Packs the next part of a message. Returns whether more is to come.
    fn message_part(&mut self, code: u32, outgoing: &mut Table<Outgoing>) -> bool {
        let Some(one) = outgoing.get_mut(code).filter(|one| one.state == State::Sent) else {
            return false;
        };
        if !self.phase.may_carry(one) {
            return true;
        }
        let Some(binding) = self.peer.binding_of(one) else { return false };
        let size = self.part_size(one.body.len().saturating_sub(one.offset));
        let Some(bytes) = one.body.get(one.offset..one.offset + size) else { return false };
        let head = (one.offset == 0).then(|| message_head(code, one));
        self.dialog(one.dialog, binding);
        let part = part(one.serial, one.offset, one.body.len(), bytes);
        self.frame(&Frame::Fragment(part, head));
        if one.offset == 0 {
            // A message cannot be taken without its first part, so that alone is a transmission.
            self.filled.messages.push(code);
        }
        self.filled.wants_answer = true;
        one.offset += size;
        one.sent = Some(self.now.boot);
        let (attempts, unfinished) = (one.attempts, one.offset < one.body.len());
        if !unfinished {
            self.plan(Item::Message(code), attempts);
        }
        unfinished
    }

    fn reply_part(&mut self, code: u32, queries: &mut Table<Query>) -> bool {
        let Some(query) = queries.get_mut(code) else { return false };
        let head = reply_head(query);
        let (dialog, serial) = (query.dialog, query.serial);
        let Some(answer) = query.answer.as_mut() else { return false };
        let size = self.part_size(answer.body.len().saturating_sub(answer.offset));
        let Some(bytes) = answer.body.get(answer.offset..answer.offset + size) else {
            return false;
        };
        let first = answer.offset == 0;
        let head = first.then_some(ReplyHead { status: answer.status, ..head });
        self.frame(&Frame::Replies(dialog));
        self.frame(&Frame::ReplyFragment(
            part(serial, answer.offset, answer.body.len(), bytes),
            head,
        ));
        self.filled.wants_answer = true;
        answer.offset += size;
        answer.sent = Some(self.now.boot);
        let unfinished = answer.offset < answer.body.len();
        if !unfinished {
            answer.attempts += 1;
            let attempts = answer.attempts;
            self.plan(Item::Reply(code), attempts);
        }
        unfinished
    }

    /// What is closed, unless the low-water mark of a dialog frame has said it all.
    fn closed(&mut self) {
        for index in 0..self.peer.outboxes.count() {
            let space = self.space();
            let Some(outbox) = self.peer.outboxes.at_mut(index) else { break };
            if outbox.has_news() && space > ACK_MAX {
                let (dialog, serials) = (outbox.dialog(), outbox.take_news());
                self.frame(&Frame::Closed { dialog, serials });
            }
        }
        self.nothing_is_due();
    }

    fn dialog(&mut self, dialog: u64, Binding { kind, store, generation }: Binding) {
        let Some(outbox) = self.peer.outboxes.of_mut(dialog) else { return };
        let low_water = outbox.closed().base();
        outbox.told_low_water();
        let head = DialogHead { kind, dialog, store, generation, low_water };
        self.frame(&Frame::Dialog(head));
    }

    fn begin_sending(&mut self, one: &mut Outgoing) {
        one.state = State::Sent;
        one.attempts += 1;
        if let Some(outbox) = self.peer.outboxes.of_mut(one.dialog) {
            outbox.sent(length(one));
        }
    }

    fn plan(&mut self, item: Item, attempts: u32) {
        let due_after = |delay| self.now.boot.after(delay);
        if attempts <= 1 {
            // The same for all that goes together for the first time.
            let (trip, jitter) = (&self.peer.trip, self.jitter);
            let delay = *self.first_delay.get_or_insert_with(|| trip.delay(attempts, jitter));
            self.peer.resend.plan_first(due_after(delay), item);
        } else {
            let delay = self.peer.trip.delay(attempts, self.jitter);
            self.peer.resend.plan_again(due_after(delay), item);
        }
    }
}

/// More than an acknowledgement with all its ranges takes.
const ACK_MAX: usize = 800;
