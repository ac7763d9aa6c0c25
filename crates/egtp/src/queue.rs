//! How the rest of the program talks to the driver: a queue with one wake-up for many commands.
//!
//! Knows no commands' meaning. Invariant: nobody holds the lock across anything but a push or a swap
//! of the queue, so it is never waited for longer than that; and a reader that is not asleep is not woken.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// A queue with many writers and one polling reader.
#[derive(Debug)]
pub(crate) struct Queue<T>(Mutex<Inner<T>>);

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
        Self(Mutex::new(inner))
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

    /// Moves everything waiting into `taken`, which must be empty. Returns whether there was something.
    pub(crate) fn take(&self, taken: &mut Vec<T>) -> bool {
        std::mem::swap(&mut self.lock().waiting, taken);
        !taken.is_empty()
    }

    /// The reader is about to sleep: the next push wakes it. `false` if something waits already, and then
    /// it is not woken.
    pub(crate) fn wake_on_push(&self, context: &Context<'_>) -> bool {
        let mut inner = self.lock();
        if inner.waiting.is_empty() {
            inner.waker = Some(context.waker().clone());
        }
        inner.waiting.is_empty()
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
