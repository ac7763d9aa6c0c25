//! The control socket: how commands use a node that another process runs.
//!
//! The owner of a data directory listens at `control.sock` in it; every other command that needs the
//! node attaches there. JSON Lines both ways, described in `docs/control.md`. `socket` is the file,
//! `line` a line, `fields` what is in one, `call` what is asked; `owner`, `host`, `connection`, `tasks` and
//! `desk` are the owning side, `attached`, `exchange` and `served` the other one. Invariant: nothing that
//! comes through the socket can hold up or end the node.

pub(crate) mod attached;
mod call;
mod connection;
mod desk;
mod exchange;
mod fields;
mod happened;
pub(crate) mod host;
mod lender;
mod line;
mod mailer;
pub(crate) mod owner;
mod report;
mod served;
mod socket;
mod tasks;

pub(crate) use attached::Attached;
pub(crate) use call::{Question, Service, Wants, Which};
pub(crate) use fields::Fields;
pub(crate) use happened::Happened;
pub(crate) use host::Host;
pub(crate) use owner::Control;
pub(crate) use report::Report;
pub(crate) use served::{Held, Served};
