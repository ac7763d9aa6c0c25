//! What nodes and relays say to each other, as bodies of ordinary messages.
//!
//! A relay is a node that passes packets between two others which both have a session with it: *open* asks it whether
//! somebody is there, *pass* carries a packet to it and on, *gone* says that it cannot go on. Knows no tables; the
//! relay's are in `egtp-services`, a node's in its driver. Invariant: a body has one spelling, and whatever has another is
//! refused.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use egtp_proto::PublicKey;

/// A request: be there for whoever asks for me, until this request has its reply. The relay replies when the lease is
/// over, or a later registration of the same node takes the place of this one.
pub const REGISTER: &str = "egtp.relay.register/1";
/// A request: is this peer there? The reply is a [`Presence`].
pub const OPEN: &str = "egtp.relay.open/1";
/// A hint: this packet is for that peer; from a relay, it is from that peer.
pub const PASS: &str = "egtp.relay.pass/1";
/// A hint from a relay: that peer is not there any more.
pub const GONE: &str = "egtp.relay.gone/1";

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// What a relay says about a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It is connected: packets can be passed.
    Live,
    /// It is not, or the relay does not say.
    Absent,
}

impl Presence {
    /// One byte.
    pub const fn encode(self) -> [u8; 1] {
        match self {
            Self::Live => [1],
            Self::Absent => [0],
        }
    }

    /// `None` for what nobody writes.
    pub const fn decode(body: &[u8]) -> Option<Self> {
        match body {
            [1] => Some(Self::Live),
            [0] => Some(Self::Absent),
            _ => None,
        }
    }
}

/// The body of [`REGISTER`]: for how long, in whole seconds.
pub fn encode_lease(lease: Duration) -> [u8; 4] {
    u32::try_from(lease.as_secs()).unwrap_or(u32::MAX).to_le_bytes()
}

/// How long somebody wants to be there; `None` for what nobody writes.
pub fn decode_lease(body: &[u8]) -> Option<Duration> {
    let seconds = u32::from_le_bytes(body.try_into().ok()?);
    Some(Duration::from_secs(seconds.into()))
}

/// The body of [`OPEN`] and [`GONE`]: whom it is about.
pub fn decode_peer(body: &[u8]) -> Option<PublicKey> {
    PublicKey::from_bytes(body.try_into().ok()?).ok()
}

/// The body of [`PASS`].
pub fn encode_pass(peer: &PublicKey, packet: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(KEY_BYTES + packet.len());
    body.put_slice(peer.as_bytes());
    body.put_slice(packet);
    body.freeze()
}

/// The peer and the packet; `None` for what nobody writes.
pub fn decode_pass(body: &Bytes) -> Option<(PublicKey, Bytes)> {
    let (key, packet) = split_pass(body)?;
    Some((PublicKey::from_bytes(key).ok()?, packet))
}

/// The same with bytes that may be no key: to be looked for among keys that are known. That they are one takes longer to
/// find out than all else that is done with a packet. `None` for what is too short.
pub fn split_pass(body: &Bytes) -> Option<([u8; KEY_BYTES], Bytes)> {
    let (key, _) = body.split_first_chunk::<KEY_BYTES>()?;
    Some((*key, body.slice(KEY_BYTES..)))
}

#[cfg(test)]
mod tests {
    use egtp_proto::SecretKey;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let peer = SecretKey::from_seed([1; 32]).public();
        for packet in [&b""[..], b"packet"] {
            let read = decode_pass(&encode_pass(&peer, packet));
            assert_eq!(read, Some((peer, Bytes::copy_from_slice(packet))));
        }
        assert_eq!(decode_pass(&Bytes::from_static(&[1; 31])), None);
        assert_eq!(split_pass(&Bytes::from_static(&[1; 31])), None);
        // No key has this form, which is not for everybody to find out.
        let no_key = Bytes::from_static(&[0xff; 33]);
        assert_eq!(split_pass(&no_key), Some(([0xff; 32], no_key.slice(32..))));
        assert_eq!(decode_pass(&no_key), None);
        assert_eq!(decode_peer(peer.as_bytes()), Some(peer));
        // No key has this form, nor another length.
        assert_eq!(decode_peer(&[0xff; 32]), None);
        assert_eq!(decode_peer(&[1; 33]), None);
        for presence in [Presence::Live, Presence::Absent] {
            assert_eq!(Presence::decode(&presence.encode()), Some(presence));
        }
        assert_eq!(Presence::decode(&[2]), None);
        assert_eq!(Presence::decode(&[]), None);
        let minute = Duration::from_mins(1);
        assert_eq!(decode_lease(&encode_lease(minute)), Some(minute));
        assert_eq!(decode_lease(&[0; 3]), None);
        assert_eq!(encode_lease(Duration::MAX), u32::MAX.to_le_bytes());
    }
}
