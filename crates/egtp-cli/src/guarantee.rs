//! What is promised about messages, in the words that every command prints.
//!
//! Invariant: said once, here, so that no two commands promise different things.

/// The promise of a node that keeps everything in memory.
pub(crate) const IN_MEMORY: &str = "a request is acted on at most once in the life of the \
     receiving process; in memory only: what is open when a node stops ends there as closing, \
     and at the other node as unknown or timed_out";

/// The promise of a node with a data directory.
pub(crate) const ON_DISK: &str = "a request is acted on at most once in the life of the receiving \
     process, and over all its restarts if it was asked with --durable; what this node itself has \
     asked and is open when it stops ends as closing, and goes on at its next start if it is durable";
