//! What a relay could read: looks for bytes of bodies in the packets that it sees.
//!
//! Bodies here are words of eight bytes that nobody would hit by chance; some of each are remembered, close enough together
//! for every part of a body to have one. Knows no packet format. Invariant: a packet with 256 bytes in a row of a body in it,
//! or with all of a shorter one of at least 40, is found.

use std::collections::BTreeSet;

/// See the head of this file.
pub(crate) struct Reader {
    words: BTreeSet<u64>,
    /// The first twelve bits of them, so that most places are done with at once.
    starts: Vec<bool>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { words: BTreeSet::new(), starts: vec![false; STARTS] }
    }
}

impl Reader {
    /// Remembers what nobody but the two ends may see.
    pub(crate) fn keep(&mut self, body: &[u8]) {
        let words = body.chunks_exact(8).enumerate().skip(PLAIN_WORDS);
        let kept = words.filter(|(place, _)| *place < EACH || place.is_multiple_of(EACH));
        for word in kept.filter_map(|(_, word)| word.first_chunk()) {
            let word = u64::from_le_bytes(*word);
            self.words.insert(word);
            if let Some(start) = self.starts.get_mut(start_of(word)) {
                *start = true;
            }
        }
    }

    /// Where in a packet something is that was to be kept; `None` if nothing is.
    pub(crate) fn find(&self, packet: &[u8]) -> Option<usize> {
        packet.windows(8).position(|bytes| {
            let word = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            self.starts.get(start_of(word)) == Some(&true) && self.words.contains(&word)
        })
    }
}

const fn start_of(word: u64) -> usize {
    (word >> 48) as usize
}

const STARTS: usize = 1 << 16;
/// Words at the front that are small numbers, which are anywhere.
const PLAIN_WORDS: usize = 3;
/// Behind the front, one word in so many is remembered.
const EACH: usize = 31;

#[cfg(test)]
mod tests {
    use super::super::super::chance::filler;
    use super::*;

    /// The control of what is looked for in simulated worlds: it would be found.
    #[test]
    fn a_body_in_a_packet_is_found_wherever_it_is_and_in_parts() {
        let mut reader = Reader::default();
        let (short, long) = (filler(1, 40), filler(2, 100_000));
        reader.keep(&short);
        reader.keep(&long);
        for before in 0..20 {
            let head = vec![7; before];
            assert!(reader.find(&[&head[..], &short, &[9; 16]].concat()).is_some());
            for from in (0..99_000).step_by(997) {
                let part = &long[from..from + 256];
                assert!(reader.find(&[&head[..], part].concat()).is_some(), "{from}");
            }
        }
        for number in 3..200 {
            assert_eq!(reader.find(&filler(number, 1_200)), None);
        }
    }
}
