//! Somebody with a valid key who makes real sessions and then breaks every rule.
//!
//! Made of the product's handshake and session code, without its endpoint: nothing here keeps to the
//! exchange. Knows what an insider learns: dialogs, stores and serials of those who talk to him.

mod frames;

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;
use egtp_proto::crypto::{DhKey, Random, Role, Suite};
use egtp_proto::limits::{HANDSHAKE_PAYLOAD_MAX, PACKET_BYTES_MAX, PACKET_BYTES_MIN};
use egtp_proto::session::handshake::{Hello, Initiator, LocalKeys, Responder, Welcome, target};
use egtp_proto::session::live::Session;
use egtp_proto::session::retry::{Advice, Cause, decode_advice, encode_advice};
use egtp_proto::time::Instant;
use egtp_proto::wire::packet::{Ini, Rsp};
use egtp_proto::wire::shroud::{PREFIX_BYTES, Shroud};
use egtp_proto::wire::{Header, Lane, RetryKind, VERSION};
use egtp_proto::{PrekeyCard, PublicKey, SecretKey};

use self::frames::Learned;
use super::chance::{bytes, dice, happens};
use super::checker::Party;
use super::plan::Plan;
use crate::process::dice::Dice;

/// See the head of this file.
pub(crate) struct Hostile {
    own: LocalKeys,
    shroud: Shroud,
    prekey: DhKey,
    random: Random,
    dice: Dice,
    next_session: u32,
    pending: BTreeMap<u32, Pending>,
    sessions: VecDeque<(u32, Party, Session)>,
    learned: BTreeMap<Party, Learned>,
}

/// A handshake of his.
struct Pending {
    to: Party,
    ephemeral: DhKey,
    mac: [u8; 16],
    suite: Suite,
    flight: Option<Initiator>,
}

/// Whom he talks to, and how.
#[derive(Clone, Copy)]
pub(crate) struct Victim<'a> {
    pub party: Party,
    pub key: &'a PublicKey,
    pub lane: Lane,
    pub now: Instant,
}

impl Hostile {
    pub(crate) fn new(plan: &Plan, party: Party) -> Option<Self> {
        let number = u64::try_from(party).ok()?;
        let mut random = Random::from_seed(bytes(plan.seed, "hostile", number));
        let own = LocalKeys::new(&SecretKey::from_seed(bytes(plan.seed, "identity", number)))?;
        Some(Self {
            shroud: Shroud::new(&own.public),
            own,
            prekey: DhKey::from_secret(&random.bytes()).ok()?,
            random,
            dice: dice(plan.seed, "hostile", number),
            next_session: 1,
            pending: BTreeMap::new(),
            sessions: VecDeque::new(),
            learned: BTreeMap::new(),
        })
    }

    pub(crate) const fn key(&self) -> PublicKey {
        self.own.public
    }

    /// A packet for him: what he says to it.
    pub(crate) fn receive(&mut self, victim: Victim<'_>, packet: &[u8]) -> Vec<Vec<u8>> {
        if packet.len() < PACKET_BYTES_MIN || packet.len() > PACKET_BYTES_MAX {
            return Vec::new();
        }
        let mut packet = packet.to_vec();
        let theirs = Shroud::new(victim.key);
        let said = if let Some(bytes) = self.shroud.uncovered_prefix(&packet) {
            let Ok(header) = Header::decode(&bytes) else { return Vec::new() };
            self.shroud.uncover(&mut packet, header.masked_bytes());
            match header {
                Header::Ini { .. } => self.greet(victim, &header, &packet),
                Header::Rsp { session, .. } => self.answered(victim, session, &packet),
                Header::Record { lane, epoch, session, counter } => {
                    self.opened(victim, &bytes, session, (lane, epoch, counter), &packet)
                }
                _ => None,
            }
        } else if let Some(Ok(Header::Retry { session, kind: RetryKind::Prekey, .. })) =
            theirs.uncovered_prefix(&packet).map(|bytes| Header::decode(&bytes))
        {
            theirs.uncover(&mut packet, 0);
            self.advised(victim, session, &mut packet)
        } else {
            None
        };
        said.into_iter().collect()
    }

    /// He does something without being asked.
    pub(crate) fn act(&mut self, victim: Victim<'_>) -> Vec<Vec<u8>> {
        let has_session = self.sessions.iter().any(|(_, party, _)| *party == victim.party);
        if !has_session || happens(&mut self.dice, 200) {
            return self.knock(victim).into_iter().collect();
        }
        let count = if happens(&mut self.dice, 100) { FLOOD } else { self.dice.among(1..=6) };
        (0..count).filter_map(|_| self.say(victim)).collect()
    }

    /// A record full of lies, on one of his sessions with a victim.
    fn say(&mut self, victim: Victim<'_>) -> Option<Vec<u8>> {
        let learned = self.learned.entry(victim.party).or_default();
        let mut packet = vec![0; PREFIX_BYTES];
        frames::lie(&mut self.dice, learned, &mut packet);
        let mut own = self.sessions.iter_mut().filter(|(_, party, _)| *party == victim.party);
        let (_, _, session) = own.next_back()?;
        let shroud = Shroud::new(victim.key);
        session.seal(victim.now, victim.lane, &mut packet, &shroud)?;
        Some(packet)
    }

    fn knock(&mut self, victim: Victim<'_>) -> Option<Vec<u8>> {
        let session = self.session_id();
        let ephemeral = DhKey::from_secret(&self.random.bytes()).ok()?;
        let noise: [u8; 160] = self.random.bytes();
        self.send_flight(victim, session, 0, ephemeral, None, &noise)
    }

    /// Sends a knock or a first flight and remembers it.
    fn send_flight(
        &mut self,
        victim: Victim<'_>,
        session: u32,
        prekey: u32,
        ephemeral: DhKey,
        flight: Option<Initiator>,
        noise: &[u8],
    ) -> Option<Vec<u8>> {
        let header = ini_header(SUITE, session, prekey);
        let ini = Ini {
            ephemeral: *ephemeral.public(),
            target: target(victim.key),
            puzzle: [0; 8],
            cookie: self.random.bytes(),
            noise,
            mac: [0; 16],
        };
        let packet = ini.encode(&header, &Shroud::new(victim.key));
        let mac = *packet.last_chunk()?;
        let pending = Pending { to: victim.party, ephemeral, mac, suite: SUITE, flight };
        self.pending.insert(session, pending);
        if self.pending.len() > PENDING_MAX {
            self.pending.pop_first();
        }
        Some(packet)
    }

    /// A card of a victim: now he can send a first flight, with frames inside.
    fn advised(&mut self, victim: Victim<'_>, session: u32, packet: &mut [u8]) -> Option<Vec<u8>> {
        let pending = self.pending.remove(&session).filter(|one| one.to == victim.party)?;
        let shared = pending.ephemeral.agree(&victim.key.to_x25519()).ok()?;
        let cause = Cause { shared: &shared, mac: &pending.mac };
        let advice = decode_advice(packet, &cause).ok()?;
        let prekey = advice.card.prekey?;
        let learned = self.learned.entry(victim.party).or_default();
        learned.stores = advice.card.stores;
        let mut frames = Vec::new();
        frames::lie(&mut self.dice, learned, &mut frames);
        frames.truncate(HANDSHAKE_PAYLOAD_MAX - CARD_BYTES);
        let own = self.own_card();
        let hello = Hello {
            client: happens(&mut self.dice, 300),
            card: frames::false_card(&mut self.dice, own),
            contact_sequence: self.dice.among(0..=u64::MAX - 1),
        };
        let ephemeral = DhKey::from_secret(&self.random.bytes()).ok()?;
        let session = self.session_id();
        let header = ini_header(SUITE, session, prekey.id);
        let (flight, noise) = Initiator::start(
            &self.own,
            (victim.key, &prekey),
            (SUITE, &header),
            ephemeral.clone(),
            (&hello, &frames),
            &mut self.random,
        )
        .ok()?;
        self.send_flight(victim, session, prekey.id, ephemeral, Some(flight), &noise)
    }

    /// A victim has answered his first flight: he has a session.
    fn answered(&mut self, victim: Victim<'_>, session: u32, packet: &[u8]) -> Option<Vec<u8>> {
        let rsp = Rsp::decode(packet, &self.shroud).ok()?;
        let mut pending = self.pending.remove(&session).filter(|one| one.to == victim.party)?;
        let (welcome, frames) = pending.flight.as_mut()?.read(&rsp.ephemeral, rsp.noise).ok()?;
        let (root, hash) = pending.flight?.finish().ok()?;
        let (role, remote, suite) = (Role::Initiator, welcome.session, pending.suite);
        let live = Session::new(0, role, suite, remote, (&root, hash), victim.now)?;
        self.admit(session, victim.party, live);
        self.learned.entry(victim.party).or_default().read(&frames);
        self.say(victim)
    }

    /// A victim wants a session with him: he gives a card full of lies, then a real answer.
    fn greet(&mut self, victim: Victim<'_>, header: &Header, packet: &[u8]) -> Option<Vec<u8>> {
        let Header::Ini { suite, initiator_session, prekey, .. } = *header else { return None };
        let ini = Ini::decode(packet, &self.shroud).ok()?;
        let own = self.own_card();
        let card = frames::false_card(&mut self.dice, own);
        // Sometimes he takes the hybrid suites, and sometimes he says so and means nothing by it.
        let hybrid = if happens(&mut self.dice, 500) { 0x12 } else { 0x01 };
        let suites = vec![SUITE.id(), hybrid, 0x7f];
        if prekey != PREKEY {
            let shared = self.own.dh.agree(&ini.ephemeral).ok()?;
            let cause = Cause { shared: &shared, mac: &ini.mac };
            let advice = Advice { card, suites, contact_sequence: 1 };
            return encode_advice(
                initiator_session,
                &advice,
                &cause,
                &mut self.random,
                &self.shroud,
            );
        }
        let suite = Suite::from_id(suite)?;
        let ephemeral = DhKey::from_secret(&self.random.bytes()).ok()?;
        let (responder, flight) = Responder::read(
            &self.own,
            (PREKEY, &self.prekey),
            (suite, header),
            &ini.ephemeral,
            ini.noise,
            ephemeral,
        )
        .ok()?;
        let learned = self.learned.entry(victim.party).or_default();
        learned.stores = flight.hello.card.stores;
        learned.read(&flight.frames);
        let mut frames = Vec::new();
        frames::lie(&mut self.dice, learned, &mut frames);
        frames.truncate(HANDSHAKE_PAYLOAD_MAX - CARD_BYTES);
        let session = self.session_id();
        let welcome = Welcome { session, client: false, card, suites, contact_sequence: 1 };
        let (ephemeral, noise, (root, hash)) =
            responder.finish(&welcome, &frames, &mut self.random).ok()?;
        let (role, remote) = (Role::Responder, initiator_session);
        let live = Session::new(0, role, suite, remote, (&root, hash), victim.now)?;
        self.admit(session, victim.party, live);
        let header = Header::Rsp { suite: suite.id(), session: initiator_session };
        let rsp = Rsp { ephemeral, noise: &noise };
        Some(rsp.encode(&header, &Shroud::new(victim.key)))
    }

    /// A record: he reads what it tells, and sometimes answers.
    fn opened(
        &mut self,
        victim: Victim<'_>,
        header: &[u8; 12],
        session: u32,
        place: (Lane, u8, u64),
        packet: &[u8],
    ) -> Option<Vec<u8>> {
        let (_, _, live) = self.sessions.iter_mut().find(|(id, _, _)| *id == session)?;
        let mut frames = BytesMut::from(packet);
        live.open(victim.now, header, place, &mut frames).ok()?;
        self.learned.entry(victim.party).or_default().read(&frames);
        if happens(&mut self.dice, 400) { self.say(victim) } else { None }
    }

    fn admit(&mut self, id: u32, party: Party, session: Session) {
        self.sessions.push_back((id, party, session));
        if self.sessions.len() > SESSIONS_MAX {
            self.sessions.pop_front();
        }
    }

    fn session_id(&mut self) -> u32 {
        self.next_session += 1;
        self.next_session
    }

    fn own_card(&self) -> PrekeyCard {
        PrekeyCard { id: PREKEY, key: *self.prekey.public(), lifetime: 7000 }
    }
}

const fn ini_header(suite: Suite, session: u32, prekey: u32) -> Header {
    Header::Ini {
        version: VERSION,
        suite: suite.id(),
        initiator_session: session,
        prekey,
        cookie: false,
        puzzle: false,
    }
}

/// The suite of his own handshakes.
const SUITE: Suite = Suite::Aes256Gcm;
/// His one prekey.
const PREKEY: u32 = 77;
/// Bytes of a handshake payload that he leaves for what is not frames.
const CARD_BYTES: usize = 256;
/// Handshakes that he remembers.
const PENDING_MAX: usize = 64;
/// Sessions that he remembers.
const SESSIONS_MAX: usize = 64;
/// Records of a flood.
const FLOOD: u64 = 60;
