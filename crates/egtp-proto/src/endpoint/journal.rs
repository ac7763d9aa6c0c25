//! What a durable store of ours must have written down before it counts.
//!
//! Rows are gathered while the batch before them is on its way to the disk, so that one wait for the disk
//! serves all that came meanwhile. Invariant: what a peer sent to a durable store is handed over and
//! acknowledged only once the rows that say so are durable.

use super::{Endpoint, Timer};
use crate::card::StoreKind;
use crate::exchange::durable::{
    Batch, MessageName, Offer, Ran, Row, SavedAnswer, SavedAsk, SavedQuery, Write,
};
use crate::exchange::inbox::Inbox;
use crate::exchange::outgoing::Binding;
use crate::exchange::query::{Answer, Query, Standing};
use crate::exchange::saved::Saved;
use crate::exchange::stores::DialogCode;
use crate::limits::ACK_DELAY;
use crate::output::{Event, IdentityId, LOST, MessageEvent, QueryEvent, QueryId};
use crate::planted::{Bug, is};
use crate::time::Now;

/// Rows under construction, and what waits for rows to be durable.
#[derive(Debug, Default)]
pub(super) struct Journal {
    batches: u64,
    rows: Vec<Row>,
    waiting: Vec<Waiting>,
    /// The batch that is on its way to the disk.
    out: Option<(u64, Vec<Waiting>)>,
    /// Whether the disk has refused, and has written nothing since.
    refuses: bool,
}

/// What goes on once rows are durable.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A message was taken, and is not handed over yet.
    Taken { peer: u32, identity: IdentityId, place: DialogCode, serial: u64, event: Event },
    /// A message was taken, and its handler has run.
    Run { peer: u32, identity: IdentityId, place: DialogCode, serial: u64 },
    /// A message of ours is on the disk.
    Kept(u32),
    /// So is what it is bound to.
    Bound(u32, Binding),
    /// A letter was read, and all of it was taken or not.
    Letter { number: u64, all_taken: bool },
    /// The secret of a mailbox prekey of ours.
    MailboxPrekey { identity: IdentityId, id: u32 },
    /// So is its outcome, or that there will be none.
    Over { code: u32, peer: u32, dialog: u64, serial: u64, bytes: usize },
}

impl Journal {
    /// Whether no more is taken until the disk has caught up.
    pub(super) const fn takes_no_more(&self) -> bool {
        self.refuses || self.rows.len() >= ROWS_MAX || self.waiting.len() >= ROWS_MAX
    }

    /// Whether the disk has said that it does not write.
    pub(super) const fn refuses(&self) -> bool {
        self.refuses
    }
}

impl Endpoint {
    /// Adds a durable store to an identity, as it was read back from the disk. To be called before
    /// anything is received for it.
    ///
    /// Messages of ours that an earlier run has not brought to an end go on; `token` says what the caller
    /// calls each in events. Returns how many there is no room for: they stay on the disk as they are.
    pub fn add_store(
        &mut self,
        now: Now,
        identity: IdentityId,
        saved: Saved,
        token: impl FnMut(&SavedAsk) -> u64,
    ) -> usize {
        let inbox = Inbox::restore(&saved, &mut self.random, &self.limits, now, self.exclusive);
        let Some(own) = self.identity_mut(identity) else { return saved.asks.len() };
        own.stores.add(inbox);
        if let Some(letters) = &saved.letters {
            self.add_letters(now, identity, letters);
        }
        // First of all, so that there is room for their peers.
        let left_out = self.restore_asks(now, identity, &saved.outboxes, saved.asks, token);
        for (query, answer) in saved.queries {
            if self.restore_query(now, identity, &query, answer).is_none() {
                self.write(identity, Write::Done(query.name));
            }
        }
        left_out
    }

    /// What was taken in an earlier run: its sender gets the reply that there is, or its handler gets it
    /// again.
    fn restore_query(
        &mut self,
        now: Now,
        identity: IdentityId,
        saved: &SavedQuery,
        answer: Option<SavedAnswer>,
    ) -> Option<()> {
        let MessageName { peer, dialog, serial } = saved.name;
        let code = self.peer_code(now.boot, identity, peer)?;
        let kind = saved.store;
        let inbox = self.identity_mut(identity)?.stores.get_mut(kind)?;
        let place = DialogCode { kind, code: inbox.code(&peer, dialog)? };
        inbox.dialog_mut(place.code)?.open += 1;
        let offer = saved.offer.as_ref().filter(|_| answer.is_none());
        let is_told = offer.is_some_and(|offer| !offer.wants_reply);
        let answer = answer.or_else(|| {
            if offer.is_some() {
                return None;
            }
            // It was with its handler: nobody can know what became of it.
            let lost = SavedAnswer { status: LOST, body: bytes::Bytes::new() };
            self.write(identity, Write::Answer { name: saved.name, answer: lost.clone() });
            Some(lost)
        });
        let body = answer.as_ref().map(|answer| &answer.body);
        let bytes = body.or(offer.map(|offer| &offer.body)).map_or(0, bytes::Bytes::len);
        let is_answered = answer.is_some();
        let answer = answer.map(|answer| Answer::new(answer.status, answer.body));
        let query = self.queries.insert(Query {
            standing: if is_told { Standing::Held } else { Standing::Open },
            peer: code,
            place,
            dialog,
            serial,
            code: saved.code,
            id: saved.id,
            room: saved.room,
            bytes,
            timer: None,
            in_flight: false,
            is_offered: is_told,
            answer,
        });
        if !is_told {
            let timer = self.timers.set(now.boot.after(saved.patience), Timer::Query(query));
            self.queries.get_mut(query)?.timer = Some(timer);
        }
        let peer = self.peers.get_mut(code)?;
        peer.query_bytes += bytes;
        if is_told {
            peer.held += 1;
        } else {
            peer.queries.insert((dialog, serial), query);
        }
        if is_answered {
            peer.replies.push_back(query);
        }
        if let Some(offer) = offer {
            self.events.push_back(offer_again(identity, saved, offer, QueryId(query)));
        }
        self.soil(code);
        Some(())
    }

    /// The rows that are to become durable next, if there are any and the batch before has. Hand them
    /// to the disk, and say [`Endpoint::committed`] when they are safe, however long that takes.
    pub fn take_batch(&mut self) -> Option<Batch> {
        if self.journal.out.is_some() {
            return None;
        }
        let mut rows = Vec::new();
        for (index, identity) in self.identities.iter_mut().enumerate() {
            let id = IdentityId(u16::try_from(index).ok()?);
            for kind in [StoreKind::Durable, StoreKind::Letter] {
                if let Some(inbox) = identity.stores.get_mut(kind)
                    && inbox.has_changes()
                {
                    let writes = inbox.take_changes().into_iter();
                    rows.extend(writes.map(|write| Row { identity: id, write }));
                }
            }
        }
        rows.append(&mut self.journal.rows);
        if rows.is_empty() {
            return None;
        }
        self.journal.batches += 1;
        let number = self.journal.batches;
        self.journal.out = Some((number, std::mem::take(&mut self.journal.waiting)));
        Some(Batch { number, rows })
    }

    /// The disk has refused the batch under way, or refuses to be given one; it is tried again until it goes.
    /// Until then nobody is let wait for it: what would have to be written is refused as `Busy`, here and to
    /// others.
    pub fn disk_refuses(&mut self) {
        // What is written next ends it: something must be.
        self.journal.refuses = self.journal.out.is_some() || !self.journal.waiting.is_empty();
    }

    /// The rows of a batch are durable: what waited for them goes on. `ran` is what came of the handlers
    /// among them, in their order.
    pub fn committed(&mut self, now: Now, number: u64, ran: Vec<Ran>) {
        let Some((_, waiting)) = self.journal.out.take_if(|(out, _)| *out == number) else {
            return;
        };
        self.journal.refuses = false;
        for one in waiting {
            let (peer, identity, place, serial, event) = match one {
                Waiting::Taken { peer, identity, place, serial, event } => {
                    (peer, identity, place, serial, Some(event))
                }
                Waiting::Run { peer, identity, place, serial } => {
                    (peer, identity, place, serial, None)
                }
                of_ours => {
                    self.kept(&of_ours);
                    continue;
                }
            };
            if let Some(identity) = self.identity_mut(identity)
                && let Some(inbox) = identity.stores.get_mut(place.kind)
            {
                inbox.written(place.code, serial);
            }
            if let Some(peer) = self.peers.get_mut(peer) {
                peer.owe_ack(place, now.boot.after(ACK_DELAY));
            }
            self.soil(peer);
            if let Some(event) = event {
                self.release(event);
            }
        }
        for Ran { query, answer } in ran {
            self.has_run(now, query, &answer);
        }
    }

    /// Goes on when the rows planned so far are durable.
    pub(super) fn wait_for_disk(&mut self, waiting: Waiting) {
        self.journal.waiting.push(waiting);
    }

    /// Hands a message over: it counts as taken. If its sender gave up meanwhile, its handler is told so.
    fn release(&mut self, event: Event) {
        let query = if let Event::Query(query) = &event { Some(query.query) } else { None };
        self.events.push_back(event);
        if let Some(query) = query
            && self.queries.get(query.0).is_some_and(|one| one.standing == Standing::Held)
        {
            self.events.push_back(Event::QueryClosed { query });
        }
    }

    /// Hands a message that was just taken to the application: at once, or when it is written down.
    pub(super) fn hand_over_taken(
        &mut self,
        peer: u32,
        identity: IdentityId,
        (place, serial): (DialogCode, u64),
        event: Event,
    ) {
        if is(Bug::BeforeTheDisk) {
            self.events.push_back(event);
            return;
        }
        match place.kind {
            StoreKind::Ram => self.events.push_back(event),
            StoreKind::Durable | StoreKind::Letter => {
                let taken = Waiting::Taken { peer, identity, place, serial, event };
                self.wait_for_disk(taken);
            }
        }
    }

    /// Goes on when all is durable that is planned by now, or on its way to the disk: at once if nothing is.
    pub(super) fn wait_for_what_is_planned(&mut self, waiting: Waiting) {
        if self.has_rows() {
            self.journal.waiting.push(waiting);
        } else if let Some((_, out)) = &mut self.journal.out {
            out.push(waiting);
        } else {
            self.kept(&waiting);
        }
    }

    fn has_rows(&self) -> bool {
        let on_disk = [StoreKind::Durable, StoreKind::Letter];
        let has_changes = |own: &super::Identity| {
            on_disk.iter().any(|kind| own.stores.get(*kind).is_some_and(Inbox::has_changes))
        };
        !self.journal.rows.is_empty() || self.identities.iter().any(has_changes)
    }

    /// Plans a row.
    pub(super) fn write(&mut self, identity: IdentityId, write: Write) {
        self.journal.rows.push(Row { identity, write });
    }

    /// Plans a row about a request in a durable store.
    pub(super) fn write_query(
        &mut self,
        code: u32,
        write: impl FnOnce(MessageName, &Query) -> Option<Write>,
    ) {
        let Some(query) = self.queries.get(code) else { return };
        if !query.place.kind.is_on_disk() {
            return;
        }
        let Some(peer) = self.peers.get(query.peer) else { return };
        let name = MessageName { peer: peer.key, dialog: query.dialog, serial: query.serial };
        let identity = peer.identity;
        if let Some(write) = write(name, query) {
            self.write(identity, write);
        }
    }
}

/// Rows, and messages, that wait for the disk. Above it senders are told `Busy`.
const ROWS_MAX: usize = 65_536;

/// What an earlier life may have been at work on is handed over again.
fn offer_again(identity: IdentityId, saved: &SavedQuery, offer: &Offer, query: QueryId) -> Event {
    let message = MessageEvent {
        identity,
        from: saved.name.peer,
        kind: offer.kind.clone(),
        body: offer.body.clone(),
        assurance: offer.assurance,
        id: saved.id,
    };
    let (room, patience, redelivered) = (saved.room, saved.patience, true);
    if offer.wants_reply {
        Event::Query(QueryEvent { query, message, room, patience, redelivered })
    } else {
        Event::Message { query, message, redelivered }
    }
}
