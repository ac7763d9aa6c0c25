//! Whole worlds of endpoints in one thread: every network, every clock and every crash, from one seed.
//!
//! What runs is the real [`Endpoint`](egtp_proto::Endpoint); replaced are its driver, sockets, clocks
//! and randomness. A [`Plan`] says what goes wrong; [`run`] plays it and checks the promises of
//! `checker` at both ends of every message. Reading order: `plan` and `fault` (what a world is made
//! of), `queue` (what happens next), `run` (the loop), `driver` (the duties of a driver), `network`
//! and `mischief` (faults), `relays` (pairs that meet only there), `ending` (the time after them), `checker`.
//!
//! Invariant: equal plans give equal runs, to the last event. No floating point, no order that depends
//! on addresses or on a random hash, no clock and no randomness but those of the seed.

mod batch;
mod booking;
mod chance;
mod checker;
mod clock;
mod crowd;
mod dialing;
mod disk;
mod driver;
mod ending;
mod events;
mod fault;
mod hostile;
mod hostile_acts;
mod link;
mod mischief;
mod network;
mod node;
mod plan;
mod queue;
mod rebirth;
mod regressions;
mod relays;
mod run;
mod shrink;
mod stranger;
mod tally;
mod workload;

pub use batch::Batch;
pub use checker::{Promise, Violation};
pub use fault::Fault;
pub use plan::{Plan, STRENGTH_MAX};
pub use regressions::{Regression, regressions};
pub use run::{Run, Story, run};
pub use shrink::shrink;
pub use tally::Tally;
