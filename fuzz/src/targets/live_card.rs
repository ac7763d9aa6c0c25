//! Any bytes as a live card, and as one that a program has kept: an accepted card is within its bound and
//! encodes to the same bytes, and a refused one leaves the reader where it was.
//
// Reaches: LiveCard::decode, PeerCard::decode.

use egtp_proto::wire::Reader;
use egtp_proto::{LiveCard, PeerCard, PrekeyCard, SecretKey, StoreCard, StoreKind};

use super::{Seed, between};

/// See the head of this file.
pub fn run(data: &[u8]) {
    let before = Reader::new(data);
    let mut after = before.clone();
    match LiveCard::decode(&mut after) {
        Ok(card) => {
            let mut again = Vec::new();
            card.encode(&mut again);
            assert!(again.len() <= LiveCard::BYTES_MAX);
            assert_eq!(again, between(&before, &after), "one spelling only");
        }
        Err(_) => assert_eq!(after.remaining(), data.len(), "a refusal takes nothing"),
    }
    if let Ok(kept) = PeerCard::decode(data) {
        assert_eq!(kept.encode(), data, "one spelling only");
    }
}

/// One card of each shape, and one that was kept.
pub fn seeds() -> Vec<Seed> {
    let prekey = Some(PrekeyCard { id: 1, key: [2; 32], lifetime: 7_200 });
    let ram = StoreCard { kind: StoreKind::Ram, id: 3, generation: 4, age: 5 };
    let durable = StoreCard { kind: StoreKind::Durable, id: 6, generation: 7, age: u16::MAX };
    let mut seeds: Vec<Seed> = [
        ("caller", None, vec![ram]),
        ("durable", prekey, vec![durable]),
        ("full", prekey, vec![ram, durable]),
    ]
    .map(|(name, prekey, stores)| {
        let mut bytes = Vec::new();
        LiveCard { prekey, stores }.encode(&mut bytes);
        (name, bytes)
    })
    .into();
    let key = SecretKey::from_seed([7; 32]).public();
    let full = seeds.last().map(|(_, bytes)| bytes.clone()).unwrap_or_default();
    let kept = [&[1][..], key.as_bytes(), &[0; 16], &[2, 1, 2], &full].concat();
    seeds.push(("kept", kept));
    seeds
}
