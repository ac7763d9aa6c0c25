//! Where the tasks of connections leave what happened, for the driver to take.
//!
//! Knows nothing of sockets. The lock is held for moving a batch and never across a wait.
//! Invariant: what one task leaves is taken in the order in which it was left, and the driver is
//! woken at most once for all that came between two of its visits.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use super::connection::Connection;
use crate::path::{Closed, PathEvent, PathId};

/// What a task tells the path.
#[derive(Debug)]
pub(super) enum Inward {
    /// A connection that the driver does not know yet, and the event that introduces it.
    Started { connection: Arc<Connection>, event: PathEvent },
    /// Something happened, and there is nothing for the path to do about it.
    Happened(PathEvent),
    /// The last word about a connection.
    Ended { path: PathId, why: Closed },
}

/// The meeting place.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Inward>,
    waker: Option<Waker>,
}

impl Inbox {
    /// Leaves a batch; it is empty afterwards.
    pub(super) fn push(&self, batch: &mut Vec<Inward>) {
        let waker = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.waiting.append(batch);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Leaves one thing.
    pub(super) fn push_one(&self, inward: Inward) {
        self.push(&mut vec![inward]);
    }

    /// Takes all that waits into `taken`, which must be empty. When nothing waits, the task of
    /// `context` will be woken by the next push.
    pub(super) fn take(&self, context: &Context<'_>, taken: &mut Vec<Inward>) -> Taken {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() {
            state.waker = Some(context.waker().clone());
            return Taken::Nothing;
        }
        std::mem::swap(&mut state.waiting, taken);
        Taken::Something
    }
}

/// Whether anything was there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    Something,
    Nothing,
}
