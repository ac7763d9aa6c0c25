//! How far a large body is, on one line of a terminal that is written over and over.
//!
//! Knows no request. Invariant: where nobody looks at a terminal nothing is written, and whatever is said
//! after [`ProgressLine::end`] begins on a line of its own.

use std::fmt;
use std::io::{IsTerminal, Write, stderr};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    is_wanted: bool,
    is_begun: bool,
}

/// Bytes of a body that have arrived where it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    /// So many have.
    pub(crate) bytes: usize,
    /// So many are to.
    pub(crate) total: usize,
}

impl ProgressLine {
    /// For talk that is wanted or not.
    pub(crate) fn new(is_talking: bool) -> Self {
        Self { is_wanted: is_talking && stderr().is_terminal(), is_begun: false }
    }

    /// Writes over what was there.
    pub(crate) fn show(&mut self, what: &str, part: Part) {
        if self.is_wanted {
            self.is_begun = true;
            // A terminal that has gone is nobody to tell.
            let _ = write!(stderr().lock(), "\r{what} {part}\x1b[K");
        }
    }

    /// Clears it.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.is_begun) {
            let _ = write!(stderr().lock(), "\r\x1b[K");
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, total } = *self;
        let percent = bytes.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
        write!(f, "{} of {} KiB ({percent} %)", bytes.div_ceil(KIB), total.div_ceil(KIB))
    }
}

const KIB: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_how_much_of_how_much() {
        let part = |bytes, total| Part { bytes, total }.to_string();
        assert_eq!(part(0, 2 << 20), "0 of 2048 KiB (0 %)");
        assert_eq!(part(1 << 20, 2 << 20), "1024 of 2048 KiB (50 %)");
        assert_eq!(part(2 << 20, 2 << 20), "2048 of 2048 KiB (100 %)");
        assert_eq!(part(7, 0), "1 of 0 KiB (100 %)");
        assert_eq!(part(usize::MAX, 5), format!("{} of 1 KiB (100 %)", usize::MAX.div_ceil(KIB)));
    }
}
