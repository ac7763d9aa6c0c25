//! What the programs in `examples/` share: programs that hurt real nodes over real sockets and check
//! what was promised.
//!
//! Knows the library as any user does, and the wire only as far as an attacker knows it: public keys
//! and the published format. Invariant: whatever a check claims stands beside the number that was
//! measured, and no error is swallowed.

pub mod actor;
pub mod arguments;
pub mod bad_link;
pub mod book;
pub mod census;
pub mod diary;
pub mod dice;
pub mod disk_order;
pub mod failure;
pub mod forgery;
pub mod forwarder;
pub mod honest;
pub mod interposer;
pub mod intruder;
pub mod leg;
pub mod letter_census;
pub mod mailbox_relay;
pub mod report;
pub mod scratch;
pub mod server;
pub mod tally;
