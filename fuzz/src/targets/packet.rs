//! Any bytes as the packets that carry a MAC, as they are and with a correct MAC: a packet that is
//! accepted is the one that its parts make.
//!
//! The first 12 bytes are the header, the rest is what follows the check bytes.
//
// Reaches: Ini::decode, Rsp::decode, packet::decode_unknown.

use egtp_proto::SecretKey;
use egtp_proto::wire::Header;
use egtp_proto::wire::packet::{Ini, Rsp, decode_unknown, encode_unknown};
use egtp_proto::wire::shroud::{HEADER_BYTES, Shroud};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let shroud = shroud();
    // Nobody can guess 16 bytes of a MAC under a fixed key by flipping bits.
    assert!(Ini::decode(data, &shroud).is_err());
    assert!(Rsp::decode(data, &shroud).is_err());
    assert!(decode_unknown(data, &shroud).is_err());

    let Some((head, rest)) = data.split_first_chunk::<HEADER_BYTES>() else { return };
    let covered = [&head[..], &[0; 4], rest].concat();
    let packet = [&covered[..], &shroud.mac(&[&covered])].concat();
    let (ini, rsp) = (Ini::decode(&packet, &shroud), Rsp::decode(&packet, &shroud));
    let tag = decode_unknown(&packet, &shroud);
    assert_eq!(ini.is_ok(), rest.len() >= 64);
    assert_eq!(rsp.is_ok(), rest.len() >= 32);
    assert_eq!(tag.is_ok(), rest.len() == 16);
    let Ok(header) = Header::decode(head) else { return };
    if packet.len() < header.bytes_min() {
        return;
    }
    let again = match header {
        Header::Ini { .. } => ini.map(|ini| ini.encode(&header, &shroud)),
        Header::Rsp { .. } => rsp.map(|rsp| rsp.encode(&header, &shroud)),
        Header::Unknown { session, counter } => {
            tag.map(|tag| encode_unknown(session, counter, &tag, &shroud))
        }
        _ => return,
    };
    let Ok(mut again) = again else { return };
    assert!(shroud.recognises(&again));
    assert_eq!(shroud.uncovered_prefix(&again), Some(header.encode()));
    shroud.uncover(&mut again, header.masked_bytes());
    assert_eq!(again, packet, "the parts make the packet");
}

fn shroud() -> Shroud {
    Shroud::new(&SecretKey::from_seed([1; 32]).public())
}

/// The shortest packet of each type.
pub fn seeds() -> Vec<Seed> {
    let (session, counter) = (3, 4);
    let (version, suite, prekey) = (0, 2, 5);
    let (initiator_session, cookie, puzzle) = (session, false, false);
    let ini = Header::Ini { version, suite, initiator_session, prekey, cookie, puzzle };
    [
        ("ini", ini, 224),
        ("rsp", Header::Rsp { suite, session }, 48),
        ("unknown", Header::Unknown { session, counter }, 16),
    ]
    .map(|(name, header, length)| (name, [&header.encode()[..], &vec![6; length]].concat()))
    .into()
}
