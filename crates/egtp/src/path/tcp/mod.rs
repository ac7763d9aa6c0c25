//! The TCP path: packets over streams.
//!
//! [`TcpPath`] is the driver's side: it writes, keeps the idle schedule, and hands over what the
//! tasks left in the `inbox`. Each `connection` has one task, its `traffic`, which reads and
//! finishes what a write left over. Tasks begin in `dial` or, for those who come to us, in `listen`
//! and `greet`, or come from another loop of the node through its door (`doors`); who does not speak our protocol ends
//! in `stranger`.
//!
//! ```text
//! driver -- send, flush --> outgoing -- write ------------------> socket
//! driver <-- poll -- inbox <-- traffic <-- inflow <-- read ------ socket
//! ```
//! Refuses to know what is in a packet, and to answer anybody: only what the driver sends is ever
//! written. Invariant: dropping the path ends every task and closes every socket of it.

mod connection;
mod dial;
mod doors;
mod greet;
mod inbox;
mod inflow;
mod limits;
mod listen;
mod outgoing;
mod schedule;
mod shared;
mod slots;
mod stranger;
mod tcp_path;
mod traffic;

pub use limits::TcpLimits;
pub(crate) use tcp_path::Seat;
pub use tcp_path::TcpPath;
