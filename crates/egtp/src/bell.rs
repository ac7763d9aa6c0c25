//! Wakes many tasks of the program at the price of one.
//!
//! To wake a task of another thread's runtime costs a call to the system, each time. So the driver hands over
//! whom to wake, and wakes a single task there, which wakes the others at home, where that costs next to
//! nothing. Knows no requests. Invariant: whoever was handed over is woken once, also when that runtime is
//! busy, stands still or is gone: then by whoever handed over.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waker>,
    task: Task,
}

/// The task that wakes the others.
#[derive(Debug, Default)]
enum Task {
    /// There is none.
    #[default]
    None,
    /// It runs, or is about to.
    Awake,
    /// It sleeps.
    Asleep(Waker),
    /// There will be none any more.
    Over,
}

/// So few are woken one by one: to wake somebody who wakes them would only be one step more.
const FEW: usize = 2;
/// How long the task may take to come; then it is not waited for.
const PATIENCE: Duration = Duration::from_millis(1);
/// How long it is not asked again after it did not come.
const PAUSE: Duration = Duration::from_millis(100);

impl Bell {
    /// Puts the task into the runtime that calls this, unless there is one already somewhere.
    pub(crate) fn hang(self: &Arc<Self>) {
        let mut state = self.lock();
        if !matches!(state.task, Task::None) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        state.task = Task::Awake;
        drop(state);
        let post = Post(Arc::clone(self));
        runtime.spawn(async move { poll_fn(|context| post.0.poll(context)).await });
    }

    /// There is nobody to be woken any more, and nobody to be waited for.
    pub(crate) fn take_down(&self) {
        self.end(Task::Over);
    }

    fn end(&self, next: Task) {
        let mut state = self.lock();
        let task = std::mem::replace(&mut state.task, next);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        if let Task::Asleep(waker) = task {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        loop {
            let mut state = self.lock();
            if matches!(state.task, Task::Over) {
                return Poll::Ready(());
            }
            if state.waiting.is_empty() {
                state.task = Task::Asleep(context.waker().clone());
                return Poll::Pending;
            }
            state.task = Task::Awake;
            let mut waiting = std::mem::take(&mut state.waiting);
            drop(state);
            waiting.drain(..).for_each(Waker::wake);
            // Its memory serves for the next ones.
            let mut state = self.lock();
            if state.waiting.capacity() == 0 {
                state.waiting = waiting;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's place. Where its runtime ends, it is left.
struct Post(Arc<Bell>);

impl Drop for Post {
    fn drop(&mut self) {
        let is_over = matches!(self.0.lock().task, Task::Over);
        self.0.end(if is_over { Task::Over } else { Task::None });
    }
}

/// The driver's side: whom it has to wake, and since when the bell was not heard.
#[derive(Debug, Default)]
pub(crate) struct Ringer {
    /// Whom to wake at the end of this round.
    pub(crate) waiting: Vec<Waker>,
    rung: Option<Duration>,
    not_before: Duration,
}

impl Ringer {
    /// Wakes all that wait, at this boot time.
    pub(crate) fn ring(&mut self, bell: &Bell, boot: Duration) {
        if self.rung.is_some() {
            self.listen(bell, boot);
        }
        if self.waiting.is_empty() {
            return;
        }
        if self.waiting.len() <= FEW || boot < self.not_before {
            self.waiting.drain(..).for_each(Waker::wake);
            return;
        }
        let mut state = bell.lock();
        if matches!(state.task, Task::None | Task::Over) {
            drop(state);
            self.waiting.drain(..).for_each(Waker::wake);
            return;
        }
        state.waiting.append(&mut self.waiting);
        self.rung.get_or_insert(boot);
        if let Task::Asleep(waker) = std::mem::replace(&mut state.task, Task::Awake) {
            drop(state);
            waker.wake();
        }
    }

    /// When it is to be looked whether the bell was heard, if it was rung.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.rung.map(|rung| rung + PATIENCE)
    }

    /// Whoever was not woken in time is woken from here.
    fn listen(&mut self, bell: &Bell, boot: Duration) {
        let mut state = bell.lock();
        if state.waiting.is_empty() {
            self.rung = None;
        } else if self.deadline().is_some_and(|deadline| deadline <= boot) {
            let late = std::mem::take(&mut state.waiting);
            drop(state);
            late.into_iter().for_each(Waker::wake);
            self.rung = None;
            self.not_before = boot + PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn many(self: &Arc<Self>, number: usize) -> Vec<Waker> {
            (0..number).map(|_| Waker::from(Arc::clone(self))).collect()
        }

        fn woken(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn many_are_woken_by_the_task_and_few_or_without_one_at_once() {
        let (bell, mut ringer, count) =
            (Arc::<Bell>::default(), Ringer::default(), Arc::<Count>::default());
        ringer.waiting = count.many(10);
        ringer.ring(&bell, at(0));
        assert_eq!(count.woken(), 10, "there is no task");
        let runtime = runtime();
        runtime.block_on(async {
            bell.hang();
            tokio::task::yield_now().await;
            ringer.waiting = count.many(FEW);
            ringer.ring(&bell, at(1));
            assert_eq!(count.woken(), 10 + FEW);
            ringer.waiting = count.many(10);
            ringer.ring(&bell, at(2));
            assert_eq!(count.woken(), 10 + FEW, "the task has not run yet");
            tokio::task::yield_now().await;
            assert_eq!(count.woken(), 20 + FEW);
            ringer.ring(&bell, at(3));
            assert_eq!(ringer.deadline(), None, "it was heard");
        });
    }

    #[test]
    fn a_runtime_that_stands_still_keeps_nobody_waiting_for_long() {
        let (bell, mut ringer, count) =
            (Arc::<Bell>::default(), Ringer::default(), Arc::<Count>::default());
        let runtime = runtime();
        runtime.block_on(async { bell.hang() });
        ringer.waiting = count.many(10);
        ringer.ring(&bell, at(5));
        assert_eq!((count.woken(), ringer.deadline()), (0, Some(at(6))));
        ringer.ring(&bell, at(6));
        assert_eq!((count.woken(), ringer.deadline()), (10, None));
        ringer.waiting = count.many(10);
        ringer.ring(&bell, at(7));
        assert_eq!(count.woken(), 20, "it is not asked again so soon");
    }

    #[test]
    fn whoever_was_handed_over_is_woken_when_the_runtime_ends_or_the_bell_is_taken_down() {
        let (bell, mut ringer, count) =
            (Arc::<Bell>::default(), Ringer::default(), Arc::<Count>::default());
        for is_taken_down in [false, true] {
            let before = count.woken();
            let runtime = runtime();
            runtime.block_on(async {
                bell.hang();
                tokio::task::yield_now().await;
            });
            ringer.waiting = count.many(10);
            ringer.ring(&bell, at(0));
            assert_eq!(count.woken(), before);
            if is_taken_down {
                bell.take_down();
                assert_eq!(count.woken(), before + 10);
            }
            drop(runtime);
            assert_eq!(count.woken(), before + 10);
            ringer.ring(&bell, at(0));
        }
        bell.hang();
        assert!(matches!(bell.lock().task, Task::Over));
    }
}
