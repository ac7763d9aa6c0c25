//! Any bytes as a handshake message, in both directions and each suite: as they are, and as a
//! payload that the other side has sealed. What is accepted is what the payload says; a refused
//! answer leaves the handshake as it was. With a hybrid suite the payload of a first flight begins with the
//! encapsulation key, and a ciphertext stands in front of an answer.
//!
//! The first byte chooses the suite, the rest is message or payload.
//
// Reaches: Initiator::read, Responder::read.

use egtp_proto::crypto::{
    DecapsulationKey, DhKey, ENCAPSULATION_KEY_BYTES, EncapsulationKey, Noise, Random, Role, Suite,
    derive,
};
use egtp_proto::session::handshake::{
    FirstFlight, Hello, Initiator, LocalKeys, Responder, Welcome,
};
use egtp_proto::wire::{Header, VERSION, Writer};
use egtp_proto::{LiveCard, PrekeyCard, SecretKey, StoreCard, StoreKind};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let Some((first, payload)) = data.split_first() else { return };
    let suite = Suite::ALL[usize::from(first & 3)];
    flight(suite, payload);
    answer(suite, payload);
}

/// The responder reads what an initiator wrote.
fn flight(suite: Suite, payload: &[u8]) {
    let (local, ephemeral) = (keys(2), dh(3));
    let read = |noise: &[u8]| {
        let (public, fresh) = (dh(3), dh(5));
        Responder::read(
            &local,
            (PREKEY, &dh(4)),
            (suite, &ini(suite)),
            public.public(),
            noise,
            fresh,
        )
    };
    assert!(read(payload).is_err(), "nobody can guess a seal");
    let ours = keys(1);
    let mut noise = noise(Role::Initiator, suite, &ours, ephemeral, Some(*local.dh.public()));
    let message = noise.write(payload).expect("it is short");
    let Ok((_, FirstFlight { remote, hello, frames })) = read(&message[32..]) else { return };
    // Who owns one sign owns the other: both names follow from one secret.
    assert_eq!(remote.to_x25519(), ours.public.to_x25519());
    let (key, payload) = if suite.is_hybrid() {
        payload.split_first_chunk::<ENCAPSULATION_KEY_BYTES>().expect("it was read")
    } else {
        (&[0; ENCAPSULATION_KEY_BYTES], payload)
    };
    assert!(!suite.is_hybrid() || EncapsulationKey::from_bytes(key).is_ok());
    let mut again = vec![remote.sign_bit(), u8::from(hello.client)];
    hello.card.encode(&mut again);
    again.put_u64(hello.contact_sequence);
    again.put(&frames);
    assert_eq!(again, payload, "one spelling only");
}

/// The initiator reads what a responder wrote.
fn answer(suite: Suite, payload: &[u8]) {
    let (ours, theirs) = (keys(1), keys(2));
    let prekey = PrekeyCard { id: PREKEY, key: *dh(4).public(), lifetime: 60 };
    let hello = Hello { client: false, card: card(), contact_sequence: 1 };
    let started = Initiator::start(
        &ours,
        (&theirs.public, &prekey),
        (suite, &ini(suite)),
        dh(3),
        (&hello, b""),
        &mut random(),
    );
    let (mut initiator, first) = started.expect("the keys are good");
    let mut noise = noise(Role::Responder, suite, &theirs, dh(5), None);
    let hello = noise.read(&[dh(3).public(), &first[..]].concat()).expect("it is genuine");
    let mut answer = Vec::new();
    if suite.is_hybrid() {
        let key = hello.first_chunk::<ENCAPSULATION_KEY_BYTES>().expect("it begins with the key");
        let theirs = EncapsulationKey::from_bytes(key).expect("it is genuine");
        let (ciphertext, secret) = theirs.encapsulate([7; 32]);
        let psk = derive("kem", &[&secret[..], &ciphertext, key]);
        noise.set_second_psk(&psk).expect("32 bytes");
        answer.extend_from_slice(&ciphertext);
    }
    let message = noise.write(payload).expect("it is short");
    answer.extend_from_slice(&message[32..]);

    let ephemeral = *dh(5).public();
    assert!(initiator.read(&ephemeral, payload).is_err(), "nobody can guess a seal");
    let Ok((welcome, frames)) = initiator.read(&ephemeral, &answer) else { return };
    assert_eq!(encode(&welcome, &frames), payload, "one spelling only");
    let (_, hash) = initiator.finish().expect("the answer was read");
    assert_eq!(hash, noise.hash());
}

/// The other side, without its checks of what it says.
fn noise(
    role: Role,
    suite: Suite,
    local: &LocalKeys,
    own: DhKey,
    theirs: Option<[u8; 32]>,
) -> Noise {
    let (ephemeral, prekey) = (dh(3), dh(4));
    let shared = prekey.agree(ephemeral.public()).expect("the keys are good");
    let parts = [&shared[..], ephemeral.public(), prekey.public(), &PREKEY.to_le_bytes()];
    let psk = derive("prekey", &parts);
    let responder = keys(2);
    let prologue =
        [b"EGTP2 live", &ini(suite).encode()[..], &responder.target, responder.public.as_bytes()];
    let prologue = prologue.concat();
    Noise::new(role, suite, &local.dh, own, theirs.as_ref(), &psk, &prologue).expect("all keys")
}

fn encode(welcome: &Welcome, frames: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.put_u32(welcome.session);
    payload.put_u8(u8::from(welcome.client));
    welcome.card.encode(&mut payload);
    payload.put_prefixed(&welcome.suites);
    payload.put_u64(welcome.contact_sequence);
    payload.put(frames);
    payload
}

fn ini(suite: Suite) -> Header {
    let (version, suite, prekey) = (VERSION, suite.id(), PREKEY);
    Header::Ini { version, suite, initiator_session: 9, prekey, cookie: false, puzzle: false }
}

fn keys(seed: u8) -> LocalKeys {
    LocalKeys::new(&SecretKey::from_seed([seed; 32])).expect("the key is good")
}

fn dh(seed: u8) -> DhKey {
    DhKey::from_secret(&[seed; 32]).expect("the key is good")
}

fn card() -> LiveCard {
    let store = StoreCard { kind: StoreKind::Ram, id: 3, generation: 4, age: 5 };
    LiveCard { prekey: None, stores: vec![store] }
}

fn random() -> Random {
    Random::from_seed([6; 32])
}

/// What each side says, in each suite.
pub fn seeds() -> Vec<Seed> {
    let kem = DecapsulationKey::from_seed([1; 64]);
    let mut hello = vec![0, keys(1).public.sign_bit(), 0];
    card().encode(&mut hello);
    hello.put_u64(1);
    let (card, suites) = (card(), vec![2, 1]);
    let welcome = Welcome { session: 8, client: true, card, suites, contact_sequence: 0 };
    let welcome = encode(&welcome, &[1, 0]);
    let hybrid = [&[3], &kem.encapsulation_key()[..], &hello[1..]].concat();
    vec![
        ("hello", hello),
        ("welcome", [&[1], &welcome[..]].concat()),
        ("hello_hybrid", hybrid),
        ("welcome_hybrid", [&[2], &welcome[..]].concat()),
    ]
}

const PREKEY: u32 = 6;
