//! The live card: what changes often about a running node, told only inside sealed packets.
//!
//! Knows no clock: lifetimes and ages are as of the moment of sending, and the receiver counts from
//! there. Invariant: at most [`LiveCard::BYTES_MAX`] bytes, and one wire form for each card.

use crate::wire::{Reader, WireError, Writer};

/// What a node says about its present life.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveCard {
    /// The key that the next first flight to this node must name; `None` from one that can only
    /// call, never be called.
    pub prekey: Option<PrekeyCard>,
    /// The stores that remember what was received: one or two, ordered by kind.
    pub stores: Vec<StoreCard>,
}

/// A short-lived X25519 key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PrekeyCard {
    /// Its name within this life of the node, never 0.
    pub id: u32,
    /// The public key.
    pub key: [u8; 32],
    /// How many seconds more it will be understood.
    pub lifetime: u16,
}

/// One memory of received messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreCard {
    /// What it survives.
    pub kind: StoreKind,
    /// Drawn at random when the store began.
    pub id: u64,
    /// How often its floor was raised.
    pub generation: u32,
    /// How many seconds ago the generation began; the highest value stands for "or longer".
    pub age: u16,
}

/// What a store survives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum StoreKind {
    /// Nothing: it ends with the process.
    Ram,
    /// A restart.
    Durable,
    /// The same, and it forgets nothing as long as a letter may come: what it is bound to stands in a contact, and not
    /// on a live card.
    Letter,
}

impl StoreKind {
    /// Those that a live card tells of.
    pub const ON_CARD: [Self; 2] = [Self::Ram, Self::Durable];

    /// Whether it is on a disk.
    pub const fn is_on_disk(self) -> bool {
        matches!(self, Self::Durable | Self::Letter)
    }

    /// The number on the wire.
    pub const fn id(self) -> u8 {
        match self {
            Self::Ram => 0,
            Self::Durable => 1,
            Self::Letter => 2,
        }
    }

    /// The kind with this number, if there is one.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Ram),
            1 => Some(Self::Durable),
            2 => Some(Self::Letter),
            _ => None,
        }
    }
}

impl LiveCard {
    /// The longest wire form.
    pub const BYTES_MAX: usize = 88;

    /// Appends the wire form. It has room for one store of each kind, so of two of a kind only the
    /// first is written, and a prekey with id 0 counts as none.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let prekey = self.prekey.filter(|prekey| prekey.id != 0);
        let store = |kind| self.stores.iter().find(|store| store.kind == kind);
        let (ram, durable) = (store(StoreKind::Ram), store(StoreKind::Durable));
        let flag = |present, bit| if present { bit } else { 0 };
        out.put_u8(
            flag(prekey.is_some(), HAS_PREKEY)
                | flag(ram.is_some(), HAS_RAM)
                | flag(durable.is_some(), HAS_DURABLE),
        );
        if let Some(prekey) = prekey {
            out.put_u32(prekey.id);
            out.put(&prekey.key);
            out.put_u16(prekey.lifetime);
        }
        for store in [ram, durable].into_iter().flatten() {
            out.put_u64(store.id);
            out.put_u32(store.generation);
            out.put_u16(store.age);
        }
    }

    /// Reads a card and leaves what follows it.
    ///
    /// # Errors
    /// [`WireError::Forbidden`] for a card without a store, a prekey with id 0 or an unknown part,
    /// [`WireError::Truncated`] when it ends early. The reader stays where it was.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut ahead = reader.clone();
        let flags = ahead.u8()?;
        if flags & !(HAS_PREKEY | HAS_RAM | HAS_DURABLE) != 0 {
            return Err(WireError::Forbidden);
        }
        let prekey = match flags & HAS_PREKEY {
            0 => None,
            _ => Some(PrekeyCard::decode(&mut ahead)?),
        };
        let mut stores = Vec::with_capacity(2);
        for (bit, kind) in [(HAS_RAM, StoreKind::Ram), (HAS_DURABLE, StoreKind::Durable)] {
            if flags & bit != 0 {
                stores.push(StoreCard::decode(kind, &mut ahead)?);
            }
        }
        if stores.is_empty() {
            return Err(WireError::Forbidden);
        }
        *reader = ahead;
        Ok(Self { prekey, stores })
    }
}

impl PrekeyCard {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let (id, key, lifetime) = (reader.u32()?, reader.array()?, reader.u16()?);
        if id == 0 { Err(WireError::Forbidden) } else { Ok(Self { id, key, lifetime }) }
    }
}

impl StoreCard {
    fn decode(kind: StoreKind, reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { kind, id: reader.u64()?, generation: reader.u32()?, age: reader.u16()? })
    }
}

const HAS_PREKEY: u8 = 1;
const HAS_RAM: u8 = 2;
const HAS_DURABLE: u8 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full() -> LiveCard {
        LiveCard {
            prekey: Some(PrekeyCard { id: 1, key: [2; 32], lifetime: 7_200 }),
            stores: vec![
                StoreCard { kind: StoreKind::Ram, id: 3, generation: 4, age: 5 },
                StoreCard { kind: StoreKind::Durable, id: 6, generation: 7, age: u16::MAX },
            ],
        }
    }

    #[test]
    fn the_fullest_card_fits_its_bound_and_reads_back() {
        let mut bytes = Vec::new();
        full().encode(&mut bytes);
        assert!(bytes.len() <= LiveCard::BYTES_MAX, "{} bytes", bytes.len());
        bytes.push(0xff);
        let mut reader = Reader::new(&bytes);
        assert_eq!(LiveCard::decode(&mut reader), Ok(full()));
        assert_eq!(reader.remaining(), 1, "what follows the card is left");
    }

    #[test]
    fn a_card_without_store_or_with_prekey_zero_is_refused() {
        let mut prekey_zero = [0_u8; 88];
        prekey_zero[0] = HAS_PREKEY | HAS_RAM;
        for bytes in [&[0_u8; 88][..], &[HAS_PREKEY; 39], &prekey_zero, &[8; 88], &[]] {
            let mut reader = Reader::new(bytes);
            assert!(LiveCard::decode(&mut reader).is_err(), "{bytes:?}");
            assert_eq!(reader.remaining(), bytes.len());
        }
    }

    proptest! {
        /// Proves W-2.
        #[test]
        fn accepted_bytes_are_those_we_write(bytes in prop::collection::vec(0_u8..8, 0..90)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(card) = LiveCard::decode(&mut reader) {
                let mut again = Vec::new();
                card.encode(&mut again);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - reader.remaining()]);
            }
        }
    }
}
