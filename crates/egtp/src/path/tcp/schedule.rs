//! When an idle connection goes: the schedule that both ends keep without a word.
//!
//! Checks happen at multiples of 8 s of Unix time. At the first check that finds a connection idle
//! for 18 s or more it takes nothing new; a check later it is closed. In between, what the other
//! end sent before its own check still arrives. Pure functions; they know no socket and no clock.
//! Invariant: durations come from the boot clock and only the moment of a check from the wall
//! clock, so a wall clock that jumps moves a check by 8 s at most and shortens no duration.

use std::time::Duration;

use crate::path::Hint;

/// How long until the next check. Never zero, never more than [`TICK`].
pub(super) fn until_next_tick(wall: Duration) -> Duration {
    let since_tick = Duration::new(wall.as_secs() % TICK.as_secs(), wall.subsec_nanos());
    TICK.saturating_sub(since_tick)
}

/// Which check comes before `wall`: another number means that a check is due.
pub(super) const fn tick_number(wall: Duration) -> u64 {
    wall.as_secs() / TICK.as_secs()
}

/// Whether a check that finds a connection idle for so long stops its use.
pub(super) fn stops_reuse(idle: Duration, hint: Hint) -> bool {
    match hint {
        Hint::Nothing => idle >= IDLE,
        Hint::ExpectReply | Hint::ExpectMore => idle >= EXPECTING_IDLE_MAX,
        Hint::NoMore => true,
    }
}

/// Whether a check closes a connection that took nothing new for so long. Half a tick is enough,
/// since timers are not exact; less means that the wall clock jumped.
pub(super) fn ends_drain(drained: Duration) -> bool {
    drained >= TICK / 2
}

/// The distance of checks.
pub(super) const TICK: Duration = Duration::from_secs(8);

/// Unused for so long, a connection is due.
const IDLE: Duration = Duration::from_secs(18);

/// Whoever expects an answer is let wait, but an answer that does not come keeps nothing for ever.
const EXPECTING_IDLE_MAX: Duration = Duration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks through the checks after a last use at `wall`; how long after it use stops, and how
    /// long after it the connection closes.
    fn life_after(wall: Duration, hint: Hint) -> (Duration, Duration) {
        let mut idle = until_next_tick(wall);
        while !stops_reuse(idle, hint) {
            idle += until_next_tick(wall + idle);
        }
        let mut drained = until_next_tick(wall + idle);
        while !ends_drain(drained) {
            drained += until_next_tick(wall + idle + drained);
        }
        (idle, idle + drained)
    }

    /// Proves TCP-1, TCP-2 and C-7 for a last use at every hundredth of a second of a cycle.
    #[test]
    fn tcp_1_every_last_use_ends_at_a_tick_and_within_the_stated_times() {
        for hundredths in 0..2_400_u64 {
            let last = Duration::from_secs(1_700_000_000) + Duration::from_millis(hundredths * 10);
            let (stop, close) = life_after(last, Hint::Nothing);
            assert!(stop >= Duration::from_secs(18) && stop < Duration::from_secs(26), "{last:?}");
            assert_eq!(close, stop + TICK);
            assert_eq!((last + stop).as_nanos() % TICK.as_nanos(), 0, "{last:?}");
        }
    }

    #[test]
    fn tcp_3_a_last_use_on_a_tick_stops_at_24_and_closes_at_32_seconds() {
        let on_tick = Duration::from_secs(8 * 200_000_000);
        let (stop, close) = life_after(on_tick, Hint::Nothing);
        assert_eq!((stop, close), (Duration::from_secs(24), Duration::from_secs(32)));
    }

    #[test]
    fn an_expected_answer_exempts_for_a_quarter_of_an_hour_and_no_more_hastens() {
        let last = Duration::from_secs(8 * 200_000_000 + 3);
        for hint in [Hint::ExpectReply, Hint::ExpectMore] {
            let (stop, _) = life_after(last, hint);
            assert!(stop >= Duration::from_mins(15) && stop < Duration::from_mins(15) + TICK);
        }
        let (stop, close) = life_after(last, Hint::NoMore);
        assert_eq!((stop, close), (Duration::from_secs(5), Duration::from_secs(13)));
    }

    #[test]
    fn the_next_tick_is_never_now_and_the_number_changes_exactly_there() {
        for milliseconds in 0..32_000 {
            let wall = Duration::from_millis(milliseconds);
            let wait = until_next_tick(wall);
            assert!(wait > Duration::ZERO && wait <= TICK);
            assert_eq!(tick_number(wall + wait), tick_number(wall) + 1);
            let just_before = wall + wait.saturating_sub(Duration::from_nanos(1));
            assert_eq!(tick_number(just_before), tick_number(wall));
        }
    }
}
