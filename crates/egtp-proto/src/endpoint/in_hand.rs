//! Messages of a peer that the application has in hand: the one reply, and how each is given back.
//!
//! Invariant: each leaves the tables once, when neither its sender nor the application needs it; until
//! then it counts towards its sender's share.

use bytes::Bytes;

use super::Endpoint;
use crate::exchange::durable::{SavedAnswer, Write};
use crate::exchange::query::{Answer, Standing};
use crate::output::{Event, QueryId, RefusedWhy};
use crate::time::Now;
use crate::wire::Serials;

impl Endpoint {
    /// Gives the one reply to a query. A query that its asker has closed takes none, silently.
    pub fn reply(&mut self, now: Now, query: QueryId, reply: Result<Bytes, RefusedWhy>) {
        let Some(entry) = self.queries.get_mut(query.0) else { return };
        if entry.standing == Standing::Held {
            self.drop_query(query.0);
            return;
        }
        if entry.answer.is_some() {
            return;
        }
        let answer = SavedAnswer::new(reply, entry.room);
        self.give_answer(now, query.0, &answer);
        self.write_query(query.0, |name, _| Some(Write::Answer { name, answer }));
    }

    /// A query has its answer, which is sent from now on.
    pub(super) fn give_answer(&mut self, now: Now, query: u32, answer: &SavedAnswer) {
        let Some(entry) = self.queries.get_mut(query) else { return };
        let SavedAnswer { status, body } = answer.clone();
        let (peer, in_flight) = (entry.peer, entry.in_flight);
        let before = std::mem::replace(&mut entry.bytes, body.len());
        let after = body.len();
        entry.answer = Some(Answer::new(status, body));
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.query_bytes = peer.query_bytes.saturating_sub(before).saturating_add(after);
            peer.replies.push_back(query);
            if in_flight && let Some(answering) = peer.answering.as_mut() {
                answering.waiting = answering.waiting.saturating_sub(1);
                if answering.waiting == 0 {
                    answering.due = now.boot;
                }
            }
        }
        self.soil(peer);
    }

    /// Gives a query or a message back without a reply: the asker, if there is one, sees its own
    /// timeout. It is remembered as taken, and nothing else.
    pub fn ignore(&mut self, query: QueryId) {
        self.drop_query(query.0);
    }

    /// The asker wants nothing more about these requests: replies are forgotten, handlers told.
    pub(super) fn close_queries(&mut self, code: u32, dialog: u64, serials: &Serials) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        for query in peer.queries.covered(dialog, serials) {
            self.withdraw(query);
        }
    }

    /// Frees a query, or tells its handler if that is still at work: then it is freed when the
    /// handler gives it back.
    pub(super) fn withdraw(&mut self, code: u32) {
        let Some(query) = self.queries.get_mut(code) else { return };
        if query.answer.is_some() {
            self.drop_query(code);
            return;
        }
        query.standing = Standing::Held;
        self.events.push_back(Event::QueryClosed { query: QueryId(code) });
        self.detach_query(code);
        let peer = self.queries.get(code).map(|query| query.peer);
        if let Some(peer) = peer.and_then(|peer| self.peers.get_mut(peer)) {
            peer.held += 1;
        }
    }

    /// Frees a message of a peer: neither it nor the application has it in hand any more.
    pub(super) fn drop_query(&mut self, code: u32) {
        let Some(query) = self.queries.get(code) else { return };
        let (peer, bytes, standing) = (query.peer, query.bytes, query.standing);
        match standing {
            Standing::Open => self.detach_query(code),
            Standing::Held => {
                if query.is_offered {
                    self.write_query(code, |name, _| Some(Write::Done(name)));
                    self.leave_dialog(code);
                }
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.held = peer.held.saturating_sub(1);
                }
            }
        }
        self.queries.discard(code);
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.query_bytes = peer.query_bytes.saturating_sub(bytes);
        }
    }

    /// The peer wants nothing more about a request of its own.
    pub(super) fn detach_query(&mut self, code: u32) {
        self.write_query(code, |name, _| Some(Write::Done(name)));
        let Some(query) = self.queries.get_mut(code) else { return };
        let name = (query.dialog, query.serial);
        let awaited = query.in_flight && query.answer.is_none();
        let waits_in_turn = query.answer.as_ref().is_some_and(|answer| answer.is_queued);
        if let Some(timer) = query.timer.take() {
            self.timers.cancel(timer);
        }
        let Some(peer) = self.peers.get_mut(query.peer) else { return };
        peer.queries.remove(name);
        if waits_in_turn {
            // A reply that nobody awaits is no reason to open a session.
            peer.replies.retain(|reply| *reply != code);
        }
        if awaited && let Some(answering) = peer.answering.as_mut() {
            answering.waiting = answering.waiting.saturating_sub(1);
        }
        self.leave_dialog(code);
    }

    /// One message less for which its dialog has to be remembered.
    fn leave_dialog(&mut self, code: u32) {
        let Some(query) = self.queries.get(code) else { return };
        let (peer, place) = (query.peer, query.place);
        let Some(identity) = self.peers.get(peer).map(|peer| peer.identity) else { return };
        if let Some(identity) = self.identity_mut(identity)
            && let Some(dialog) = identity.stores.dialog_mut(place)
        {
            dialog.open = dialog.open.saturating_sub(1);
        }
    }
}
