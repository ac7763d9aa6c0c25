//! How the rest of the program talks to the driver: a queue with one wake-up for many commands.
//!
//! Knows no commands' meaning. Invariant: nobody holds the lock across anything but a push or a swap
//! of the queue, so it is never waited for longer than that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// A queue with many writers and one polling reader.
#[derive(Debug)]
pub(crate) struct Queue<T>(Arc<Mutex<Inner<T>>>);

#[derive(Debug)]
struct Inner<T> {
    waiting: Vec<T>,
    waker: Option<Waker>,
    closed: bool,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotTaken {
    /// The reader is that far behind.
    Full,
    /// There is no reader any more.
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        let inner = Inner { waiting: Vec::new(), waker: None, closed: false };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Adds a command and wakes the reader if it sleeps. For commands that end something which is
    /// bounded elsewhere.
    pub(crate) fn push(&self, command: T) -> Result<(), NotTaken> {
        self.push_below(usize::MAX, command)
    }

    /// The same for commands that begin something: while `most` commands wait, no more are taken.
    pub(crate) fn push_below(&self, most: usize, command: T) -> Result<(), NotTaken> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(NotTaken::Closed);
        }
        if inner.waiting.len() >= most {
            return Err(NotTaken::Full);
        }
        inner.waiting.push(command);
        // Taken, so that of many pushes only the first wakes.
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Moves everything waiting into `taken` (which must be empty) and arranges to be woken for
    /// more. Returns whether there was something.
    pub(crate) fn poll(&self, context: &Context<'_>, taken: &mut Vec<T>) -> bool {
        let mut inner = self.lock();
        std::mem::swap(&mut inner.waiting, taken);
        if taken.is_empty() {
            inner.waker = Some(context.waker().clone());
        }
        !taken.is_empty()
    }

    /// No more commands are taken. What was waiting is returned.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut inner = self.lock();
        inner.closed = true;
        std::mem::take(&mut inner.waiting)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // A panic while the lock is held cannot leave a vector half pushed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
