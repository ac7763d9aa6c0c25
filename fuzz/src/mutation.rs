//! Seeded mutations of a corpus: the same seed gives the same inputs on every machine.
//!
//! Knows nothing of the targets. Makes the changes that break decoders most often: flipped bits,
//! interesting numbers, cuts, repeats and splices. Invariant: no input is longer than
//! [`INPUT_BYTES_MAX`].

/// Longer inputs are slow and find little.
pub const INPUT_BYTES_MAX: usize = 4096;

/// An endless supply of mutated inputs.
#[derive(Clone, Debug)]
pub struct Mutator<'a> {
    corpus: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutator<'a> {
    /// Starts from `seed`. The corpus may be empty; then everything grows out of nothing.
    pub const fn new(corpus: &'a [Vec<u8>], seed: u64) -> Self {
        Self { corpus, state: seed }
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.seed_input();
        // Mostly one small change, sometimes many: both kinds of mistake exist.
        let changes = 1 << self.below(5);
        for _ in 0..changes {
            self.change(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn seed_input(&mut self) -> Vec<u8> {
        let index = self.below(self.corpus.len());
        self.corpus.get(index).cloned().unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        // An empty input can only grow.
        let kind = if input.is_empty() { INSERT } else { self.below(8) };
        match kind {
            0 => {
                let bit = 1_u8 << self.below(8);
                set(input, at, |byte| byte ^ bit);
            }
            1 => {
                let value = self.byte();
                set(input, at, |_| value);
            }
            2 => {
                let value = INTERESTING[self.below(INTERESTING.len())];
                set(input, at, |_| value);
            }
            3 => {
                let step = self.byte();
                set(input, at, |byte| byte.wrapping_add(step));
            }
            4 => input.truncate(at),
            INSERT => {
                let bytes = (0..=self.below(16)).map(|_| self.byte()).collect::<Vec<_>>();
                input.splice(at..at, bytes);
            }
            6 => {
                let end = at + self.below(input.len() - at);
                let piece = input.get(at..end).unwrap_or_default().to_vec();
                input.splice(at..at, piece);
            }
            _ => {
                let other = self.seed_input();
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }

    /// A number below `bound`; 0 when there is none.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// `SplitMix64`: small, quick, and good enough to choose mutations.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn set(input: &mut [u8], at: usize, change: impl Fn(u8) -> u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = change(*byte);
    }
}

/// The kind of change that puts new bytes in.
const INSERT: usize = 5;

/// Ends of ranges, and the marks that variable-length numbers turn on.
const INTERESTING: &[u8] = &[0, 1, 0x0f, 0x10, 0x20, 0x40, 0x7f, 0x80, 0x81, 0xf0, 0xfe, 0xff];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let corpus = [vec![1, 2, 3], vec![0xff; 40]];
        let inputs = |seed| {
            let mut mutator = Mutator::new(&corpus, seed);
            (0..500).map(|_| mutator.input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }

    #[test]
    fn inputs_vary_and_stay_short_even_without_a_corpus() {
        for corpus in [vec![], vec![vec![7; INPUT_BYTES_MAX]]] {
            let mut mutator = Mutator::new(&corpus, 3);
            let inputs =
                (0..1000).map(|_| mutator.input()).collect::<std::collections::HashSet<_>>();
            assert!(inputs.len() > 400, "{}", inputs.len());
            assert!(inputs.iter().all(|input| input.len() <= INPUT_BYTES_MAX));
        }
    }
}
