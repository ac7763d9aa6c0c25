//! A path through which each packet leaves as often as a test says.
//!
//! Knows no packets' contents. Invariant: what is to leave once leaves as if there were nothing around the path.

use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use egtp_proto::{PathId, PublicKey, Strategy};

use super::{DialId, Hint, Luggage, NotSent, Path, PathEvent};

/// See the head of this file.
pub(crate) struct Copies<F> {
    inner: Box<dyn Path>,
    of: F,
}

impl<F: FnMut(&[u8]) -> usize + Send + 'static> Copies<F> {
    pub(crate) const fn new(inner: Box<dyn Path>, of: F) -> Self {
        Self { inner, of }
    }
}

impl<F> fmt::Debug for Copies<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Copies").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<F: FnMut(&[u8]) -> usize + Send + 'static> Path for Copies<F> {
    fn reaches(&self, strategy: &Strategy) -> bool {
        self.inner.reaches(strategy)
    }

    fn dial(&mut self, dial: DialId, peer: PublicKey, strategy: &Strategy) {
        self.inner.dial(dial, peer, strategy);
    }

    fn send(&mut self, path: PathId, packet: Bytes) -> Result<(), NotSent> {
        let copies = (self.of)(&packet);
        if copies == 0 {
            return Ok(());
        }
        self.inner.send(path, packet.clone())?;
        for _ in 1..copies {
            // Only where there is room: the packet itself is on its way.
            let _ = self.inner.send(path, packet.clone());
        }
        Ok(())
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
        self.inner.accept_peer(path);
    }

    fn close(&mut self, path: PathId) {
        self.inner.close(path);
    }

    fn hand_over(&mut self, path: PathId, to: usize, luggage: Luggage) -> Result<(), Luggage> {
        self.inner.hand_over(path, to, luggage)
    }

    fn poll(&mut self, context: &mut Context<'_>, events: &mut Vec<PathEvent>) -> Poll<()> {
        self.inner.poll(context, events)
    }

    fn listening(&self) -> Vec<Strategy> {
        self.inner.listening()
    }
}
