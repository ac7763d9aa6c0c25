//! A query in hand: from a node of this process, or through one that another process runs.
//!
//! Invariant: answering consumes it, so it is answered at most once.

use bytes::Bytes;
use egtp::Refusal;

use crate::control::Held;

/// A question from a peer.
#[derive(Debug)]
pub(crate) enum Query {
    /// From a node of this process.
    Own(egtp::Query),
    /// Through the node of another process.
    Attached(Held),
}

impl Query {
    /// The message's id.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Own(query) => query.id().to_string(),
            Self::Attached(held) => held.id.clone(),
        }
    }

    /// The key that asks.
    pub(crate) fn from(&self) -> String {
        match self {
            Self::Own(query) => query.from().to_string(),
            Self::Attached(held) => held.from.clone(),
        }
    }

    /// What kind of question it is.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Own(query) => query.kind().to_string(),
            Self::Attached(held) => held.kind.clone(),
        }
    }

    /// The question.
    pub(crate) const fn body(&self) -> &Bytes {
        match self {
            Self::Own(query) => query.body(),
            Self::Attached(held) => &held.body,
        }
    }

    /// Whether an earlier run of its node may have been at work on it.
    pub(crate) const fn redelivered(&self) -> bool {
        match self {
            Self::Own(query) => query.redelivered(),
            Self::Attached(held) => held.redelivered,
        }
    }

    /// Bytes that the asker has reserved for the reply.
    pub(crate) const fn reply_room(&self) -> usize {
        match self {
            Self::Own(query) => query.reply_room(),
            Self::Attached(held) => held.reply_room,
        }
    }

    /// Waits until nobody wants an answer any more.
    pub(crate) async fn withdrawn(&self) {
        match self {
            Self::Own(query) => query.withdrawn().await,
            Self::Attached(held) => held.withdrawn().await,
        }
    }

    /// Gives the one reply.
    pub(crate) async fn reply(self, body: Vec<u8>) {
        match self {
            Self::Own(query) => query.reply(body),
            Self::Attached(held) => held.reply(body.into()).await,
        }
    }

    /// Says why there will be none.
    pub(crate) async fn refuse(self, why: Refusal) {
        match self {
            Self::Own(query) => query.refuse(why),
            Self::Attached(held) => held.refuse(why).await,
        }
    }

    /// Stays silent.
    pub(crate) async fn ignore(self) {
        match self {
            Self::Own(query) => query.ignore(),
            Self::Attached(held) => held.ignore().await,
        }
    }
}
