//! Any bytes as a set of serials: an accepted set encodes to the same bytes, is sorted without
//! overlaps, and survives whatever is then put into it.
//!
//! What follows the set is put in, nine bytes a step: a scale and a serial.
//
// Reaches: Serials::decode.

use egtp_proto::limits::RANGES_MAX;
use egtp_proto::wire::{Reader, Serials};

use super::{Seed, between};

/// See the head of this file.
pub fn run(data: &[u8]) {
    let before = Reader::new(data);
    let mut after = before.clone();
    let Ok(mut set) = Serials::decode(&mut after) else { return };
    let mut again = Vec::new();
    set.encode(&mut again);
    assert_eq!(again, between(&before, &after), "one spelling only");
    assert!(set.ranges().len() <= RANGES_MAX);
    check(&set);
    while let (Ok(scale), Ok(serial)) = (after.u8(), after.u64()) {
        let serial = serial >> (scale & 63);
        if scale & 0x80 == 0 {
            let known = set.contains(serial);
            assert_eq!(set.insert(serial), !known, "{serial} in {set:?}");
        } else {
            set.raise(serial);
            assert!(set.base() >= serial);
        }
        check(&set);
    }
}

fn check(set: &Serials) {
    let mut edge = set.base();
    for &(start, end) in set.ranges() {
        assert!(edge < start && start < end, "{set:?}");
        edge = end;
    }
}

/// Sets of several shapes, one of them with steps behind it.
pub fn seeds() -> Vec<Seed> {
    let mut scattered = Serials::below(3);
    (0..40).for_each(|index| scattered.insert_range(5 + index * 3, 6 + index * 3));
    [("prefix", Serials::below(1_000_000)), ("scattered", scattered)]
        .map(|(name, set)| {
            let mut bytes = Vec::new();
            set.encode(&mut bytes);
            bytes.extend([56, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 1, 0, 0, 0, 0, 0, 0, 0]);
            (name, bytes)
        })
        .into()
}
