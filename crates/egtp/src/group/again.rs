//! Whether a group may ask a member again, and when.
//!
//! Invariant: nothing that a peer may have acted on is ever asked a second time.

use std::time::Duration;

use egtp_proto::NotSent;

use crate::error::{Refusal, RequestError};

/// How often a group asks for one member at most. With the pauses below the last time is about 18 s
/// after the first: longer than a connection needs to come back, and shorter than a person waits.
pub(super) const TRIES_MAX: u32 = 8;

/// How long to wait before a member is asked for again that failed for the `tries`th time, or `None` if
/// that is the end.
///
/// A refusal as busy is what a peer says that did not begin. A timeout is the end whatever the peer has
/// taken, because the caller has said how long to wait.
pub(super) fn pause(error: &RequestError, tries: u32) -> Option<Duration> {
    if tries >= TRIES_MAX {
        return None;
    }
    let least = match error {
        RequestError::NotSent(NotSent::Busy | NotSent::NotFound | NotSent::Unreachable) => {
            Duration::ZERO
        }
        RequestError::Refused(Refusal::Busy { retry_after }) => (*retry_after).min(WISH_MAX),
        _ => return None,
    };
    let doublings = tries.saturating_sub(1).min(PAUSE_DOUBLINGS_MAX);
    let usual = PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_MAX);
    Some(usual.max(least))
}

/// The first pause: as long as the core waits before it wants a failed connection again.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// What pauses grow to by doubling.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// As many reach [`PAUSE_MAX`].
const PAUSE_DOUBLINGS_MAX: u32 = 5;
/// The longest pause that a peer can bring about by what it says with `Busy`.
const WISH_MAX: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Taken;

    fn busy(seconds: u64) -> RequestError {
        RequestError::Refused(Refusal::Busy { retry_after: Duration::from_secs(seconds) })
    }

    /// Proves GRP-1: which failures are unrecoverable. What may have been acted on always is.
    #[test]
    fn only_what_was_certainly_not_begun_is_asked_again() {
        let after = Duration::from_secs(1);
        let ends = [
            RequestError::Unknown { attempts: 1 },
            RequestError::TimedOut { after, taken: Taken::Yes },
            RequestError::TimedOut { after, taken: Taken::Unknown },
            RequestError::TimedOut { after, taken: Taken::No },
            RequestError::Closing,
            RequestError::Refused(Refusal::Failed),
            RequestError::Refused(Refusal::NotAllowed),
            RequestError::Refused(Refusal::UnknownKind),
            RequestError::Refused(Refusal::TooLarge),
            RequestError::Refused(Refusal::Other(9)),
            RequestError::NotSent(NotSent::Oneself),
            RequestError::NotSent(NotSent::TooLarge { bytes: 2, limit: 1 }),
            RequestError::NotSent(NotSent::NoHybridSuite),
            RequestError::NotSent(NotSent::NoIdentity),
        ];
        for error in ends {
            assert_eq!(pause(&error, 1), None, "{error}");
        }
        for error in [NotSent::Busy, NotSent::NotFound, NotSent::Unreachable] {
            assert!(pause(&RequestError::NotSent(error), 1).is_some());
        }
        assert!(pause(&busy(0), 1).is_some());
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_end() {
        let error = RequestError::NotSent(NotSent::Busy);
        let pauses: Vec<u128> = (1..TRIES_MAX)
            .filter_map(|tries| pause(&error, tries))
            .map(|it| it.as_millis())
            .collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(pause(&error, TRIES_MAX), None);
    }

    #[test]
    fn the_wish_of_a_busy_peer_is_followed_within_a_bound() {
        assert_eq!(pause(&busy(3), 1), Some(Duration::from_secs(3)));
        assert_eq!(pause(&busy(86_400), 1), Some(WISH_MAX));
    }
}
