//! Keys between two identities, whatever path carries the packets.
//!
//! Reading order: `handshake` makes a root, `epoch` turns it into keys, `live` seals and opens with
//! them, `replay` keeps a record from being opened twice, `choice` says which of several sessions to
//! send on, `known_suites` what a peer is known to take, `frozen` what is left of one at rest. `prekey`, `retry` and `cookie` are what a
//! responder needs before it knows anybody. `letter` and `mailbox_prekeys` do without sessions.

pub mod choice;
pub mod cookie;
pub mod epoch;
pub mod frozen;
pub mod handshake;
pub mod known_suites;
pub mod letter;
pub mod live;
pub mod mailbox_prekeys;
pub mod prekey;
pub mod replay;
pub mod retry;
