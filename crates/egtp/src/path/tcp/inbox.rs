//! Where the tasks of connections leave what happened, for the driver to take.
//!
//! Knows nothing of sockets. The lock is held for moving a batch and never across a wait.
//! Invariant: what one task leaves is taken in the order in which it was left, and the driver is
//! woken at most once for all that came between two of its visits.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use bytes::BytesMut;

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

    /// Takes out the packets of one connection, in their order.
    pub(super) fn take_packets_of(&self, of: PathId, packets: &mut Vec<BytesMut>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for inward in std::mem::take(&mut state.waiting) {
            match inward {
                Inward::Happened(PathEvent::Received { path, packet }) if path == of => {
                    packets.push(packet);
                }
                other => state.waiting.push(other),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_one_connection_are_taken_in_their_order_and_others_stay() {
        let inbox = Inbox::default();
        for number in 0..6_u8 {
            let (path, packet) = (PathId(u64::from(number % 2)), BytesMut::from(&[number][..]));
            inbox.push_one(Inward::Happened(PathEvent::Received { path, packet }));
        }
        let mut packets = vec![BytesMut::from(&[9][..])];
        inbox.take_packets_of(PathId(1), &mut packets);
        assert_eq!(packets.iter().map(|packet| packet[0]).collect::<Vec<_>>(), [9, 1, 3, 5]);
        let (mut left, context) = (Vec::new(), Context::from_waker(Waker::noop()));
        assert_eq!(inbox.take(&context, &mut left), Taken::Something);
        assert_eq!(left.len(), 3);
    }
}
