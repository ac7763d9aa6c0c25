//! Answering: queries, handlers and the router between them.
//!
//! Invariant: a query is given to one handler, once; replying consumes it, and dropping it refuses it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::{Assurance, Kind, MessageId, PublicKey, QueryEvent, QueryId};
use tokio::sync::Notify;

use crate::command::{Command, Commands};
use crate::error::{Refusal, ServeError};
use crate::message::IntoReply;

/// A question from a peer, given to its handler once.
#[derive(Debug)]
pub struct Query {
    event: QueryEvent,
    commands: Commands,
    withdrawn: Arc<Withdrawn>,
    is_answered: bool,
}

impl Query {
    pub(crate) fn new(event: QueryEvent, commands: Commands, withdrawn: Arc<Withdrawn>) -> Self {
        Self { event, commands, withdrawn, is_answered: false }
    }

    /// Who asks.
    pub const fn from(&self) -> PublicKey {
        self.event.message.from
    }

    /// What kind of question it is.
    pub const fn kind(&self) -> &Kind {
        &self.event.message.kind
    }

    /// The question.
    pub const fn body(&self) -> &Bytes {
        &self.event.message.body
    }

    /// The message's id, the same on both machines.
    pub const fn id(&self) -> MessageId {
        self.event.message.id
    }

    /// How sure it is who asks.
    pub const fn assurance(&self) -> Assurance {
        self.event.message.assurance
    }

    /// How long the asker will wait, counted from arrival.
    pub const fn patience(&self) -> Duration {
        self.event.patience
    }

    /// Bytes that the asker has reserved for the reply.
    pub const fn reply_room(&self) -> usize {
        self.event.room
    }

    /// Gives the one reply. The node repeats it until the asker has it, or its time is over.
    pub fn reply(mut self, reply: impl IntoReply) {
        self.is_answered = true;
        // Without a driver there is nobody to tell; the asker sees its own timeout.
        let _ = self.commands.push(Command::Reply(self.event.query, reply.into_reply()));
    }

    /// Says why there will be no reply.
    pub fn refuse(self, why: Refusal) {
        self.reply(why);
    }

    /// Stays silent for good; the asker sees its own timeout.
    pub fn ignore(mut self) {
        self.is_answered = true;
        let _ = self.commands.push(Command::Ignore(self.event.query));
    }

    /// Waits until the asker wants nothing more of this question: it gave up, or its time is over.
    pub fn withdrawn(&self) -> impl Future<Output = ()> + Send + 'static {
        let withdrawn = Arc::clone(&self.withdrawn);
        async move { withdrawn.wait().await }
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        if !self.is_answered {
            let _ = self.commands.push(Command::Reply(self.event.query, Err(Refusal::Failed)));
        }
    }
}

/// Something that answers queries: every `async fn(Query)`, and what [`respond`] makes.
pub trait Handler: Send + Sync + 'static {
    /// Takes over one query.
    fn call(&self, query: Query) -> impl Future<Output = ()> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Query) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    fn call(&self, query: Query) -> impl Future<Output = ()> + Send {
        self(query)
    }
}

/// The common case: a function from sender and body to an answer.
pub fn respond<F, Fut>(answer: F) -> impl Handler
where
    F: Fn(PublicKey, Bytes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoReply + Send> + Send,
{
    let answer = Arc::new(answer);
    move |query: Query| {
        let answer = Arc::clone(&answer);
        async move {
            let reply = answer(query.from(), query.body().clone()).await;
            query.reply(reply);
        }
    }
}

/// Who may ask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allowed {
    /// Everybody who can prove an identity.
    Anybody,
    /// These identities.
    Only(HashSet<PublicKey>),
}

impl Allowed {
    pub(crate) fn admits(&self, key: &PublicKey) -> bool {
        match self {
            Self::Anybody => true,
            Self::Only(keys) => keys.contains(key),
        }
    }
}

impl FromIterator<PublicKey> for Allowed {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self::Only(keys.into_iter().collect())
    }
}

type BoxedHandler = Arc<dyn Fn(Query) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;
pub(crate) type SyncHandler = Arc<dyn Fn(&QueryEvent) -> Result<Bytes, Refusal> + Send + Sync>;

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

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.routes.keys()
    }

    /// Registers everything with the driver's table, and runs handlers until the node closes.
    pub(crate) async fn run(self, routes: &Routes) -> Result<(), ServeError> {
        let queue = Inward::default();
        let registration = routes.register(&self, &queue)?;
        let limit = Arc::new(tokio::sync::Semaphore::new(self.concurrency.max(1)));
        while let Some(query) = queue.next().await {
            let handler = match self.routes.get(query.kind()) {
                Some(Route::Async(handler)) => Some(handler),
                _ => self.fallback.as_ref(),
            };
            let Some(handler) = handler.cloned() else { continue };
            let Ok(permit) = Arc::clone(&limit).acquire_owned().await else { break };
            tokio::spawn(async move {
                handler(query).await;
                drop(permit);
            });
        }
        drop(registration);
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

/// Queries on their way to somebody who pulls them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inward(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    queries: std::collections::VecDeque<Query>,
    waker: Option<Waker>,
    closed: bool,
}

impl Inward {
    pub(crate) fn push(&self, query: Query) {
        let mut waiting = self.lock();
        waiting.queries.push_back(query);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn next(&self) -> Option<Query> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Query>> {
        let mut waiting = self.lock();
        if let Some(query) = waiting.queries.pop_front() {
            return Poll::Ready(Some(query));
        }
        if waiting.closed {
            return Poll::Ready(None);
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queries of one kind, for programs that want to pull.
#[derive(Debug)]
pub struct Queries {
    inward: Inward,
    routes: Routes,
    kind: Kind,
}

impl Queries {
    /// The next query, or `None` when the node has closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Query> {
        self.inward.next().await
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        self.routes.lock().kinds.remove(&self.kind);
    }
}

/// The driver's table: where a query of a kind goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    kinds: HashMap<Kind, Target>,
    fallback: Option<(Inward, Allowed)>,
    closed: bool,
}

#[derive(Clone)]
struct Target {
    to: To,
    allowed: Allowed,
}

#[derive(Clone)]
pub(crate) enum To {
    /// Somebody pulls.
    Queue(Inward),
    /// Answered on the spot.
    Sync(SyncHandler),
}

impl Routes {
    /// Where a query goes, or why it is refused.
    pub(crate) fn find(&self, kind: &Kind, from: &PublicKey) -> Result<To, Refusal> {
        let table = self.lock();
        let (to, allowed) = match (table.kinds.get(kind), &table.fallback) {
            (Some(target), _) => (target.to.clone(), &target.allowed),
            (None, Some((inward, allowed))) => (To::Queue(inward.clone()), allowed),
            (None, None) => return Err(Refusal::UnknownKind),
        };
        if allowed.admits(from) { Ok(to) } else { Err(Refusal::NotAllowed) }
    }

    /// Queries of one kind, to be pulled.
    pub(crate) fn pull(&self, kind: Kind) -> Result<Queries, ServeError> {
        let inward = Inward::default();
        let mut table = self.lock();
        if table.closed {
            return Err(ServeError::Closing);
        }
        if table.kinds.contains_key(&kind) {
            return Err(ServeError::KindTaken);
        }
        let to = To::Queue(inward.clone());
        table.kinds.insert(kind.clone(), Target { to, allowed: Allowed::Anybody });
        drop(table);
        Ok(Queries { inward, routes: self.clone(), kind })
    }

    /// The node has closed: whoever pulls comes to an end.
    pub(crate) fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        let kinds = std::mem::take(&mut table.kinds);
        let fallback = table.fallback.take();
        drop(table);
        for target in kinds.into_values() {
            if let To::Queue(inward) = target.to {
                inward.close();
            }
        }
        if let Some((inward, _)) = fallback {
            inward.close();
        }
    }

    fn register(&self, router: &Router, queue: &Inward) -> Result<Registration, ServeError> {
        let mut table = self.lock();
        if table.closed {
            return Err(ServeError::Closing);
        }
        let taken = router.kinds().any(|kind| table.kinds.contains_key(kind))
            || (router.fallback.is_some() && table.fallback.is_some());
        if taken {
            return Err(ServeError::KindTaken);
        }
        for (kind, route) in &router.routes {
            let to = match route {
                Route::Async(_) => To::Queue(queue.clone()),
                Route::Sync(handler) => To::Sync(Arc::clone(handler)),
            };
            table.kinds.insert(kind.clone(), Target { to, allowed: router.allowed.clone() });
        }
        let is_fallback = router.fallback.is_some();
        if is_fallback {
            table.fallback = Some((queue.clone(), router.allowed.clone()));
        }
        let kinds = router.kinds().cloned().collect();
        Ok(Registration { routes: self.clone(), kinds, is_fallback })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("kinds", &self.kinds.keys()).finish_non_exhaustive()
    }
}

/// Takes a router's kinds out of the table when its serving ends.
struct Registration {
    routes: Routes,
    kinds: Vec<Kind>,
    is_fallback: bool,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut table = self.routes.lock();
        for kind in &self.kinds {
            table.kinds.remove(kind);
        }
        if self.is_fallback {
            table.fallback = None;
        }
    }
}

/// Becomes true when a query's asker wants nothing more.
#[derive(Debug, Default)]
pub(crate) struct Withdrawn {
    is_so: std::sync::atomic::AtomicBool,
    notify: Notify,
}

impl Withdrawn {
    pub(crate) fn set(&self) {
        self.is_so.store(true, std::sync::atomic::Ordering::Release);
        self.notify.notify_waiters();
    }

    async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_so.load(std::sync::atomic::Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }
}

/// Names a query for the driver.
pub(crate) type OpenQueries = HashMap<QueryId, Arc<Withdrawn>>;
