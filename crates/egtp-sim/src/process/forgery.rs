//! Packets as somebody makes them who knows both public keys and has recorded everything.
//!
//! Knows the published headers and masks, and no secret. Invariant: nothing made here is a packet
//! that an honest node would have made.

use egtp_proto::PublicKey;
use egtp_proto::wire::packet::{Ini, encode_unknown};
use egtp_proto::wire::shroud::{HEADER_BYTES, PREFIX_BYTES, Shroud};
use egtp_proto::wire::stream::PACKET_BYTES_MIN;
use egtp_proto::wire::{Header, RetryKind};

use super::dice::Dice;

/// The masks of the two sides of a conversation.
#[derive(Clone, Debug)]
pub struct Masks {
    server: Shroud,
    asker: Shroud,
}

/// What a packet is, for who can unmask it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// A packet to the server.
    ForServer(Header),
    /// A packet to the asker.
    ForAsker(Header),
    /// A hint or advice of the server to somebody whom it does not know.
    FromServer(Header),
    /// Neither.
    Nothing,
}

impl Masks {
    /// The masks of these two.
    pub fn new(server: &PublicKey, asker: &PublicKey) -> Self {
        Self { server: Shroud::new(server), asker: Shroud::new(asker) }
    }

    /// Reads a packet's header.
    pub fn look(&self, packet: &[u8]) -> Seen {
        let header = |shroud: &Shroud| {
            shroud.uncovered_prefix(packet).and_then(|bytes| Header::decode(&bytes).ok())
        };
        match (header(&self.server), header(&self.asker)) {
            (Some(header @ (Header::Retry { .. } | Header::Unknown { .. })), _) => {
                Seen::FromServer(header)
            }
            (Some(header), _) => Seen::ForServer(header),
            (None, Some(header)) => Seen::ForAsker(header),
            (None, None) => Seen::Nothing,
        }
    }

    /// The head of one packet on the rest of another, masked as if they belonged together.
    pub fn spliced(&self, head: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
        let shroud = self.shroud_of(head)?;
        let header = shroud.uncovered_prefix(head)?;
        let mut packet = [&header[..], &[0; 4], rest.get(PREFIX_BYTES..)?].concat();
        shroud.cover(&mut packet, 0);
        Some(packet)
    }

    /// The same packet with another header, masked as it should be.
    pub fn with_header(&self, packet: &[u8], header: &Header) -> Option<Vec<u8>> {
        let shroud = self.shroud_of(packet)?;
        let mut packet = [&header.encode()[..], &[0; 4], packet.get(PREFIX_BYTES..)?].concat();
        shroud.cover(&mut packet, 0);
        Some(packet)
    }

    /// A first flight that was recorded, with another identity as its target and a MAC that is right.
    pub fn retargeted(&self, flight: &[u8], target: [u8; 8]) -> Option<Vec<u8>> {
        let Seen::ForServer(header @ Header::Ini { .. }) = self.look(flight) else { return None };
        let mut open = flight.to_vec();
        self.server.uncover(&mut open, header.masked_bytes());
        let flight = Ini::decode(&open, &self.server).ok()?;
        Some(Ini { target, ..flight }.encode(&header, &self.server))
    }

    /// "I have no such session" in the name of the server, about a record that it was sent. The tag
    /// is the record's own, or one that was made up.
    pub fn unknown(&self, record: &[u8], tag: Option<[u8; 16]>) -> Option<Vec<u8>> {
        let Seen::ForServer(Header::Record { session, counter, .. }) = self.look(record) else {
            return None;
        };
        let tag = tag.or_else(|| record.last_chunk().copied())?;
        Some(encode_unknown(session, counter, &tag, &self.server))
    }

    /// Advice in the name of the server to the handshake `session` of the asker, sealed with nothing.
    pub fn retry(&self, session: u32, kind: RetryKind, dice: &mut Dice) -> Vec<u8> {
        let header = Header::Retry { session, kind, puzzle_bits: 0 };
        let mut packet = [&header.encode()[..], &[0; 4], &dice.vector(RETRY_BODY_BYTES)].concat();
        self.server.cover(&mut packet, header.masked_bytes());
        packet
    }

    /// Random bytes behind a random header whose check is right for the server.
    pub fn lucky(&self, rest: &[u8], header: [u8; HEADER_BYTES]) -> Option<Vec<u8>> {
        let mut packet = [&header[..], &[0; 4], rest].concat();
        self.server.cover(&mut packet, 0);
        self.server.recognises(&packet).then_some(packet)
    }

    fn shroud_of(&self, packet: &[u8]) -> Option<&Shroud> {
        [&self.server, &self.asker].into_iter().find(|shroud| shroud.recognises(packet))
    }
}

/// The packet with one bit changed, anywhere.
pub fn flipped(packet: &[u8], dice: &mut Dice) -> Vec<u8> {
    let place = dice.index(packet.len());
    flipped_at(packet, place, dice)
}

/// The packet with one bit changed behind the header and its check.
pub fn flipped_behind_head(packet: &[u8], dice: &mut Dice) -> Vec<u8> {
    let place = PREFIX_BYTES + dice.index(packet.len().saturating_sub(PREFIX_BYTES));
    flipped_at(packet, place, dice)
}

/// The packet without its end, but long enough to be one.
pub fn truncated(packet: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let spare = packet.len().checked_sub(PACKET_BYTES_MIN + 1)?;
    Some(packet.get(..PACKET_BYTES_MIN + dice.index(spare + 1))?.to_vec())
}

/// The first half of one packet and the second half of another, as they came.
pub fn half_and_half(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    let (head, tail) = (first.get(..first.len() / 2)?, second.get(second.len() / 2..)?);
    Some([head, tail].concat())
}

fn flipped_at(packet: &[u8], place: usize, dice: &mut Dice) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if let Some(byte) = packet.get_mut(place) {
        *byte ^= 1 << dice.among(0..=7);
    }
    packet
}

/// Salt, sealed body and tag, about as long as the real thing.
const RETRY_BODY_BYTES: usize = 120;
