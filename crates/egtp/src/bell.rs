//! Wakes many tasks of the program at the price of one.
//!
//! To wake a task of another thread's runtime costs a call to the system, each time. So the driver hands over
//! whom to wake, and wakes a single task there, which wakes the others at home, where that costs next to
//! nothing. Knows no requests. Invariant: whoever was handed over is woken once, also when that runtime is
//! busy, stands still or is gone: then by whoever handed over, a few milliseconds later.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::command::Commands;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waker>,
    task: Task,
    /// How often it has run.
    visits: u64,
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
/// How long the task may take to come; then it is not waited for. Longer than a busy machine keeps a thread waiting
/// for a processor, mostly.
const PATIENCE: Duration = Duration::from_millis(5);
/// How often in a row it may be late before it is left alone for a while.
const LATE_MAX: u32 = 3;
/// For how long that is.
const PAUSE: Duration = Duration::from_millis(100);

impl Bell {
    /// Puts the task into the runtime that calls this, unless there is one already somewhere. What those whom it
    /// wakes say to the driver it holds back until all have been woken, so that the driver hears it at once.
    pub(crate) fn hang(&self, commands: &Commands) {
        let mut state = self.lock();
        if !matches!(state.task, Task::None) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        state.task = Task::Awake;
        drop(state);
        let mut post = Post { commands: commands.clone(), has_woken: false };
        runtime.spawn(async move { poll_fn(|context| post.poll(context)).await });
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task.
struct Post {
    commands: Commands,
    /// Whether those whom it has woken have their turn now.
    has_woken: bool,
}

impl Post {
    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.has_woken) {
            self.commands.uncork();
        }
        let mut state = self.commands.bell().lock();
        if matches!(state.task, Task::Over) {
            return Poll::Ready(());
        }
        state.visits += 1;
        if state.waiting.is_empty() {
            state.task = Task::Asleep(context.waker().clone());
            return Poll::Pending;
        }
        let mut waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.commands.cork();
        self.has_woken = true;
        waiting.drain(..).for_each(Waker::wake);
        // Its memory serves for the next ones.
        let mut state = self.commands.bell().lock();
        if state.waiting.capacity() == 0 {
            state.waiting = waiting;
        }
        drop(state);
        // After all of them.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Post {
    /// Where its runtime ends, its place is left.
    fn drop(&mut self) {
        self.commands.uncork();
        let bell = self.commands.bell();
        let is_over = matches!(bell.lock().task, Task::Over);
        bell.end(if is_over { Task::Over } else { Task::None });
    }
}

/// The driver's side: whom it has to wake, and since when the bell was not heard.
#[derive(Debug, Default)]
pub(crate) struct Ringer {
    /// Whom to wake at the end of this round.
    pub(crate) waiting: Vec<Waker>,
    /// Since when the task has not run, and how often it had before.
    rung: Option<(Duration, u64)>,
    /// How often in a row the task was late.
    late: u32,
    not_before: Duration,
}

impl Ringer {
    /// Wakes all that wait, at this boot time.
    pub(crate) fn ring(&mut self, commands: &Commands, boot: Duration) {
        let bell = commands.bell();
        if self.rung.is_some() {
            self.listen(commands, boot);
        }
        if self.waiting.is_empty() {
            return;
        }
        let mut state = bell.lock();
        let is_manned = !matches!(state.task, Task::None | Task::Over);
        if self.waiting.len() <= FEW || boot < self.not_before || !is_manned {
            drop(state);
            self.waiting.drain(..).for_each(Waker::wake);
            return;
        }
        state.waiting.append(&mut self.waiting);
        self.rung.get_or_insert((boot, state.visits));
        if let Task::Asleep(waker) = std::mem::replace(&mut state.task, Task::Awake) {
            drop(state);
            waker.wake();
        }
    }

    /// When it is to be looked whether the bell was heard, if it was rung.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.rung.map(|(since, _)| since + PATIENCE)
    }

    /// Whoever was not woken in time is woken from here, and what was said meanwhile is heard.
    fn listen(&mut self, commands: &Commands, boot: Duration) {
        let mut state = commands.bell().lock();
        let has_run = self.rung.is_some_and(|(_, visits)| visits != state.visits);
        if has_run {
            self.late = 0;
        }
        if matches!(state.task, Task::Asleep(_) | Task::Over) {
            self.rung = None;
        } else if has_run {
            self.rung = Some((boot, state.visits));
        } else if self.deadline().is_some_and(|deadline| deadline <= boot) {
            let late = std::mem::take(&mut state.waiting);
            drop(state);
            self.rung = None;
            self.late += 1;
            if self.late >= LATE_MAX {
                self.not_before = boot + PAUSE;
            }
            late.into_iter().for_each(Waker::wake);
            commands.uncork();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::command::Command;

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
        let (line, mut ringer, count) =
            (Commands::new(), Ringer::default(), Arc::<Count>::default());
        ringer.waiting = count.many(10);
        ringer.ring(&line, at(0));
        assert_eq!(count.woken(), 10, "there is no task");
        let runtime = runtime();
        runtime.block_on(async {
            line.bell().hang(&line);
            tokio::task::yield_now().await;
            ringer.waiting = count.many(FEW);
            ringer.ring(&line, at(1));
            assert_eq!(count.woken(), 10 + FEW);
            ringer.waiting = count.many(10);
            ringer.ring(&line, at(2));
            assert_eq!(count.woken(), 10 + FEW, "the task has not run yet");
            tokio::task::yield_now().await;
            assert_eq!(count.woken(), 20 + FEW);
            ringer.ring(&line, at(3));
            assert_eq!(ringer.deadline(), None, "it was heard");
        });
    }

    /// Wakes a task that says something to the driver at once, with many others.
    fn say_something(line: &Commands, ringer: &mut Ringer, others: Vec<Waker>, boot: Duration) {
        struct Say(Commands);
        impl Wake for Say {
            fn wake(self: Arc<Self>) {
                self.0.push(Command::Close).unwrap();
            }
        }
        ringer.waiting = others;
        ringer.waiting.push(Waker::from(Arc::new(Say(line.clone()))));
        ringer.ring(line, boot);
    }

    #[test]
    fn what_the_woken_say_is_heard_when_all_have_had_their_turn_or_after_a_while() {
        let (line, mut ringer, count) =
            (Commands::new(), Ringer::default(), Arc::<Count>::default());
        let mut heard = std::collections::VecDeque::new();
        let mut post = Post { commands: line.clone(), has_woken: false };
        let context = Context::from_waker(Waker::noop());
        for has_time in [true, false] {
            assert!(post.poll(&context).is_pending());
            say_something(&line, &mut ringer, count.many(10), at(10));
            assert!(post.poll(&context).is_pending());
            line.take(&mut heard);
            assert!(heard.is_empty(), "more may come");
            ringer.ring(&line, at(11));
            assert_eq!(ringer.deadline(), Some(at(11) + PATIENCE), "it has run, and is not done");
            if has_time {
                assert!(post.poll(&context).is_pending());
            }
            ringer.ring(&line, at(11) + PATIENCE);
            assert_eq!(ringer.deadline(), None);
            line.take(&mut heard);
            assert_eq!(heard.len(), 1);
            heard.clear();
        }
    }

    #[test]
    fn a_runtime_that_stands_still_keeps_nobody_waiting_for_long() {
        let (line, mut ringer, count) =
            (Commands::new(), Ringer::default(), Arc::<Count>::default());
        let runtime = runtime();
        runtime.block_on(async { line.bell().hang(&line) });
        for time in 1..=LATE_MAX {
            let (rung, late) = (PATIENCE * (3 * time), PATIENCE * (3 * time + 1));
            let before = count.woken();
            ringer.waiting = count.many(10);
            ringer.ring(&line, rung);
            assert_eq!((count.woken(), ringer.deadline()), (before, Some(late)));
            ringer.ring(&line, late);
            assert_eq!((count.woken(), ringer.deadline()), (before + 10, None));
        }
        let before = count.woken();
        ringer.waiting = count.many(10);
        ringer.ring(&line, PATIENCE * 20);
        assert_eq!(count.woken(), before + 10, "it is not asked again so soon");
    }

    #[test]
    fn whoever_was_handed_over_is_woken_when_the_runtime_ends_or_the_bell_is_taken_down() {
        let (line, mut ringer, count) =
            (Commands::new(), Ringer::default(), Arc::<Count>::default());
        for is_taken_down in [false, true] {
            let before = count.woken();
            let runtime = runtime();
            runtime.block_on(async {
                line.bell().hang(&line);
                tokio::task::yield_now().await;
            });
            ringer.waiting = count.many(10);
            ringer.ring(&line, at(0));
            assert_eq!(count.woken(), before);
            if is_taken_down {
                line.bell().take_down();
                assert_eq!(count.woken(), before + 10);
            }
            drop(runtime);
            assert_eq!(count.woken(), before + 10);
            ringer.ring(&line, at(0));
        }
        line.bell().hang(&line);
        assert!(matches!(line.bell().lock().task, Task::Over));
    }
}
