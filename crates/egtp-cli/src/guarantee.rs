//! What is promised about messages, in the words that every command prints.
//!
//! Invariant: said once, here, so that no two commands promise different things.

/// The promise of a node that keeps its messages in memory only, as all do for now.
pub(crate) const GUARANTEE: &str = "a request is acted on at most once in the life of the \
     receiving process; in memory only: what is open when a node stops ends there as closing, \
     and at the other node as unknown or timed_out";
