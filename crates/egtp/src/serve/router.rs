//! Which handler answers which kind, and how many run at once.
//!
//! Invariant: no more handlers run than the router's concurrency allows; further queries wait.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use egtp_proto::{Arriving, Kind, MessageEvent, Policy, QueryEvent};
use tokio::sync::Semaphore;

use super::allowed::Allowed;
use super::inward::Inward;
use super::routes::{
    ArrivingHandler, HintHandler, Hints, Registration, Routes, StoreHandler, SyncHandler, To,
};
use super::{Handler, Query};
use crate::error::ServeError;
use crate::message::IntoReply;
use crate::relay;
use crate::store::Values;

type BoxedHandler = Arc<dyn Fn(Query) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Which handler answers which kind.
#[must_use = "a router answers nothing until a node serves it"]
pub struct Router {
    routes: HashMap<Kind, Route>,
    redelivered: HashSet<Kind>,
    arriving: HashMap<Kind, ArrivingHandler>,
    hints: HashMap<Kind, HintHandler>,
    fallback: Option<BoxedHandler>,
    sends: Option<BoxedHandler>,
    concurrency: usize,
    allowed: Allowed,
}

#[derive(Clone)]
enum Route {
    Async(BoxedHandler),
    Sync(SyncHandler),
    Store(StoreHandler),
}

impl Router {
    /// Answers nothing yet; everybody may ask, at most 1,024 handlers run at once.
    pub fn new() -> Self {
        Self {
            routes: HashMap::new(),
            redelivered: HashSet::new(),
            arriving: HashMap::new(),
            hints: HashMap::new(),
            fallback: None,
            sends: None,
            concurrency: 1024,
            allowed: Allowed::Anybody,
        }
    }

    /// Answers `kind` with `handler`, on the runtime that serves the router.
    pub fn route(mut self, kind: Kind, handler: impl Handler) -> Self {
        self.routes.insert(kind, Route::Async(boxed(handler)));
        self
    }

    /// Answers `kind` on the driver itself: no task, no wake-up. For handlers that take microseconds
    /// and wait for nothing; a slow one holds up the whole node (of several loops the one that calls it), and is logged.
    /// One that panics has refused.
    pub fn route_sync<R: IntoReply>(
        mut self,
        kind: Kind,
        handler: impl Fn(&QueryEvent) -> R + Send + Sync + 'static,
    ) -> Self {
        let handler: SyncHandler = Arc::new(move |query| handler(query).into_reply());
        self.routes.insert(kind, Route::Sync(handler));
        self
    }

    /// Answers `kind` inside a transaction of the node's store: what `handler` puts there, the mark that the
    /// message was taken, and the reply are there together or not at all, whenever the node dies. So it
    /// happens exactly once, and no asker hears `Unknown`. If it refuses or panics, nothing of it stays but
    /// the answer. It may be run again if the disk fails, so it does nothing but through its values, and
    /// quickly: the disk waits for it. The node needs a store (`Builder::store`).
    pub fn transact<R: IntoReply>(
        mut self,
        kind: Kind,
        handler: impl Fn(&mut dyn Values, &QueryEvent) -> R + Send + Sync + 'static,
    ) -> Self {
        let handler: StoreHandler =
            Arc::new(move |values, query| handler(values, query).into_reply());
        self.routes.insert(kind, Route::Store(handler));
        self
    }

    /// Messages of `kind` that were with their handler when the node died are given to it again by the next
    /// life, requests and sends, and [`Query::redelivered`] says so: for handlers that can tell, or that may
    /// run twice. The router must be given to `Builder::serve` then, or it may come too late for them. The
    /// node needs a store (`Builder::store`).
    pub fn redeliver(mut self, kind: Kind) -> Self {
        self.redelivered.insert(kind);
        self
    }

    /// Calls `tell` from time to time while a message of `kind` arrives in parts, from its first part on;
    /// without this, nothing is told. Runs on the driver itself, like [`Router::route_sync`]. The handler of
    /// the kind gets the message when it is there as a whole, or never: nothing may depend on what is told
    /// here. Counts for kinds that have a route.
    pub fn progress(
        mut self,
        kind: Kind,
        tell: impl Fn(&Arriving) + Send + Sync + 'static,
    ) -> Self {
        self.arriving.insert(kind, Arc::new(tell));
        self
    }

    /// Takes hints of a kind, see [`Node::hint`](crate::Node::hint), on the driver itself, like
    /// [`Router::route_sync`]. Hints that nobody takes are forgotten.
    pub fn route_hint(
        mut self,
        kind: Kind,
        take: impl Fn(&MessageEvent, &mut dyn Hints) + Send + Sync + 'static,
    ) -> Self {
        self.hints.insert(kind, Arc::new(take));
        self
    }

    /// Whether it makes a relay of its node.
    pub(crate) fn is_relay(&self) -> bool {
        self.hints.keys().any(|kind| kind.as_str() == relay::PASS)
    }

    /// Kinds that are not taken as all others.
    pub(crate) fn policies(&self) -> Vec<(Kind, Policy)> {
        let in_store = self.routes.iter().filter(|(_, route)| matches!(route, Route::Store(_)));
        let in_store = in_store.map(|(kind, _)| (kind.clone(), Policy::Transaction));
        let again = self.redelivered.iter().map(|kind| (kind.clone(), Policy::Redeliver));
        again.chain(in_store).collect()
    }

    /// Answers every kind that has no route. Without one they are refused as unknown.
    pub fn fallback(mut self, handler: impl Handler) -> Self {
        self.fallback = Some(boxed(handler));
        self
    }

    /// Takes every message that wants no reply and whose kind has no route, as an inbox does. On a node with a store they
    /// are given to the next life again until the handler has ended them ([`Query::ignore`]), as by [`Router::redeliver`];
    /// so one may be held for as long as it takes somebody to look. For [`Builder::serve`](crate::Builder::serve) alone:
    /// what comes before its handler would be lost.
    pub fn sends(mut self, handler: impl Handler) -> Self {
        self.sends = Some(boxed(handler));
        self
    }

    /// Whether it takes messages that want no reply, of all kinds.
    pub(crate) const fn takes_sends(&self) -> bool {
        self.sends.is_some()
    }

    /// How many handlers may run at once; further queries wait.
    pub const fn concurrency(mut self, max: usize) -> Self {
        self.concurrency = max;
        self
    }

    /// Who may ask; others are refused. An [`AllowList`](super::AllowList) can be changed while the node runs.
    pub fn allow(mut self, who: Allowed) -> Self {
        self.allowed = who;
        self
    }

    fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.routes.keys()
    }

    /// Registers everything with the driver's table: from now on queries are kept for the handlers.
    pub(crate) fn register(self, routes: &Routes) -> Result<Serving, ServeError> {
        let queue = Inward::default();
        let kinds = self.routes.iter().map(|(kind, route)| {
            let to = match route {
                Route::Async(_) => To::Queue(queue.clone()),
                Route::Sync(handler) => To::Sync(Arc::clone(handler)),
                Route::Store(handler) => To::Store(Arc::clone(handler)),
            };
            (kind.clone(), to, self.arriving.get(kind).cloned())
        });
        let fallback = self.fallback.is_some().then(|| queue.clone());
        let sends = self.sends.is_some().then(|| queue.clone());
        let hints = self.hints.iter().map(|(kind, take)| (kind.clone(), Arc::clone(take)));
        let registration =
            routes.register(kinds.collect(), hints.collect(), (fallback, sends), &self.allowed)?;
        Ok(Serving { router: self, queue, _registration: registration })
    }
}

/// A router whose kinds are registered, and whose handlers are to be run.
#[derive(Debug)]
pub(crate) struct Serving {
    router: Router,
    queue: Inward,
    _registration: Registration,
}

impl Serving {
    /// Runs handlers until the node closes.
    pub(crate) async fn run(self) -> Result<(), ServeError> {
        let limit = self.router.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let limit = Arc::new(Semaphore::new(limit));
        while let Some(query) = self.queue.next().await {
            let handler = match self.router.routes.get(query.kind()) {
                Some(Route::Async(handler)) => Some(handler),
                None if !query.wants_reply() && self.router.sends.is_some() => {
                    self.router.sends.as_ref()
                }
                _ => self.router.fallback.as_ref(),
            };
            let Some(handler) = handler.cloned() else { continue };
            let Ok(permit) = Arc::clone(&limit).acquire_owned().await else { break };
            tokio::spawn(async move {
                handler(query).await;
                drop(permit);
            });
        }
        Err(ServeError::Closing)
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("kinds", &self.kinds().collect::<Vec<_>>()).finish()
    }
}

fn boxed(handler: impl Handler) -> BoxedHandler {
    let handler = Arc::new(handler);
    Arc::new(move |query| {
        let handler = Arc::clone(&handler);
        Box::pin(async move { handler.call(query).await })
    })
}
