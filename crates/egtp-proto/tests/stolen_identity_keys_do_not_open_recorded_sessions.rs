//! SEC-5: who records all traffic and later steals the identity keys of both sides reads nothing.
//! H-19: nor does who has them talk the two into a cipher that they like less.
//! PRO-3: who takes part in a session can forge all of it, so its bytes prove nothing to others.
//!
//! The attacker here is written against the primitives, not against the endpoint. The controls show
//! that it would succeed with what an endpoint has forgotten by then.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as loudly as tests"
)]

mod common;
mod forger;

use std::time::Duration;

use bytes::BytesMut;
use common::{World, secs};
use egtp_proto::crypto::{Cipher, DhKey, Random, Role, Suite, Suites, derive};
use egtp_proto::limits::Limits;
use egtp_proto::session::handshake::{LocalKeys, Responder, Welcome};
use egtp_proto::session::live::Session;
use egtp_proto::session::prekey::Prekeys;
use egtp_proto::session::retry::{Cause, decode_advice, encode_advice};
use egtp_proto::time::Instant;
use egtp_proto::wire::packet::{Ini, Rsp};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, Lane, RetryKind};
use egtp_proto::{Assurance, Config, Event, LiveCard, PrekeyCard, SecretKey};

const SECRET: &[u8] = b"for nobody else's eyes";
const SUITE: Suite = Suite::Aes256Gcm;
const OTHER: Suite = Suite::ChaCha20Poly1305;
/// When the small world begins.
const START: Instant = Instant::new(Duration::from_secs(1000));

fn classical(config: &mut Config) {
    config.suites = Suites::classical(Cipher::Aes256Gcm);
}

fn random() -> Random {
    Random::from_seed([0x77; 32])
}

/// Proves SEC-5, SCENARIO-19.
#[test]
fn sec_5_stolen_identity_keys_open_no_recorded_session() {
    let recorded = Recorded::session();
    let (alice, bob) = (keys(1), keys(2));
    // The attacker reads the advice, as it travels sealed to the identity key alone.
    let prekey = recorded.advised_prekey(&bob);

    // All that both identity keys give for the secret that only the prekey gives.
    let guesses = [
        [0; 32],
        *bob.dh.agree(&recorded.ephemeral).unwrap(),
        *bob.dh.agree(&prekey.key).unwrap(),
        *alice.dh.agree(&prekey.key).unwrap(),
        *alice.dh.agree(bob.dh.public()).unwrap(),
        *bob.dh.agree(&recorded.answer_ephemeral).unwrap(),
        *alice.dh.agree(&recorded.answer_ephemeral).unwrap(),
    ];
    for guess in guesses {
        let psk = recorded.psk(&guess, &prekey);
        let mut noise = forger::Noise::begin(&recorded.prologue(&bob), bob.dh.public());
        assert_eq!(noise.read_first(&recorded.ephemeral, &recorded.noise, &bob.dh, &psk), None);
        for [forth, back] in [[guess, guess], [psk, guess], [guess, psk]] {
            let root = derive("root", &[&forth, &back, &noise.hash()]);
            assert_eq!(opened(&recorded.records, &root), 0);
        }
    }
    for key in [&alice, &bob] {
        let read = recorded.read_as_responder(&bob, &prekey, &key.dh, dh(77));
        assert!(read.is_none(), "an identity key is no prekey");
    }
}

/// Proves SEC-5: the control. With the prekey's secret, which is erased after two hours, the same
/// attacker reads the first flight; the answer and the records stay closed even then.
#[test]
fn a_stolen_prekey_opens_the_first_flight_and_nothing_after_it() {
    let recorded = Recorded::session();
    let bob = keys(2);
    let prekey = recorded.advised_prekey(&bob);
    let (prekeys, _) = life_of_bob();
    let secret = prekeys.get(prekey.id, START).unwrap();
    assert_eq!(secret.public(), &prekey.key);

    let (responder, frames) = recorded.read_as_responder(&bob, &prekey, secret, dh(77)).unwrap();
    assert!(contains(&frames, SECRET), "the first flight is open");
    // The attacker cannot have the ephemeral keys, so it ends with another root.
    let (_, _, (root, _)) = responder.finish(&welcome(), b"", &mut random()).unwrap();
    assert_eq!(opened(&recorded.records, &root), 0);
    assert!(recorded.records.len() >= 2);
    // With the right root the attacker's reading of records would have worked.
    let to_bob = Shroud::new(&bob.public);
    let mut record = [&[0; 16][..], SECRET].concat();
    let mut sender = session(Role::Initiator, &root, [0; 32]).unwrap();
    sender.seal(Instant::default(), Lane::Direct, &mut record, &to_bob).unwrap();
    to_bob.uncover(&mut record, 0);
    assert_eq!(opened(&[(Role::Responder, record)], &root), 1);

    let psk = recorded.psk(&secret.agree(&recorded.ephemeral).unwrap(), &prekey);
    let mut noise = forger::Noise::begin(&recorded.prologue(&bob), bob.dh.public());
    let by_hand = noise.read_first(&recorded.ephemeral, &recorded.noise, &bob.dh, &psk);
    assert!(contains(&by_hand.unwrap(), SECRET), "the attacker's own implementation is right");
}

/// Proves PRO-3. Bob alone, who knows of Alice nothing but her public key, writes a first flight
/// "from Alice": the one key agreement of the pattern that would need her secret is the same from
/// his side. His own endpoint takes it for hers, and says that it is only a first flight.
#[test]
fn pro_3_the_responder_can_forge_a_first_flight_that_its_own_endpoint_takes() {
    let (alice, bob) = (keys(1).public, keys(2));
    let mut world = World::with(2, classical);
    let (_, far) = world.connect(0, 1);
    let (prekeys, store) = life_of_bob();
    let prekey = prekeys.card(START).unwrap();

    let frames = forger::request(store, SECRET);
    let secret = prekeys.get(prekey.id, START).unwrap();
    let (packet, _) = forger::first_flight(&alice, &bob, (&prekey, secret), &dh(33), &frames);
    world.inject(1, far, &packet);

    let asked = world.machines[1].events.iter().find_map(|event| match event {
        Event::Query(query) => Some(&query.message),
        _ => None,
    });
    let asked = asked.expect("the forged request was handed over");
    assert_eq!((asked.from, &asked.body[..]), (alice, SECRET));
    assert_eq!(asked.assurance, Assurance::FirstFlight);
}

/// Proves PRO-3: and all that follows. Bob forges both sides of the handshake and of the session.
#[test]
fn pro_3_the_responder_can_forge_a_whole_transcript() {
    let (alice, bob) = (keys(1).public, keys(2));
    let (prekey_secret, ephemeral, answer) = (dh(4), dh(33), dh(34));
    let prekey = PrekeyCard { id: 6, key: *prekey_secret.public(), lifetime: 60 };
    let (packet, mut forged) =
        forger::first_flight(&alice, &bob, (&prekey, &prekey_secret), &ephemeral, &[1]);

    // As an honest responder reads it.
    let to_bob = Shroud::new(&bob.public);
    let header = Header::decode(&to_bob.uncovered_prefix(&packet).unwrap()).unwrap();
    let mut plain = packet.clone();
    to_bob.uncover(&mut plain, header.masked_bytes());
    let ini = Ini::decode(&plain, &to_bob).unwrap();
    let own = (prekey.id, &prekey_secret);
    let (responder, flight) =
        Responder::read(&bob, own, (SUITE, &header), &ini.ephemeral, ini.noise, answer.clone())
            .unwrap();
    assert_eq!(flight.remote, alice);
    let (_, noise, (root, hash)) = responder.finish(&welcome(), &[1], &mut random()).unwrap();

    // What Alice would read and derive, from Bob's secrets alone.
    let read = forged.read_second(&noise, &ephemeral, &answer, &alice.to_x25519());
    assert!(read.is_some(), "the forged Alice reads the answer");
    let (forged_root, forged_hash) = forged.finish();
    assert_eq!((forged_root, forged_hash), (*root, hash));
    let (mut of_alice, mut of_bob) = (
        session(Role::Initiator, &forged_root, hash).unwrap(),
        session(Role::Responder, &root, hash).unwrap(),
    );
    let mut record = [&[0; 16][..], SECRET].concat();
    let lane = Lane::Direct;
    of_alice.seal(Instant::default(), lane, &mut record, &to_bob).unwrap();
    let prefix = to_bob.uncovered_prefix(&record).unwrap();
    let mut opened = BytesMut::from(&record[..]);
    of_bob.open(Instant::default(), &prefix, (lane, 0, 0), &mut opened).unwrap();
    assert_eq!(&opened[..], SECRET);
}

/// Proves H-19. The thief of Bob's identity key answers Alice's knock in his place and names the one
/// suite that she likes less. Bob's own answer names both, and she follows it at once.
#[test]
fn a_suite_that_a_thief_talked_us_into_is_left_as_soon_as_the_peer_has_answered() {
    assert_eq!(suites_of_flights(&[SUITE.id(), OTHER.id()]), [SUITE], "the control: nobody lies");
    assert_eq!(suites_of_flights(&[OTHER.id()]), [OTHER, SUITE]);
}

/// The suites of the first flights that Alice sends when the advice names these. Her request is
/// answered once, and her later ones go out in the suite of the last flight.
fn suites_of_flights(advised: &[u8]) -> Vec<Suite> {
    let (mut world, bob) = (World::with(2, classical), keys(2));
    let token = world.request(0, 1, SECRET);
    let advice = |world: &World| world.network.iter().position(|flight| flight.to == 0);
    assert!(world.run_until(secs(1), |world| advice(world).is_some()));
    let index = advice(&world).unwrap();

    let genuine = Recorded::of(&world);
    let ephemeral: &[u8; 32] = genuine.knock[16..].first_chunk().unwrap();
    let shared = bob.dh.agree(ephemeral).unwrap();
    let cause = Cause { shared: &shared, mac: genuine.knock.last_chunk().unwrap() };
    let mut forged = decode_advice(&mut genuine.advice.clone(), &cause).unwrap();
    forged.suites = advised.to_vec();
    let Ok(Header::Retry { session, .. }) = Header::decode(genuine.advice.first_chunk().unwrap())
    else {
        panic!("not an advice");
    };
    let mut random = Random::from_seed([9; 32]);
    // The answering identity's own shroud, as the genuine one.
    let packet = encode_advice(session, &forged, &cause, &mut random, &Shroud::new(&world.key(1)));
    world.network[index].packet = packet.unwrap();

    // Less than any repetition would take.
    world.run(Duration::from_millis(200));
    assert_eq!(world.reply_of(0, token).unwrap(), SECRET);
    assert_eq!(world.executions(1, SECRET), 1);
    Recorded::of(&world).flights
}

/// A session as an eavesdropper has it, who knows both public keys.
struct Recorded {
    knock: Vec<u8>,
    advice: Vec<u8>,
    header: Header,
    ephemeral: [u8; 32],
    noise: Vec<u8>,
    answer_ephemeral: [u8; 32],
    records: Vec<(Role, Vec<u8>)>,
    flights: Vec<Suite>,
}

impl Recorded {
    fn session() -> Self {
        let mut world = World::with(2, classical);
        for _ in 0..2 {
            let token = world.request(0, 1, SECRET);
            world.run(secs(2));
            assert_eq!(world.reply_of(0, token).unwrap(), SECRET);
        }
        Self::of(&world)
    }

    /// What was sent so far.
    fn of(world: &World) -> Self {
        let shrouds = [0, 1].map(|machine| Shroud::new(&world.key(machine)));
        let mut found = Self {
            knock: Vec::new(),
            advice: Vec::new(),
            header: Header::Rsp { suite: 0, session: 0 },
            ephemeral: [0; 32],
            noise: Vec::new(),
            answer_ephemeral: [0; 32],
            records: Vec::new(),
            flights: Vec::new(),
        };
        for flight in &world.recorded {
            let shroud = shrouds.iter().find(|shroud| shroud.recognises(&flight.packet)).unwrap();
            let header = shroud.uncovered_prefix(&flight.packet).unwrap();
            let header = Header::decode(&header).unwrap();
            let mut packet = flight.packet.clone();
            shroud.uncover(&mut packet, header.masked_bytes());
            match header {
                Header::Ini { prekey: 0, .. } => found.knock = packet,
                Header::Ini { .. } => {
                    let ini = Ini::decode(&packet, shroud).unwrap();
                    let Header::Ini { suite, .. } = header else { unreachable!() };
                    found.flights.push(Suite::from_id(suite).unwrap());
                    found.header = header;
                    found.ephemeral = ini.ephemeral;
                    found.noise = ini.noise.to_vec();
                }
                Header::Rsp { .. } => {
                    found.answer_ephemeral = Rsp::decode(&packet, shroud).unwrap().ephemeral;
                }
                Header::Retry { kind: RetryKind::Prekey, .. } => found.advice = packet,
                Header::Record { .. } => {
                    let role = if flight.to == 1 { Role::Responder } else { Role::Initiator };
                    found.records.push((role, packet));
                }
                other => panic!("{other:?} was not expected"),
            }
        }
        found
    }

    /// What the recorded advice says, opened with the responder's identity key.
    fn advised_prekey(&self, bob: &LocalKeys) -> PrekeyCard {
        let ephemeral: &[u8; 32] = self.knock[16..].first_chunk().unwrap();
        let shared = bob.dh.agree(ephemeral).unwrap();
        let cause = Cause { shared: &shared, mac: self.knock.last_chunk().unwrap() };
        decode_advice(&mut self.advice.clone(), &cause).unwrap().card.prekey.unwrap()
    }

    fn psk(&self, shared: &[u8; 32], prekey: &PrekeyCard) -> [u8; 32] {
        forger::psk(shared, &self.ephemeral, prekey)
    }

    fn prologue(&self, bob: &LocalKeys) -> Vec<u8> {
        forger::prologue(&self.header, bob)
    }

    /// Reads the first flight as the responder would whose prekey's secret is `secret`.
    fn read_as_responder(
        &self,
        bob: &LocalKeys,
        prekey: &PrekeyCard,
        secret: &DhKey,
        fresh: DhKey,
    ) -> Option<(Responder, Vec<u8>)> {
        let own = (prekey.id, secret);
        let (responder, flight) =
            Responder::read(bob, own, (SUITE, &self.header), &self.ephemeral, &self.noise, fresh)
                .ok()?;
        Some((responder, flight.frames.to_vec()))
    }
}

/// How many records, unmasked and each with the role of its receiver, open under a root.
fn opened(records: &[(Role, Vec<u8>)], root: &[u8; 32]) -> usize {
    let opens = |(role, packet): &&(Role, Vec<u8>)| {
        let prefix: [u8; 12] = *packet.first_chunk().unwrap();
        let Ok(Header::Record { lane, epoch, counter, .. }) = Header::decode(&prefix) else {
            return false;
        };
        let mut session = session(*role, root, [0; 32]).unwrap();
        let head = (lane, epoch, counter);
        session.open(Instant::default(), &prefix, head, &mut BytesMut::from(&packet[..])).is_ok()
    };
    records.iter().filter(opens).count()
}

fn session(role: Role, root: &[u8; 32], hash: [u8; 32]) -> Option<Session> {
    Session::new(0, role, SUITE, 9, (root, hash), Instant::default())
}

fn welcome() -> Welcome {
    let stores = vec![forger::store(1)];
    let card = LiveCard { prekey: None, stores };
    Welcome { session: 9, client: false, card, suites: vec![2, 1], contact_sequence: 0 }
}

/// The prekeys and the store id of Bob in the small world, drawn as his endpoint draws them.
fn life_of_bob() -> (Prekeys, u64) {
    let mut seed = [2; 32];
    seed[1] = 0;
    let mut random = Random::from_seed(seed);
    let prekeys =
        Prekeys::new(&mut random, &Limits::default(), START, egtp_proto::Stripe::ALL).unwrap();
    (prekeys, random.u64())
}

fn keys(seed: u8) -> LocalKeys {
    LocalKeys::new(&SecretKey::from_seed([seed; 32])).unwrap()
}

fn dh(seed: u8) -> DhKey {
    DhKey::from_secret(&[seed; 32]).unwrap()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
