//! The age rule: what a receiver's statement about its own age tells about an old transmission.
//!
//! Pure arithmetic. Invariant: a wrong clock can only make the answer "cannot say".

use std::time::Duration;

use crate::planted::{Bug, is};

/// Safety margin of the rule.
const MARGIN: Duration = Duration::from_secs(2);

/// The largest age that is stated, in seconds.
const AGE_MAX: u64 = 1 << 12;

/// An age in seconds as the live card states it: three significant bits, rounded down, at most 2^12.
pub fn stated(age: Duration) -> u16 {
    let seconds = age.as_secs().min(AGE_MAX);
    let drop = (64 - seconds.leading_zeros()).saturating_sub(3);
    u16::try_from(seconds >> drop << drop).unwrap_or(0)
}

/// Whether a transmission that left `elapsed` ago certainly met a life that is now `age` seconds old
/// and to which it was not bound, so that it was and will be refused.
pub fn surely_refused(elapsed: Duration, age: u16) -> bool {
    if is(Bug::AgeRuleOff) {
        return true;
    }
    if is(Bug::AgeWithoutMargin) {
        return elapsed < Duration::from_secs(u64::from(age));
    }
    let slow_clock = elapsed.saturating_add(elapsed / 100);
    slow_clock.saturating_add(MARGIN) < Duration::from_secs(u64::from(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves X-13.
    #[test]
    fn an_age_is_rounded_down_to_three_bits() {
        let stated = |seconds| stated(Duration::from_secs(seconds));
        let ages = [0, 1, 7, 8, 9, 15, 16, 19, 20, 4095, 4096, 100_000].map(stated);
        assert_eq!(ages, [0, 1, 7, 8, 8, 14, 16, 16, 20, 3584, 4096, 4096]);
    }

    /// Proves X-12.
    #[test]
    fn the_rule_keeps_a_margin_of_two_seconds_and_one_percent() {
        let secs = Duration::from_secs;
        assert!(surely_refused(secs(1), 4));
        assert!(!surely_refused(secs(2), 4));
        assert!(!surely_refused(secs(100), 102));
        assert!(!surely_refused(secs(0), 0));
    }
}
