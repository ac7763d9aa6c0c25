//! Noise as others compute it: published vectors, and snow with its own primitives.
//!
//! `IKpsk0` has no published vectors, so the pattern itself is compared with snow's own resolver on
//! random inputs, and our resolver with the vectors of its neighbours. Knows nothing of the live
//! handshake; that is `session::handshake`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as loudly as tests"
)]

use proptest::prelude::*;
use snow::{Builder, HandshakeState, TransportState};

use super::noise::{Noise, Role};
use super::{Cipher, DhKey, Suite};

const FILE: &str = include_str!("../../../../vectors/noise.txt");

#[test]
fn published_noise_vectors_hold() {
    let vectors: Vec<Vector> = FILE.split("\n\n").skip(1).map(Vector::parse).collect();
    for vector in &vectors {
        vector.check();
    }
    println!("Noise: {} vectors", vectors.len());
    assert_eq!(vectors.len(), 16);
}

/// One handshake of the file.
#[derive(Default)]
struct Vector {
    name: String,
    prologue: Vec<u8>,
    /// Of the initiator, then of the responder.
    statics: [Option<DhKey>; 2],
    ephemerals: [Option<DhKey>; 2],
    known: [Option<[u8; 32]>; 2],
    psks: Vec<[u8; 32]>,
    messages: Vec<(Vec<u8>, Vec<u8>)>,
    hash: Option<Vec<u8>>,
}

impl Vector {
    fn parse(text: &str) -> Self {
        let mut vector = Self::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap();
            let secret = || Some(DhKey::from_secret(&unhex(value).try_into().unwrap()).unwrap());
            match key {
                "name" => vector.name = value.to_owned(),
                "prologue" => vector.prologue = unhex(value),
                "init_static" => vector.statics[0] = secret(),
                "resp_static" => vector.statics[1] = secret(),
                "init_ephemeral" => vector.ephemerals[0] = secret(),
                "resp_ephemeral" => vector.ephemerals[1] = secret(),
                "init_remote_static" => vector.known[0] = Some(unhex(value).try_into().unwrap()),
                "resp_remote_static" => vector.known[1] = Some(unhex(value).try_into().unwrap()),
                "psk" => vector.psks.push(unhex(value).try_into().unwrap()),
                "message" => {
                    let (payload, ciphertext) = value.split_once(' ').unwrap();
                    vector.messages.push((unhex(payload), unhex(ciphertext)));
                }
                "hash" => vector.hash = Some(unhex(value)),
                other => panic!("{other} in {}", vector.name),
            }
        }
        vector
    }

    fn side(&self, role: Role) -> Noise {
        let index = usize::from(role == Role::Responder);
        let suite =
            if self.name.contains("_AESGCM_") { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
        // `IKpsk0+psk2` has its keys at the positions 0 and 2.
        let pattern = self.name.split('_').nth(1).unwrap();
        let positions = pattern.split("psk").skip(1).map(|part| part.trim_end_matches('+'));
        let positions = positions.map(|digit| digit.parse().unwrap());
        let psks: Vec<(u8, [u8; 32])> = positions.zip(self.psks.iter().copied()).collect();
        assert_eq!(psks.len(), self.psks.len());
        // The one who only reads in a one-way pattern never uses its ephemeral key.
        let unused = || DhKey::from_secret(&[1; 32]).unwrap();
        let ephemeral = self.ephemerals[index].clone().unwrap_or_else(unused);
        let ours = (self.statics[index].as_ref(), ephemeral);
        let theirs = self.known[index].as_ref();
        Noise::of_pattern(&self.name, role, suite, ours, theirs, &psks, &self.prologue).unwrap()
    }

    fn check(&self) {
        let (mut one, mut two) = (self.side(Role::Initiator), self.side(Role::Responder));
        let one_way = self.name.starts_with("Noise_X");
        let handshake = if one_way { 1 } else { 2 };
        for (index, (payload, ciphertext)) in self.messages.iter().take(handshake).enumerate() {
            let (from, to) = if index == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
            assert_eq!(from.write(payload).unwrap(), *ciphertext, "{} {index}", self.name);
            assert_eq!(**to.read(ciphertext).unwrap(), *payload, "{} {index}", self.name);
        }
        assert_eq!(one.hash(), two.hash());
        if let Some(hash) = &self.hash {
            assert_eq!(one.hash()[..], hash[..], "{}", self.name);
        }
        let (mut one, mut two) = (transport(one), transport(two));
        for (index, (payload, ciphertext)) in self.messages.iter().enumerate().skip(handshake) {
            let first = one_way || index % 2 == 0;
            let (from, to) = if first { (&mut one, &mut two) } else { (&mut two, &mut one) };
            let mut buffer = vec![0; ciphertext.len()];
            let length = from.write_message(payload, &mut buffer).unwrap();
            assert_eq!(buffer[..length], ciphertext[..], "{} {index}", self.name);
            let length = to.read_message(ciphertext, &mut buffer).unwrap();
            assert_eq!(buffer[..length], payload[..], "{} {index}", self.name);
        }
    }
}

fn transport(noise: Noise) -> TransportState {
    noise.into_inner().into_transport_mode().unwrap()
}

/// The same side with snow's own primitives.
fn reference(
    suite: Suite,
    role: Role,
    [ours, ephemeral, psk]: [&[u8; 32]; 3],
    theirs: &[u8; 32],
    prologue: &[u8],
) -> HandshakeState {
    let cipher = match suite.cipher() {
        Cipher::ChaCha20Poly1305 => "ChaChaPoly",
        Cipher::Aes256Gcm => "AESGCM",
    };
    let pattern = if suite.is_hybrid() { "IKpsk0+psk2" } else { "IKpsk0" };
    let params = format!("Noise_{pattern}_25519_{cipher}_SHA256").parse().unwrap();
    let builder = Builder::new(params).prologue(prologue).unwrap().psk(0, psk).unwrap();
    let builder = builder.local_private_key(ours).unwrap();
    let builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
    match role {
        Role::Initiator => builder.remote_public_key(theirs).unwrap().build_initiator().unwrap(),
        Role::Responder => builder.build_responder().unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn our_handshake_is_that_of_snow_with_its_own_primitives(
        suite in 0..Suite::ALL.len(),
        secrets in any::<[[u8; 32]; 4]>(),
        (psk, later) in any::<([u8; 32], [u8; 32])>(),
        prologue in prop::collection::vec(any::<u8>(), 0..90),
        payloads in any::<[[u8; 3]; 2]>(),
        repeats in 0_usize..400,
    ) {
        let suite = Suite::ALL[suite];
        let keys = secrets.map(|secret| DhKey::from_secret(&secret).unwrap());
        let [one, two, first, second] = &keys;
        let payloads = payloads.map(|payload| payload.repeat(repeats));
        let (forth, back) = (Role::Initiator, Role::Responder);
        let theirs = Some(two.public());
        let mut ours = [
            Noise::new(forth, suite, one, first.clone(), theirs, &psk, &prologue).unwrap(),
            Noise::new(back, suite, two, second.clone(), None, &psk, &prologue).unwrap(),
        ];
        let mut reference = [
            reference(suite, forth, [&secrets[0], &secrets[2], &psk], two.public(), &prologue),
            reference(suite, back, [&secrets[1], &secrets[3], &psk], two.public(), &prologue),
        ];
        let (mut expected, mut read) = (vec![0; 2000], vec![0; 2000]);
        for (from, to) in [(0, 1), (1, 0)] {
            let message = ours[from].write(&payloads[from]).unwrap();
            let length = reference[from].write_message(&payloads[from], &mut expected).unwrap();
            prop_assert_eq!(&message[..], &expected[..length]);
            // Each implementation reads what the other wrote.
            let length = reference[to].read_message(&message, &mut read).unwrap();
            prop_assert_eq!(&read[..length], &payloads[from][..]);
            prop_assert_eq!(&**ours[to].read(&message).unwrap(), &payloads[from][..]);
            // The second key is not known before the first message was read; the pattern decides whether
            // it takes part.
            for side in 0..2 {
                ours[side].set_second_psk(&later).unwrap();
                reference[side].set_psk(2, &later).unwrap();
            }
            prop_assert_eq!(&ours[to].hash()[..], reference[to].get_handshake_hash());
        }
        let [ours, _] = ours;
        let split: [[u8; 32]; 2] = reference[0].dangerously_get_raw_split().into();
        prop_assert_eq!(*ours.split().unwrap(), split);
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "{text}");
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect()
}
