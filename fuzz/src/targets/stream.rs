//! Any bytes as one direction of a stream, in any pieces: every packet that comes out has an
//! allowed length, a framer writes the same bytes again, and an error is final.
//!
//! The first byte says how large the pieces are, 16 more are the preamble.
//
// Reaches: Preamble::decode.

use bytes::{BufMut, BytesMut};
use egtp_proto::wire::Reader;
use egtp_proto::wire::stream::{
    Deframer, Direction, Framer, LengthMask, Preamble, StreamKey, is_packet_length,
};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let Some((piece, data)) = data.split_first() else { return };
    let mut reader = Reader::new(data);
    let Ok(preamble) = Preamble::decode(&mut reader) else {
        assert!(data.len() < preamble().as_bytes().len());
        return;
    };
    assert_eq!(&data[..16], preamble.as_bytes());
    assert_eq!(preamble.names(&key()), preamble == preamble_of(&preamble));
    let bytes = reader.take_rest();

    let mask = LengthMask::new(&key(), preamble.as_bytes(), Direction::FromDialer);
    let (mut deframer, mut framer) = (Deframer::new(mask.clone()), Framer::new(mask));
    let (mut buffer, mut again) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(usize::from(*piece) + 1) {
        buffer.put_slice(piece);
        loop {
            match deframer.next(&mut buffer) {
                Ok(Some(packet)) => {
                    assert!(is_packet_length(packet.len()));
                    framer.append(&packet, &mut again).expect("it has an allowed length");
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(deframer.next(&mut buffer), Err(error), "an error is final");
                    return;
                }
            }
        }
    }
    assert!(bytes.starts_with(&again));
    let waiting = bytes.len() - again.len();
    assert_eq!(deframer.is_within_frame(&buffer), waiting > 0);
}

/// What a dialer of our key would have made of the same random bytes.
fn preamble_of(found: &Preamble) -> Preamble {
    let random = found.as_bytes().first_chunk().expect("it is longer");
    Preamble::new(&key(), *random)
}

fn preamble() -> Preamble {
    Preamble::new(&key(), [7; 12])
}

fn key() -> StreamKey {
    StreamKey::new(&[1; 32])
}

/// A stream of three packets, in small and in large pieces.
pub fn seeds() -> Vec<Seed> {
    let preamble = preamble();
    let mask = LengthMask::new(&key(), preamble.as_bytes(), Direction::FromDialer);
    let (mut framer, mut bytes) = (Framer::new(mask), preamble.as_bytes().to_vec());
    for (value, length) in [(1, 33), (2, 40), (3, 300)] {
        framer.append(&vec![value; length], &mut bytes).expect("it has an allowed length");
    }
    [("large-pieces", 0xff), ("small-pieces", 0)]
        .map(|(name, piece)| (name, [&[piece], &bytes[..]].concat()))
        .into()
}
