//! The code is held to the model of the exchange.
//!
//! Random walks of the model are done again with the parts of `egtp-proto` that hold these rules: the
//! receiver's inbox, the sender's outbox and outgoing messages, and the age rule. After each step both
//! must agree on all that can be seen. The code has no letters, so the walks have none. Invariant: a
//! walk is given by its seed.

mod asker;
mod pair;
mod walk;

pub use walk::{Disagreement, NEEDED_BY_WALKS, THE_CODE, Tally, replay};
