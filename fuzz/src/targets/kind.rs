//! Any text as a message's kind: what is accepted is short, prints on one line without spaces, and
//! stays as it was.

use egtp_proto::Kind;
use egtp_proto::limits::KIND_BYTES_MAX;

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(kind) = Kind::new(text) else { return };
    assert_eq!(kind.as_str(), text);
    assert_eq!(kind.to_string(), text);
    assert!((1..=KIND_BYTES_MAX).contains(&text.len()));
    assert_eq!(text.split_whitespace().count(), 1);
    assert_eq!(text.lines().count(), 1);
}

/// A short one, the longest, and one of letters that take several bytes.
pub fn seeds() -> Vec<Seed> {
    vec![
        ("longest", vec![b'k'; KIND_BYTES_MAX]),
        ("short", b"block.get/1".to_vec()),
        ("wide", "größe/ñ/漢".as_bytes().to_vec()),
    ]
}
