//! Scripts: bytes as a sequence of operations, so that a mutation changes one of them.
//!
//! A byte with its top bit set begins an operation; the bytes after it, which have no top bit, are its
//! arguments. Arguments that are missing are 0, and surplus ones are passed over. Invariant: every
//! sequence of bytes is a script, and a byte that is changed, put in or taken out leaves all
//! operations but its neighbours as they were.

/// Reads a script.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    rest: &'a [u8],
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Which one, below 128.
    pub operation: u8,
    arguments: &'a [u8],
}

impl<'a> Script<'a> {
    /// Starts at the first operation.
    pub fn new(bytes: &'a [u8]) -> Self {
        let begin = bytes.iter().position(|byte| *byte >= BEGINS).unwrap_or(bytes.len());
        Self { rest: bytes.get(begin..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Script<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        let (first, rest) = self.rest.split_first()?;
        let end = rest.iter().position(|byte| *byte >= BEGINS).unwrap_or(rest.len());
        let (arguments, rest) = rest.split_at_checked(end)?;
        self.rest = rest;
        Some(Step { operation: first & !BEGINS, arguments })
    }
}

impl Step<'_> {
    /// The next argument, below 128.
    pub fn small(&mut self) -> usize {
        let Some((first, rest)) = self.arguments.split_first() else {
            return 0;
        };
        self.arguments = rest;
        usize::from(*first)
    }

    /// The next two arguments as one number below 16,384.
    pub fn large(&mut self) -> usize {
        let low = self.small();
        low | (self.small() << 7)
    }

    /// The next argument as a choice among `count`.
    pub fn choice(&mut self, count: usize) -> usize {
        self.small().checked_rem(count).unwrap_or(0)
    }

    /// The next argument as an index into `table`.
    ///
    /// # Panics
    /// When the table is empty.
    pub fn of<T: Copy>(&mut self, table: &[T]) -> T {
        table[self.choice(table.len())]
    }

    /// The next argument as yes or no.
    pub fn flag(&mut self) -> bool {
        self.choice(2) == 1
    }
}

/// A script under construction: for seeds.
#[derive(Clone, Debug, Default)]
pub struct Draft(pub Vec<u8>);

impl Draft {
    /// Adds an operation with its arguments, each below 128.
    #[must_use]
    pub fn then(mut self, operation: u8, arguments: &[u8]) -> Self {
        self.0.push(operation | BEGINS);
        self.0.extend(arguments.iter().map(|argument| argument & !BEGINS));
        self
    }

    /// Adds all of another one, `times` over.
    #[must_use]
    pub fn repeat(mut self, other: &Self, times: usize) -> Self {
        self.0.extend(other.0.repeat(times));
        self
    }
}

/// The bit that begins an operation.
const BEGINS: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<(u8, usize, usize)> {
        Script::new(bytes).map(|mut step| (step.operation, step.small(), step.large())).collect()
    }

    #[test]
    fn what_was_drafted_is_read_back() {
        let draft = Draft::default().then(3, &[5]).then(4, &[]).then(5, &[1, 2, 3, 4]);
        assert_eq!(read(&draft.0), [(3, 5, 0), (4, 0, 0), (5, 1, 2 | (3 << 7))]);
    }

    #[test]
    fn a_changed_byte_changes_its_neighbours_at_most() {
        let draft = Draft::default().then(1, &[9]).repeat(&Draft::default().then(2, &[7]), 5);
        for index in 0..draft.0.len() {
            let mut without = draft.0.clone();
            without.remove(index);
            let (before, after) = (read(&draft.0), read(&without));
            let same_front = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
            let same_back =
                before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
            assert!(same_front + same_back + 2 >= before.len(), "{index}: {before:?} {after:?}");
        }
    }
}
