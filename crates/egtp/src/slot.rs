//! Where the driver leaves what happens to a request, for whoever holds its handle.
//!
//! Knows no messages. Invariant: each step is given out once, of progress only the newest; the outcome is given
//! to everybody who asks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::{MessageId, Outcome, Strategy, Way};

use crate::batch::Place;
use crate::request::Progress;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
    /// The message's body, if it is small: so its memory is given back by the thread that took it, which is asking.
    /// Where two threads free what is the other's, each waits for the other's lock.
    _body: Option<Bytes>,
    /// The batch that it is in.
    place: Option<Place>,
}

#[derive(Debug, Default)]
struct State {
    id: Option<MessageId>,
    /// The driver's name for it.
    token: Option<u64>,
    hard: Duration,
    kept: Note,
    in_memory: Note,
    stored: Note,
    taken: Note,
    slow: Note,
    /// Bytes that have arrived and bytes in all, if that was not given out yet.
    sent: Option<(usize, usize)>,
    received: Option<(usize, usize)>,
    outcome: Option<(Outcome, Option<Strategy>)>,
    wakers: Wakers,
}

/// Everybody who waits: mostly one, but one that outlives runs can be attached to more than once.
#[derive(Debug, Default)]
struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakers {
    fn add(&mut self, waker: &Waker) {
        if self.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if self.first.is_none() {
            self.first = Some(waker.clone());
        } else {
            self.others.push(waker.clone());
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Waker> {
        self.first.iter().chain(&self.others)
    }

    /// Moves all of them to who wakes them.
    fn move_to(&mut self, waiting: &mut Vec<Waker>) {
        waiting.extend(self.first.take());
        waiting.append(&mut self.others);
    }
}

/// How a request ended, as its handle gives it out.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) via: Option<Strategy>,
    /// Its id, if the disk of this node keeps it.
    pub(crate) kept: Option<MessageId>,
}

/// Something that is reported once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Note {
    #[default]
    NotYet,
    New,
    Told,
}

impl Note {
    /// Whether it is to be reported now.
    fn take(&mut self) -> bool {
        let is_new = *self == Self::New;
        if is_new {
            *self = Self::Told;
        }
        is_new
    }
}

impl Slot {
    /// For a message with this body, and a place in a batch if it has one.
    pub(crate) fn new(body: &Bytes, place: Option<Place>) -> Self {
        let is_small = body.len() <= SMALL_BODY;
        Self { state: Mutex::default(), _body: is_small.then(|| body.clone()), place }
    }
}

/// What the driver says. Whoever is to be woken by that is added to those who wait for it.
impl Slot {
    pub(crate) fn numbered(&self, id: MessageId, token: u64) {
        let mut state = self.lock();
        state.id = Some(id);
        state.token = Some(token);
    }

    /// One of an earlier run; `hard` was left to it when this run began, zero if it had ended.
    pub(crate) fn restored(&self, id: MessageId, hard: Duration) {
        let mut state = self.lock();
        state.id = Some(id);
        state.kept = Note::Told;
        state.hard = hard;
    }

    pub(crate) fn kept(&self, waiting: &mut Vec<Waker>) {
        self.note(waiting, |state| state.kept = Note::New);
    }

    pub(crate) fn in_memory(&self, waiting: &mut Vec<Waker>) {
        self.note(waiting, |state| state.in_memory = Note::New);
    }

    pub(crate) fn stored(&self, waiting: &mut Vec<Waker>) {
        self.note(waiting, |state| state.stored = Note::New);
    }

    pub(crate) fn taken(&self, waiting: &mut Vec<Waker>) {
        self.note(waiting, |state| state.taken = Note::New);
    }

    pub(crate) fn slow(&self, waiting: &mut Vec<Waker>) {
        self.note(waiting, |state| state.slow = Note::New);
    }

    pub(crate) fn has_come(
        &self,
        waiting: &mut Vec<Waker>,
        (way, bytes, total): (Way, usize, usize),
    ) {
        self.note(waiting, |state| match way {
            Way::Sending => state.sent = Some((bytes, total)),
            Way::Receiving => state.received = Some((bytes, total)),
        });
    }

    /// The outcome. A second one would be a mistake and is ignored.
    pub(crate) fn finish(&self, waiting: &mut Vec<Waker>, outcome: Outcome, via: Option<Strategy>) {
        let mut state = self.lock();
        if state.outcome.is_some() {
            return;
        }
        state.outcome = Some((outcome, via));
        state.wakers.move_to(waiting);
        drop(state);
        if let Some(place) = &self.place {
            place.end(waiting);
        }
    }

    /// The outcome of one that the driver knows nothing of, or nothing more.
    pub(crate) fn finish_here(&self, outcome: Outcome) {
        let mut waiting = Vec::new();
        self.finish(&mut waiting, outcome, None);
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn token(&self) -> Option<u64> {
        self.lock().token
    }

    fn note(&self, waiting: &mut Vec<Waker>, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.wakers.move_to(waiting);
    }
}

/// What a handle asks.
impl Slot {
    pub(crate) fn id(&self) -> Option<MessageId> {
        self.lock().id
    }

    pub(crate) fn hard(&self) -> Duration {
        self.lock().hard
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.lock().slow != Note::NotYet
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().outcome.is_some()
    }

    /// A step that was not given out yet.
    pub(crate) fn next_step(&self) -> Option<Progress> {
        let mut state = self.lock();
        if state.kept.take() {
            return Some(Progress::Kept);
        }
        if state.in_memory.take() {
            return Some(Progress::InMemory);
        }
        if state.stored.take() {
            return Some(Progress::Stored);
        }
        if let Some((bytes, total)) = state.sent.take() {
            return Some(Progress::Sent { bytes, total });
        }
        if state.taken.take() {
            return Some(Progress::Taken);
        }
        if let Some((bytes, total)) = state.received.take() {
            return Some(Progress::Received { bytes, total });
        }
        state.slow.take().then_some(Progress::Slow)
    }

    /// The outcome, or `None`: then this waker is woken when anything happens.
    pub(crate) fn outcome_or_wake(&self, waker: &Waker) -> Option<Ended> {
        let mut state = self.lock();
        let Some((outcome, via)) = state.outcome.clone() else {
            state.wakers.add(waker);
            return None;
        };
        let kept = state.id.filter(|_| state.kept != Note::NotYet && outcome != Outcome::Closing);
        Some(Ended { outcome, via, kept })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Larger bodies are not so many that it matters who frees them, and are not kept longer than needed.
const SMALL_BODY: usize = 4096;
