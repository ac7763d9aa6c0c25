//! Checkers of the project: that every promise has a test, that the house is tidy, and that nodes
//! keep their promises when somebody hurts them.
//!
//! Is never published; the product knows nothing of it. Invariant: a check that finds nothing to
//! look at is a failed check.

pub mod checkout;
pub mod long_runs;
pub mod model;
pub mod planted;
pub mod process;
pub mod shake;
pub mod tidy;
pub mod trace;
pub mod world;
