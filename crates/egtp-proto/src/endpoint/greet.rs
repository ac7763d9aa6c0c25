//! Somebody opens a session with us: knocks, first flights and our answers to them.
//!
//! The order of checks is the order of cost: MAC, target, prekey, budget and cookie, duplicate
//! filter, key agreement. Invariant: nothing is remembered before the flight has authenticated, and a
//! provisional session never displaces a confirmed one.

use std::time::Duration;

use super::frames::{Arrival, Carrier};
use super::pack::Phase;
use super::peer::Answering;
use super::{Answer, Budgets, Endpoint, KeptAnswer, Slot, Source};
use crate::crypto::{CIPHERTEXT_BYTES, DhKey, Role, Suite};
use crate::limits::{ANSWER_DELAY, ANSWER_KEPT, PROVISIONAL_PER_PEER};
use crate::output::{Assurance, IdentityId, PathId};
use crate::planted::{Bug, is};
use crate::session::handshake::{FirstFlight, Responder, Welcome};
use crate::session::live::Session;
use crate::session::retry::{Advice, Cause, encode_advice, encode_cookie};
use crate::time::Now;
use crate::wire::packet::{Ini, Rsp};
use crate::wire::{Header, VERSION};

/// A first flight that has authenticated.
pub(super) struct Flight {
    suite: Suite,
    remote_session: u32,
    pub(super) ephemeral: [u8; 32],
    responder: Responder,
    first: FirstFlight,
}

impl std::fmt::Debug for Flight {
    /// Its frames are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight").field("from", &self.first.remote).finish_non_exhaustive()
    }
}

/// Bytes of an answer that are not frames, generously.
const WELCOME_BYTES: usize = 256;

impl Endpoint {
    /// A first flight or knock, unmasked.
    pub(super) fn receive_flight(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        header: &Header,
        packet: &[u8],
    ) {
        let Some(own) = self.identity(identity) else { return };
        let Ok(ini) = Ini::decode(packet, &own.shroud) else {
            self.counters.dropped.mac += 1;
            return;
        };
        if ini.target != own.secret_keys.target {
            self.counters.dropped.target += 1;
            return;
        }
        let Header::Ini { version, suite, initiator_session, prekey, cookie, .. } = *header else {
            return;
        };
        let key = own.prekeys.get(prekey, now.boot).filter(|_| prekey != 0).cloned();
        if key.is_some() && own.prekeys.has_seen(prekey, &ini.ephemeral) {
            self.counters.dropped.flight_seen += 1;
            return self.repeat_answer(now, path, &ini.ephemeral);
        }
        if !self.may_greet(now, path, cookie, &ini, initiator_session) {
            return;
        }
        if prekey != 0 && !self.part.issues(prekey) && self.has_answered(&ini.ephemeral) {
            return self.repeat_answer(now, path, &ini.ephemeral);
        }
        // An unknown version or suite gets the list of those that we have, as an unknown prekey does.
        match (key, Suite::from_id(suite).filter(|suite| self.suites.contains(*suite))) {
            (Some(key), Some(suite)) if version == VERSION => {
                self.open_flight(now, path, identity, header, suite, &key, &ini);
            }
            _ => self.advise(now, path, identity, initiator_session, &ini),
        }
    }

    /// Whether an answer that costs public-key operations may be given to this source now.
    fn may_greet(
        &mut self,
        now: Now,
        path: PathId,
        cookie: bool,
        ini: &Ini<'_>,
        session: u32,
    ) -> bool {
        let Some(state) = self.paths.get(&path) else { return false };
        let identity = state.identity;
        let Source::Claimed(source) = state.source.clone() else { return self.spend_verified(now) };
        let proof = (&ini.ephemeral, ini.noise, &ini.cookie);
        if cookie && self.cookies.accepts(&mut self.random, now.boot, &source, proof) {
            return self.spend_verified(now);
        }
        if self.spend_unverified(now) {
            return true;
        }
        // Under load: show first that you receive where you claim to be. One hash, no memory.
        let cookie = self.cookies.make(&mut self.random, now.boot, &source);
        if let Some(own) = self.identities.get(usize::from(identity.0)) {
            let retry = encode_cookie(session, &cookie, &ini.mac, &mut self.random, &own.shroud);
            self.ready.extend(retry.map(|packet| (path, packet)));
            self.counters.retries_sent += 1;
        }
        self.counters.dropped.budget += 1;
        false
    }

    /// Answers a knock, or a flight under a prekey of another life, with our live card.
    fn advise(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        session: u32,
        ini: &Ini<'_>,
    ) {
        let Some(card) = self.card(identity, &now) else { return };
        let suites = self.suites.ids();
        let Some(own) = self.identities.get(usize::from(identity.0)) else { return };
        self.counters.agreements += 1;
        let Ok(shared) = own.secret_keys.dh.agree(&ini.ephemeral) else {
            self.counters.dropped.handshake += 1;
            return;
        };
        let advice = Advice { card, suites, contact_sequence: own.contact_sequence };
        let cause = Cause { shared: &shared, mac: &ini.mac };
        let packet = encode_advice(session, &advice, &cause, &mut self.random, &own.shroud);
        self.ready.extend(packet.map(|packet| (path, packet)));
        self.counters.retries_sent += 1;
    }

    #[expect(clippy::too_many_arguments, reason = "each is a different part of the first flight")]
    fn open_flight(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        header: &Header,
        suite: Suite,
        key: &DhKey,
        ini: &Ini<'_>,
    ) {
        let Header::Ini { initiator_session, prekey, .. } = *header else { return };
        let Ok(fresh) = DhKey::from_secret(&self.random.bytes()) else { return };
        let Some(own) = self.identities.get(usize::from(identity.0)) else { return };
        self.counters.agreements += 3;
        let read = Responder::read(
            &own.secret_keys,
            (prekey, key),
            (suite, header),
            &ini.ephemeral,
            ini.noise,
            fresh,
        );
        let Ok((responder, first)) = read else {
            self.counters.dropped.handshake += 1;
            return;
        };
        let remote = first.remote;
        if remote == own.secret_keys.public {
            self.counters.dropped.oneself += 1;
            return;
        }
        let owner = self.part.of_peer(&remote);
        let is_ours = owner == self.part.index();
        if !is_ours && !self.may_move(path) {
            return self.refuse_flight(path);
        }
        let Some(own) = self.identities.get_mut(usize::from(identity.0)) else { return };
        if !own.prekeys.remember(prekey, &ini.ephemeral) {
            // The memory is full: a new prekey is due, and the initiator learns of it by RETRY.
            let _ = own.prekeys.tick(&mut self.random, now.boot);
            self.counters.dropped.budget += 1;
            return self.advise(now, path, identity, initiator_session, ini);
        }
        let flight = Flight {
            suite,
            remote_session: initiator_session,
            ephemeral: ini.ephemeral,
            responder,
            first,
        };
        if is_ours {
            return self.accept_flight(now, path, identity, flight);
        }
        self.keep_answer(now, ini.ephemeral, Answer::At(owner));
        self.pass_flight_on((path, owner), flight, (identity, prekey));
    }

    /// Goes on with a first flight of a peer of ours.
    pub(super) fn accept_flight(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        flight: Flight,
    ) {
        let Flight { suite, remote_session, ephemeral, responder, first } = flight;
        let FirstFlight { remote, hello, frames } = first;
        self.counters.flights_accepted += 1;
        let Some(code) = self.peer_code(now.boot, identity, remote) else { return };
        let session = self.pending_session(code);
        let Some(peer) = self.peers.get_mut(code) else { return };
        if is(Bug::ProvisionalDisplaces) {
            peer.sessions.clear();
        }
        peer.client = hello.client;
        peer.offered = Some((session, hello.card));
        let previous = peer.answering.replace(Box::new(Answering {
            session,
            remote_session,
            responder,
            suite,
            ephemeral,
            path,
            due: now.boot,
            waiting: 0,
        }));
        if let Some(previous) = previous {
            self.sessions.remove(previous.session);
        }
        peer.came_by = Some(path);
        self.remember_path(code, path);
        if !self.part.is_whole() {
            self.keep_answer(now, ephemeral, Answer::Due(code));
        }
        let arrival = Arrival {
            peer: code,
            identity,
            name: first_eight(&ephemeral),
            assurance: Assurance::FirstFlight,
            carrier: Carrier::Flight,
        };
        self.receive_payload(now, arrival, &frames);
        if let Some(answering) = self.peers.get_mut(code).and_then(|peer| peer.answering.as_mut())
            && answering.waiting > 0
        {
            answering.due = now.boot.after(ANSWER_DELAY);
        }
        self.soil(code);
    }

    /// Builds the answer to a first flight, once it is due, and the provisional session.
    pub(super) fn answer_flight(&mut self, now: Now, code: u32) -> Option<(PathId, Vec<u8>)> {
        let peer = self.peers.get_mut(code)?;
        if peer.answering.as_ref()?.due > now.boot {
            return None;
        }
        let answering = peer.answering.take()?;
        let identity = peer.identity;
        let unproven = self.paths.get(&answering.path).and_then(|state| state.unproven);
        let unproven = unproven.filter(|_| !is(Bug::Amplifies));
        let beside = if answering.suite.is_hybrid() { CIPHERTEXT_BYTES } else { 0 };
        let space = unproven.map_or(usize::MAX, |one| one.room().saturating_sub(beside));
        let space = space.min(self.payload_max(Some(answering.path), beside));
        let space = space.saturating_sub(WELCOME_BYTES);
        // The rest waits for the first record of the session.
        let frames = self.pack_payload(now, code, Phase::Answer, space);
        let welcome = Welcome {
            session: answering.session,
            client: !self.reachable,
            card: self.card(identity, &now)?,
            suites: self.suites.ids(),
            contact_sequence: self.identity(identity)?.contact_sequence,
        };
        self.counters.agreements += 2;
        self.counters.encapsulations += u64::from(answering.suite.is_hybrid());
        let finished = answering.responder.finish(&welcome, &frames.bytes, &mut self.random);
        let Ok((ephemeral, noise, (root, hash))) = finished else {
            self.sessions.remove(answering.session);
            return None;
        };
        let session = Session::new(
            code,
            Role::Responder,
            answering.suite,
            answering.remote_session,
            (&root, hash),
            now.boot,
        )?;
        if let Some(slot) = self.sessions.get_mut(answering.session) {
            *slot = Slot::Live(Box::new(session));
        }
        self.admit_provisional(code, answering.session);
        let header = Header::Rsp { suite: answering.suite.id(), session: answering.remote_session };
        let shroud = &self.peers.get(code)?.shroud;
        let packet = Rsp { ephemeral, noise: &noise }.encode(&header, shroud);
        self.told_card(code, identity);
        self.keep_answer(now, answering.ephemeral, Answer::Packet(packet.clone()));
        let name = first_eight(&ephemeral);
        self.note_sent(now, code, &frames, name);
        Some((answering.path, packet))
    }

    /// A handshake has told the peer our present card.
    pub(super) fn told_card(&mut self, code: u32, identity: IdentityId) {
        let state = self.card_state(identity);
        if let Some(peer) = self.peers.get_mut(code) {
            peer.told = state;
        }
    }

    /// A newer one displaces the oldest: of this peer beyond its share, of anybody when all are too many. So
    /// whoever leaves handshakes half open displaces its own kind, and an honest peer has time to confirm.
    fn admit_provisional(&mut self, code: u32, session: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        peer.provisional.push(session);
        self.provisional += 1;
        let is_over = peer.provisional.len() > PROVISIONAL_PER_PEER;
        let own = peer.provisional.first().copied().filter(|_| is_over);
        self.half_open.push_back((code, session));
        if let Some(own) = own {
            self.drop_provisional(code, own);
        }
        while self.provisional > self.limits.provisional_max {
            let Some((code, oldest)) = self.half_open.pop_front() else { break };
            self.drop_provisional(code, oldest);
        }
        if self.half_open.len() > self.limits.provisional_max.saturating_mul(2) {
            let peers = &self.peers;
            self.half_open.retain(|(code, session)| {
                peers.get(*code).is_some_and(|peer| peer.provisional.contains(session))
            });
        }
    }

    /// Lets go of an unconfirmed session, if it still is one.
    fn drop_provisional(&mut self, code: u32, session: u32) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let Some(index) = peer.provisional.iter().position(|one| *one == session) else { return };
        peer.provisional.remove(index);
        self.provisional = self.provisional.saturating_sub(1);
        self.sessions.remove(session);
    }

    fn keep_answer(&mut self, now: Now, ephemeral: [u8; 32], answer: Answer) {
        if !self.part.is_whole() {
            self.answers.retain(|kept| kept.ephemeral != ephemeral);
        }
        while self.answers.len() >= self.limits.answers_max
            || self.answers.front().is_some_and(|kept| kept.until <= now.boot)
        {
            self.answers.pop_front();
        }
        let until = now.boot.after(ANSWER_KEPT);
        self.answers.push_back(KeptAnswer { ephemeral, answer, until });
    }

    /// Whether a packet may be answered at all: each source class has its budget for a second.
    pub(super) fn may_answer(&mut self, now: Now, path: PathId) -> bool {
        match self.paths.get(&path).map(|state| &state.source) {
            Some(Source::Verified) => self.spend_verified(now),
            Some(Source::Claimed(_)) => self.spend_unverified(now),
            None => false,
        }
    }

    fn spend_verified(&mut self, now: Now) -> bool {
        self.refresh_budgets(now);
        let left = self.budgets.verified.checked_sub(1);
        self.budgets.verified = left.unwrap_or(0);
        left.is_some()
    }

    fn spend_unverified(&mut self, now: Now) -> bool {
        self.refresh_budgets(now);
        let left = self.budgets.unverified.checked_sub(1);
        self.budgets.unverified = left.unwrap_or(0);
        left.is_some()
    }

    fn refresh_budgets(&mut self, now: Now) {
        if now.boot.since(self.budgets.since) >= Duration::from_secs(1) {
            self.budgets = Budgets::full(&self.limits, now.boot);
        }
    }
}

/// Names a transmission that is a handshake packet.
pub(super) fn first_eight(bytes: &[u8; 32]) -> [u8; 8] {
    bytes.first_chunk().copied().unwrap_or_default()
}
