//! Model of the choice of sessions: two peers that open sessions with each other, restart, and are
//! told true and false things about what the other still has.
//!
//! First flights, answers and denials come late or never. A record comes at once or never, or is put
//! on the wrong lane, which makes the receiver deny a session that it has. Properties: from every state each peer can get a message to the other without luck; no hint
//! and no first flight takes a working session away; only so many sessions are kept.

mod checks;
mod peer;
pub mod state;
pub mod steps;

pub use checks::{CALLED, CROSSED, HEARD, SCOPES, SessionRule, check};
pub use state::Scope;
pub use steps::Sessions;
