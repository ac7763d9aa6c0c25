//! Any bytes as a RETRY: as they are, and as a body sealed as a responder would, so that mutations
//! get behind the seal. What is accepted is what the body says, and nothing else.
//!
//! The first 16 bytes are the packet's salt, the rest its body.
//
// Reaches: retry::decode_advice, retry::decode_cookie.

use egtp_proto::crypto::{AeadKey, Suite, derive, keyed};
use egtp_proto::session::retry::{Advice, Cause, decode_advice, decode_cookie};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, RetryKind, Writer};
use egtp_proto::{LiveCard, PrekeyCard, SecretKey, StoreCard, StoreKind};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let shroud = Shroud::new(&SecretKey::from_seed([1; 32]).public());
    let cause = Cause { shared: &SHARED, mac: &MAC };
    // Nobody can guess a seal by flipping bits.
    assert!(decode_advice(&mut data.to_vec(), &cause).is_err());
    assert!(decode_cookie(&mut data.to_vec(), &MAC, &shroud).is_err());

    let Some((salt, body)) = data.split_first_chunk::<16>() else { return };
    let mut packet =
        sealed(RetryKind::Prekey, salt, body, &derive("retry", &[&SHARED, salt, &MAC]));
    if let Ok(advice) = decode_advice(&mut packet, &cause) {
        assert_eq!(encode(&advice), body, "one spelling only");
    }
    let mut packet =
        sealed(RetryKind::Cookie, salt, body, &keyed(&shroud.cookie_key(), &[salt, &MAC]));
    let cookie = decode_cookie(&mut packet, &MAC, &shroud);
    assert_eq!(cookie.ok(), body.try_into().ok());
}

/// The unmasked packet around `body`.
fn sealed(kind: RetryKind, salt: &[u8; 16], body: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let header = Header::Retry { session: 7, kind, puzzle_bits: 0 }.encode();
    let mut body = body.to_vec();
    let key = AeadKey::new(Suite::ChaCha20Poly1305, key).expect("it has 32 bytes");
    let tag = key.seal([0; 12], &header, &mut body).expect("it is short");
    [&header[..], &[0; 4], salt, &body, &tag].concat()
}

fn encode(advice: &Advice) -> Vec<u8> {
    let mut body = Vec::new();
    advice.card.encode(&mut body);
    body.put_prefixed(&advice.suites);
    body.put_u64(advice.contact_sequence);
    body
}

/// The body of an advice, and that of a cookie.
pub fn seeds() -> Vec<Seed> {
    let store = StoreCard { kind: StoreKind::Ram, id: 3, generation: 4, age: 5 };
    let prekey = Some(PrekeyCard { id: 1, key: [2; 32], lifetime: 7_200 });
    let card = LiveCard { prekey, stores: vec![store] };
    let advice = Advice { card, suites: vec![2, 1], contact_sequence: 9 };
    vec![
        ("advice", [&[8; 16], &encode(&advice)[..]].concat()),
        ("cookie", [[8; 16], [9; 16]].concat()),
    ]
}

/// What both sides know of the INI that caused it.
const SHARED: [u8; 32] = [4; 32];
const MAC: [u8; 16] = [5; 16];
