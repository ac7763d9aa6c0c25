//! What a node has counted between two moments, in words.
//!
//! Invariant: every counter that says "not accepted" is listed by its own name; none is summed up
//! out of sight.

use egtp::{Node, Status};
use egtp_proto::Counters;

use super::failure::Failure;

/// The counts of a node that grew, by name.
#[derive(Clone, Debug, Default)]
pub struct Growth(Vec<(&'static str, u64)>);

impl Growth {
    /// What grew from one status to the next.
    pub fn between(before: &Status, after: &Status) -> Self {
        let (before, after) = (counts(&before.counters), counts(&after.counters));
        let grown = after
            .into_iter()
            .zip(before)
            .map(|((name, after), (_, before))| (name, after.saturating_sub(before)));
        Self(grown.filter(|(_, count)| *count > 0).collect())
    }

    /// Packets that a check refused.
    pub fn refused(&self) -> u64 {
        self.0.iter().filter(|(name, _)| name.starts_with(REFUSED)).map(|(_, count)| count).sum()
    }

    /// One count.
    pub fn of(&self, wanted: &str) -> u64 {
        self.0.iter().find(|(name, _)| *name == wanted).map_or(0, |(_, count)| *count)
    }
}

impl std::fmt::Display for Growth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<String> =
            self.0.iter().map(|(name, count)| format!("{name} {count}")).collect();
        f.write_str(&words.join(", "))
    }
}

/// What a node has counted.
///
/// # Errors
/// [`Failure::Gone`] if the node has closed.
pub async fn status(node: &Node) -> Result<Status, Failure> {
    node.status().await.ok_or(Failure::Gone)
}

fn counts(counters: &Counters) -> [(&'static str, u64); 22] {
    let dropped = &counters.dropped;
    [
        ("refused: length", dropped.length),
        ("refused: shroud", dropped.shroud),
        ("refused: header", dropped.header),
        ("refused: mac", dropped.mac),
        ("refused: target", dropped.target),
        ("refused: flight seen", dropped.flight_seen),
        ("refused: handshake", dropped.handshake),
        ("refused: answer", dropped.answer),
        ("refused: unknown session", dropped.unknown_session),
        ("refused: replayed", dropped.replayed),
        ("refused: forged", dropped.forged),
        ("refused: hint", dropped.hint),
        ("refused: retry", dropped.retry),
        ("refused: budget", dropped.budget),
        ("refused: frames", dropped.frames),
        ("refused: oneself", dropped.oneself),
        ("refused: elsewhere", dropped.elsewhere),
        (DUPLICATES, counters.duplicates),
        (LATE, counters.late_dropped),
        (RETRIES, counters.retries_sent),
        (UNKNOWN, counters.unknown_sent),
        (HANDSHAKES, counters.handshakes_finished + counters.flights_accepted),
    ]
}

/// Messages that had been taken before.
pub const DUPLICATES: &str = "duplicates";
/// Replies that fitted no open request.
pub const LATE: &str = "late replies";
/// RETRY packets sent.
pub const RETRIES: &str = "retries sent";
/// Unknown-session hints sent.
pub const UNKNOWN: &str = "unknown sent";
/// Handshakes let through or finished.
pub const HANDSHAKES: &str = "handshakes";

const REFUSED: &str = "refused: ";
