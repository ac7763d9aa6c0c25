//! The golden vectors, and every way to damage one.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test file uses its own part, and helpers of tests fail as loudly as tests"
)]

pub const PACKETS: &str = include_str!("../../../../vectors/packets.txt");
pub const LETTERS: &str = include_str!("../../../../vectors/letters.txt");
pub const CARDS: &str = include_str!("../../../../vectors/live_card.txt");
pub const CONTACTS: &str = include_str!("../../../../vectors/contact.txt");
pub const IDENTITIES: &str = include_str!("../../../../vectors/node_id.txt");
pub const TICKETS: &str = include_str!("../../../../vectors/ticket.txt");
pub const STREAMS: &str = include_str!("../../../../vectors/stream.txt");

/// The named bytes of a file; those whose name ends in `text`, as the letters that they are.
pub fn lines(file: &str) -> Vec<(String, Vec<u8>)> {
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, value)| {
            let value = if name.ends_with("text") { value.into() } else { unhex(value) };
            (name.to_owned(), value)
        })
        .collect()
}

/// The named texts of a file.
pub fn texts(file: &str) -> Vec<(String, Vec<u8>)> {
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .collect()
}

/// Cut at each length, longer by 1 to 64 bytes, and each byte replaced by all 255 others.
pub fn damages(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let longer = (1..=64)
        .flat_map(move |more| [0, b'0', 0xff].map(|byte| [bytes, &vec![byte; more]].concat()));
    let replaced = (0..bytes.len()).flat_map(move |index| {
        (1..=u8::MAX).map(move |other| {
            let mut damaged = bytes.to_vec();
            damaged[index] ^= other;
            damaged
        })
    });
    cut.chain(longer).chain(replaced)
}

fn unhex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "{text}");
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect()
}
