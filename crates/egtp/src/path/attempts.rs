//! What became of the addresses that a node has tried, for programs that tell people.
//!
//! [`Attempts`] is the memory; a `Watched` path fills it and changes nothing else. Knows no session:
//! that somebody has proved a key is told by the layers above. Invariant: bounded, and whoever has
//! proved the key once at an address stays known for that.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use egtp_proto::{PublicKey, Strategy};

use super::{DialError, DialId, Hint, Luggage, NotSent, Path, PathEvent, PathId};

/// The addresses that a node has tried, and what became of each. Given to
/// [`Builder::attempts`](crate::Builder::attempts); clones are the same memory.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<Mutex<Vec<Entry>>>);

/// One address of one peer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// Who was to be reached.
    pub peer: PublicKey,
    /// Where.
    pub strategy: Strategy,
    /// What became of it last.
    pub became: Became,
}

/// What became of an attempt to reach a peer at an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Became {
    /// Nothing yet.
    Waiting,
    /// No connection could be opened, so nothing was sent there.
    Failed(DialError),
    /// A connection was opened, and nobody there has proved the peer's key. Either the key or the
    /// address is wrong, or no node of this protocol listens there, or it has not answered yet.
    Unproved,
    /// Somebody there has proved the peer's key.
    Proved,
}

impl Attempts {
    /// The addresses of one peer, in the order in which they were tried first.
    pub fn of(&self, peer: &PublicKey) -> Vec<Attempt> {
        let entries = self.lock();
        let about = entries.iter().filter(|entry| entry.attempt.peer == *peer);
        about.map(|entry| entry.attempt.clone()).collect()
    }

    pub(crate) fn dialed(&self, dial: DialId, peer: PublicKey, strategy: &Strategy) {
        let mut entries = self.lock();
        let known = entries
            .iter_mut()
            .find(|entry| entry.attempt.peer == peer && entry.attempt.strategy == *strategy);
        if let Some(entry) = known {
            entry.dial = dial;
            return;
        }
        if entries.len() == ENTRIES_MAX {
            entries.remove(0);
        }
        let attempt = Attempt { peer, strategy: strategy.clone(), became: Became::Waiting };
        entries.push(Entry { attempt, dial, path: None });
    }

    fn happened(&self, event: &PathEvent) {
        match event {
            PathEvent::Opened { dial, path, .. } => self.ended(*dial, Ok(*path)),
            PathEvent::DialFailed { dial, error } => self.ended(*dial, Err(*error)),
            _ => {}
        }
    }

    pub(crate) fn ended(&self, dial: DialId, opened: Result<PathId, DialError>) {
        let (path, became) = match opened {
            Ok(path) => (Some(path), Became::Unproved),
            Err(error) => (None, Became::Failed(error)),
        };
        if let Some(entry) = self.lock().iter_mut().find(|entry| entry.dial == dial) {
            entry.path = path;
            if entry.attempt.became != Became::Proved {
                entry.attempt.became = became;
            }
        }
    }

    pub(crate) fn proved(&self, path: PathId) {
        if let Some(entry) = self.lock().iter_mut().find(|entry| entry.path == Some(path)) {
            entry.attempt.became = Became::Proved;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Attempt {
    /// In words for people, such as `tcp/192.0.2.1:7700: nobody listens at that address`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, strategy, became } = self;
        match became {
            Became::Waiting => write!(f, "{strategy}: no answer yet"),
            Became::Failed(error) => write!(f, "{strategy}: {error}"),
            Became::Unproved if strategy.is_relayed() => {
                write!(
                    f,
                    "{strategy}: the relay says that the peer is there, and it has not answered"
                )
            }
            Became::Unproved => write!(
                f,
                "{strategy} accepts connections, but nobody there proved to be {}...: wrong key, or \
                 not an EGTP node",
                peer.short()
            ),
            Became::Proved => write!(f, "{strategy}: the peer was reached"),
        }
    }
}

/// An address, and by which names the path knows what happens there.
#[derive(Debug)]
struct Entry {
    attempt: Attempt,
    dial: DialId,
    path: Option<PathId>,
}

/// A path that remembers what becomes of its attempts.
#[derive(Debug)]
struct Watched {
    inner: Box<dyn Path>,
    attempts: Attempts,
}

/// A path of which somebody may want to know what becomes of its attempts.
pub(crate) fn watched(inner: Box<dyn Path>, attempts: Option<Attempts>) -> Box<dyn Path> {
    match attempts {
        Some(attempts) => Box::new(Watched { inner, attempts }),
        None => inner,
    }
}

impl Path for Watched {
    fn reaches(&self, strategy: &Strategy) -> bool {
        self.inner.reaches(strategy)
    }

    fn dial(&mut self, dial: DialId, peer: PublicKey, strategy: &Strategy) {
        self.attempts.dialed(dial, peer, strategy);
        self.inner.dial(dial, peer, strategy);
    }

    fn send(&mut self, path: PathId, packet: Bytes) -> Result<(), NotSent> {
        self.inner.send(path, packet)
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn room(&self, path: PathId) -> usize {
        self.inner.room(path)
    }

    fn hint(&mut self, path: PathId, hint: Hint) {
        self.inner.hint(path, hint);
    }

    fn accept_peer(&mut self, path: PathId) {
        self.attempts.proved(path);
        self.inner.accept_peer(path);
    }

    fn close(&mut self, path: PathId) {
        self.inner.close(path);
    }

    fn hand_over(&mut self, path: PathId, to: usize, luggage: Luggage) -> Result<(), Luggage> {
        self.inner.hand_over(path, to, luggage)
    }

    fn poll(&mut self, context: &mut Context<'_>, events: &mut Vec<PathEvent>) -> Poll<()> {
        let before = events.len();
        let polled = self.inner.poll(context, events);
        for event in events.iter().skip(before) {
            self.attempts.happened(event);
        }
        polled
    }

    fn listening(&self) -> Vec<Strategy> {
        self.inner.listening()
    }
}

/// Addresses that are remembered; the one that was tried first makes room. More than anybody reads,
/// and sixteen times what one search tries.
const ENTRIES_MAX: usize = 256;
