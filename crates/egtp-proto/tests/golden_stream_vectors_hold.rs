//! The bytes of a stream, as written down in `vectors/stream.txt`.

// The lints spare test functions only, and the helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use egtp_proto::wire::stream::{Direction, Framer, LengthMask, Preamble, StreamKey};

const FILE: &str = include_str!("../../../vectors/stream.txt");

/// Proves P-1.
#[test]
fn golden_stream_vectors_hold() {
    let access: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let key = StreamKey::new(&access);
    let preamble = Preamble::new(&key, [0xa0; 12]);
    let salt = [0xb0; 16];

    let mut dialer = preamble.as_bytes().to_vec();
    let mask = LengthMask::new(&key, preamble.as_bytes(), Direction::FromDialer);
    append(mask, &[&[0xd1; 33], &[0xd2; 40]], &mut dialer);
    let mut acceptor = salt.to_vec();
    let mask = LengthMask::new(&key, &salt, Direction::FromAcceptor);
    append(mask, &[&[0xe1; 34]], &mut acceptor);
    let mut mask = LengthMask::new(&key, &salt, Direction::FromAcceptor);
    let masks: Vec<u8> = (0..40).flat_map(|_| mask.apply([0, 0])).collect();

    let found = [("dialer", dialer), ("acceptor", acceptor), ("masks", masks)];
    let expected: Vec<&str> = FILE.lines().filter(|line| !line.starts_with('#')).collect();
    let found: Vec<String> =
        found.iter().map(|(name, bytes)| format!("{name} {}", hex(bytes))).collect();
    assert_eq!(found, expected);
}

fn append(mask: LengthMask, packets: &[&[u8]], out: &mut Vec<u8>) {
    let mut framer = Framer::new(mask);
    for packet in packets {
        framer.append(packet, out).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
