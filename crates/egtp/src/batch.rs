//! Many requests at a time for programs that keep no task and no future for each: submitted together, reaped as
//! they end.
//!
//! Knows no packets. Invariant: whatever was pushed ends by one completion, unless the batch is dropped before; and
//! never more is under way and unreaped than was said at the beginning.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use egtp_proto::{MessageClass, NotSent, Outcome};

use crate::command::Command;
use crate::error::RequestError;
use crate::lines::Lines;
use crate::message::Reply;
use crate::queue::NotTaken;
use crate::request::{Pending, Request, WAITING_MAX};

/// Requests that are submitted together and reaped as they end. Made by [`Node::batch`](crate::Node::batch).
///
/// Each is a request as any other, with its own id, timeouts and outcome; what is spared is a task, a future and a
/// wake-up for each. [`Batch::push`] takes a request in, [`Batch::submit`] hands over what was pushed, and
/// [`Batch::reap`] does that too and waits for completions, in the order in which they come. Dropping the batch gives
/// up what is under way, except durable requests that were submitted: [`Node::attach`](crate::Node::attach) finds those.
///
/// ```
/// # async fn ask(node: &egtp::Node, ticket: &egtp::Ticket, kind: egtp::Kind) {
/// use egtp::Message;
///
/// let mut batch = node.batch(100);
/// for number in 0..100 {
///     let request = node.request(ticket, Message::new(kind.clone(), number.to_string()));
///     batch.push(number, request).expect("there is room for 100");
/// }
/// let mut completions = Vec::new();
/// while batch.reap(1, &mut completions).await > 0 {
///     for egtp::Completion { tag, result } in completions.drain(..) {
///         println!("{tag}: {result:?}");
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Batch {
    lines: Lines,
    most: u32,
    ended: Arc<Ended>,
    /// By place. What has been reaped leaves its place free.
    asked: Vec<Option<Asked>>,
    free: Vec<u32>,
    /// What is to be submitted, for each line, and the places of those whose ends were heard of.
    pushed: Vec<VecDeque<Command>>,
    heard: Vec<u32>,
}

#[derive(Debug)]
struct Asked {
    tag: u64,
    pending: Pending,
}

/// How one of a batch ended.
#[derive(Debug)]
pub struct Completion {
    /// What it was pushed with.
    pub tag: u64,
    /// What awaiting the request would have given. The time that it took ends when it is reaped.
    pub result: Result<Reply, RequestError>,
}

/// As many as the batch is for are under way or not reaped. The request is given back: reap, then push it again.
pub struct BatchFull(pub Box<Request>);

impl fmt::Debug for BatchFull {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BatchFull")
    }
}

impl fmt::Display for BatchFull {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the batch is full: reap what has ended, then push this request again")
    }
}

impl std::error::Error for BatchFull {}

/// Where the driver says which of a batch have ended.
#[derive(Debug, Default)]
pub(crate) struct Ended(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    places: Vec<u32>,
    /// How many are worth waking for, and whom.
    wanted: usize,
    waker: Option<Waker>,
}

/// One place in a batch, for the driver.
#[derive(Debug)]
pub(crate) struct Place {
    ended: Arc<Ended>,
    place: u32,
}

impl Place {
    /// The request in this place has ended. Whoever is to be woken by that is added to those who wait for it.
    pub(crate) fn end(&self, waiting: &mut Vec<Waker>) {
        let mut state = self.ended.lock();
        state.places.push(self.place);
        if state.places.len() >= state.wanted {
            waiting.extend(state.waker.take());
        }
    }
}

impl Ended {
    /// Moves what has ended into `heard`, which must be empty, when it is as many as are wanted.
    fn poll(&self, context: &Context<'_>, wanted: usize, heard: &mut Vec<u32>) -> Poll<()> {
        let mut state = self.lock();
        if state.places.len() < wanted {
            state.wanted = wanted;
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut state.places, heard);
        Poll::Ready(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    pub(crate) fn new(lines: Lines, most: usize) -> Self {
        Self {
            pushed: lines.iter().map(|_| VecDeque::new()).collect(),
            lines,
            // More would not fit between program and driver at a time.
            most: u32::try_from(most.min(WAITING_MAX)).unwrap_or(u32::MAX),
            ended: Arc::default(),
            asked: Vec::new(),
            free: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// How many have been pushed and not been reaped.
    pub const fn len(&self) -> usize {
        self.asked.len() - self.free.len()
    }

    /// Whether all that was pushed has been reaped.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a request in; it starts when the batch is submitted or reaped the next time (at once, if it is one of
    /// another node). `tag` comes back with its completion, and means whatever the caller wants.
    ///
    /// # Errors
    /// [`BatchFull`], with the request.
    pub fn push(&mut self, tag: u64, request: Request) -> Result<(), BatchFull> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => match u32::try_from(self.asked.len()).ok().filter(|next| *next < self.most) {
                Some(next) => {
                    self.asked.push(None);
                    next
                }
                None => return Err(BatchFull(Box::new(request))),
            },
        };
        let here = Place { ended: Arc::clone(&self.ended), place };
        let (pending, start) = request.into_parts(MessageClass::Request, Some(here));
        let line = self.lines.iter().position(|line| pending.is_of(line));
        match line.and_then(|line| self.pushed.get_mut(line)) {
            Some(pushed) => pushed.push_back(Command::Start(start)),
            None => pending.begin(start),
        }
        if let Some(free) = self.at(place) {
            *free = Some(Asked { tag, pending });
        }
        Ok(())
    }

    /// Hands what was pushed over to the node. As many as do not fit into its queue, which holds 65,536 of all requests
    /// that it has not looked at yet, end as `NotSent(Busy)`: reap before you submit more.
    pub fn submit(&mut self) {
        for (line, pushed) in self.lines.iter().zip(&mut self.pushed) {
            if pushed.is_empty() {
                continue;
            }
            let why = match line.append_below(WAITING_MAX, pushed) {
                Ok(()) => continue,
                Err(NotTaken::Full) => Outcome::NotSent(NotSent::Busy),
                Err(NotTaken::Closed) => Outcome::Closing,
            };
            for command in pushed.drain(..) {
                if let Command::Start(start) = command {
                    start.slot.finish_here(why.clone());
                }
            }
        }
    }

    /// Submits what was pushed, waits until `at_least` have ended, or all if they are fewer, and appends how to
    /// `completions`. Returns how many it appended: with `at_least` above 0, none only if the batch is empty. With 0
    /// it does not wait. Cancel safe.
    pub async fn reap(&mut self, at_least: usize, completions: &mut Vec<Completion>) -> usize {
        self.submit();
        // A batch that always has something must not keep other tasks of its runtime from their turn.
        tokio::task::consume_budget().await;
        let wanted = at_least.min(self.len());
        poll_fn(|context| self.ended.poll(context, wanted, &mut self.heard)).await;
        let mut heard = std::mem::take(&mut self.heard);
        let before = completions.len();
        for place in heard.drain(..) {
            let Some(Asked { tag, mut pending }) = self.at(place).and_then(Option::take) else {
                continue;
            };
            // It has ended, so there is a result, and nobody to be woken.
            if let Poll::Ready(result) = pending.poll_outcome(&Context::from_waker(Waker::noop())) {
                completions.push(Completion { tag, result });
            }
            self.free.push(place);
        }
        self.heard = heard;
        completions.len() - before
    }

    fn at(&mut self, place: u32) -> Option<&mut Option<Asked>> {
        self.asked.get_mut(usize::try_from(place).ok()?)
    }
}
