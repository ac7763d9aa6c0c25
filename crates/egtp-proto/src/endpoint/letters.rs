//! Letters to peers that no path leads to: what goes into one, and what becomes of it.
//!
//! A letter carries what outlives our runs, and answers to what came by letter. The driver hands it to whoever keeps it
//! for the peer. Invariant: what is in a letter was bound before, on our disk, and counts as sent from the moment on that
//! the letter is made, whatever the driver says of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Endpoint;
use super::heads::{message_head, reply_head};
use crate::card::StoreKind;
use crate::contact::Contact;
use crate::crypto::DhKey;
use crate::exchange::backoff::doubled;
use crate::exchange::outbox::Outbox;
use crate::exchange::outgoing::{Binding, State};
use crate::exchange::resend::Item;
use crate::exchange::stores::DialogCode;
use crate::limits::{LETTER_FRAMES_MAX, LETTER_FRAMES_USUAL};
use crate::output::{Event, IdentityId, Posted};
use crate::session::letter::{self, Contents};
use crate::time::Now;
use crate::wire::frame::{DialogHead, Frame, ReplyHead, encode_ack};

/// Letters that the driver has, by the number that they were given.
pub(super) type LettersOut = BTreeMap<u64, LetterOut>;

/// What is in a letter that the driver has.
#[derive(Debug, Default)]
pub(super) struct LetterOut {
    peer: u32,
    messages: Vec<u32>,
    replies: Vec<u32>,
    acks: Vec<DialogCode>,
}

/// Whether letters are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Letters {
    /// They are.
    Wanted,
    /// They are not: what outlives our runs waits for a path.
    Unwanted,
}

/// A letter before it is sealed.
#[derive(Debug, Default)]
struct Draft {
    frames: Vec<u8>,
    out: LetterOut,
}

impl Draft {
    /// Whether a frame with a body of so many bytes goes in: many small ones, or one that is long.
    const fn has_room(&self, body: usize) -> bool {
        let after = self.frames.len().saturating_add(body).saturating_add(HEAD_MAX);
        after <= LETTER_FRAMES_USUAL || (self.frames.is_empty() && after <= LETTER_FRAMES_MAX)
    }
}

impl Endpoint {
    /// Whether the driver takes letters of this identity to peers that no path leads to. At first it does not.
    pub fn send_letters(&mut self, identity: IdentityId, letters: Letters) {
        if let Some(own) = self.identity_mut(identity) {
            own.sends_letters = letters == Letters::Wanted;
        }
    }

    /// What became of the letter of an [`Event::Letter`]: whether somebody keeps it for its peer. What is in one that
    /// nobody keeps goes into another one before long, and is not certain never to arrive.
    pub fn posted(&mut self, now: Now, number: u64, posted: Posted) {
        let Some(out) = self.letters_out.remove(&number) else { return };
        match posted {
            Posted::Stored => {
                let messages = out.messages.iter().filter_map(|event| self.outgoing.get(*event));
                let stored = messages.filter(|one| one.state == State::Posted);
                let events: Vec<Event> =
                    stored.map(|one| Event::Stored { token: one.token }).collect();
                self.events.extend(events);
                if let Some(peer) = self.peers.get_mut(out.peer) {
                    peer.letters.unwanted = 0;
                }
            }
            Posted::Failed => self.post_again(now, &out),
        }
        self.soil(out.peer);
    }

    fn post_again(&mut self, now: Now, out: &LetterOut) {
        let jitter = self.random.u64();
        let Some(peer) = self.peers.get_mut(out.peer) else { return };
        let letters = &mut peer.letters;
        // Those that were out at once have failed once.
        if letters.unwanted == 0 || letters.again <= now.boot {
            let wait = doubled(AGAIN_AFTER_FAILURE, letters.unwanted, LETTER_AGAIN, jitter);
            letters.again = now.boot.after(wait);
            letters.unwanted = letters.unwanted.saturating_add(1);
        }
        let (times, due) = (letters.unwanted, letters.again);
        for event in &out.messages {
            if let Some(one) =
                self.outgoing.get_mut(*event).filter(|one| one.state == State::Posted)
            {
                one.not_posted();
                peer.resend.plan_again(due, Item::Message(*event));
            }
        }
        for reply in &out.replies {
            peer.resend.plan_again(due, Item::Reply(*reply));
        }
        // Else whoever sent it sends it again.
        for place in out.acks.iter().filter(|_| times < ACKS_TRIED) {
            peer.resend.plan_again(due, Item::Ack(*place));
        }
    }

    /// Writes to a peer that the last search has found no path to.
    pub(super) fn write_letters(&mut self, now: Now, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let identity = peer.identity;
        let is_away = peer.path.is_none() && peer.connect.failures > 0;
        if !is_away {
            return;
        }
        let may_write = self.identity(identity).is_some_and(|own| own.sends_letters);
        let Some(peer) = self.peers.get_mut(code) else { return };
        if !may_write || peer.mailbox.is_none() {
            // Whoever sent it sends it again, and perhaps says then where an answer goes. No path is worth it.
            peer.acks.retain(|place| place.kind != StoreKind::Letter);
            peer.letters.has_reply = false;
            return;
        }
        while self.letters_out.len() < LETTERS_OUT_MAX && self.has_few_out(code) {
            let draft = self.draft(now, code);
            if draft.frames.is_empty() || self.seal_letter(now, code, draft).is_none() {
                return;
            }
        }
    }

    /// What comes while a peer's letters are on their way to whoever keeps them goes into the next one together.
    fn has_few_out(&self, code: u32) -> bool {
        self.letters_out.values().filter(|out| out.peer == code).count() < LETTERS_OUT_PER_PEER
    }

    fn draft(&mut self, now: Now, code: u32) -> Draft {
        let mut draft = Draft::default();
        draft.out.peer = code;
        self.draft_notes(code, &mut draft);
        self.draft_replies(now, code, &mut draft);
        self.draft_messages(now, code, &mut draft);
        if let Some(peer) = self.peers.get_mut(code)
            && (peer.letters.has_reply || !draft.frames.is_empty())
            && draft.has_room(CLOSED_MAX)
            && let Some(kept) = peer.outboxes.kept_mut().filter(|kept| kept.has_news())
        {
            let (dialog, serials) = (kept.dialog(), kept.take_news());
            peer.letters.has_reply = kept.has_news();
            Frame::Closed { dialog, serials }.encode(&mut draft.frames);
        }
        draft
    }

    /// Acknowledgements of what came by letter, and refusals.
    fn draft_notes(&mut self, code: u32, draft: &mut Draft) {
        let bytes_max = self.limits.query_bytes_per_peer;
        let Self { peers, identities, .. } = self;
        let Some(peer) = peers.get_mut(code) else { return };
        let Some(own) = identities.get(usize::from(peer.identity.0)) else { return };
        let free = u64::try_from(bytes_max.saturating_sub(peer.query_bytes)).unwrap_or(u64::MAX);
        for place in peer.acks.extract_if(.., |place| place.kind == StoreKind::Letter) {
            if let Some(dialog) = own.stores.dialog(place) {
                let acknowledged = dialog.acknowledged();
                encode_ack(&mut draft.frames, dialog.id(), acknowledged, dialog.limit(), free);
                draft.out.acks.push(place);
            }
        }
        while draft.has_room(0)
            && let Some(refused) = peer.refusals.pop()
        {
            Frame::Refused(refused).encode(&mut draft.frames);
        }
    }

    /// Replies to what came by letter.
    fn draft_replies(&mut self, now: Now, code: u32, draft: &mut Draft) {
        let jitter = self.random.u64();
        let Self { peers, queries, .. } = self;
        let Some(peer) = peers.get_mut(code) else { return };
        let mut left = VecDeque::new();
        let mut context = None;
        while let Some(query) = peer.replies.pop_front() {
            let Some(one) = queries.get_mut(query) else { continue };
            let (head, dialog) = (reply_head(one), one.dialog);
            let is_for_letters = one.place.kind == StoreKind::Letter;
            let Some(answer) = one.answer.as_mut() else { continue };
            if !is_for_letters || !draft.has_room(answer.body.len()) {
                left.push_back(query);
                continue;
            }
            if context != Some(dialog) {
                context = Some(dialog);
                Frame::Replies(dialog).encode(&mut draft.frames);
            }
            let head = ReplyHead { status: answer.status, ..head };
            Frame::Reply(head, &answer.body).encode(&mut draft.frames);
            answer.is_queued = false;
            answer.attempts += 1;
            answer.sent = None;
            draft.out.replies.push(query);
            let again = doubled(LETTER_AGAIN, 0, LETTER_AGAIN, jitter);
            peer.resend.plan_again(now.boot.after(again), Item::Reply(query));
        }
        peer.replies = left;
    }

    /// Messages that outlive our runs and are bound to the peer's letter store.
    fn draft_messages(&mut self, now: Now, code: u32, draft: &mut Draft) {
        let jitter = self.random.u64();
        let (mut unrecorded, mut left) = (Vec::new(), Vec::new());
        let Self { peers, outgoing, .. } = self;
        let Some(peer) = peers.get_mut(code) else { return };
        let mut context = None;
        while let Some(event) = peer.outboxes.kept_mut().and_then(Outbox::dequeue) {
            let Some(one) = outgoing.get_mut(event) else { continue };
            if one.state != State::Queued {
                continue;
            }
            let binding = peer.binding_of(one).filter(|to| to.kind == StoreKind::Letter);
            let Some(binding) = binding else {
                left.push((one.serial, event));
                continue;
            };
            if one.is_unrecorded(binding) {
                unrecorded.push(event);
                continue;
            }
            let is_posted_until = one.posted().map(|posted| posted.after(LETTER_AGAIN));
            if let Some(due) = is_posted_until.filter(|due| *due > now.boot) {
                // A letter that may be read any day has it.
                one.state = State::Posted;
                peer.resend.plan_again(due, Item::Message(event));
                continue;
            }
            if !draft.has_room(one.body.len()) {
                left.push((one.serial, event));
                continue;
            }
            if context != Some(binding) {
                context = Some(binding);
                let Binding { kind, store, generation } = binding;
                let Some(kept) = peer.outboxes.kept_mut() else { break };
                let (dialog, low_water) = (kept.dialog(), kept.closed().base());
                kept.told_low_water();
                let head = DialogHead { kind, dialog, store, generation, low_water };
                Frame::Dialog(head).encode(&mut draft.frames);
            }
            Frame::Message(message_head(event, one), &one.body).encode(&mut draft.frames);
            one.post(now.boot);
            draft.out.messages.push(event);
            let again = doubled(LETTER_AGAIN, 0, LETTER_AGAIN, jitter);
            peer.resend.plan_again(now.boot.after(again), Item::Message(event));
        }
        if let Some(kept) = peer.outboxes.kept_mut() {
            for (serial, event) in left {
                kept.enqueue(serial, event);
            }
        }
        for event in unrecorded {
            self.record_binding(event);
        }
    }

    /// Seals a draft and gives it to the driver. `None` if the peer's contact names a prekey that is none.
    fn seal_letter(&mut self, now: Now, code: u32, draft: Draft) -> Option<()> {
        let ephemeral = DhKey::from_secret(&self.random.bytes()).ok()?;
        let name = *ephemeral.public().first_chunk()?;
        let peer = self.peers.get(code)?;
        let (identity, to) = (peer.identity, peer.key);
        let prekey = peer.mailbox.as_ref()?.prekey;
        let suite = self.suites.pick_for_letter(&peer.suites.list());
        let own = self.identity(identity)?;
        let contact = own.contact.as_deref().map(Contact::encode).unwrap_or_default();
        let contents = Contents { contact, frames: &draft.frames };
        let (local, to_whom) = (&own.secret_keys, (&to, &prekey));
        let sealed = letter::seal(local, to_whom, suite, ephemeral, contents, &peer.shroud).ok()?;
        for event in &draft.out.messages {
            if let Some(one) = self.outgoing.get_mut(*event)
                && let Some(binding) = peer.binding_of(one)
            {
                one.transmitted(binding, name, now);
            }
        }
        self.counters.letters_sealed += 1;
        self.letters_made += 1;
        let number = self.letters_made;
        self.letters_out.insert(number, draft.out);
        self.events.push_back(Event::Letter { identity, to, number, letter: sealed.into() });
        Some(())
    }

    /// What is in letters goes on a path as well, now that the peer has been heard there.
    pub(super) fn send_posted(&mut self, code: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let Some(kept) = peer.outboxes.kept_mut() else { return };
        let mut posted = Vec::new();
        for event in kept.codes() {
            if let Some(one) = self.outgoing.get_mut(event).filter(|one| one.state == State::Posted)
            {
                one.state = State::Queued;
                posted.push((one.serial, event));
            }
        }
        for (serial, event) in posted {
            kept.enqueue(serial, event);
        }
        self.soil(code);
    }
}

/// Letters that the driver has at a time. What would go into a further one waits.
const LETTERS_OUT_MAX: usize = 64;
/// The same for one peer.
const LETTERS_OUT_PER_PEER: usize = 4;
/// More than the longest list of serials takes.
const CLOSED_MAX: usize = 1024;
/// More than any frame has besides its body, with the frame that names its dialog.
const HEAD_MAX: usize = 256;
/// After this long without an answer another letter is written.
const LETTER_AGAIN: Duration = Duration::from_mins(30);
/// The same after the first letter that nobody wanted to keep; twice as long each time.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// An acknowledgement goes into another letter as long as fewer than this many were kept by nobody.
const ACKS_TRIED: u32 = 10;
