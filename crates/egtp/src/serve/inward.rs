//! Queries on their way from the driver to whoever pulls them.
//!
//! Invariant: a query that was pushed is pulled once, or refused when the queue is dropped. Its length
//! is bounded by what the endpoint lets all peers together have in hand: whatever is in the queue has
//! not been given back to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Query;

/// Queries on their way to somebody who pulls them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inward(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    queries: VecDeque<Query>,
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

    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) async fn next(&self) -> Option<Query> {
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
