//! Numbers and sets as a database keeps them, and a check over each row.
//!
//! A database finds damage in its own structure, not in our values: so each row carries a hash of them.
//! Invariant: a row whose hash fits was written by us as it is.

use egtp_proto::wire::Serials;

/// 16 bytes of hash over the values of a row, each with its length, and the table's name.
pub(super) fn check(table: &str, values: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("EGTP v2 2026 store row");
    for value in std::iter::once(&table.as_bytes()).chain(values) {
        hasher.update(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(value);
    }
    let mut short = [0; 16];
    short.copy_from_slice(hasher.finalize().as_bytes().split_at(16).0);
    short
}

/// A set of serials: the base, then start and end of each range, 8 bytes each.
pub(super) fn encode(serials: &Serials) -> Vec<u8> {
    let mut bytes = serials.base().to_le_bytes().to_vec();
    for (start, end) in serials.ranges() {
        bytes.extend(start.to_le_bytes());
        bytes.extend(end.to_le_bytes());
    }
    bytes
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub(super) fn decode(bytes: &[u8]) -> Option<Serials> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    let mut numbers = numbers.iter().copied().map(u64::from_le_bytes);
    let mut serials = Serials::below(numbers.next()?);
    while let Some(start) = numbers.next() {
        serials.insert_range(start, numbers.next()?);
    }
    (rest.is_empty() && encode(&serials) == bytes).then_some(serials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_serials_is_read_back_and_nothing_else_is_one() {
        let mut serials = Serials::below(5);
        serials.insert_range(9, 12);
        serials.insert_range(u64::MAX - 1, u64::MAX);
        let bytes = encode(&serials);
        assert_eq!(decode(&bytes), Some(serials));
        for end in 0..bytes.len() {
            let whole = [8, 24].contains(&end);
            assert_eq!(decode(&bytes[..end]).is_some(), whole, "{end}");
        }
        let touching = [5_u64, 5, 7].map(u64::to_le_bytes).concat();
        assert_eq!(decode(&touching), None, "another spelling of one set");
    }

    #[test]
    fn a_check_depends_on_every_value_and_its_place() {
        let one = check("dialog", &[b"ab", b"c"]);
        assert_ne!(one, check("dialog", &[b"a", b"bc"]));
        assert_ne!(one, check("query", &[b"ab", b"c"]));
        assert_eq!(one, check("dialog", &[b"ab", b"c"]));
    }
}
