//! Answering: queries, handlers, and the way from the driver to them.
//!
//! `query` is what a handler gets, `handler` what takes it, `router` which handler takes which kind, `allowed` who may
//! ask; `routes` is the driver's table, `inward` the queue between driver and serving task.

mod allowed;
mod handler;
mod inward;
mod query;
mod router;
mod routes;

pub use allowed::{AllowList, Allowed};
pub use handler::{Handler, respond};
pub use query::Query;
pub(crate) use query::{Flag, OpenQueries, OpenQuery};
pub use router::Router;
pub(crate) use router::Serving;
pub use routes::{Hints, Queries};
pub(crate) use routes::{Routes, SyncHandler, To};
