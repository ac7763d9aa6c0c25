//! The golden packets, contacts, cards, texts and streams, damaged in every way: cut at each length,
//! longer by 1 to 64 bytes, each byte replaced by all others. What is sealed or signed is refused, and
//! what is not has one spelling.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as loudly as tests"
)]

mod decoders;
mod golden;

use std::thread;

use bytes::BytesMut;
use decoders::DECODERS;
use egtp_proto::crypto::{DhKey, Role, Suite};
use egtp_proto::session::handshake::LocalKeys;
use egtp_proto::session::letter;
use egtp_proto::session::live::Session;
use egtp_proto::session::retry::{Cause, decode_advice, decode_cookie};
use egtp_proto::time::Instant;
use egtp_proto::wire::packet::{Ini, Rsp, decode_unknown, encode_unknown};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::stream::{
    Deframer, Direction, Framer, LengthMask, StreamKey, is_packet_length,
};
use egtp_proto::wire::{Header, RetryKind};
use egtp_proto::{PublicKey, SecretKey};
use golden::{
    CARDS, CONTACTS, IDENTITIES, LETTERS, PACKETS, STREAMS, TICKETS, damages, lines, texts,
};

/// Every byte of a packet is covered by its MAC or tag, or by the pad that depends on it.
#[test]
fn no_damaged_packet_is_accepted() {
    let (mut vectors, mut tried) = (0, 0);
    for (name, packet) in lines(PACKETS) {
        let Some(open) = opener(&name) else { continue };
        assert_eq!(open(&packet).as_ref(), Some(&packet), "{name} itself");
        vectors += 1;
        for damaged in damages(&packet) {
            assert_eq!(open(&damaged), None, "{name}: {damaged:02x?}");
            tried += 1;
        }
    }
    println!("packets: {vectors} vectors, {tried} damaged forms, none accepted");
    assert_eq!(vectors, 11);
    assert!(tried > 255 * 1_000);
}

/// Proves L-2.
#[test]
fn no_damaged_letter_is_opened() {
    let to = SecretKey::from_seed([2; 32]);
    let (local, shroud) = (LocalKeys::new(&to).unwrap(), Shroud::new(&to.public()));
    let pair = DhKey::from_secret(&[4; 32]).unwrap();
    let (mut vectors, mut tried) = (0, 0);
    for (name, letter) in lines(LETTERS) {
        if name.starts_with("hash") {
            continue;
        }
        let open = |letter: &[u8]| {
            let prefix = shroud.uncovered_prefix(letter)?;
            let Header::Letter { version: 0, suite, prekey: 6 } = Header::decode(&prefix).ok()?
            else {
                return None;
            };
            let mut plain = letter.to_vec();
            shroud.uncover(&mut plain, 32);
            letter::open(&local, (Suite::from_id(suite)?, (6, &pair)), &plain).ok()
        };
        assert!(open(&letter).is_some(), "{name} itself");
        vectors += 1;
        for damaged in damages(&letter) {
            assert!(open(&damaged).is_none(), "{name}: {damaged:02x?}");
            tried += 1;
        }
    }
    println!("letters: {vectors} vectors, {tried} damaged forms, none opened");
    assert_eq!(vectors, 4);
    assert!(tried > 255 * 500);
}

#[test]
fn no_damaged_contact_is_accepted() {
    let contacts = lines(CONTACTS);
    thread::scope(|scope| {
        for (name, contact) in &contacts {
            scope.spawn(move || {
                let is_text = name.ends_with("text");
                let decoder = if is_text { "Contact::from_str" } else { "Contact::decode" };
                // A text may hold white space anywhere.
                let is_other = |damaged: &Vec<u8>| !is_text || without_spaces(damaged) != *contact;
                let (tried, accepted) = try_all(decoder, contact, is_other);
                println!("{name}: {tried} damaged forms, {accepted} accepted");
                assert_eq!(accepted, 0, "{name}");
                assert!(tried > 250 * contact.len());
            });
        }
    });
}

/// Proves MSG-3: a card is not signed, but what is accepted has one spelling.
#[test]
fn damaged_cards_are_refused_or_have_one_spelling() {
    for (name, card) in lines(CARDS) {
        let (tried, accepted) = try_all("LiveCard::decode", &card, |_| true);
        println!("card {name}: {tried} damaged forms, {accepted} accepted as other cards");
        assert!(accepted < tried);
    }
}

/// A key that was mistyped is no key.
#[test]
fn no_damaged_key_is_accepted() {
    let names = [("secret", "SecretKey::from_str"), ("text", "PublicKey::from_str")];
    for (name, text) in texts(IDENTITIES) {
        let Some((_, decoder)) = names.iter().find(|(known, _)| *known == name) else { continue };
        let (tried, accepted) = try_all(decoder, &text, |_| true);
        println!("{name}: {tried} damaged forms, {accepted} accepted");
        assert_eq!(accepted, 0, "{}", String::from_utf8_lossy(&text));
    }
    for (_, text) in texts(IDENTITIES).iter().filter(|(name, _)| name == "node_id") {
        try_all("NodeId::from_str", text, |_| true);
    }
}

#[test]
fn damaged_tickets_are_refused_or_have_one_text() {
    for (name, ticket) in texts(TICKETS) {
        let (tried, accepted) = try_all("Ticket::from_str", &ticket, |_| true);
        println!("ticket {name}: {tried} damaged forms, {accepted} accepted as other tickets");
        // Hints are not signed. The key in front of them has a checksum.
        assert!(accepted == 0 || name == "full");
    }
}

/// Proves P-3.
#[test]
fn damaged_streams_give_allowed_packets_or_end() {
    let access: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let key = StreamKey::new(&access);
    let directions = [("dialer", Direction::FromDialer), ("acceptor", Direction::FromAcceptor)];
    for (name, direction) in directions {
        let (_, stream) = lines(STREAMS).into_iter().find(|(known, _)| known == name).unwrap();
        let (mut tried, mut ended) = (0, 0);
        for damaged in damages(&stream) {
            let Some((salt, rest)) = damaged.split_first_chunk() else { continue };
            let mask = LengthMask::new(&key, salt, direction);
            let (mut deframer, mut framer) = (Deframer::new(mask.clone()), Framer::new(mask));
            let (mut bytes, mut again) = (BytesMut::from(rest), Vec::new());
            loop {
                match deframer.next(&mut bytes) {
                    Ok(Some(packet)) => {
                        assert!(is_packet_length(packet.len()));
                        framer.append(&packet, &mut again).unwrap();
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(deframer.next(&mut bytes), Err(error), "an error is final");
                        ended += 1;
                        break;
                    }
                }
            }
            assert!(rest.starts_with(&again), "what comes out is what came in");
            tried += 1;
        }
        println!("stream of the {name}: {tried} damaged forms, {ended} ended by a length");
        assert!(ended > 0);
    }
}

/// Gives all damaged forms that are `wanted` to a decoder: how many, and how many it accepts.
fn try_all(decoder: &str, bytes: &[u8], wanted: impl Fn(&Vec<u8>) -> bool) -> (usize, usize) {
    let decoder = DECODERS.iter().find(|known| known.name == decoder).unwrap();
    assert!((decoder.accepts)(bytes), "{} of the vector itself", decoder.name);
    let (mut tried, mut accepted) = (0, 0);
    for damaged in damages(bytes).filter(wanted) {
        tried += 1;
        accepted += usize::from((decoder.accepts)(&damaged));
    }
    (tried, accepted)
}

fn without_spaces(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !char::from(*byte).is_whitespace()).collect()
}

type Opener = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;

/// How the receiver of the packet called `name` reads it, and what it would have written.
fn opener(name: &str) -> Option<Opener> {
    // Sealed under the responder's shroud: all that it receives, and its hints to strangers.
    let (to_a, to_b) = (Shroud::new(&public(1)), Shroud::new(&public(2)));
    Some(match name {
        "knock" | "ini" => Box::new(move |packet| {
            let (header, packet) = unmasked(packet, &to_b)?;
            let ini = Ini::decode(&packet, &to_b).ok()?;
            matches!(header, Header::Ini { .. }).then(|| ini.encode(&header, &to_b))
        }),
        "rsp" => Box::new(move |packet| {
            let (header, packet) = unmasked(packet, &to_a)?;
            let rsp = Rsp::decode(&packet, &to_a).ok()?;
            matches!(header, Header::Rsp { .. }).then(|| rsp.encode(&header, &to_a))
        }),
        "unknown" => Box::new(move |packet| {
            let (header, packet) = unmasked(packet, &to_b)?;
            let tag = decode_unknown(&packet, &to_b).ok()?;
            let Header::Unknown { session, counter } = header else { return None };
            Some(encode_unknown(session, counter, &tag, &to_b))
        }),
        "retry_prekey" => {
            let dh = DhKey::from_secret(&SecretKey::from_seed([2; 32]).x25519_secret()).unwrap();
            let shared = dh.agree(DhKey::from_secret(&[3; 32]).unwrap().public()).unwrap();
            let mac = mac_of("knock");
            Box::new(move |packet| {
                let cause = Cause { shared: &shared, mac: &mac };
                let (header, mut plain) = unmasked(packet, &to_b)?;
                let kind = matches!(header, Header::Retry { kind: RetryKind::Prekey, .. });
                decode_advice(&mut plain, &cause).ok().filter(|_| kind).map(|_| packet.to_vec())
            })
        }
        "retry_cookie" => {
            let mac = mac_of("ini");
            Box::new(move |packet| {
                let (header, mut plain) = unmasked(packet, &to_b)?;
                let kind = matches!(header, Header::Retry { kind: RetryKind::Cookie, .. });
                let cookie = decode_cookie(&mut plain, &mac, &to_b).ok();
                cookie.filter(|_| kind).map(|_| packet.to_vec())
            })
        }
        record if record.starts_with("record_a") => {
            Box::new(move |packet| open_record(Role::Responder, packet, &to_b))
        }
        record if record.starts_with("record_b") => {
            Box::new(move |packet| open_record(Role::Initiator, packet, &to_a))
        }
        _ => return None,
    })
}

fn open_record(role: Role, packet: &[u8], shroud: &Shroud) -> Option<Vec<u8>> {
    let prefix = shroud.uncovered_prefix(packet)?;
    let Ok(Header::Record { lane, epoch, counter, .. }) = Header::decode(&prefix) else {
        return None;
    };
    let [root, hash] = ["root", "hash"].map(|name| vector(name).try_into().unwrap());
    let now = Instant::default();
    let suite = Suite::ChaCha20Poly1305;
    let mut session = Session::new(0, role, suite, 0, (&root, hash), now)?;
    let opened = session.open(now, &prefix, (lane, epoch, counter), &mut BytesMut::from(packet));
    opened.ok().map(|_| packet.to_vec())
}

fn unmasked(packet: &[u8], shroud: &Shroud) -> Option<(Header, Vec<u8>)> {
    let header = Header::decode(&shroud.uncovered_prefix(packet)?).ok()?;
    if packet.len() < header.bytes_min() {
        return None;
    }
    let mut packet = packet.to_vec();
    shroud.uncover(&mut packet, header.masked_bytes());
    Some((header, packet))
}

fn mac_of(name: &str) -> [u8; 16] {
    *vector(name).last_chunk().unwrap()
}

fn vector(name: &str) -> Vec<u8> {
    lines(PACKETS).into_iter().find(|(known, _)| known == name).unwrap().1
}

fn public(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}
