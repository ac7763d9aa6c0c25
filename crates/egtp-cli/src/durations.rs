//! Durations as people write them: `500ms`, `5s`, `2m`, `1h`.
//!
//! Knows no option. Invariant: a number without a unit is refused, since everybody means another.

use std::time::Duration;

/// Reads a duration.
///
/// # Errors
/// A sentence that says how to write it.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    parse_up_to(text, LONGEST).map_err(|error| {
        error.unwrap_or_else(|| "longer than a day; the longest duration is 24h".into())
    })
}

/// Reads how long a message may be under way, which may be days.
///
/// # Errors
/// A sentence that says how to write it.
pub(crate) fn parse_days(text: &str) -> Result<Duration, String> {
    parse_up_to(text, LONGEST_UNDER_WAY).map_err(|error| {
        error.unwrap_or_else(|| "longer than 14d, for which no letter is kept".into())
    })
}

/// An error without words: it is longer than the longest.
fn parse_up_to(text: &str, longest: u64) -> Result<Duration, Option<String>> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let number: u64 = match digits.parse() {
        Ok(number) if digits.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => return Err(Some(HINT.to_owned())),
    };
    let milliseconds = match unit {
        "" if number == 0 => return Err(Some(NOTHING.to_owned())),
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" if longest > LONGEST => 86_400_000,
        "" => {
            return Err(Some(format!("a unit is missing: write {number}s for seconds; {HINT}")));
        }
        _ => return Err(Some(HINT.to_owned())),
    };
    let total = number.checked_mul(milliseconds).filter(|total| *total <= longest).ok_or(None)?;
    if total == 0 {
        return Err(Some(NOTHING.to_owned()));
    }
    Ok(Duration::from_millis(total))
}

const NOTHING: &str = "a duration of nothing; the shortest is 1ms";
const HINT: &str = "a duration is a whole number and a unit, as in 500ms, 5s, 2m or 1h";
const LONGEST: u64 = 24 * 3_600_000;
const LONGEST_UNDER_WAY: u64 = 14 * 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, milliseconds) in
            [("1ms", 1), ("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("24h", 86_400_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)));
        }
        for text in ["", "5", "s", "5 s", "-5s", "1.5s", "5x", "+5s", "0s", "25h", "5ss", "1h5m"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("1d").is_err() && parse("48h").unwrap_err().contains("24h"));
        assert_eq!(parse_days("14d"), Ok(Duration::from_hours(14 * 24)));
        assert_eq!(parse_days("48h"), Ok(Duration::from_hours(48)));
        assert!(parse_days("15d").unwrap_err().contains("14d"));
        assert!(parse("5").unwrap_err().contains("write 5s"));
        assert_eq!(parse("0").unwrap_err(), NOTHING);
    }
}
