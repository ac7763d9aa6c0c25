//! What authenticated frames say.
//!
//! Invariant: a frame that makes no sense ends the reading of its record and nothing else; the peer
//! is authenticated, so this is its own fault and harms only its own conversation.

use bytes::Bytes;

use super::Endpoint;
use super::bodies::Bodies;
use super::copies::COPIES;
use super::peer::Trust;
use crate::card::StoreKind;
use crate::exchange::inbox::Place;
use crate::message::{Canonical, Kind, MessageClass};
use crate::output::{Assurance, Event, IdentityId, MessageEvent};
use crate::session::live::TransmissionName;
use crate::time::Now;
use crate::wire::Reader;
use crate::wire::Serials;
use crate::wire::frame::{DialogHead, Frame, Refusal};

/// Who sent a payload and how it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub peer: u32,
    pub identity: IdentityId,
    /// Names the transmission in refusals.
    pub name: TransmissionName,
    pub assurance: Assurance,
    pub carrier: Carrier,
}

impl Arrival {
    /// Whether it came in a first flight, whose answer waits for quick replies.
    pub(super) const fn in_flight(&self) -> bool {
        matches!(self.carrier, Carrier::Flight)
    }
}

/// What a payload was sealed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carrier {
    Record,
    Flight,
    Letter,
}

impl Carrier {
    /// Whether it may bring a frame.
    const fn may_bring(self, frame: &Frame<'_>) -> bool {
        match self {
            Self::Record => true,
            Self::Flight => frame.may_ride_in_first_flight(),
            Self::Letter => frame.may_ride_in_letter(),
        }
    }
}

/// What the frames of a payload have said so far.
#[derive(Default)]
pub(super) struct Context {
    pub dialog: Option<(DialogHead, Result<Place, Refusal>, Canonicals)>,
    pub replies: Option<u64>,
    /// The kind of the message before: mostly that of the next one.
    pub kind: Option<Kind>,
    pub bodies: Bodies,
    /// Whether a message was left out that may be taken when the same letter is brought again.
    pub left_out: bool,
}

impl Context {
    /// The kind of this name. `None` if it is none.
    pub(super) fn kind(&mut self, name: &str) -> Option<Kind> {
        if self.kind.as_ref().is_none_or(|kind| kind.as_str() != name) {
            self.kind = Some(Kind::new(name).ok()?);
        }
        self.kind.clone()
    }
}

/// The canonical forms of a dialog, made when first needed.
pub(super) type Canonicals = Option<(MessageClass, Canonical)>;

impl Endpoint {
    /// Takes in all frames of a payload. Whether it need not be brought again.
    pub(super) fn receive_frames(&mut self, now: Now, arrival: Arrival, payload: &Bytes) -> bool {
        let mut reader = Reader::new(payload);
        let mut context = Context::default();
        while !reader.is_empty() {
            let taken = Frame::decode(&mut reader)
                .ok()
                .and_then(|frame| self.receive_frame(now, arrival, &mut context, frame, payload));
            if taken.is_none() {
                self.counters.dropped.frames += 1;
                break;
            }
        }
        !context.left_out
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
        if !arrival.carrier.may_bring(&frame) {
            return None;
        }
        match frame {
            // A first flight may be forged, and so may what it says of others: nothing is believed of it.
            Frame::Contact(_) if arrival.in_flight() => {}
            Frame::Pad => {}
            Frame::Contact(bytes) => drop(self.take_contact(code, bytes)),
            Frame::PathResponse(answer) => self.parts_arrived(now, code, answer),
            Frame::Ping => {
                self.peers.get_mut(code)?.owes.record = true;
                self.soil(code);
            }
            Frame::Card(card) => self.learn_card(now, code, card, None),
            Frame::Dialog(head) => self.enter_dialog(arrival, context, head),
            Frame::Message(head, body) => {
                let body = context.bodies.keep(payload, body);
                self.receive_message(now, arrival, context, &[arrival.name], &head, body)?;
            }
            Frame::Fragment(part, head) => {
                self.receive_part(now, arrival, context, &part, head.as_ref())?;
            }
            Frame::Replies(dialog) => context.replies = Some(dialog),
            Frame::Reply(head, body) => {
                let body = context.bodies.keep(payload, body);
                self.receive_reply(code, context.replies?, &head, body);
                self.peers.get_mut(code)?.letters.has_reply |= arrival.carrier == Carrier::Letter;
            }
            Frame::ReplyFragment(part, head) => {
                self.receive_reply_part(now, code, context.replies?, &part, head.as_ref());
            }
            Frame::Ack(ack) => self.receive_ack(now, code, &ack),
            Frame::Closed { dialog, serials } => {
                self.receive_closed(now, arrival, dialog, &serials);
            }
            Frame::Refused(refused) => self.receive_refused(now, code, &refused),
            Frame::Partial { dialog, serial, of, received } => {
                self.receive_partial(code, dialog, serial, of, usize::try_from(received).ok()?);
            }
            Frame::Hint { kind, body } => {
                self.receive_hint(now, arrival, kind, context.bodies.keep(payload, body))?;
            }
            Frame::PathChallenge(bytes) => {
                let peer = self.peers.get_mut(code)?;
                if peer.challenges.len() >= CHALLENGES_MAX {
                    // The newest says most.
                    peer.challenges.remove(0);
                }
                peer.challenges.push(bytes);
                self.soil(code);
            }
            Frame::Close => self.receive_goodbye(code),
        }
        Some(())
    }

    fn enter_dialog(&mut self, arrival: Arrival, context: &mut Context, head: DialogHead) {
        let Some(peer) = self.peers.get(arrival.peer) else { return };
        let key = peer.key;
        let Some(identity) = self.identity_mut(arrival.identity) else { return };
        // Copies of a letter are judged by what was taken from letters, and by nothing that may be forgotten before.
        let is_fit = arrival.carrier != Carrier::Letter || head.kind == StoreKind::Letter;
        let place = match identity.stores.get_mut(head.kind).filter(|_| is_fit) {
            Some(inbox) => inbox.place(&key, &head),
            None => Err(Refusal::Stale),
        };
        if place.is_ok() {
            self.close_queries(arrival.peer, head.dialog, &Serials::below(head.low_water));
        }
        context.dialog = Some((head, place, None));
    }

    fn receive_hint(&mut self, now: Now, arrival: Arrival, kind: &str, body: Bytes) -> Option<()> {
        if kind == COPIES {
            self.told_of_copies(now, arrival.peer);
            return Some(());
        }
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
        peer.trust = Trust::Gone;
        for session in std::mem::take(&mut peer.sessions) {
            self.sessions.remove(session);
        }
    }
}

/// Questions of a peer that wait to be answered.
const CHALLENGES_MAX: usize = 8;
