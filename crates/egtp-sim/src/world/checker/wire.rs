//! What an onlooker who knows every public key sees: no record counter is ever used twice.
//!
//! Reads headers only, never keys. Invariant: the counters of one sender's life, receiver, session,
//! lane and epoch grow.

use std::collections::BTreeMap;

use egtp_proto::PublicKey;
use egtp_proto::wire::Header;
use egtp_proto::wire::packet::{Ini, encode_unknown};
use egtp_proto::wire::shroud::Shroud;

use super::{Checker, Party, Promise};

/// Sender, its life, receiver, session.
type Way = (Party, u64, Party, u32);
/// And lane and epoch, as counted from the first one.
type Place = (Way, u8, u64);

/// See the head of this file.
pub(crate) struct Wire {
    shrouds: Vec<Shroud>,
    newest: BTreeMap<Place, u64>,
    epochs: BTreeMap<Way, u64>,
}

impl Wire {
    /// Everybody's key, in the order of the parties.
    pub(crate) fn new(keys: &[PublicKey]) -> Self {
        Self {
            shrouds: keys.iter().map(Shroud::new).collect(),
            newest: BTreeMap::new(),
            epochs: BTreeMap::new(),
        }
    }

    /// What the header of a packet says, under whichever key it reads.
    pub(crate) fn describe(&self, packet: &[u8]) -> String {
        let headers = self.shrouds.iter().enumerate().filter_map(|(party, shroud)| {
            Some((party, Header::decode(&shroud.uncovered_prefix(packet)?)))
        });
        format!("{} bytes, {:?}", packet.len(), headers.collect::<Vec<_>>())
    }

    /// Whether the packet is a record, for whomever.
    pub(crate) fn is_record(&self, packet: &[u8]) -> bool {
        self.headers(packet).any(|header| matches!(header, Header::Record { .. }))
    }

    /// Whether the packet is of a kind that its receiver can check to be of its peer, and of now: it
    /// may bring a goodbye.
    pub(crate) fn is_sealed(&self, packet: &[u8]) -> bool {
        let is = |header| matches!(header, Header::Record { .. } | Header::Rsp { .. });
        self.headers(packet).any(is)
    }

    /// What the header says, under whichever keys it reads.
    fn headers(&self, packet: &[u8]) -> impl Iterator<Item = Header> {
        self.shrouds.iter().filter_map(|shroud| {
            let bytes = shroud.uncovered_prefix(packet)?;
            Header::decode(&bytes).ok()
        })
    }

    /// A packet of a handshake with one bit changed where it is sealed, and a MAC that is right: whoever
    /// knows the public keys can make it.
    pub(crate) fn reworked(&self, packet: &[u8], place: usize) -> Option<Vec<u8>> {
        let (shroud, header) = self.shrouds.iter().find_map(|shroud| {
            let header = Header::decode(&shroud.uncovered_prefix(packet)?).ok()?;
            matches!(header, Header::Ini { .. } | Header::Rsp { .. }).then_some((shroud, header))
        })?;
        let mut plain = packet.to_vec();
        shroud.uncover(&mut plain, header.masked_bytes());
        let (covered, mac) = plain.split_last_chunk_mut::<16>()?;
        // Cookie and puzzle of a first flight may change, as long as it is repeated.
        let head = match header {
            Header::Ini { .. } => Ini::packet_bytes(0) - mac.len(),
            _ => ANSWER_HEAD,
        };
        let sealed = covered.get_mut(head..)?;
        let place = place.checked_rem(sealed.len())?;
        *sealed.get_mut(place)? ^= 1;
        *mac = shroud.mac(&[covered]);
        shroud.cover(&mut plain, header.masked_bytes());
        Some(plain)
    }

    /// The hint that a record's receiver does not know its session, as anybody can make it who saw
    /// the record; `from` is the receiver.
    pub(crate) fn forged_hint(&self, from: Party, record: &[u8]) -> Option<Vec<u8>> {
        let shroud = self.shrouds.get(from)?;
        let bytes = shroud.uncovered_prefix(record)?;
        let Ok(Header::Record { session, counter, .. }) = Header::decode(&bytes) else {
            return None;
        };
        let tag = record.last_chunk()?;
        Some(encode_unknown(session, counter, tag, shroud))
    }

    /// An honest node has sent a packet.
    pub(crate) fn sent(
        &mut self,
        checker: &mut Checker,
        (from, life): (Party, u64),
        to: Party,
        packet: &[u8],
    ) {
        let bytes = self.shrouds.get(to).and_then(|shroud| shroud.uncovered_prefix(packet));
        let Some(Ok(Header::Record { lane, epoch, session, counter })) =
            bytes.map(|bytes| Header::decode(&bytes))
        else {
            return;
        };
        let way = (from, life, to, session);
        let newest = self.epochs.entry(way).or_default();
        let epoch = unwrapped(*newest, epoch);
        *newest = epoch.max(*newest);
        let place = (way, lane.id(), epoch);
        let before = self.newest.insert(place, counter);
        checker.check(Promise::CountersNeverRepeat, before.is_none_or(|old| old < counter), || {
            format!("node {from} sent counter {counter} after {before:?} in {place:?}")
        });
    }
}

/// The epoch that ends in this byte and is nearest to the newest one: a header has no more of it, and a session that lives
/// for three days comes by all of them.
const fn unwrapped(newest: u64, byte: u8) -> u64 {
    let [least, ..] = newest.to_le_bytes();
    let ahead = byte.wrapping_sub(least);
    match ahead {
        0..128 => newest.saturating_add(ahead as u64),
        128.. => newest.saturating_sub(256 - ahead as u64),
    }
}

/// Header and ephemeral key of an answer; what is behind them is sealed.
const ANSWER_HEAD: usize = 16 + 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_taken_for_the_nearest_one_that_its_byte_may_mean() {
        for (newest, byte, epoch) in [
            (0, 0, 0),
            (0, 3, 3),
            (254, 1, 257),
            (257, 255, 255),
            (257, 1, 257),
            (1_000, 233, 1_001),
        ] {
            assert_eq!(unwrapped(newest, byte), epoch, "{newest} {byte}");
        }
    }
}
