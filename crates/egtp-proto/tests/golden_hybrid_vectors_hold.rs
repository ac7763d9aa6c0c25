//! The bytes of handshakes with the hybrid suites, as written down in `vectors/packets_hybrid.txt`. They may
//! never change: other implementations depend on them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use std::time::Duration;

use egtp_proto::crypto::{DhKey, Random, Role, Suite};
use egtp_proto::session::handshake::{Hello, Initiator, LocalKeys, Responder, Welcome, target};
use egtp_proto::session::live::Session;
use egtp_proto::time::Instant;
use egtp_proto::wire::packet::{Ini, Rsp};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, Lane, VERSION};
use egtp_proto::{LiveCard, PrekeyCard, SecretKey, StoreCard, StoreKind};

const FILE: &str = include_str!("../../../vectors/packets_hybrid.txt");
const PREKEY: u32 = 6;
const SESSION_OF_A: u32 = 0x0102_0304;
const SESSION_OF_B: u32 = 0x1112_1314;

/// Proves H-3, H-25, H-26.
#[test]
fn golden_hybrid_packets_hold() {
    let mut found = Vec::new();
    for suite in [Suite::HybridChaCha20Poly1305, Suite::HybridAes256Gcm] {
        found.extend(packets(suite));
    }
    let expected: Vec<&str> = FILE.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(found == expected, "{}", found.join("\n"));
}

fn packets(suite: Suite) -> Vec<String> {
    let (a, b) = (keys(1), keys(2));
    // Each side draws its randomness for ML-KEM first of all.
    let random_of = |side: u8| Random::from_seed([suite.id() + side; 32]);
    let kem_seed: [u8; 64] = random_of(0xa0).bytes();
    let kem_randomness: [u8; 32] = random_of(0xb0).bytes();
    let header = Header::Ini {
        version: VERSION,
        suite: suite.id(),
        initiator_session: SESSION_OF_A,
        prekey: PREKEY,
        cookie: false,
        puzzle: false,
    };
    let hello = Hello { client: false, card: caller(), contact_sequence: 7 };
    let prekey = PrekeyCard { id: PREKEY, key: *dh(4).public(), lifetime: 7_200 };
    let start = (&b.public, &prekey);
    let mut random = random_of(0xa0);
    let (mut initiator, noise) =
        Initiator::start(&a, start, (suite, &header), dh(3), (&hello, &[1]), &mut random).unwrap();
    let (ephemeral, target) = (*dh(3).public(), target(&b.public));
    let ini =
        Ini { ephemeral, target, puzzle: [0; 8], cookie: [0xc0; 16], noise: &noise, mac: [0; 16] };
    let ini = ini.encode(&header, &Shroud::new(&b.public));

    let own = (PREKEY, &dh(4));
    let (responder, flight) =
        Responder::read(&b, own, (suite, &header), dh(3).public(), &noise, dh(5)).unwrap();
    assert_eq!((flight.remote, flight.hello), (a.public, hello));
    let welcome = Welcome {
        session: SESSION_OF_B,
        client: true,
        card: caller(),
        suites: vec![0x12, 0x11, 2, 1],
        contact_sequence: 0,
    };
    let mut random = random_of(0xb0);
    let (ephemeral, rest, (root, hash)) = responder.finish(&welcome, &[1, 0], &mut random).unwrap();
    let rsp_header = Header::Rsp { suite: suite.id(), session: SESSION_OF_A };
    let rsp = Rsp { ephemeral, noise: &rest }.encode(&rsp_header, &Shroud::new(&a.public));
    initiator.read(&ephemeral, &rest).unwrap();
    assert_eq!(initiator.finish().unwrap().1, hash);

    let now = Instant::new(Duration::ZERO);
    let mut session =
        Session::new(0, Role::Initiator, suite, SESSION_OF_B, (&root, hash), now).unwrap();
    let mut record = [&[0; 16][..], &[1, 0]].concat();
    session.seal(now, Lane::Direct, &mut record, &Shroud::new(&b.public)).unwrap();
    let named = [
        ("kem_seed", kem_seed.to_vec()),
        ("kem_randomness", kem_randomness.to_vec()),
        ("ini", ini),
        ("rsp", rsp),
        ("root", root.to_vec()),
        ("hash", hash.to_vec()),
        ("record", record),
    ];
    let line =
        |(name, bytes): &(&str, Vec<u8>)| format!("{name}_{:02x} {}", suite.id(), hex(bytes));
    named.iter().map(line).collect()
}

fn caller() -> LiveCard {
    let store = StoreCard { kind: StoreKind::Ram, id: 3, generation: 4, age: 5 };
    LiveCard { prekey: None, stores: vec![store] }
}

fn keys(seed: u8) -> LocalKeys {
    LocalKeys::new(&SecretKey::from_seed([seed; 32])).unwrap()
}

fn dh(seed: u8) -> DhKey {
    DhKey::from_secret(&[seed; 32]).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
