//! Messages of a peer: the bounds of its share, the rules of the inbox, and the hand-over.
//!
//! Invariant: a message is handed to the application only after the inbox has marked it as taken, and
//! every verdict is answered: by an acknowledgement, or by a refusal that names the transmission.

use std::time::Duration;

use bytes::Bytes;

use super::frames::{Arrival, Canonicals, Carrier, Context};
use super::{Endpoint, Timer};
use crate::card::StoreKind;
use crate::exchange::durable::{Offer, SavedQuery, Write};
use crate::exchange::inbox::{Place, Verdict};
use crate::exchange::query::{Query, Standing, kept};
use crate::exchange::stores::DialogCode;
use crate::limits::{ACK_DELAY, LETTER_UNDER_WAY, REFUSALS_MAX};
use crate::message::{Canonical, Kind, MessageClass};
use crate::output::{Event, IdentityId, MessageEvent, Policy, QueryEvent, QueryId};
use crate::planted::{Bug, is};
use crate::session::live::TransmissionName;
use crate::time::Now;
use crate::wire::frame::{Class, DialogHead, MessageHead, Refusal, Refused};

impl Endpoint {
    pub(super) fn receive_message(
        &mut self,
        now: Now,
        arrival: Arrival,
        context: &mut Context,
        names: &[TransmissionName],
        head: &MessageHead<'_>,
        body: Bytes,
    ) -> Option<()> {
        let kind = context.kind(head.kind)?;
        let (dialog, place, canonicals) = context.dialog.as_mut()?;
        let what = (head.serial, &head.class, &kind);
        let verdict = self.decide(now, arrival, dialog, *place, what, body.len());
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
            let place = DialogCode { kind: dialog.kind, code };
            self.hand_over(now, arrival, (dialog.dialog, head.serial, place), &head.class, message);
        }
        let is_for_now = matches!(verdict, Verdict::Refuse(Refusal::Busy | Refusal::Window));
        if is_for_now && arrival.carrier == Carrier::Letter {
            // It stays where it waits: nobody is told, who would only write it again.
            context.left_out = true;
            return Some(());
        }
        self.answer_verdict(now, arrival.peer, names, dialog, head.serial, verdict);
        Some(())
    }

    /// The bounds of a peer's share, then the rules of the inbox.
    fn decide(
        &mut self,
        now: Now,
        arrival: Arrival,
        dialog: &DialogHead,
        place: Result<Place, Refusal>,
        (serial, class, kind): (u64, &Class, &Kind),
        bytes: usize,
    ) -> Verdict {
        let place = match place {
            Ok(place) => place,
            Err(why) => return Verdict::Refuse(why),
        };
        let Some(peer) = self.peers.get(arrival.peer) else {
            return Verdict::Refuse(Refusal::Busy);
        };
        if bytes > self.limits.largest_taken(peer.client) {
            return Verdict::Refuse(Refusal::TooLarge);
        }
        let waits_long = dialog.kind.is_on_disk() && self.journal.takes_no_more();
        let over = waits_long || !peer.has_share_left(bytes, &self.limits);
        let elsewhere = self.belongs_elsewhere(arrival.identity, dialog.kind, (class, kind));
        let Some(key) = self.peers.get(arrival.peer).map(|peer| peer.key) else {
            return Verdict::Refuse(Refusal::Busy);
        };
        let identity = self.identities.get_mut(usize::from(arrival.identity.0));
        let Some(inbox) = identity.and_then(|one| one.stores.get_mut(dialog.kind)) else {
            return Verdict::Refuse(Refusal::Stale);
        };
        if elsewhere {
            return match inbox.would_take(place, dialog.low_water, serial) {
                Verdict::Take(_) => Verdict::Refuse(Refusal::OtherStore),
                other => other,
            };
        }
        if over {
            // A message that was taken before is still only acknowledged.
            return match inbox.would_take(place, dialog.low_water, serial) {
                Verdict::Take(_) if is(Bug::AckBeforeTaken) => {
                    match inbox.take(&now, &key, dialog, place, serial) {
                        Verdict::Take(code) => Verdict::Known(code),
                        other => other,
                    }
                }
                Verdict::Take(_) => Verdict::Refuse(Refusal::Busy),
                other => other,
            };
        }
        inbox.take(&now, &key, dialog, place, serial)
    }

    /// `names` are the transmissions that the message came with.
    pub(super) fn answer_verdict(
        &mut self,
        now: Now,
        code: u32,
        names: &[TransmissionName],
        head: &DialogHead,
        serial: u64,
        verdict: Verdict,
    ) {
        let (dialog, kind) = (head.dialog, head.kind);
        let Some(peer) = self.peers.get_mut(code) else { return };
        match verdict {
            Verdict::Take(code) => {
                self.counters.taken += 1;
                // What is to be durable is acknowledged when it is.
                if kind == StoreKind::Ram || is(Bug::BeforeTheDisk) {
                    peer.owe_ack(DialogCode { kind, code }, now.boot.after(ACK_DELAY));
                }
            }
            Verdict::Known(code) => {
                self.counters.duplicates += 1;
                peer.owe_ack(DialogCode { kind, code }, now.boot.after(ACK_DELAY));
                // A repeated request whose reply is ready: the reply may have been lost.
                if let Some(query) = peer.queries.get((dialog, serial))
                    && let Some(entry) = self.queries.get_mut(query)
                    && let Some(answer) = entry.answer.as_mut()
                    && !std::mem::replace(&mut answer.is_queued, true)
                {
                    peer.replies.push_back(query);
                }
            }
            Verdict::Refuse(why) => {
                let waits_for_disk = kind.is_on_disk() && self.journal.refuses();
                let retry_ms = match why {
                    Refusal::Busy if waits_for_disk => DISK_RETRY_MS,
                    Refusal::Busy => BUSY_RETRY_MS,
                    _ => 0,
                };
                let left = REFUSALS_MAX.saturating_sub(peer.refusals.len());
                for &transmission in names.iter().take(left) {
                    peer.refusals.push(Refused { dialog, serial, transmission, why, retry_ms });
                }
                // The sender needs to know what to bind to instead.
                let binds_anew = matches!(why, Refusal::Stale | Refusal::OtherStore);
                match kind {
                    StoreKind::Letter => peer.told_contact = 0,
                    StoreKind::Ram | StoreKind::Durable => {
                        peer.owes.card = peer.owes.card || binds_anew;
                    }
                }
            }
        }
        self.soil(code);
    }

    /// Gives a message that was just taken to the application.
    fn hand_over(
        &mut self,
        now: Now,
        arrival: Arrival,
        (dialog, serial, place): (u64, u64, DialogCode),
        class: &Class,
        message: MessageEvent,
    ) {
        let bytes = message.body.len();
        let Class::Request { code, hard_ms, room } = *class else {
            self.hand_over_told(arrival, (dialog, serial, place), message);
            return;
        };
        let longest = match place.kind {
            StoreKind::Letter => LETTER_UNDER_WAY,
            StoreKind::Ram | StoreKind::Durable => self.limits.hard_timeout_max,
        };
        let patience = kept(hard_ms, longest);
        let is_client = self.peers.get(arrival.peer).is_some_and(|peer| peer.client);
        let room_max = self.limits.reply_bytes_max.min(self.limits.largest_sent(is_client));
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(room_max);
        let query = self.queries.insert(Query {
            standing: Standing::Open,
            peer: arrival.peer,
            place,
            dialog,
            serial,
            code,
            id: message.id,
            room,
            bytes,
            timer: None,
            in_flight: arrival.in_flight(),
            is_offered: false,
            answer: None,
        });
        let timer = self.timers.set(now.boot.after(patience), Timer::Query(query));
        if let Some(entry) = self.queries.get_mut(query) {
            entry.timer = Some(timer);
        }
        if let Some(peer) = self.peers.get_mut(arrival.peer) {
            peer.queries.insert((dialog, serial), query);
            peer.query_bytes += bytes;
            if let Some(answering) = peer.answering.as_mut().filter(|_| arrival.in_flight()) {
                answering.waiting += 1;
            }
        }
        self.needs_dialog(arrival.identity, place);
        let policy = self.policy(&message.kind);
        let offer = (policy == Policy::Redeliver).then(|| offer(true, &message));
        self.write_query(query, |name, one| {
            let (store, code, id) = (one.place.kind, one.code, one.id);
            Some(Write::Query(SavedQuery { name, store, code, id, room, patience, offer }))
        });
        let redelivered = false;
        let event = QueryEvent { query: QueryId(query), message, room, patience, redelivered };
        if place.kind.is_on_disk() && policy == Policy::Transaction {
            let name = (dialog, serial, place);
            return self.run_on_disk(arrival, name, true, event);
        }
        let event = Event::Query(event);
        self.hand_over_taken(arrival.peer, arrival.identity, (place, serial), event);
    }

    /// The same for a message that wants no reply.
    fn hand_over_told(
        &mut self,
        arrival: Arrival,
        (dialog, serial, place): (u64, u64, DialogCode),
        message: MessageEvent,
    ) {
        let code = arrival.peer;
        let bytes = message.body.len();
        let policy = self.policy_of_send(&message.kind);
        let is_offered = place.kind.is_on_disk() && policy == Policy::Redeliver;
        let query = self.queries.insert(Query {
            standing: Standing::Held,
            peer: code,
            place,
            dialog,
            serial,
            code: 0,
            id: message.id,
            room: 0,
            bytes,
            timer: None,
            in_flight: false,
            is_offered,
            answer: None,
        });
        if let Some(peer) = self.peers.get_mut(code) {
            peer.held += 1;
            peer.query_bytes += bytes;
        }
        if is_offered {
            self.needs_dialog(arrival.identity, place);
            let offer = Some(offer(false, &message));
            let (id, room, patience) = (message.id, 0, Duration::ZERO);
            let store = place.kind;
            self.write_query(query, |name, _| {
                Some(Write::Query(SavedQuery { name, store, code: 0, id, room, patience, offer }))
            });
        }
        if place.kind.is_on_disk() && policy == Policy::Transaction {
            let patience = Duration::ZERO;
            let query = QueryId(query);
            let event = QueryEvent { query, message, room: 0, patience, redelivered: false };
            return self.run_on_disk(arrival, (dialog, serial, place), false, event);
        }
        let event = Event::Message { query: QueryId(query), message, redelivered: false };
        self.hand_over_taken(code, arrival.identity, (place, serial), event);
    }

    /// A dialog is remembered as long as something of it is.
    fn needs_dialog(&mut self, identity: IdentityId, place: DialogCode) {
        if let Some(identity) = self.identity_mut(identity)
            && let Some(dialog) = identity.stores.dialog_mut(place)
        {
            dialog.open += 1;
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
}

/// What a later life hands over again.
fn offer(wants_reply: bool, message: &MessageEvent) -> Offer {
    let MessageEvent { kind, body, assurance, .. } = message;
    Offer { wants_reply, kind: kind.clone(), body: body.clone(), assurance: *assurance }
}

/// What a busy receiver suggests.
const BUSY_RETRY_MS: u64 = 500;
/// The same while its disk refuses to write.
const DISK_RETRY_MS: u64 = 5_000;
