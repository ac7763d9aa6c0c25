//! A peer's message finds its handler: on the driver itself, or by a queue to a serving task.
//!
//! Invariant: whatever the endpoint handed over is given back to it once: by a reply, by a refusal, or
//! as ignored. A handler that panics costs its own reply, and not the node.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::time::Now;
use egtp_proto::{Kind, QueryEvent};
use tracing::{error, warn};

use super::Driver;
use crate::error::Refusal;
use crate::serve::{Flag, OpenQuery, Query, SyncHandler, To};

/// A handler on the driver that takes longer holds up everybody.
const SLOW_HANDLER: Duration = Duration::from_millis(1);

impl Driver {
    pub(super) fn dispatch(&mut self, now: Now, event: QueryEvent) {
        let id = event.message.id;
        self.took(now, &event.message);
        match self.routes.find(&event.message.kind, &event.message.from) {
            Err(why) => {
                self.replied(now, id, Some(why));
                self.endpoint.reply(now, event.query, Err(why));
            }
            // It came before its handler was in the store.
            Ok(To::Store(_)) => self.endpoint.reply(now, event.query, Err(Refusal::Failed)),
            Ok(To::Sync(handler)) => {
                let reply = self.call(&handler, &event);
                self.replied(now, id, reply.as_ref().err().copied());
                self.endpoint.reply(now, event.query, reply);
            }
            Ok(To::Queue(queue)) => {
                let withdrawn = Arc::new(Flag::default());
                let open = OpenQuery { id, withdrawn: Arc::clone(&withdrawn) };
                self.queries.insert(event.query, open);
                queue.push(Query::new(event, self.commands.clone(), withdrawn));
            }
        }
    }

    /// Hands a message that wants no reply to the handler of its kind.
    pub(super) fn tell(&mut self, now: Now, event: QueryEvent) {
        self.took(now, &event.message);
        let query = event.query;
        match self.routes.find_for_send(&event.message.kind, &event.message.from) {
            Err(why) => {
                let (from, kind) = (event.message.from.short(), &event.message.kind);
                warn!(%from, %kind, ?why, "a message was taken and nobody serves it");
                self.endpoint.ignore(query);
            }
            Ok(To::Store(_)) => self.endpoint.ignore(query),
            Ok(To::Sync(handler)) => {
                // Nobody waits for what it says.
                let _ = self.call(&handler, &event);
                self.endpoint.ignore(query);
            }
            Ok(To::Queue(queue)) => queue.push(Query::told(event, self.commands.clone())),
        }
    }

    /// Runs a handler here and now. What the driver did since the one before it counts as its time: that is
    /// nothing beside what makes one slow, and one look at the clock less.
    fn call(&mut self, handler: &SyncHandler, event: &QueryEvent) -> Result<Bytes, Refusal> {
        let kind = &event.message.kind;
        let reply = unharmed(kind, || handler(event)).unwrap_or(Err(Refusal::Failed));
        let until = self.clock.boot();
        let took = until.saturating_sub(std::mem::replace(&mut self.handling_since, until));
        if took > SLOW_HANDLER {
            warn!(%kind, ?took, "a handler on the driver is slow");
        }
        reply
    }
}

/// Calls what the program wants called for a kind. `None` if it panics: what it has left half done is its own, and nothing
/// of the driver's is lent to it.
pub(super) fn unharmed<T>(kind: &Kind, call: impl FnOnce() -> T) -> Option<T> {
    let called = catch_unwind(AssertUnwindSafe(call));
    if called.is_err() {
        error!(%kind, "a handler on the driver has panicked");
    }
    called.ok()
}
