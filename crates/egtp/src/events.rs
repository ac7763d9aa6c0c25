//! What happens in a node, for whoever wants to see it: messages, replies, sessions.
//!
//! Knows no handler. Nothing depends on it: who does not look costs nobody anything. Invariant: bounded;
//! whoever is too slow is told how much was missed.

use std::collections::{VecDeque, vec_deque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use egtp_proto::{Kind, MessageId, Outcome, PublicKey, Strategy};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::error::Refusal;

/// Something that has happened in a node.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NodeEvent {
    /// When, by the wall clock: the time since the Unix epoch. It may jump.
    pub at: Duration,
    /// What.
    pub what: Happening,
}

/// What can happen in a node.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// A session with a peer was made: both sides have confirmed it.
    Session {
        /// The peer.
        peer: PublicKey,
    },
    /// This node has begun to ask or tell a peer something.
    Asked {
        /// The message.
        id: MessageId,
        /// The peer.
        to: PublicKey,
        /// Of what kind it is.
        kind: Kind,
    },
    /// The peer has taken a message of this node.
    Received {
        /// The message.
        id: MessageId,
    },
    /// Somebody keeps a message of this node for its receiver, who is away.
    Stored {
        /// The message.
        id: MessageId,
    },
    /// A message of this node has ended.
    Ended {
        /// The message.
        id: MessageId,
        /// How.
        ending: Ending,
        /// How the peer was reached then, where that is known.
        path: Option<Strategy>,
    },
    /// This node has taken a message of a peer.
    Taken {
        /// The message.
        id: MessageId,
        /// The peer.
        from: PublicKey,
        /// Of what kind it is.
        kind: Kind,
    },
    /// This node has replied to a message of a peer.
    Replied {
        /// The message.
        id: MessageId,
        /// Why it was refused, if it was.
        refused: Option<Refusal>,
    },
    /// A peer runs twice: two processes use its key, each with its own memory, so that one may take again what
    /// the other one has taken. Told once a minute for each.
    TwoCopies {
        /// The peer.
        peer: PublicKey,
    },
    /// A peer says that it has seen another copy of this node. Told once a minute; it need not be true.
    AnotherCopy {
        /// Who says so.
        from: PublicKey,
    },
    /// A peer wants no reply to its message any more: it has given up, or its time is over.
    Withdrawn {
        /// The message.
        id: MessageId,
    },
}

/// How a message of this node has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ending {
    /// With a reply.
    Reply,
    /// The peer has taken it, and it wanted no reply.
    Accepted,
    /// The peer has refused it.
    Refused,
    /// Nothing left this machine.
    NotSent,
    /// The hard timeout has passed.
    TimedOut,
    /// The peer was restarted in between, and may have acted.
    Unknown,
    /// This node closes, or whoever asked has given up.
    Closing,
}

impl Ending {
    /// Its name, as programs print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::TimedOut => "timed_out",
            Self::Unknown => "unknown",
            Self::Closing => "closing",
        }
    }

    pub(crate) const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Reply { .. } => Self::Reply,
            Outcome::Accepted { .. } => Self::Accepted,
            Outcome::Refused(_) => Self::Refused,
            Outcome::NotSent(_) => Self::NotSent,
            Outcome::TimedOut { .. } => Self::TimedOut,
            Outcome::Unknown { .. } => Self::Unknown,
            Outcome::Closing => Self::Closing,
        }
    }
}

/// The events of a node: the latest that were, then those that come. Got by
/// [`Node::events`](crate::Node::events).
#[derive(Debug)]
pub struct Events {
    past: vec_deque::IntoIter<NodeEvent>,
    /// From each loop of the node that still runs.
    live: Vec<Live>,
    /// Who is looked at first the next time, so that a busy loop does not keep others from being heard.
    turn: usize,
}

#[derive(Debug)]
struct Live {
    events: broadcast::Receiver<NodeEvent>,
    _watcher: Arc<()>,
}

/// How many events were missed, because whoever watched was too slow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} events were missed")]
pub struct Missed(pub u64);

impl Events {
    /// The events that had happened before this was asked for, the oldest first: the last 1,024 at most.
    /// Each is given once.
    pub fn past(&mut self) -> impl Iterator<Item = NodeEvent> + '_ {
        self.past.by_ref()
    }

    /// The next event, or `None` when the node has closed. Cancel safe.
    ///
    /// # Errors
    /// [`Missed`] once, if this was asked too seldom; then come the oldest that are still there.
    pub async fn next(&mut self) -> Option<Result<NodeEvent, Missed>> {
        if let Some(event) = self.past.next() {
            return Some(Ok(event));
        }
        while !self.live.is_empty() {
            match self.first().await {
                (_, Ok(event)) => return Some(Ok(event)),
                (_, Err(RecvError::Lagged(missed))) => return Some(Err(Missed(missed))),
                (ended, Err(RecvError::Closed)) => drop(self.live.remove(ended)),
            }
        }
        None
    }

    /// What any of them tells first, and which one.
    async fn first(&mut self) -> (usize, Result<NodeEvent, RecvError>) {
        if let [only] = &mut *self.live {
            return (0, only.events.recv().await);
        }
        self.turn = (self.turn + 1) % self.live.len().max(1);
        let (turn, live) = (self.turn, self.live.iter_mut().enumerate());
        let mut waiting: Vec<_> =
            live.map(|(index, live)| (index, Box::pin(live.events.recv()))).collect();
        waiting.rotate_left(turn);
        poll_fn(|context| {
            for (index, one) in &mut waiting {
                if let Poll::Ready(result) = one.as_mut().poll(context) {
                    return Poll::Ready((*index, result));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// These and those of another loop.
    pub(crate) fn and(self, other: Self) -> Self {
        let mut past: Vec<NodeEvent> = self.past.chain(other.past).collect();
        past.sort_by_key(|event| event.at);
        let past = past.split_off(past.len().saturating_sub(EVENTS_MAX));
        let live = self.live.into_iter().chain(other.live).collect();
        Self { past: VecDeque::from(past).into_iter(), live, turn: 0 }
    }
}

/// Where the driver puts what happens.
#[derive(Debug)]
pub(crate) struct Feed {
    past: VecDeque<NodeEvent>,
    live: broadcast::Sender<NodeEvent>,
    /// One for each who watches, and ours. The channel could tell as well, but not without a lock.
    watchers: Arc<()>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            past: VecDeque::new(),
            live: broadcast::Sender::new(EVENTS_MAX),
            watchers: Arc::default(),
        }
    }

    pub(crate) fn tell(&mut self, at: Duration, what: Happening) {
        let event = NodeEvent { at, what };
        if Arc::strong_count(&self.watchers) > 1 {
            // The last one may have gone just now.
            let _ = self.live.send(event.clone());
        }
        if self.past.len() == EVENTS_MAX {
            self.past.pop_front();
        }
        self.past.push_back(event);
    }

    pub(crate) fn watch(&self) -> Events {
        let live = Live { events: self.live.subscribe(), _watcher: Arc::clone(&self.watchers) };
        Events { past: self.past.clone().into_iter(), live: vec![live], turn: 0 }
    }
}

/// Events that are kept, and that somebody who watches may be behind: some hundred requests, in less than
/// 200 kB.
const EVENTS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(event: &NodeEvent) -> u64 {
        event.at.as_secs()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_busy_loop_does_not_keep_others_from_being_heard() {
        let peer = egtp_proto::SecretKey::from_seed([1; 32]).public();
        let (mut busy, mut quiet) = (Feed::new(), Feed::new());
        let mut events = busy.watch().and(quiet.watch());
        let tell = |feed: &mut Feed, number| {
            feed.tell(Duration::from_secs(number), Happening::Session { peer });
        };
        (0..100).for_each(|_| tell(&mut busy, 1));
        tell(&mut quiet, 2);
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(number(&events.next().await.unwrap().unwrap()));
        }
        assert!(heard.contains(&2), "{heard:?}");
        drop(quiet);
        (0..98).for_each(|_| tell(&mut busy, 3));
        drop(busy);
        let mut left = 0;
        while events.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, 196, "all but the three that were heard");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_latest_are_kept_and_who_is_too_slow_is_told() {
        let peer = egtp_proto::SecretKey::from_seed([1; 32]).public();
        let most = u64::try_from(EVENTS_MAX).unwrap();
        let mut feed = Feed::new();
        let tell = |feed: &mut Feed, number| {
            feed.tell(Duration::from_secs(number), Happening::Session { peer });
        };
        (0..most + 5).for_each(|number| tell(&mut feed, number));
        let mut events = feed.watch();
        let past: Vec<u64> = events.past().map(|event| number(&event)).collect();
        assert_eq!(past, (5..most + 5).collect::<Vec<_>>());

        tell(&mut feed, 7);
        assert_eq!(events.next().await.unwrap().as_ref().map(number), Ok(7));
        (0..most + 3).for_each(|number| tell(&mut feed, number));
        assert_eq!(events.next().await, Some(Err(Missed(3))));
        assert_eq!(events.next().await.unwrap().as_ref().map(number), Ok(3));
        drop(feed);
        let mut left = 0;
        while events.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, EVENTS_MAX - 1);
    }
}
