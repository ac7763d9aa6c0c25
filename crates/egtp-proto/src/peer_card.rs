//! What was last heard of a peer, in a form that outlives a process: its live card and its suites.
//!
//! With it the first packet to that peer carries messages, as if this process had talked to it before; what is
//! wrong with it by now, the peer says, and one more round trip is what it costs. Knows no endpoint. Invariant: no
//! lifetime in it becomes longer by waiting.

use std::time::Duration;

use crate::card::LiveCard;
use crate::key::{KeyError, PublicKey};
use crate::wire::{Reader, WireError, Writer};

/// See the head of this file. It says that its owner has talked to the peer, and who can write it can have the first
/// packet sealed for a prekey of his own: keep it where only your program reads and writes, as you keep its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerCard {
    pub(crate) peer: PublicKey,
    /// When it was made, by the wall clock, in whole seconds.
    pub(crate) made: Duration,
    pub(crate) card: LiveCard,
    /// The number of the peer's newest contact when it named these suites, and they.
    pub(crate) suites: (u64, Vec<u8>),
}

/// Why bytes are no card of a peer. The program can go on without it: the next request asks the peer itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerCardError {
    /// They are damaged.
    #[error("the peer's card is damaged ({0}); remove it, the next request makes do without")]
    Wire(#[from] WireError),
    /// The key is wrong.
    #[error("the peer's card names no key ({0}); remove it, the next request makes do without")]
    Key(#[from] KeyError),
    /// A later version wrote them.
    #[error("the peer's card has format {0}, which this version cannot read; remove it, or update")]
    Version(u8),
}

impl PeerCard {
    /// As many suites as an answer may name.
    pub(crate) const SUITES_MAX: usize = 16;

    /// Whose it is.
    pub const fn peer(&self) -> PublicKey {
        self.peer
    }

    /// Its bytes, at most 154 of them.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES_MAX);
        out.put_u8(VERSION);
        out.put(self.peer.as_bytes());
        out.put_u64(self.made.as_secs());
        out.put_u64(self.suites.0);
        out.put_prefixed(&self.suites.1);
        self.card.encode(&mut out);
        out
    }

    /// Reads what [`PeerCard::encode`] wrote.
    ///
    /// # Errors
    /// [`PeerCardError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PeerCardError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(PeerCardError::Version(version));
        }
        let peer = PublicKey::from_bytes(reader.array()?)?;
        let made = Duration::from_secs(reader.u64()?);
        let suites = (reader.u64()?, reader.prefixed(Self::SUITES_MAX)?.to_vec());
        let card = LiveCard::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { peer, made, card, suites })
    }

    /// The card as it is at a later moment of the wall clock, which may be wrong. `None` if the prekey's lifetime is
    /// over by then, or that moment is before the card was made.
    pub(crate) fn at(&self, wall: Duration) -> Option<LiveCard> {
        self.card.later(wall.checked_sub(self.made)?).filter(|card| card.prekey.is_some())
    }
}

impl LiveCard {
    /// The card so long after it was stated: the prekey's lifetime is shorter, or over. Stores are only older than they
    /// said, and by how much, a clock that may be wrong must not decide.
    pub(crate) fn later(&self, passed: Duration) -> Option<Self> {
        let passed = u16::try_from(passed.as_secs().saturating_add(1)).ok()?;
        let mut card = self.clone();
        card.prekey = card.prekey.take().and_then(|mut prekey| {
            prekey.lifetime = prekey.lifetime.checked_sub(passed)?;
            Some(prekey)
        });
        Some(card)
    }
}

const VERSION: u8 = 1;
const BYTES_MAX: usize = 1 + 32 + 8 + 8 + 1 + PeerCard::SUITES_MAX + LiveCard::BYTES_MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::card::{PrekeyCard, StoreCard, StoreKind};
    use crate::key::SecretKey;

    fn example() -> PeerCard {
        let store = |kind, age| StoreCard { kind, id: 3, generation: 4, age };
        PeerCard {
            peer: SecretKey::from_seed([1; 32]).public(),
            made: Duration::from_secs(1_800_000_001),
            card: LiveCard {
                prekey: Some(PrekeyCard { id: 1, key: [2; 32], lifetime: 7_200 }),
                stores: vec![store(StoreKind::Ram, 5), store(StoreKind::Durable, u16::MAX)],
            },
            suites: (9, vec![1, 2, 0x11, 0x12]),
        }
    }

    #[test]
    fn what_was_written_is_read_and_anything_else_is_refused() {
        let bytes = example().encode();
        assert!(bytes.len() <= BYTES_MAX && BYTES_MAX == 154);
        assert_eq!(PeerCard::decode(&bytes), Ok(example()));
        for end in 0..bytes.len() {
            assert!(PeerCard::decode(&bytes[..end]).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(PeerCard::decode(&longer).is_err());
        let later = [&[2], &bytes[1..]].concat();
        assert_eq!(PeerCard::decode(&later), Err(PeerCardError::Version(2)));
    }

    #[test]
    fn a_lifetime_never_grows_and_a_clock_that_went_back_ends_it() {
        let card = example();
        let left = |seconds: i64| {
            let wall = card.made.as_secs().checked_add_signed(seconds).unwrap();
            card.at(Duration::from_secs(wall))
        };
        let now = left(0).unwrap();
        assert_eq!(now.prekey.unwrap().lifetime, 7_199);
        let later = left(7_000).unwrap();
        assert_eq!(later.prekey.unwrap().lifetime, 199);
        assert_eq!(later.stores, card.card.stores, "as they were stated");
        assert_eq!(left(7_200), None);
        assert_eq!(left(700_000), None);
        assert_eq!(left(-1), None);
    }

    proptest! {
        /// Proves W-2: bytes from a disk, too, have one form each.
        #[test]
        fn accepted_bytes_are_those_we_write(
            at in 0_usize..150,
            with in any::<u8>(),
            cut in 0_usize..150,
        ) {
            let mut bytes = example().encode();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            bytes.truncate(cut);
            if let Ok(card) = PeerCard::decode(&bytes) {
                prop_assert_eq!(card.encode(), bytes);
            }
        }
    }
}
