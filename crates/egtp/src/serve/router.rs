//! Which handler answers which kind, and how many run at once.
//!
//! Invariant: no more handlers run than the router's concurrency allows; further queries wait.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use egtp_proto::{Kind, QueryEvent};
use tokio::sync::Semaphore;

use super::inward::Inward;
use super::routes::{Allowed, Registration, Routes, SyncHandler, To};
use super::{Handler, Query};
use crate::error::ServeError;
use crate::message::IntoReply;

type BoxedHandler = Arc<dyn Fn(Query) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Which handler answers which kind.
#[must_use = "a router answers nothing until a node serves it"]
pub struct Router {
    routes: HashMap<Kind, Route>,
    fallback: Option<BoxedHandler>,
    concurrency: usize,
    allowed: Allowed,
}

#[derive(Clone)]
enum Route {
    Async(BoxedHandler),
    Sync(SyncHandler),
}

impl Router {
    /// Answers nothing yet; everybody may ask, at most 1,024 handlers run at once.
    pub fn new() -> Self {
        Self {
            routes: HashMap::new(),
            fallback: None,
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
    /// and wait for nothing; a slow one holds up the whole node, and is logged.
    pub fn route_sync<R: IntoReply>(
        mut self,
        kind: Kind,
        handler: impl Fn(&QueryEvent) -> R + Send + Sync + 'static,
    ) -> Self {
        let handler: SyncHandler = Arc::new(move |query| handler(query).into_reply());
        self.routes.insert(kind, Route::Sync(handler));
        self
    }

    /// Answers every kind that has no route. Without one they are refused as unknown.
    pub fn fallback(mut self, handler: impl Handler) -> Self {
        self.fallback = Some(boxed(handler));
        self
    }

    /// How many handlers may run at once; further queries wait.
    pub const fn concurrency(mut self, max: usize) -> Self {
        self.concurrency = max;
        self
    }

    /// Who may ask; others are refused.
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
            };
            (kind.clone(), to)
        });
        let fallback = self.fallback.is_some().then(|| queue.clone());
        let registration = routes.register(kinds.collect(), fallback, &self.allowed)?;
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
