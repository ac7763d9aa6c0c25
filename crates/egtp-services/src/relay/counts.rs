//! What a relay holds and has done, as plain data for whoever wants to show it.
//!
//! Invariant: a copy, and no key is in it.

/// What a relay holds, and what it has done since it was started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Nodes that are registered now.
    pub registered: usize,
    /// Pairs that are remembered: those that talk, and those that have been silent for less than
    /// [`Limits::circuit_idle`](super::Limits::circuit_idle), or until room is wanted.
    pub circuits: usize,
    /// Registrations that were entered, those of the same node again included.
    pub registrations: u64,
    /// Registrations that were refused because there were too many, or because the relay was about to go.
    pub registrations_refused: u64,
    /// Packets that were passed on.
    pub passed_packets: u64,
    /// Their bytes, as the two ends count them.
    pub passed_bytes: u64,
    /// Packets that were dropped because their sender had sent more than
    /// [`Limits::bytes_per_second`](super::Limits::bytes_per_second).
    pub dropped_rate: u64,
    /// Packets between two who did not talk.
    pub dropped_strangers: u64,
    /// Packets that were to pass, and found too many waiting before them. They are among those passed on.
    pub dropped_busy: u64,
    /// Packets that were to pass to somebody who had just gone. They are among those passed on.
    pub dropped_unreachable: u64,
}
