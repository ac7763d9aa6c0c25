//! Any twelve bytes as a packet's header: an accepted header encodes to the same bytes.
//
// Reaches: Header::decode.

use egtp_proto::limits::PACKET_BYTES_MIN;
use egtp_proto::wire::{Header, Lane, RetryKind};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let Some(bytes) = data.first_chunk() else { return };
    let Ok(header) = Header::decode(bytes) else { return };
    assert_eq!(&header.encode(), bytes);
    assert!(header.bytes_min() >= PACKET_BYTES_MIN);
    assert!(16 + header.masked_bytes() + 16 <= header.bytes_min(), "the pad's input stays clear");
}

/// One header of each type.
pub fn seeds() -> Vec<Seed> {
    let (session, counter) = (0x0102_0304, 0x0506_0708_090a);
    let ini = Header::Ini {
        version: 0,
        suite: 1,
        initiator_session: session,
        prekey: 5,
        cookie: true,
        puzzle: false,
    };
    let retry = |kind| Header::Retry { session, kind, puzzle_bits: 0 };
    [
        ("ini", ini),
        ("letter", Header::Letter { version: 0, suite: 2, prekey: 9 }),
        ("record-direct", Header::Record { lane: Lane::Direct, epoch: 255, session, counter }),
        ("record-relay", Header::Record { lane: Lane::Relay, epoch: 0, session, counter }),
        ("retry-cookie", retry(RetryKind::Cookie)),
        ("retry-prekey", retry(RetryKind::Prekey)),
        ("rsp", Header::Rsp { suite: 2, session }),
        ("unknown", Header::Unknown { session, counter }),
    ]
    .map(|(name, header)| (name, header.encode().to_vec()))
    .into()
}
