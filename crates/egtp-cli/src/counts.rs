//! Counts: those that the command line names, and those that people read.
//!
//! Knows no option. Invariant: nothing is refused without saying what would do.

use std::str::FromStr;

/// Reads a number that is not zero, such as a [`std::num::NonZeroU32`].
///
/// # Errors
/// A sentence that says how to write it.
pub(crate) fn parse<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "a count is a whole number, and the smallest is 1".to_owned())
}

/// A number with its noun, as in `1 address` or `2 addresses`.
pub(crate) fn of(number: usize, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_count_is_one_or_more() {
        assert_eq!(parse::<NonZeroU32>("7").map(NonZeroU32::get), Ok(7));
        for text in ["0", "-1", "1.5", "", "x", "99999999999"] {
            assert!(parse::<NonZeroU32>(text).unwrap_err().contains("smallest is 1"), "{text}");
        }
    }
}
