//! Exhaustive models of the two state machines that are hard to see through: what is taken once, and
//! which session is used.
//!
//! Each rule of the specification is a named flag. With all of them every reachable state keeps the
//! properties; without any one of them some short story breaks a property. Invariant: the models know
//! nothing of the code; `replay` holds the code to them.

pub mod check;
pub mod exchange;
mod reach;
pub mod replay;
pub mod sessions;
pub mod story;
