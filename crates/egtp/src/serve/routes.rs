//! The driver's table: where a query of a kind goes, and who may ask it.
//!
//! Invariant: a kind has one taker at a time.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use egtp_proto::codes::OurOwn;
use egtp_proto::{Arriving, Kind, MessageEvent, NotSent, PublicKey, QueryEvent};

use super::Query;
use super::allowed::Allowed;
use super::inward::Inward;
use super::query::Flag;
use crate::error::{Refusal, ServeError};
use crate::store::Values;

/// A handler that answers on the driver itself.
pub(crate) type SyncHandler = Arc<dyn Fn(&QueryEvent) -> Result<Bytes, Refusal> + Send + Sync>;

/// A handler that answers inside a transaction of the store.
pub(crate) type StoreHandler =
    Arc<dyn Fn(&mut dyn Values, &QueryEvent) -> Result<Bytes, Refusal> + Send + Sync>;

/// Takes hints, and may send some.
pub(crate) type HintHandler = Arc<dyn Fn(&MessageEvent, &mut dyn Hints) + Send + Sync>;

/// Sends hints, see [`Node::hint`](crate::Node::hint).
pub trait Hints {
    /// Sends a hint to a peer.
    ///
    /// # Errors
    /// [`NotSent::Unreachable`] where there is no living session with it, [`NotSent::Busy`] while too many wait,
    /// [`NotSent::TooLarge`].
    fn hint(&mut self, to: &PublicKey, kind: Kind, body: Bytes) -> Result<(), NotSent>;
}

/// Is told how much of a large message has arrived.
pub(crate) type ArrivingHandler = Arc<dyn Fn(&Arriving) + Send + Sync>;

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
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    table: Arc<Mutex<Table>>,
    ended: Arc<Ended>,
}

/// That all loops of the node have ended.
#[derive(Debug)]
struct Ended {
    running: AtomicUsize,
    flag: Flag,
}

#[derive(Default)]
struct Table {
    /// What the program serves: nobody outside chooses which kinds these are.
    kinds: HashMap<Kind, Target, BuildHasherDefault<OurOwn>>,
    fallback: Option<(Inward, Allowed)>,
    /// Who takes messages that want no reply and that no kind takes.
    sends: Option<(Inward, Allowed)>,
    hints: HashMap<Kind, (HintHandler, Allowed), BuildHasherDefault<OurOwn>>,
    closed: bool,
}

#[derive(Clone)]
struct Target {
    to: To,
    arriving: Option<ArrivingHandler>,
    allowed: Allowed,
}

#[derive(Clone)]
pub(crate) enum To {
    /// Somebody pulls.
    Queue(Inward),
    /// Answered on the spot.
    Sync(SyncHandler),
    /// Answered by the thread of the store.
    Store(StoreHandler),
}

impl Routes {
    /// Those of a node with so many loops.
    pub(crate) fn of_loops(count: usize) -> Self {
        let ended = Ended { running: AtomicUsize::new(count), flag: Flag::default() };
        Self { table: Arc::default(), ended: Arc::new(ended) }
    }

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

    /// Where a message goes that wants no reply, or why it is refused.
    pub(crate) fn find_for_send(&self, kind: &Kind, from: &PublicKey) -> Result<To, Refusal> {
        let table = self.lock();
        match (table.kinds.contains_key(kind), &table.sends) {
            (false, Some((inward, allowed))) if allowed.admits(from) => {
                Ok(To::Queue(inward.clone()))
            }
            _ => {
                drop(table);
                self.find(kind, from)
            }
        }
    }

    /// Tells whoever takes this kind that more of a large message is there, if its sender may send it.
    pub(crate) fn arriving(&self, arriving: &Arriving) {
        let table = self.lock();
        let target = table.kinds.get(&arriving.kind);
        let target = target.filter(|target| target.allowed.admits(&arriving.from));
        let handler = target.and_then(|target| target.arriving.clone());
        drop(table);
        if let Some(handler) = handler {
            handler(arriving);
        }
    }

    /// Who takes hints of a kind from somebody.
    pub(crate) fn of_hint(&self, kind: &Kind, from: &PublicKey) -> Option<HintHandler> {
        let table = self.lock();
        let (handler, allowed) = table.hints.get(kind)?;
        allowed.admits(from).then(|| Arc::clone(handler))
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
        table.kinds.insert(kind.clone(), Target { to, arriving: None, allowed: Allowed::Anybody });
        drop(table);
        Ok(Queries { inward, routes: self.clone(), kind })
    }

    /// Waits until the node has closed.
    pub(crate) async fn ended(&self) {
        self.ended.flag.wait().await;
    }

    /// A loop has closed. With the last one the node has: whoever pulls comes to an end.
    pub(crate) fn close(&self) {
        if self.ended.running.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let mut table = self.lock();
        table.closed = true;
        let kinds = std::mem::take(&mut table.kinds);
        let fallback = table.fallback.take();
        let sends = table.sends.take();
        drop(table);
        for target in kinds.into_values() {
            if let To::Queue(inward) = target.to {
                inward.close();
            }
        }
        for (inward, _) in fallback.into_iter().chain(sends) {
            inward.close();
        }
        self.ended.flag.set();
    }

    /// Enters a router's kinds, all or none, until the registration is dropped.
    pub(super) fn register(
        &self,
        kinds: Vec<(Kind, To, Option<ArrivingHandler>)>,
        hints: Vec<(Kind, HintHandler)>,
        (fallback, sends): (Option<Inward>, Option<Inward>),
        allowed: &Allowed,
    ) -> Result<Registration, ServeError> {
        let mut table = self.lock();
        if table.closed {
            return Err(ServeError::Closing);
        }
        let taken = kinds.iter().any(|(kind, ..)| table.kinds.contains_key(kind))
            || hints.iter().any(|(kind, _)| table.hints.contains_key(kind))
            || (fallback.is_some() && table.fallback.is_some())
            || (sends.is_some() && table.sends.is_some());
        if taken {
            return Err(ServeError::KindTaken);
        }
        let names = kinds.iter().map(|(kind, ..)| kind.clone()).collect();
        for (kind, to, arriving) in kinds {
            table.kinds.insert(kind, Target { to, arriving, allowed: allowed.clone() });
        }
        let hinted = hints.iter().map(|(kind, _)| kind.clone()).collect();
        for (kind, handler) in hints {
            table.hints.insert(kind, (handler, allowed.clone()));
        }
        let is_fallback = fallback.is_some();
        if let Some(inward) = fallback {
            table.fallback = Some((inward, allowed.clone()));
        }
        let takes_sends = sends.is_some();
        if let Some(inward) = sends {
            table.sends = Some((inward, allowed.clone()));
        }
        drop(table);
        Ok(Registration { routes: self.clone(), kinds: names, hinted, is_fallback, takes_sends })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("kinds", &self.kinds.keys()).finish_non_exhaustive()
    }
}

/// Takes a router's kinds out of the table when its serving ends.
#[derive(Debug)]
pub(super) struct Registration {
    routes: Routes,
    kinds: Vec<Kind>,
    hinted: Vec<Kind>,
    is_fallback: bool,
    takes_sends: bool,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut table = self.routes.lock();
        for kind in &self.kinds {
            table.kinds.remove(kind);
        }
        for kind in &self.hinted {
            table.hints.remove(kind);
        }
        if self.is_fallback {
            table.fallback = None;
        }
        if self.takes_sends {
            table.sends = None;
        }
    }
}
