//! The hybrid handshake against somebody on the way who changes what ML-KEM brings: each bit of the
//! encapsulation key and of the ciphertext counts, also under a mac that is right.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

mod common;

use bytes::BytesMut;
use common::{Flight, World, millis, secs};
use egtp_proto::crypto::{
    DecapsulationKey, DhKey, ENCAPSULATION_KEY_BYTES, Noise, Random, Role, Suite, derive,
};
use egtp_proto::session::handshake::{Hello, Initiator, LocalKeys, Responder, Welcome};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, VERSION, Writer};
use egtp_proto::{LiveCard, PrekeyCard, SecretKey, StoreCard, StoreKind};

/// Bytes of an INI in front of the Noise message, and of an RSP in front of the ciphertext.
const INI_HEAD: usize = 80;
const RSP_HEAD: usize = 48;

/// Proves PRO-4, H-8, H-25: every bit of the sealed first flight, the encapsulation key in it among them.
#[test]
fn each_flipped_bit_of_a_hybrid_first_flight_is_refused_under_a_right_mac() {
    let mut world = World::new(2);
    let token = world.request(0, 1, b"which block?");
    let flight = next(&mut world, |header| matches!(header, Header::Ini { prekey: 1.., .. }));
    assert!(flight.packet.len() >= 1400, "{} bytes", flight.packet.len());
    flip_each(&mut world, &flight, INI_HEAD);
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some(), "the genuine one is still welcome");
    assert_eq!(world.machines[1].endpoint.counters().flights_accepted, 1);
}

/// Proves PRO-4, H-8, H-26, H-27: every bit of the ciphertext, and of what is sealed behind it.
#[test]
fn each_flipped_bit_of_a_hybrid_answer_is_refused_under_a_right_mac() {
    let mut world = World::new(2);
    let token = world.request(0, 1, b"which block?");
    let answer = next(&mut world, |header| matches!(header, Header::Rsp { .. }));
    flip_each(&mut world, &answer, RSP_HEAD);
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some(), "the genuine one is still welcome");
    assert_eq!(world.machines[0].endpoint.counters().handshakes_finished, 1);
}

/// Proves PRO-4, H-26: somebody who has all keys of both sides but the one-time ones, and puts another
/// encapsulation key into the flight, gets an answer that the initiator does not believe.
#[test]
fn each_flipped_bit_of_the_encapsulation_key_ends_the_handshake() {
    let (alice, bob) = (keys(1), keys(2));
    let (prekey, ephemeral) = (dh(4), dh(3));
    let header = header(Suite::HybridAes256Gcm);
    let card = PrekeyCard { id: 6, key: *prekey.public(), lifetime: 60 };
    let hello = Hello { client: false, card: live_card(), contact_sequence: 1 };
    let suite = Suite::HybridAes256Gcm;
    let (mut initiator, genuine) = Initiator::start(
        &alice,
        (&bob.public, &card),
        (suite, &header),
        ephemeral.clone(),
        (&hello, &[]),
        &mut Random::from_seed([9; 32]),
    )
    .unwrap();
    // The initiator draws its pair first of all, so it is known here, too.
    let kem = DecapsulationKey::from_seed(Random::from_seed([9; 32]).bytes());
    let shared = ephemeral.agree(prekey.public()).unwrap();
    let id = 6_u32.to_le_bytes();
    let psk = derive("prekey", &[&*shared, ephemeral.public(), prekey.public(), &id]);
    let prologue =
        [b"EGTP2 live", &header.encode()[..], &bob.target, bob.public.as_bytes()].concat();
    let seal = |key: &[u8]| {
        let theirs = bob.public.to_x25519();
        let (role, own) = (Role::Initiator, ephemeral.clone());
        let mut noise =
            Noise::new(role, suite, &alice.dh, own, Some(&theirs), &psk, &prologue).unwrap();
        let mut payload = [key, &[alice.public.sign_bit(), 0]].concat();
        live_card().encode(&mut payload);
        payload.put_u64(1);
        payload.resize(genuine.len() - 64, 0);
        noise.write(&payload).unwrap()[32..].to_vec()
    };
    assert_eq!(seal(kem.encapsulation_key()), genuine, "this is how a flight is made");
    let mut random = Random::from_seed([8; 32]);
    let mut answer = |rest: &[u8]| {
        let own = (6, &prekey);
        let read =
            Responder::read(&bob, own, (suite, &header), ephemeral.public(), rest, dh(5)).ok()?;
        let (session, suites) = (7, vec![0x12]);
        let welcome =
            Welcome { session, client: false, card: live_card(), suites, contact_sequence: 0 };
        Some(read.0.finish(&welcome, &[], &mut random).unwrap())
    };
    let (mut refused, mut answered) = (0, 0);
    for bit in 0..ENCAPSULATION_KEY_BYTES * 8 {
        let mut key = *kem.encapsulation_key();
        key[bit / 8] ^= 1 << (bit % 8);
        match answer(&seal(&key)) {
            None => refused += 1,
            Some((e, rest, _)) => {
                answered += 1;
                assert!(initiator.read(&e, &rest).is_err(), "bit {bit}");
            }
        }
    }
    println!("{refused} keys were refused as such, {answered} answers were not believed");
    assert!(refused > 0 && answered > 0);
    let (e, rest, (root, hash)) = answer(&genuine).unwrap();
    initiator.read(&e, &rest).unwrap();
    assert_eq!(initiator.finish().unwrap(), (root, hash));
}

/// Proves H-26, SCENARIO-19: whoever has recorded a handshake and can break X25519 one day (here: he has all of its
/// secrets, also those of one moment) opens the answer of a classical suite, and not that of a hybrid one.
#[test]
fn who_breaks_x25519_later_does_not_get_past_the_first_flight() {
    for suite in Suite::ALL {
        let (alice, bob) = (keys(1), keys(2));
        let (prekey, ephemeral, header) = (dh(4), dh(3), header(suite));
        let card = PrekeyCard { id: 6, key: *prekey.public(), lifetime: 60 };
        let hello = Hello { client: false, card: live_card(), contact_sequence: 1 };
        let mut random = Random::from_seed([9; 32]);
        let start = (&bob.public, &card);
        let (_, flight) = Initiator::start(
            &alice,
            start,
            (suite, &header),
            ephemeral.clone(),
            (&hello, &[]),
            &mut random,
        )
        .unwrap();
        let own = (6, &prekey);
        let (responder, _) =
            Responder::read(&bob, own, (suite, &header), ephemeral.public(), &flight, dh(5))
                .unwrap();
        let (session, suites) = (7, vec![suite.id()]);
        let welcome =
            Welcome { session, client: false, card: live_card(), suites, contact_sequence: 0 };
        let (e, rest, _) = responder.finish(&welcome, &[], &mut random).unwrap();

        // The attacker makes the initiator's part again from the X25519 secrets and what was recorded.
        let shared = ephemeral.agree(prekey.public()).unwrap();
        let id = 6_u32.to_le_bytes();
        let psk = derive("prekey", &[&*shared, ephemeral.public(), prekey.public(), &id]);
        let prologue =
            [b"EGTP2 live", &header.encode()[..], &bob.target, bob.public.as_bytes()].concat();
        let noise = |role, ours: &LocalKeys, own, theirs: Option<&[u8; 32]>| {
            Noise::new(role, suite, &ours.dh, own, theirs, &psk, &prologue).unwrap()
        };
        let mut reader = noise(Role::Responder, &bob, dh(5), None);
        let hello = reader.read(&[ephemeral.public(), &flight[..]].concat()).unwrap();
        let mut attacker = noise(Role::Initiator, &alice, ephemeral.clone(), Some(bob.dh.public()));
        attacker.write(&hello).unwrap();
        let (ciphertext, sealed) = rest.split_at(if suite.is_hybrid() { 1088 } else { 0 });
        let key = &hello[..if suite.is_hybrid() { ENCAPSULATION_KEY_BYTES } else { 0 }];
        let message = [&e[..], sealed].concat();
        for guess in [[0; 32], *shared, *psk, *bob.dh.agree(alice.dh.public()).unwrap()] {
            let second = derive("kem", &[&guess, ciphertext, key]);
            attacker.set_second_psk(&second).unwrap();
            let opened = attacker.read(&message);
            assert_eq!(opened.is_ok(), !suite.is_hybrid(), "{suite:?}");
            if opened.is_ok() {
                break;
            }
        }
    }
}

/// Proves H-12: an answer that names another suite than the flight is none.
#[test]
fn an_answer_under_another_suite_is_none() {
    let mut world = World::new(2);
    let token = world.request(0, 1, b"which block?");
    let answer = next(&mut world, |header| matches!(header, Header::Rsp { .. }));
    for suite in [0x01, 0x02, 0x11] {
        let (header, mut packet) = unmasked(&world, &answer);
        packet[1] = suite;
        let Header::Rsp { session, .. } = header else { unreachable!() };
        let packet = masked(&world, answer.to, &Header::Rsp { suite, session }, packet);
        let (before, now) = (world.machines[0].endpoint.fingerprint(), world.at(0));
        world.machines[0].endpoint.receive(now, answer.path, BytesMut::from(&packet[..]));
        assert!(world.machines[0].endpoint.fingerprint() == before, "{suite}");
    }
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
}

/// Gives a packet with each bit from `start` on flipped, and its mac made right again, to its receiver.
fn flip_each(world: &mut World, flight: &Flight, start: usize) {
    let (header, plain) = unmasked(world, flight);
    let now = world.at(flight.to);
    // Time has passed since it was last called: whatever that changes is changed first.
    let nothing = BytesMut::from(&[0; 64][..]);
    world.machines[flight.to].endpoint.receive(now, flight.path, nothing);
    let before = world.machines[flight.to].endpoint.fingerprint();
    for bit in start * 8..(plain.len() - 16) * 8 {
        let mut broken = plain.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let packet = masked(world, flight.to, &header, broken);
        let endpoint = &mut world.machines[flight.to].endpoint;
        endpoint.receive(now, flight.path, BytesMut::from(&packet[..]));
        assert!(!endpoint.has_events(), "bit {bit} made an event");
        // Walking over all tables for each bit would take longer than the handshakes.
        if bit % 8 == 7 {
            assert!(endpoint.fingerprint() == before, "byte {} was remembered", bit / 8);
        }
    }
    let dropped = world.machines[flight.to].endpoint.counters().dropped;
    let refused = dropped.handshake + dropped.answer;
    assert_eq!(usize::try_from(refused).unwrap(), (plain.len() - 16 - start) * 8, "all were read");
}

/// Runs until a packet of this sort is on its way, and leaves it there.
fn next(world: &mut World, wanted: fn(&Header) -> bool) -> Flight {
    for _ in 0..200 {
        let found = world.network.iter().find(|flight| wanted(&unmasked(world, flight).0));
        if let Some(found) = found {
            return found.clone();
        }
        world.run(millis(5));
    }
    unreachable!("no such packet")
}

fn unmasked(world: &World, flight: &Flight) -> (Header, Vec<u8>) {
    let shrouds = [flight.to, flight.from].map(|machine| Shroud::new(&world.key(machine)));
    let (shroud, header) = shrouds
        .iter()
        .find_map(|shroud| Some((shroud, shroud.uncovered_prefix(&flight.packet)?)))
        .unwrap();
    let header = Header::decode(&header).unwrap();
    let mut packet = flight.packet.clone();
    shroud.uncover(&mut packet, header.masked_bytes());
    (header, packet)
}

fn masked(world: &World, to: usize, header: &Header, mut packet: Vec<u8>) -> Vec<u8> {
    let shroud = Shroud::new(&world.key(to));
    let end = packet.len() - 16;
    packet[12..16].fill(0);
    let mac = shroud.mac(&[&packet[..end]]);
    packet[end..].copy_from_slice(&mac);
    shroud.cover(&mut packet, header.masked_bytes());
    packet
}

fn header(suite: Suite) -> Header {
    Header::Ini {
        version: VERSION,
        suite: suite.id(),
        initiator_session: 9,
        prekey: 6,
        cookie: false,
        puzzle: false,
    }
}

fn live_card() -> LiveCard {
    let store = StoreCard { kind: StoreKind::Ram, id: 3, generation: 4, age: 5 };
    LiveCard { prekey: None, stores: vec![store] }
}

fn keys(seed: u8) -> LocalKeys {
    LocalKeys::new(&SecretKey::from_seed([seed; 32])).unwrap()
}

fn dh(seed: u8) -> DhKey {
    DhKey::from_secret(&[seed; 32]).unwrap()
}
