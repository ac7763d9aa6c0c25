//! Every decoder on every input of up to two bytes, and on damaged forms of the golden packets:
//! nothing panics, and what is accepted is what the encoder writes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as loudly as tests"
)]

use bytes::BytesMut;
use egtp_proto::crypto::{DhKey, Role, Suite};
use egtp_proto::session::live::Session;
use egtp_proto::session::retry::{Cause, decode_advice, decode_cookie};
use egtp_proto::time::Instant;
use egtp_proto::wire::frame::Frame;
use egtp_proto::wire::packet::{Ini, Rsp, decode_unknown, encode_unknown};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::stream::{Deframer, Direction, LengthMask, Preamble, StreamKey};
use egtp_proto::wire::{Header, Reader, RetryKind, Serials, WireError};
use egtp_proto::{Contact, Kind, LiveCard, NodeId, PublicKey, SecretKey, Strategy, Ticket};

const PACKETS: &str = include_str!("../../../vectors/packets.txt");
const CARDS: &str = include_str!("../../../vectors/live_card.txt");
const CONTACTS: &str = include_str!("../../../vectors/contact.txt");

/// Proves MSG-3.
#[test]
fn every_input_of_up_to_two_bytes_is_handled() {
    let shroud = Shroud::new(&public(1));
    let cause = Cause { shared: &[4; 32], mac: &[5; 16] };
    let key = StreamKey::new(&[1; 32]);
    for_each_small_input(|bytes| {
        accepts_its_own_form(bytes, |reader, again| {
            LiveCard::decode(reader).map(|card| card.encode(again))
        });
        accepts_its_own_form(bytes, |reader, again| {
            Frame::decode(reader).map(|frame| frame.encode(again))
        });
        accepts_its_own_form(bytes, |reader, again| {
            Serials::decode(reader).map(|serials| serials.encode(again))
        });
        accepts_its_own_form(bytes, |reader, again| {
            Strategy::decode(reader).map(|strategy| strategy.encode(again))
        });
        assert!(Preamble::decode(&mut Reader::new(bytes)).is_err());
        assert!(Contact::decode(bytes).is_err());
        assert!(Ini::decode(bytes, &shroud).is_err());
        assert!(Rsp::decode(bytes, &shroud).is_err());
        assert!(decode_unknown(bytes, &shroud).is_err());
        assert!(decode_advice(&mut bytes.to_vec(), &cause).is_err());
        assert!(decode_cookie(&mut bytes.to_vec(), &[5; 16], &shroud).is_err());
        assert!(!shroud.recognises(bytes));
        let mask = LengthMask::new(&key, &[7; 16], Direction::FromDialer);
        assert!(!matches!(Deframer::new(mask).next(&mut BytesMut::from(bytes)), Ok(Some(_))));
        let Ok(text) = str::from_utf8(bytes) else { return };
        assert!(text.parse::<PublicKey>().is_err() && text.parse::<SecretKey>().is_err());
        assert!(text.parse::<Contact>().is_err() && text.parse::<Ticket>().is_err());
        assert!(text.parse::<Strategy>().is_err() && text.parse::<NodeId>().is_err());
        assert!(
            Kind::new(text).is_ok_and(|kind| kind.as_str() == text) || Kind::new(text).is_err()
        );
    });
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            let header = [first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            assert!(
                Header::decode(&header).is_ok_and(|found| found.encode() == header)
                    || Header::decode(&header).is_err()
            );
        }
    }
}

/// Every byte of a packet is covered by its MAC or tag, or by the pad that depends on it.
#[test]
fn no_damaged_packet_is_accepted() {
    let mut tried = 0;
    for (name, packet) in lines(PACKETS) {
        let Some(open) = opener(&name) else { continue };
        assert_eq!(open(&packet).as_ref(), Some(&packet), "{name} itself");
        for damaged in damages(&packet) {
            assert_eq!(open(&damaged), None, "{name}: {damaged:02x?}");
            tried += 1;
        }
    }
    println!("{tried} damaged packets");
    assert!(tried > 15_000);
}

/// Proves MSG-3.
#[test]
fn damaged_cards_are_refused_or_have_one_spelling() {
    for (_, card) in lines(CARDS) {
        for damaged in damages(&card) {
            accepts_its_own_form(&damaged, |reader, again| {
                LiveCard::decode(reader).map(|card| card.encode(again))
            });
        }
    }
}

#[test]
fn no_damaged_contact_is_accepted() {
    for (name, contact) in lines(CONTACTS).into_iter().filter(|(name, _)| !name.contains("text")) {
        assert!(Contact::decode(&contact).is_ok(), "{name}");
        for damaged in damages(&contact) {
            assert!(Contact::decode(&damaged).is_err(), "{name}: {damaged:02x?}");
        }
    }
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
        "retry_prekey" => Box::new(move |packet| {
            let dh = DhKey::from_secret(&SecretKey::from_seed([2; 32]).x25519_secret()).ok()?;
            let shared = dh.agree(DhKey::from_secret(&[3; 32]).ok()?.public()).ok()?;
            let cause = Cause { shared: &shared, mac: &mac_of("knock") };
            let (header, mut plain) = unmasked(packet, &to_b)?;
            let kind = matches!(header, Header::Retry { kind: RetryKind::Prekey, .. });
            decode_advice(&mut plain, &cause).ok().filter(|_| kind).map(|_| packet.to_vec())
        }),
        "retry_cookie" => Box::new(move |packet| {
            let (header, mut plain) = unmasked(packet, &to_b)?;
            let kind = matches!(header, Header::Retry { kind: RetryKind::Cookie, .. });
            let cookie = decode_cookie(&mut plain, &mac_of("ini"), &to_b).ok();
            cookie.filter(|_| kind).map(|_| packet.to_vec())
        }),
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

/// Cut at each length, longer, and with each byte replaced by 16 others.
fn damages(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let longer = [0, 1, 0xff].into_iter().map(move |byte| [bytes, &[byte]].concat());
    let replaced = (0..bytes.len()).flat_map(move |index| {
        (1..=16_u8).map(move |step| {
            let mut damaged = bytes.to_vec();
            damaged[index] ^= step.wrapping_mul(0x1d);
            damaged
        })
    });
    cut.chain(longer).chain(replaced)
}

fn for_each_small_input(mut check: impl FnMut(&[u8])) {
    check(&[]);
    for first in 0..=u8::MAX {
        check(&[first]);
        for second in 0..=u8::MAX {
            check(&[first, second]);
        }
    }
}

fn accepts_its_own_form(
    bytes: &[u8],
    decode: impl Fn(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), WireError>,
) {
    let (mut reader, mut again) = (Reader::new(bytes), Vec::new());
    if decode(&mut reader, &mut again).is_ok() {
        assert_eq!(again[..], bytes[..bytes.len() - reader.remaining()]);
    }
}

fn mac_of(name: &str) -> [u8; 16] {
    *vector(name).last_chunk().unwrap()
}

fn vector(name: &str) -> Vec<u8> {
    lines(PACKETS).into_iter().find(|(known, _)| known == name).unwrap().1
}

fn lines(file: &str) -> Vec<(String, Vec<u8>)> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| line.split_once(' ').unwrap());
    lines
        .filter(|(name, _)| !name.ends_with("text"))
        .map(|(name, hex)| (name.into(), unhex(hex)))
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "{text}");
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect()
}

fn public(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}
