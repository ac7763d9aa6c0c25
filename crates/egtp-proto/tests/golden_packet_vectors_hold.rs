//! The bytes of packets and of message ids, as written down in `vectors/`. They may never change:
//! other implementations depend on them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as loudly as tests"
)]

use std::time::Duration;

use egtp_proto::crypto::{DhKey, Random, Role, Suite};
use egtp_proto::limits::EPOCH_USED;
use egtp_proto::message::Canonical;
use egtp_proto::session::handshake::{Hello, Initiator, LocalKeys, Responder, Welcome, target};
use egtp_proto::session::live::Session;
use egtp_proto::session::retry::{Advice, Cause, encode_advice, encode_cookie};
use egtp_proto::time::Instant;
use egtp_proto::wire::packet::{Ini, Rsp, encode_unknown};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, Lane, VERSION};
use egtp_proto::{LiveCard, MessageClass, PrekeyCard, SecretKey, StoreCard, StoreKind};

const PREKEY: u32 = 6;
const SESSION_OF_A: u32 = 0x0102_0304;
const SESSION_OF_B: u32 = 0x1112_1314;
const SUITE: Suite = Suite::ChaCha20Poly1305;

#[test]
fn golden_packets_hold() {
    let (a, b) = (keys(1), keys(2));
    let (to_a, to_b) = (Shroud::new(&a.public), Shroud::new(&b.public));
    let mut random = Random::from_seed([9; 32]);

    let knock = ini(&b, ini_header(0), &[0xd0; 160]);
    let shared = b.dh.agree(dh(3).public()).unwrap();
    let cause = Cause { shared: &shared, mac: knock.last_chunk().unwrap() };
    let prekey = PrekeyCard { id: PREKEY, key: *dh(4).public(), lifetime: 7_200 };
    let card = LiveCard { prekey: Some(prekey), ..caller() };
    let advice = Advice { card, suites: vec![1, 2], contact_sequence: 8 };
    let retry_prekey = encode_advice(SESSION_OF_A, &advice, &cause, &mut random, &to_b).unwrap();

    let header = ini_header(PREKEY);
    let hello = Hello { client: false, card: caller(), contact_sequence: 7 };
    let start = (&b.public, &prekey);
    let (mut initiator, noise) =
        Initiator::start(&a, start, (SUITE, &header), dh(3), (&hello, &[1]), &mut random).unwrap();
    let first = ini(&b, header, &noise);
    let mac = first.last_chunk().unwrap();
    let retry_cookie = encode_cookie(SESSION_OF_A, &[0xcc; 16], mac, &mut random, &to_b).unwrap();

    let (responder, flight) =
        Responder::read(&b, (PREKEY, &dh(4)), (SUITE, &header), dh(3).public(), &noise, dh(5))
            .unwrap();
    assert_eq!((flight.remote, flight.hello, flight.frames[0]), (a.public, hello, 1));
    let welcome = Welcome {
        session: SESSION_OF_B,
        client: true,
        card: caller(),
        suites: vec![1, 2],
        contact_sequence: 0,
    };
    let (ephemeral, noise, (root, hash)) =
        responder.finish(&welcome, &[1, 0], &mut random).unwrap();
    let header = Header::Rsp { suite: SUITE.id(), session: SESSION_OF_A };
    let rsp = Rsp { ephemeral, noise: &noise }.encode(&header, &to_a);
    initiator.read(&ephemeral, &noise).unwrap();
    assert_eq!(initiator.finish().unwrap().1, hash);

    let session =
        |role, remote| Session::new(0, role, SUITE, remote, (&root, hash), at(0)).unwrap();
    let mut of_a = session(Role::Initiator, SESSION_OF_B);
    let mut of_b = session(Role::Responder, SESSION_OF_A);
    let seal = |session: &mut Session, now, lane, shroud| {
        let mut packet = [&[0; 16][..], &[1, 0]].concat();
        session.seal(now, lane, &mut packet, shroud).unwrap();
        packet
    };
    let record_a = seal(&mut of_a, at(0), Lane::Direct, &to_b);
    let unknown = encode_unknown(SESSION_OF_B, 0, record_a.last_chunk().unwrap(), &to_b);
    let later = at(0).after(EPOCH_USED);
    let found = [
        ("knock", knock),
        ("retry_prekey", retry_prekey),
        ("ini", first),
        ("retry_cookie", retry_cookie),
        ("rsp", rsp),
        ("root", root.to_vec()),
        ("hash", hash.to_vec()),
        ("record_a_epoch_0", record_a),
        ("record_b_epoch_0", seal(&mut of_b, at(0), Lane::Direct, &to_a)),
        ("record_b_epoch_0_relay", seal(&mut of_b, at(0), Lane::Relay, &to_a)),
        ("record_a_epoch_1", seal(&mut of_a, later, Lane::Direct, &to_b)),
        ("record_b_epoch_1", seal(&mut of_b, later, Lane::Direct, &to_a)),
        ("unknown", unknown),
    ];
    let found: Vec<String> =
        found.iter().map(|(name, bytes)| format!("{name} {}", hex(bytes))).collect();
    assert_eq!(found, vectors(include_str!("../../../vectors/packets.txt")), "{found:#?}");
}

/// Proves MSG-3: the canonical form has one hash.
#[test]
fn golden_message_ids_hold() {
    let (a, b) = (keys(1).public, keys(2).public);
    let long: Vec<u8> = (0..5000_u16).map(|n| n.to_le_bytes()[0]).collect();
    let requests = Canonical::new(&a, &b, MessageClass::Request, 0x0102_0304_0506_0708);
    let sends = Canonical::new(&a, &b, MessageClass::Send, 0x0102_0304_0506_0708);
    let replies = Canonical::new(&b, &a, MessageClass::Reply, 0x1112_1314_1516_1718);
    let short = requests.id(3, 0, None, "block.get/1", b"which block?");
    let found = [
        ("short", short),
        ("send", sends.id(3, 0, None, "block.get/1", b"which block?")),
        ("whole", requests.id(4, 0, None, "block.get/1", &long[..4096])),
        ("long", requests.id(4, 0, None, "block.get/1", &long)),
        ("reply", replies.id(5, 1, Some(&short), "", b"this one")),
    ];
    let found: Vec<String> = found.iter().map(|(name, id)| format!("{name} {id}")).collect();
    assert_eq!(found, vectors(include_str!("../../../vectors/message_id.txt")), "{found:#?}");
}

fn ini(responder: &LocalKeys, header: Header, noise: &[u8]) -> Vec<u8> {
    let ephemeral = *dh(3).public();
    let target = target(&responder.public);
    let ini = Ini { ephemeral, target, puzzle: [0; 8], cookie: [0xc0; 16], noise, mac: [0; 16] };
    ini.encode(&header, &Shroud::new(&responder.public))
}

fn ini_header(prekey: u32) -> Header {
    Header::Ini {
        version: VERSION,
        suite: SUITE.id(),
        initiator_session: SESSION_OF_A,
        prekey,
        cookie: false,
        puzzle: false,
    }
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

fn at(seconds: u64) -> Instant {
    Instant::new(Duration::from_secs(seconds))
}

fn vectors(file: &str) -> Vec<&str> {
    file.lines().filter(|line| !line.starts_with('#')).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
