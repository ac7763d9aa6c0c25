//! How the rest of the program talks to the driver: a queue with one wake-up for many commands.
//!
//! Knows no commands' meaning. Invariant: nobody holds the lock across anything but a push or a swap
//! of the queue, so it is never waited for longer than that; and a reader that is not asleep is not woken.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// A queue with many writers and one polling reader.
#[derive(Debug)]
pub(crate) struct Queue<T>(Mutex<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    waiting: VecDeque<T>,
    waker: Option<Waker>,
    is_corked: bool,
    closed: bool,
}

impl<T> Inner<T> {
    /// Whether it is worth the reader's while to look.
    fn is_ripe(&self) -> bool {
        !self.waiting.is_empty() && (!self.is_corked || self.waiting.len() >= ENOUGH)
    }
}

/// Commands that are worth a visit of the reader also while more are about to come.
const ENOUGH: usize = 128;

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
        let inner =
            Inner { waiting: VecDeque::new(), waker: None, is_corked: false, closed: false };
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
        inner.waiting.push_back(command);
        wake_if_ripe(inner);
        Ok(())
    }

    /// The same for many: what is not taken stays in `commands`.
    pub(crate) fn append_below(
        &self,
        most: usize,
        commands: &mut VecDeque<T>,
    ) -> Result<(), NotTaken> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(NotTaken::Closed);
        }
        let room = most.saturating_sub(inner.waiting.len()).min(commands.len());
        inner.waiting.extend(commands.drain(..room));
        wake_if_ripe(inner);
        if commands.is_empty() { Ok(()) } else { Err(NotTaken::Full) }
    }

    /// Moves everything waiting into `taken`, which must be empty, if it is worth it.
    pub(crate) fn take(&self, taken: &mut VecDeque<T>) {
        let mut inner = self.lock();
        if inner.is_ripe() {
            std::mem::swap(&mut inner.waiting, taken);
        }
    }

    /// The reader is about to sleep: the next push wakes it. `false` if it is to look once more before.
    pub(crate) fn wake_on_push(&self, context: &Context<'_>) -> bool {
        let mut inner = self.lock();
        let may_sleep = !inner.is_ripe();
        if may_sleep {
            inner.waker = Some(context.waker().clone());
        }
        may_sleep
    }

    /// More commands are about to come: the reader is not to be bothered with the first of them. Whoever says
    /// so calls [`Queue::uncork`] soon.
    pub(crate) fn cork(&self) {
        self.lock().is_corked = true;
    }

    /// No more are about to come.
    pub(crate) fn uncork(&self) {
        let mut inner = self.lock();
        inner.is_corked = false;
        wake_if_ripe(inner);
    }

    /// No more commands are taken. What was waiting is returned.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut inner = self.lock();
        inner.closed = true;
        std::mem::take(&mut inner.waiting)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // A panic while the lock is held cannot leave a vector half pushed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the reader if it sleeps and has something to look at, without the lock.
fn wake_if_ripe<T>(mut inner: MutexGuard<'_, Inner<T>>) {
    // Taken, so that of many pushes only the first wakes.
    let waker = if inner.is_ripe() { inner.waker.take() } else { None };
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corked_queue_is_ripe_when_enough_waits_or_no_more_comes() {
        let queue = Queue::new();
        let context = Context::from_waker(Waker::noop());
        let mut taken = VecDeque::new();
        queue.cork();
        for number in 1..ENOUGH {
            queue.push(number).unwrap();
            queue.take(&mut taken);
            assert!(taken.is_empty() && queue.wake_on_push(&context));
        }
        queue.push(ENOUGH).unwrap();
        assert!(!queue.wake_on_push(&context));
        queue.take(&mut taken);
        assert_eq!(taken.len(), ENOUGH);
        taken.clear();
        queue.push(0).unwrap();
        queue.uncork();
        queue.take(&mut taken);
        assert_eq!(taken, [0]);
        assert_eq!(queue.push_below(1, 1), Ok(()));
        assert_eq!(queue.push_below(1, 2), Err(NotTaken::Full));
        let mut many = VecDeque::from([2, 3, 4]);
        assert_eq!(queue.append_below(3, &mut many), Err(NotTaken::Full));
        assert_eq!(many, [4]);
        assert_eq!(queue.close(), [1, 2, 3]);
        assert_eq!(queue.append_below(9, &mut many), Err(NotTaken::Closed));
        assert_eq!(queue.push(3), Err(NotTaken::Closed));
    }
}
