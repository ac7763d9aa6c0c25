//! CON-4: frames are length-prefixed, and come out whole whatever pieces the network makes of them.

// The lints spare test functions only, and the helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use bytes::{BufMut, BytesMut};
use egtp_proto::wire::stream::{
    Deframer, Direction, Framer, LengthMask, PACKET_BYTES_MAX, PACKET_BYTES_MIN, Preamble,
    StreamError, StreamKey,
};
use egtp_proto::wire::{Reader, WireError};
use proptest::prelude::*;

const SALT: [u8; 16] = [7; 16];

fn mask(direction: Direction) -> LengthMask {
    LengthMask::new(&StreamKey::new(&[1; 32]), &SALT, direction)
}

fn framed(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut framer = Framer::new(mask(Direction::FromDialer));
    let mut bytes = Vec::new();
    for packet in packets {
        framer.append(packet, &mut bytes).unwrap();
    }
    bytes
}

fn deframed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::new(mask(Direction::FromDialer));
    let mut buffer = BytesMut::new();
    let mut packets = Vec::new();
    for piece in pieces {
        buffer.put_slice(piece);
        while let Some(packet) = deframer.next(&mut buffer).unwrap() {
            packets.push(packet.to_vec());
        }
    }
    assert!(!deframer.is_within_frame(&buffer), "everything came out");
    packets
}

/// A frame whose length field says `length`, whatever a `Framer` thinks of it.
fn header_saying(length: u16) -> BytesMut {
    BytesMut::from(&mask(Direction::FromDialer).apply(length.to_le_bytes())[..])
}

#[test]
fn con_4_packets_come_out_when_fed_a_byte_at_a_time() {
    let packets = vec![
        vec![1; PACKET_BYTES_MIN],
        vec![2; 500],
        (0..=255).collect(),
        vec![3; PACKET_BYTES_MAX],
    ];
    assert_eq!(deframed(framed(&packets).chunks(1)), packets);
}

proptest! {
    #[test]
    fn con_4_packets_come_out_of_any_chunking(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), PACKET_BYTES_MIN..300), 0..90),
        cuts in prop::collection::vec(1_usize..400, 1..20),
    ) {
        let bytes = framed(&packets);
        let mut rest = &bytes[..];
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(deframed(pieces), packets);
    }

    #[test]
    fn con_4_a_strangers_bytes_are_an_error_or_a_bounded_wait(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut deframer = Deframer::new(mask(Direction::FromDialer));
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(packet)) = deframer.next(&mut buffer) {
            prop_assert!((PACKET_BYTES_MIN..=PACKET_BYTES_MAX).contains(&packet.len()));
        }
        prop_assert!(deframer.missing(&buffer) <= PACKET_BYTES_MAX);
    }
}

/// Proves P-3.
#[test]
fn con_4_lengths_are_accepted_exactly_within_their_bounds() {
    for (length, accepted) in [
        (0, false),
        (31, false),
        (32, true),
        (PACKET_BYTES_MAX, true),
        (PACKET_BYTES_MAX + 1, false),
        (65_535, false),
    ] {
        let mut buffer = header_saying(u16::try_from(length).unwrap());
        let capacity = buffer.capacity();
        let mut deframer = Deframer::new(mask(Direction::FromDialer));
        let expected = if accepted { Ok(None) } else { Err(StreamError::Length { length }) };
        assert_eq!(deframer.next(&mut buffer), expected, "{length}");
        assert_eq!(deframer.next(&mut buffer), expected, "the verdict stays");
        assert!(buffer.capacity() <= capacity, "nothing is allocated for it");
        assert_eq!(deframer.missing(&buffer), if accepted { length } else { 0 });
        assert_eq!(Framer::new(mask(Direction::FromDialer)).header(length).is_ok(), accepted);
    }
    let length = 65_536 + 100;
    let refused = Framer::new(mask(Direction::FromDialer)).header(length);
    assert_eq!(refused, Err(StreamError::Length { length }), "never cut down to 16 bits");
}

#[test]
fn con_4_a_refused_packet_leaves_the_stream_as_it_was() {
    let mut framer = Framer::new(mask(Direction::FromDialer));
    let mut bytes = Vec::new();
    assert!(framer.append(&[0; 31], &mut bytes).is_err());
    assert!(bytes.is_empty());
    framer.append(&[5; 40], &mut bytes).unwrap();
    assert_eq!(deframed([&bytes[..]]), [vec![5; 40]]);
}

#[test]
fn the_two_directions_and_two_streams_have_different_masks() {
    let zeros =
        |mut mask: LengthMask| -> Vec<u8> { (0..100).flat_map(|_| mask.apply([0, 0])).collect() };
    let key = StreamKey::new(&[1; 32]);
    let dialer = zeros(mask(Direction::FromDialer));
    assert_ne!(dialer, zeros(mask(Direction::FromAcceptor)));
    assert_ne!(dialer, zeros(LengthMask::new(&key, &[8; 16], Direction::FromDialer)));
    let stranger = StreamKey::new(&[2; 32]);
    assert_ne!(dialer, zeros(LengthMask::new(&stranger, &SALT, Direction::FromDialer)));
}

/// Proves P-1.
#[test]
fn a_preamble_names_one_identity_and_no_other() {
    let (alice, bob) = (StreamKey::new(&[1; 32]), StreamKey::new(&[2; 32]));
    let preamble = Preamble::new(&alice, [9; 12]);
    assert!(preamble.names(&alice));
    assert!(!preamble.names(&bob));
    let read = Preamble::decode(&mut Reader::new(preamble.as_bytes())).unwrap();
    assert_eq!(read, preamble);
    for place in 0..16 {
        let mut bytes = *preamble.as_bytes();
        bytes[place] ^= 1;
        let altered = Preamble::decode(&mut Reader::new(&bytes)).unwrap();
        assert!(!altered.names(&alice), "byte {place}");
    }
    let short = Preamble::decode(&mut Reader::new(&[0; 15]));
    assert_eq!(short, Err(WireError::Truncated));
}
