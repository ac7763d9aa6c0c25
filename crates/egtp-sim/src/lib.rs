//! Checkers of the project: that every promise has a test, and that the house is tidy.
//!
//! Knows nothing of the network and is never published. Invariant: a check that finds nothing to
//! look at is a failed check.

pub mod checkout;
pub mod tidy;
pub mod trace;
