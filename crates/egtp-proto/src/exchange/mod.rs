//! At most once lives here: dialogs, numbering, retry, acknowledgement, deduplication.
//!
//! A sender numbers its messages to a peer in a *dialog* and binds each, at its first transmission,
//! to a life and generation that the receiver issued. The receiver takes a (sender, dialog, serial)
//! at most once and answers for what it forgot by refusing it. The sender binds anew only what was
//! certainly refused every time; if that cannot be known, it says so: `Unknown`, never a guess.
//!
//! Reading order: `outgoing` (one message of ours), `outbox` (our dialog with a peer), `outboxes`
//! (all of them), `inbox` (what we took from whom), `query` (one request of theirs), `open_queries` (all of
//! a peer), `age` and `backoff` (two small rules).

pub mod age;
pub mod assembly;
pub mod backoff;
mod dialog;
pub mod durable;
pub mod flight;
pub mod generation;
pub mod inbox;
pub mod open_queries;
pub mod outbox;
pub mod outboxes;
pub mod outgoing;
pub mod query;
pub mod resend;
pub mod saved;
pub mod stores;
