//! Messages that wait for somebody to look: what the node was sent and no kind of it answers.
//!
//! Each is held until a command has taken it and said so; on a node with a directory it is on the disk until then.
//! Invariant: a message is lent to one command at a time, in the order in which it came, and comes back if that goes
//! without a word.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use egtp::clock::{Clock, SystemClock};
use egtp::{Query, Router};
use tokio::sync::Notify;

/// A message that waits. `at` is when this run of the node was given it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) query: Query,
    pub(crate) at: Duration,
}

/// The messages. Clones are the same inbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbox(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<VecDeque<Waiting>>,
    come: Notify,
}

impl Inbox {
    /// What fills it. How much may wait is for the node to say: each sender has a share of what is in hand.
    pub(crate) fn router(&self) -> Router {
        let inbox = self.clone();
        Router::new().sends(move |query: Query| {
            inbox.put(query);
            async {}
        })
    }

    fn put(&self, query: Query) {
        self.lock().push_back(Waiting { query, at: SystemClock.wall() });
        self.0.come.notify_waiters();
    }

    /// The next message, if there is one.
    pub(crate) fn take(&self) -> Option<Waiting> {
        self.lock().pop_front()
    }

    /// Gives one back that was not looked at.
    pub(crate) fn give_back(&self, waiting: Waiting) {
        self.lock().push_front(waiting);
        self.0.come.notify_waiters();
    }

    /// The next message, as soon as there is one. Cancel safe.
    pub(crate) async fn next(&self) -> Waiting {
        loop {
            let come = self.0.come.notified();
            if let Some(waiting) = self.take() {
                return waiting;
            }
            come.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    /// Nobody has looked: the next run of the node has them again.
    fn drop(&mut self) {
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        for one in waiting.drain(..) {
            one.query.leave_for_next_life();
        }
    }
}
