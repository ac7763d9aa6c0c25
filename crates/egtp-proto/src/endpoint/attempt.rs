//! We open a session with somebody: knock or first flight, and what comes back.
//!
//! Invariant: a hint never deletes anything; whatever RETRY, UNK or a forged answer say, sessions and
//! pending handshakes stay until something authenticated replaces them.

use super::frames::{Arrival, Carrier};
use super::greet::first_eight;
use super::pack::Phase;
use super::peer::{Attempt, KnownCard, Peer, Trust};
use super::{Endpoint, Slot};
use crate::card::{LiveCard, PrekeyCard, StoreKind};
use crate::crypto::{DhKey, ENCAPSULATION_KEY_BYTES, Role, Suite};
use crate::exchange::outbox::Outbox;
use crate::exchange::outgoing::Judgement;
use crate::limits::{ATTEMPTS_PER_PEER, FIRST_FLIGHT, INI_BYTES_MIN, RETRIES_PER_ATTEMPT};
use crate::output::{Assurance, IdentityId, PathId};
use crate::planted::{Bug, is};
use crate::session::handshake::{Hello, Initiator, target};
use crate::session::live::Session;
use crate::session::retry::{Cause, cookie_proof, decode_advice, decode_cookie};
use crate::time::{Instant, Now};
use crate::wire::packet::{Ini, Rsp, decode_unknown};
use crate::wire::{Header, RetryKind, VERSION};

/// Bytes of a first flight's payload that are not frames, and of the Noise message around it.
const HELLO_BYTES: usize = 160;
/// Noise bytes that make a knock exactly as long as the shortest first flight.
const KNOCK_NOISE: usize = INI_BYTES_MIN - Ini::packet_bytes(0);

impl Endpoint {
    /// Begins a handshake: with the waiting messages if the peer's card is fresh and its memory is
    /// not in doubt, else with a knock.
    pub(super) fn begin(&mut self, now: Now, code: u32, retries: u8) -> Option<Vec<u8>> {
        let peer = self.peers.get(code)?;
        let prekey = match peer.trust {
            // A flight with a suite that does not do would be for nothing; a knock only asks for the list.
            Trust::Good if self.hopes_for_hybrid(now, peer) => None,
            Trust::Good => peer.fresh_prekey(now.boot),
            // It may have begun a new life, which does not know the prekey of the last one.
            Trust::Suspect { .. } | Trust::Gone => None,
        };
        self.begin_with(now, code, prekey, retries)
    }

    fn begin_with(
        &mut self,
        now: Now,
        code: u32,
        prekey: Option<PrekeyCard>,
        retries: u8,
    ) -> Option<Vec<u8>> {
        let ephemeral = DhKey::from_secret(&self.random.bytes()).ok()?;
        let session = self.pending_session(code);
        let attempt = match prekey {
            Some(prekey) => self.flight(now, code, session, &prekey, ephemeral),
            None => self.knock(now, code, session, ephemeral),
        };
        let Some(mut attempt) = attempt else {
            self.sessions.remove(session);
            return None;
        };
        attempt.retries = retries;
        let packet = attempt.packet.clone();
        let peer = self.peers.get_mut(code)?;
        peer.attempts.push(attempt);
        let forgotten =
            (peer.attempts.len() > ATTEMPTS_PER_PEER).then(|| peer.attempts.remove(0).session);
        if let Some(forgotten) = forgotten {
            self.sessions.remove(forgotten);
        }
        Some(packet)
    }

    fn knock(&mut self, now: Now, code: u32, session: u32, ephemeral: DhKey) -> Option<Attempt> {
        let suite = self.pick_suite(self.peers.get(code)?);
        let header = ini_header(suite, session, 0);
        let mut noise = vec![0; KNOCK_NOISE];
        self.random.fill(&mut noise);
        self.attempt(now, code, header, suite, ephemeral, None, noise)
    }

    fn flight(
        &mut self,
        now: Now,
        code: u32,
        session: u32,
        prekey: &PrekeyCard,
        ephemeral: DhKey,
    ) -> Option<Attempt> {
        let identity = self.peers.get(code)?.identity;
        let suite = self.pick_suite(self.peers.get(code)?);
        let header = ini_header(suite, session, prekey.id);
        let beside = if suite.is_hybrid() { ENCAPSULATION_KEY_BYTES } else { 0 } + HELLO_BYTES;
        let path = self.peers.get(code)?.path;
        let space = self.payload_max(path, beside);
        let frames = self.pack_payload(now, code, Phase::FirstFlight, space);
        let hello = Hello {
            client: !self.reachable,
            card: self.card(identity, &now)?,
            contact_sequence: self.identity(identity)?.contact_sequence,
        };
        let remote = self.peers.get(code)?.key;
        let own = self.identities.get(usize::from(identity.0))?;
        let started = Initiator::start(
            &own.secret_keys,
            (&remote, prekey),
            (suite, &header),
            ephemeral.clone(),
            (&hello, &frames.bytes),
            &mut self.random,
        );
        self.counters.agreements += 3;
        self.counters.encapsulations += u64::from(suite.is_hybrid());
        let (initiator, noise) = started.ok()?;
        self.note_sent(now, code, &frames, first_eight(ephemeral.public()));
        self.told_card(code, identity);
        self.attempt(now, code, header, suite, ephemeral, Some(initiator), noise)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a different part of the handshake")]
    fn attempt(
        &mut self,
        now: Now,
        code: u32,
        header: Header,
        suite: Suite,
        ephemeral: DhKey,
        flight: Option<Initiator>,
        noise: Vec<u8>,
    ) -> Option<Attempt> {
        let Header::Ini { initiator_session: session, .. } = header else { return None };
        let cookie = self.random.bytes();
        let peer = self.peers.get(code)?;
        let (packet, mac) = encode(peer, &header, &ephemeral, cookie, &noise)?;
        Some(Attempt {
            session,
            ephemeral,
            suite,
            header,
            noise,
            mac,
            flight,
            packet,
            asked: now.boot,
            next: now.boot.after(self.repeat_delay(1)),
            sends: 1,
            retries: 0,
            is_second: false,
            active: true,
        })
    }

    /// A first flight that was made for a direct path is too long for a circuit that has taken its place. It may have
    /// left, so it stays a transmission of what is in it, and its late answer counts; but to repeat it would be to wait for
    /// nothing, and another one is made that fits.
    pub(super) fn give_up_too_long(&mut self, code: u32, path: PathId) {
        let most = self.packet_max(path);
        let Some(peer) = self.peers.get_mut(code) else { return };
        for attempt in peer.attempts.iter_mut().filter(|attempt| attempt.packet.len() > most) {
            attempt.active = false;
        }
    }

    /// The wait before a first flight is repeated: 1 s, 2 s, 4 s.
    pub(super) fn repeat_delay(&mut self, sends: u32) -> std::time::Duration {
        let first = std::time::Duration::from_secs(1);
        crate::exchange::backoff::doubled(first, sends - 1, FIRST_FLIGHT, self.random.u64())
    }

    /// "Try again, with this."
    pub(super) fn receive_retry(
        &mut self,
        now: Now,
        code: u32,
        session: u32,
        kind: RetryKind,
        packet: &mut [u8],
    ) {
        let found = self.peers.get(code).and_then(|peer| {
            peer.attempts.iter().position(|attempt| attempt.session == session && attempt.active)
        });
        let followed = found.and_then(|index| match kind {
            RetryKind::Prekey => self.follow_advice(now, code, index, packet),
            RetryKind::Cookie => self.follow_cookie(now, code, index, packet),
        });
        if followed.is_none() {
            self.counters.dropped.retry += 1;
        }
    }

    fn follow_advice(
        &mut self,
        now: Now,
        code: u32,
        index: usize,
        packet: &mut [u8],
    ) -> Option<()> {
        let peer = self.peers.get_mut(code)?;
        let attempt = peer.attempts.get(index)?;
        let (asked, retries, is_second) = (attempt.asked, attempt.retries, attempt.is_second);
        if retries >= RETRIES_PER_ATTEMPT {
            return None;
        }
        self.counters.agreements += 1;
        let shared = attempt.ephemeral.agree(&peer.key.to_x25519()).ok()?;
        let cause = Cause { shared: &shared, mac: &attempt.mac };
        let advice = decode_advice(packet, &cause).ok()?;
        // Authentic from here on. The attempt is not repeated, but its late answer still counts.
        peer.attempts.get_mut(index)?.active = false;
        self.learn_card(now, code, advice.card, Some(asked));
        self.learn_suites(now, code, advice.contact_sequence, &advice.suites);
        if !is_second && !self.still_wants_session(now, code) {
            return Some(());
        }
        let peer = self.peers.get_mut(code)?;
        let path = peer.path?;
        // The peer's present life has spoken: its card is good for a flight, whatever the doubts
        // about its sessions, which stay until the handshake is done.
        let prekey = peer.fresh_prekey(now.boot);
        let packet = self.begin_with(now, code, prekey, retries + 1)?;
        self.peers.get_mut(code)?.attempts.last_mut()?.is_second = is_second;
        self.ready.push_back((path, packet));
        Some(())
    }

    /// The same flight again, with the cookie.
    fn follow_cookie(
        &mut self,
        now: Now,
        code: u32,
        index: usize,
        packet: &mut [u8],
    ) -> Option<()> {
        let peer = self.peers.get_mut(code)?;
        let shroud = peer.shroud.clone();
        let attempt = peer.attempts.get_mut(index)?;
        if attempt.retries >= RETRIES_PER_ATTEMPT {
            return None;
        }
        let cookie = decode_cookie(packet, &attempt.mac, &shroud).ok()?;
        attempt.retries += 1;
        if let Header::Ini { cookie, .. } = &mut attempt.header {
            *cookie = true;
        }
        let proof = cookie_proof(&cookie, attempt.ephemeral.public(), &attempt.noise);
        let (header, ephemeral) = (attempt.header, attempt.ephemeral.clone());
        let noise = attempt.noise.clone();
        let (packet, mac) = encode(peer, &header, &ephemeral, proof, &noise)?;
        let path = peer.path?;
        let attempt = peer.attempts.get_mut(index)?;
        attempt.packet.clone_from(&packet);
        attempt.mac = mac;
        attempt.next = now.boot.after(COOKIE_REPEAT);
        self.ready.push_back((path, packet));
        Some(())
    }

    /// The answer to a first flight of ours, unmasked.
    pub(super) fn receive_answer(
        &mut self,
        now: Now,
        path: PathId,
        identity: IdentityId,
        (suite, session): (u8, u32),
        packet: &[u8],
    ) {
        let Some(own) = self.identity(identity) else { return };
        let Ok(rsp) = Rsp::decode(packet, &own.shroud) else {
            self.counters.dropped.mac += 1;
            return;
        };
        let Some(Slot::Pending { peer: code }) = self.sessions.get(session) else {
            self.counters.dropped.answer += 1;
            return;
        };
        let code = *code;
        if self.finish_attempt(now, code, path, (suite, session), &rsp).is_none() {
            self.counters.dropped.answer += 1;
        }
    }

    fn finish_attempt(
        &mut self,
        now: Now,
        code: u32,
        path: PathId,
        (suite, session): (u8, u32),
        rsp: &Rsp<'_>,
    ) -> Option<()> {
        let peer = self.peers.get_mut(code)?;
        let identity = peer.identity;
        let index = peer.attempts.iter().position(|attempt| attempt.session == session)?;
        let attempt = peer.attempts.get_mut(index)?;
        if attempt.suite.id() != suite {
            return None;
        }
        self.counters.agreements += 2;
        self.counters.encapsulations += u64::from(attempt.suite.is_hybrid());
        // A refused answer leaves the handshake as it was: the genuine one is still welcome.
        let read = attempt.flight.as_mut()?.read(&rsp.ephemeral, rsp.noise);
        if is(Bug::AlteredAnswerEnds) && read.is_err() {
            peer.attempts.remove(index);
        }
        let (welcome, frames) = read.ok()?;
        let attempt = peer.attempts.remove(index);
        let (root, hash) = attempt.flight?.finish().ok()?;
        let live = Session::new(
            code,
            Role::Initiator,
            attempt.suite,
            welcome.session,
            (&root, hash),
            now.boot,
        )?;
        *self.sessions.get_mut(session)? = Slot::Live(Box::new(live));
        self.counters.handshakes_finished += 1;
        peer.client = welcome.client;
        // Whatever waits goes out at once; if nothing does, an empty record confirms the session.
        peer.owes.record = true;
        self.saw_life(now, code, &welcome.card, attempt.asked);
        self.learn_card(now, code, welcome.card, Some(attempt.asked));
        self.learn_suites(now, code, welcome.contact_sequence, &welcome.suites);
        self.admit_session(now, code, session);
        self.authenticated(now, code, session, path, true);
        let name = first_eight(&rsp.ephemeral);
        let arrival = Arrival {
            peer: code,
            identity,
            name,
            assurance: Assurance::Confirmed,
            carrier: Carrier::Record,
        };
        self.receive_payload(now, arrival, &frames);
        let peer = self.peers.get(code)?;
        if self.pick_suite(peer) != attempt.suite && !attempt.is_second {
            // The list allows a better suite than the one we were led to: once more, at once.
            let packet = self.begin(now, code, 0)?;
            self.peers.get_mut(code)?.attempts.last_mut()?.is_second = true;
            self.ready.push_back((path, packet));
        }
        self.soil(code);
        Some(())
    }

    /// "I have no such session", unmasked.
    pub(super) fn receive_unknown(&mut self, now: Now, code: u32, session: u32, packet: &[u8]) {
        let Some(peer) = self.peers.get(code) else { return };
        let echoed = decode_unknown(packet, &peer.shroud).ok().and_then(|tag| {
            peer.sessions.iter().copied().find(|id| match self.sessions.get(*id) {
                Some(Slot::Live(live)) => live.remote_id == session && live.sent_lately(&tag),
                _ => false,
            })
        });
        let Some(live) = echoed.and_then(|id| self.live(id)) else {
            self.counters.dropped.hint += 1;
            return;
        };
        live.doubted = true;
        if is(Bug::HintDeletes)
            && let (Some(id), Some(peer)) = (echoed, self.peers.get_mut(code))
        {
            peer.sessions.retain(|one| *one != id);
            self.sessions.remove(id);
        }
        if self.has_undoubted_session(code) {
            // A newer session is there already: what went on the old one goes on that.
            self.resend_all(now, code);
        } else if !self.doubt(now, code) {
            self.counters.dropped.hint += 1;
        }
    }

    fn has_undoubted_session(&self, code: u32) -> bool {
        self.peers.get(code).is_some_and(|peer| {
            peer.sessions.iter().any(|id| match self.sessions.get(*id) {
                Some(Slot::Live(session)) => !session.doubted && !session.is_retired,
                _ => false,
            })
        })
    }

    /// The peer seems to have forgotten us: shake hands again, unless that was tried lately. Nothing
    /// is deleted. Returns whether a handshake will be made.
    pub(super) fn doubt(&mut self, now: Now, code: u32) -> bool {
        let random = self.random.u64();
        let Some(peer) = self.peers.get_mut(code) else { return false };
        if now.boot < peer.handshake_after || peer.is_shaking() {
            return false;
        }
        peer.handshakes_failed += 1;
        let wait = crate::exchange::backoff::doubled(
            std::time::Duration::from_secs(5),
            peer.handshakes_failed - 1,
            std::time::Duration::from_mins(5),
            random,
        );
        peer.handshake_after = now.boot.after(wait);
        peer.trust = Trust::Gone;
        for id in peer.sessions.clone() {
            if let Some(session) = self.live(id) {
                session.doubted = true;
            }
        }
        self.soil(code);
        true
    }

    /// Takes over a live card that a peer stated about itself. With `asked`, it came in a handshake
    /// that began then, and judges what was sent to an earlier life.
    pub(super) fn learn_card(
        &mut self,
        now: Now,
        code: u32,
        card: LiveCard,
        asked: Option<Instant>,
    ) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let bound_to = |peer: &Peer, wants| peer.binding(wants).map(|binding| binding.store);
        let before = StoreKind::ON_CARD.map(|wants| bound_to(peer, wants));
        let stores = card.stores.clone();
        peer.card = Some(KnownCard { card, learned: now.boot, is_kept: false });
        for (wants, before) in StoreKind::ON_CARD.into_iter().zip(before) {
            if before.is_some() && bound_to(peer, wants) != before {
                let outboxes = peer.outboxes.iter_mut().filter(|one| one.wants() == wants);
                outboxes.for_each(Outbox::restart_credit);
            }
        }
        let Some(asked) = asked else { return };
        // What was sealed to an earlier life is no younger than this one.
        let life = stores.iter().map(|store| store.age).min().unwrap_or_default();
        let codes: Vec<u32> = peer.outboxes.codes().collect();
        for event in codes {
            let judged = self.outgoing.get(event).and_then(|one| {
                let bound = one.binding()?;
                let store = stores.iter().find(|store| store.kind == bound.kind)?;
                Some(one.judge(store.id, life, asked, &now))
            });
            match judged {
                Some(Judgement::Free) => self.rebind(event),
                Some(Judgement::Doubtful) => self.put_in_doubt(now, event),
                Some(Judgement::None) | None => {}
            }
        }
    }

    /// The session of an id, if it has keys.
    pub(super) fn live(&mut self, id: u32) -> Option<&mut Session> {
        match self.sessions.get_mut(id) {
            Some(Slot::Live(session)) => Some(session),
            _ => None,
        }
    }
}

/// The wait before a flight with a cookie is repeated for the first time.
const COOKIE_REPEAT: std::time::Duration = std::time::Duration::from_secs(1);

fn ini_header(suite: Suite, session: u32, prekey: u32) -> Header {
    Header::Ini {
        version: VERSION,
        suite: suite.id(),
        initiator_session: session,
        prekey,
        cookie: false,
        puzzle: false,
    }
}

/// The masked packet and its MAC.
fn encode(
    peer: &Peer,
    header: &Header,
    ephemeral: &DhKey,
    cookie: [u8; 16],
    noise: &[u8],
) -> Option<(Vec<u8>, [u8; 16])> {
    let ini = Ini {
        ephemeral: *ephemeral.public(),
        target: target(&peer.key),
        puzzle: [0; 8],
        cookie,
        noise,
        mac: [0; 16],
    };
    let packet = ini.encode(header, &peer.shroud);
    let mac = packet.last_chunk().copied()?;
    Some((packet, mac))
}
