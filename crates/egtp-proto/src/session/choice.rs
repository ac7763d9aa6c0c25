//! Which of a peer's sessions to send on.
//!
//! A pure function over what is known of each; nothing depends on both sides choosing alike, but
//! after a crossing of handshakes they do.

use std::time::Duration;

use crate::crypto::{Role, Suite};
use crate::limits::CROSSED;
use crate::time::Instant;

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Our id of the session.
    pub session: u32,
    /// Which side we were: two handshakes of one side cannot have crossed.
    pub role: Role,
    /// When it was confirmed.
    pub confirmed: Instant,
    /// When the last authenticated record arrived on it; a confirmation counts.
    pub received: Instant,
    /// Its suite.
    pub suite: Suite,
    /// Its handshake hash.
    pub hash: [u8; 32],
}

/// The session to send on, if any may be used: nothing received for `idle_out` means no.
///
/// The one on which the newest record arrived; of several within ten seconds, the one confirmed
/// last; if that and one opened by the other side were confirmed within ten seconds with the same
/// suite (they crossed), the one with the smallest handshake hash.
pub fn choose(
    now: Instant,
    idle_out: Duration,
    candidates: impl Iterator<Item = Candidate> + Clone,
) -> Option<u32> {
    let usable = candidates.filter(|one| now.since(one.received) < idle_out);
    let newest = usable.clone().map(|one| one.received).max()?;
    let recent = usable.filter(|one| newest.since(one.received) < CROSSED);
    let latest = recent.clone().max_by_key(|one| one.confirmed)?;
    recent
        .filter(|one| latest.confirmed.since(one.confirmed) < CROSSED)
        .filter(|one| one.suite == latest.suite)
        .filter(|one| one.role != latest.role || one.session == latest.session)
        .min_by_key(|one| one.hash)
        .map(|one| one.session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(session: u32, confirmed: u64, received: u64) -> Candidate {
        let at = |seconds| Instant::new(Duration::from_secs(seconds));
        Candidate {
            session,
            role: if session.is_multiple_of(2) { Role::Initiator } else { Role::Responder },
            confirmed: at(confirmed),
            received: at(received),
            suite: Suite::Aes256Gcm,
            hash: [u8::try_from(255 - session).unwrap(); 32],
        }
    }

    fn chosen(now: u64, candidates: &[Candidate]) -> Option<u32> {
        let now = Instant::new(Duration::from_secs(now));
        choose(now, Duration::from_hours(1), candidates.iter().copied())
    }

    /// Proves SES-9: the newest is used for sending.
    /// Proves S-13.
    #[test]
    fn the_session_heard_from_last_is_used() {
        assert_eq!(chosen(500, &[candidate(1, 0, 400), candidate(2, 100, 300)]), Some(1));
    }

    /// Proves S-13.
    #[test]
    fn of_two_heard_at_the_same_time_the_one_confirmed_later_is_used() {
        assert_eq!(chosen(500, &[candidate(1, 0, 400), candidate(2, 100, 395)]), Some(2));
    }

    /// Proves SES-8, SES-12: the rule needs no clock that both share.
    /// Proves S-13.
    #[test]
    fn crossed_sessions_are_decided_by_the_smaller_hash_on_both_sides() {
        let ours = [candidate(1, 100, 100), candidate(2, 101, 101)];
        let theirs = [candidate(2, 100, 101), candidate(1, 101, 104)];
        assert_eq!(chosen(200, &ours), Some(2));
        assert_eq!(chosen(200, &theirs), Some(2));
    }

    /// Proves S-14.
    /// A peer that restarts soon after its first handshake gets a new one from us: that is no crossing.
    #[test]
    fn of_two_that_we_opened_the_later_one_is_used_whatever_the_hashes() {
        assert_eq!(chosen(110, &[candidate(4, 100, 105), candidate(2, 106, 106)]), Some(2));
        assert_eq!(chosen(110, &[candidate(2, 100, 105), candidate(4, 106, 106)]), Some(4));
    }

    #[test]
    fn ses_11_a_session_on_which_nothing_was_received_for_an_hour_is_not_used() {
        assert_eq!(chosen(3599, &[candidate(1, 0, 0)]), Some(1));
        assert_eq!(chosen(3600, &[candidate(1, 0, 0)]), None);
    }
}
