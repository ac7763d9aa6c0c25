//! Every announced length and count set to 0, 1, its limit, one more, and the largest number: nothing
//! panics, nothing above a limit is accepted, and nothing is reserved because of a number.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

mod golden;

use egtp_proto::limits::{
    KIND_BYTES_MAX, LETTER_FRAMES_MAX, PACKET_BYTES_MAX, PACKET_BYTES_MIN, RANGES_MAX,
    RECORD_FRAMES_MAX,
};
use egtp_proto::wire::frame::{Class, Frame, MessageHead, Part, ReplyHead};
use egtp_proto::wire::stream::{Deframer, Direction, LengthMask, StreamKey};
use egtp_proto::wire::{Reader, Serials, Writer, varint_length};
use egtp_proto::{Contact, SecretKey, Strategy};
use golden::{CONTACTS, lines};

/// Bytes that may follow: fewer than most of the numbers say.
const AFTER: usize = 300;

#[test]
fn lengths_in_frames_are_bounded() {
    let mut tried = 0;
    for (name, bytes, at, limit) in frame_lengths() {
        for (length, changed) in set_to_all(&bytes, at, limit) {
            for more in [0, AFTER, limit + 2] {
                let changed = [&changed[..], &vec![0; more]].concat();
                let mut reader = Reader::new(&changed);
                let memory = allocation_counter::measure(|| {
                    if let Ok(frame) = Frame::decode(&mut reader) {
                        assert!(length <= to_u64(limit), "{name}: {frame:?}");
                    }
                });
                // Only a list of ranges is ever copied out of a frame.
                let ranges = RANGES_MAX * size_of::<(u64, u64)>();
                assert!(memory.bytes_max <= ranges.try_into().unwrap(), "{name}: {memory:?}");
                tried += 1;
            }
        }
    }
    println!("{tried} frames with a changed length");
    assert!(tried >= 10 * 5 * 3);
}

#[test]
fn lengths_in_contacts_are_bounded() {
    let (_, full) = lines(CONTACTS).into_iter().find(|(name, _)| name == "full").unwrap();
    let value = &full[HEAD_BYTES..];
    let sound = signed(value);
    assert_eq!(Contact::decode(&sound).as_ref().map(Contact::encode), Ok(&sound[..]));
    let mut tried = 0;
    for (name, at, limit) in contact_lengths(value) {
        for (length, changed) in set_to_all(value, at, limit) {
            let contact = signed(&changed);
            if changed != value {
                let found = Contact::decode(&contact);
                // What follows is read as something else then, so only the limit can be asserted.
                assert!(found.is_err() || length <= to_u64(limit), "{name} of {length}");
            }
            tried += 1;
        }
    }
    println!("{tried} contacts with a changed length");
    assert_eq!(tried, 5 * (1 + 1 + 4 + 3));
}

/// Proves P-3.
#[test]
fn lengths_in_streams_are_bounded() {
    let key = StreamKey::new(&[1; 32]);
    let [least, most] =
        [PACKET_BYTES_MIN, PACKET_BYTES_MAX].map(|bytes| u16::try_from(bytes).unwrap());
    let lengths = [0, 1, least - 1, least, most, most + 1, u16::MAX];
    for length in lengths {
        for follow in [0, AFTER, 2 * PACKET_BYTES_MAX] {
            let mut mask = LengthMask::new(&key, &[7; 16], Direction::FromDialer);
            let field = mask.apply(length.to_le_bytes());
            let mut bytes = bytes::BytesMut::from(&[&field[..], &vec![9; follow]].concat()[..]);
            let mask = LengthMask::new(&key, &[7; 16], Direction::FromDialer);
            let found = Deframer::new(mask).next(&mut bytes);
            let is_allowed = (least..=most).contains(&length);
            assert_eq!(found.is_ok(), is_allowed, "{length}");
            let is_complete = is_allowed && follow >= usize::from(length);
            let packet = found.ok().flatten();
            assert_eq!(packet.map(|packet| packet.len()), is_complete.then_some(length.into()));
        }
    }
}

#[test]
fn lengths_of_strategies_and_counts_of_ranges_are_bounded() {
    let mut strategy = Vec::new();
    "quic/example.org:443".parse::<Strategy>().unwrap().encode(&mut strategy);
    for (length, changed) in set_to_all(&strategy, 1, STRATEGY_BYTES_MAX) {
        let changed = [&changed[..], &[b'a'; AFTER]].concat();
        let found = Strategy::decode(&mut Reader::new(&changed));
        assert!(found.is_err() || length <= to_u64(STRATEGY_BYTES_MAX), "{found:?}");
        let stepped = Strategy::decode_if_known(&mut Reader::new(&changed));
        assert_eq!(stepped.is_ok(), found.is_ok());
    }
    let mut serials = Vec::new();
    Serials::below(5).encode(&mut serials);
    for (count, changed) in set_to_all(&serials, 1, RANGES_MAX) {
        let changed = [&changed[..], &[1; 2 * RANGES_MAX]].concat();
        let found = Serials::decode(&mut Reader::new(&changed));
        assert_eq!(
            found.map(|serials| to_u64(serials.ranges().len())).ok(),
            (count <= to_u64(RANGES_MAX)).then_some(count)
        );
    }
}

/// Frames with a length in them: a name, the bytes, where it is, and its limit.
fn frame_lengths() -> Vec<(&'static str, Vec<u8>, usize, usize)> {
    let class = Class::Request { code: 7, hard_ms: 30_000, room: 100 };
    let head = MessageHead { serial: 1, class, kind: "block.get/1" };
    let reply = ReplyHead { serial: 1, code: 7, reference: [8; 8], status: 0 };
    let part = Part { serial: 1, offset: 0, total: 9, bytes: b"abcd" };
    let later = Part { offset: 4, ..part };
    let closed = Frame::Closed { dialog: 3, serials: Serials::below(5) };
    let frames = [
        ("body", Frame::Message(head, b"body"), 4, LETTER_FRAMES_MAX),
        ("kind", Frame::Message(head, b""), 1 + 11, KIND_BYTES_MAX),
        ("first part", Frame::Fragment(part, Some(head)), 4, RECORD_FRAMES_MAX),
        ("part", Frame::Fragment(later, None), 4, RECORD_FRAMES_MAX),
        ("reply", Frame::Reply(reply, b"body"), 4, LETTER_FRAMES_MAX),
        ("first part of a reply", Frame::ReplyFragment(part, Some(reply)), 4, RECORD_FRAMES_MAX),
        ("part of a reply", Frame::ReplyFragment(later, None), 4, RECORD_FRAMES_MAX),
        ("contact", Frame::Contact(b"what"), 4, CONTACT_BYTES_MAX),
        ("hint", Frame::Hint { kind: "a", body: b"body" }, 4, RECORD_FRAMES_MAX),
        ("kind of a hint", Frame::Hint { kind: "abcd", body: b"" }, 1 + 4, KIND_BYTES_MAX),
        ("closed", closed, 0, RANGES_MAX),
    ];
    frames
        .map(|(name, frame, after, limit)| {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            let at = bytes.len() - after - 1;
            (name, bytes, at, limit)
        })
        .into()
}

/// Where the lengths of a contact's value are, found by walking over it.
fn contact_lengths(value: &[u8]) -> Vec<(&'static str, usize, usize)> {
    // Version, expiry day, idle time, longest message and instance stand before the suites.
    let suites = 1 + 4 + 4 + 4 + 8;
    let strategies = suites + 1 + usize::from(value[suites]);
    let mut found = vec![("suites", suites, 16), ("strategies", strategies, 16)];
    let mut at = strategies + 1;
    for _ in 0..value[strategies] {
        found.push(("strategy", at + 1, STRATEGY_BYTES_MAX));
        at += 2 + usize::from(value[at + 1]);
    }
    while at < value.len() {
        found.push(("field", at + 1, value.len()));
        at += 2 + usize::from(value[at + 1]);
    }
    found
}

/// The bytes with the number at `at`, which takes one byte, set to what is most likely to hurt.
fn set_to_all(bytes: &[u8], at: usize, limit: usize) -> [(u64, Vec<u8>); 5] {
    let limit = to_u64(limit);
    [0, 1, limit, limit + 1, u64::MAX].map(|number| {
        let mut changed = bytes[..at].to_vec();
        changed.put_varint(number);
        assert_eq!(changed.len(), at + varint_length(number));
        changed.extend_from_slice(&bytes[at + 1..]);
        (number, changed)
    })
}

/// A contact with this value, signed by its key: only its form can be wrong.
fn signed(value: &[u8]) -> Vec<u8> {
    let secret = SecretKey::from_seed([1; 32]);
    let head = format!("4:salt5:egtp23:seqi7e1:v{}:", value.len());
    let mut bytes = secret.public().as_bytes().to_vec();
    bytes.put(&secret.sign(&[head.as_bytes(), value].concat()));
    bytes.put_u64(7);
    bytes.put(value);
    bytes
}

fn to_u64(number: usize) -> u64 {
    number.try_into().unwrap()
}

/// Key, signature and sequence stand before a contact's value.
const HEAD_BYTES: usize = 32 + 64 + 8;
/// The body of a strategy.
const STRATEGY_BYTES_MAX: usize = 256;
/// A contact in a frame.
const CONTACT_BYTES_MAX: usize = 1_200;
