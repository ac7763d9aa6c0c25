//! Any bytes and any text as a strategy: what is accepted is what is written, in both forms, and
//! one form reads back from the other.
//
// Reaches: Strategy::decode.

use egtp_proto::Strategy;
use egtp_proto::wire::{Reader, WireError};

use super::{Seed, between};

/// See the head of this file.
pub fn run(data: &[u8]) {
    let before = Reader::new(data);
    let (mut after, mut lenient) = (before.clone(), before.clone());
    let decoded = Strategy::decode(&mut after);
    let if_known = Strategy::decode_if_known(&mut lenient);
    match decoded {
        Ok(strategy) => {
            assert_eq!(encode(&strategy), between(&before, &after), "one spelling only");
            assert_eq!(strategy.to_string().parse().as_ref(), Ok(&strategy));
            assert_eq!((if_known, lenient.remaining()), (Ok(Some(strategy)), after.remaining()));
        }
        Err(error) => {
            assert_eq!(after.remaining(), data.len(), "a refusal takes nothing");
            let stepped_over = matches!((error, &if_known), (WireError::UnknownType(_), Ok(None)));
            assert!(stepped_over || if_known.is_err(), "{error}, but {if_known:?}");
        }
    }
    if let Ok(text) = str::from_utf8(data)
        && let Ok(strategy) = text.parse::<Strategy>()
    {
        assert_eq!(strategy.to_string(), text, "one text only");
        assert_eq!(Strategy::decode(&mut Reader::new(&encode(&strategy))), Ok(strategy));
    }
}

fn encode(strategy: &Strategy) -> Vec<u8> {
    let mut bytes = Vec::new();
    strategy.encode(&mut bytes);
    bytes
}

/// Texts and bytes of each sort, and the bytes of a type that only a later version knows.
pub fn seeds() -> Vec<Seed> {
    let texts = [
        ("tcp", "tcp/192.0.2.1:7700"),
        ("udp", "udp/[2001:db8::1]:7700"),
        ("quic", "quic/example.org:443"),
        ("relay", "relay/egtp1syuhwr4g05t4744r23nvxnr7en9cmz53knhr0gja7c84mr0fswasqs9k5r"),
    ];
    let later = ("later-bytes", vec![9, 2, 1, 2]);
    let bytes = [("tcp-bytes", 0), ("udp-bytes", 1), ("quic-bytes", 2)]
        .map(|(name, index): (_, usize)| (name, encode(&texts[index].1.parse().expect("valid"))));
    texts
        .map(|(name, text)| (name, text.as_bytes().to_vec()))
        .into_iter()
        .chain(bytes)
        .chain([later])
        .collect()
}
