//! One question from a peer, as its handler holds it.
//!
//! Invariant: a query is answered at most once, because answering consumes it; dropping it refuses it.
//! Whatever becomes of it, the endpoint is told once, and counts it towards the asker's share until then.

use std::collections::HashMap;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::codes::OurOwn;
use egtp_proto::{Assurance, Kind, MessageId, PublicKey, QueryEvent, QueryId};
use tokio::sync::Notify;

use crate::command::{Command, Commands};
use crate::error::Refusal;
use crate::message::IntoReply;

/// A question from a peer, given to its handler once.
#[derive(Debug)]
pub struct Query {
    event: QueryEvent,
    commands: Commands,
    withdrawn: Arc<Flag>,
    wants_reply: bool,
    is_answered: bool,
}

impl Query {
    pub(crate) fn new(event: QueryEvent, commands: Commands, withdrawn: Arc<Flag>) -> Self {
        Self { event, commands, withdrawn, wants_reply: true, is_answered: false }
    }

    /// A message that wants no reply: whatever the handler answers is dropped.
    pub(crate) fn told(event: QueryEvent, commands: Commands) -> Self {
        let withdrawn = Arc::default();
        Self { event, commands, withdrawn, wants_reply: false, is_answered: false }
    }

    /// Whether somebody waits for a reply; if not, this is a message that was only sent.
    pub const fn wants_reply(&self) -> bool {
        self.wants_reply
    }

    /// Who asks.
    pub const fn from(&self) -> PublicKey {
        self.event.message.from
    }

    /// What kind of question it is.
    pub const fn kind(&self) -> &Kind {
        &self.event.message.kind
    }

    /// The question. As with a reply, a small body may share memory with those that came beside it.
    pub const fn body(&self) -> &Bytes {
        &self.event.message.body
    }

    /// The message's id, the same on both machines.
    pub const fn id(&self) -> MessageId {
        self.event.message.id
    }

    /// How sure it is who asks.
    pub const fn assurance(&self) -> Assurance {
        self.event.message.assurance
    }

    /// Whether an earlier life of this node may have been at work on it: see
    /// [`Router::redeliver`](super::Router::redeliver).
    pub const fn redelivered(&self) -> bool {
        self.event.redelivered
    }

    /// How long the asker will wait, counted from arrival.
    pub const fn patience(&self) -> Duration {
        self.event.patience
    }

    /// Bytes that the asker has reserved for the reply.
    pub const fn reply_room(&self) -> usize {
        self.event.room
    }

    /// Gives the one reply. The node repeats it until the asker has it, or its time is over.
    pub fn reply(mut self, reply: impl IntoReply) {
        if !self.wants_reply {
            return;
        }
        self.is_answered = true;
        // Without a driver there is nobody to tell; the asker sees its own timeout.
        let _ = self.commands.push(Command::Reply(self.event.query, reply.into_reply()));
    }

    /// Says why there will be no reply.
    pub fn refuse(self, why: Refusal) {
        self.reply(why);
    }

    /// Stays silent for good; the asker sees its own timeout.
    pub fn ignore(mut self) {
        self.is_answered = true;
        let _ = self.commands.push(Command::Ignore(self.event.query));
    }

    /// Holds it no longer, and leaves it on the disk, if it is there: the next life of this node is given it again. For a
    /// message that wants no reply and that nobody has looked at when the program ends.
    pub fn leave_for_next_life(mut self) {
        self.is_answered = true;
    }

    /// Waits until the asker wants nothing more of this question: it gave up, or its time is over.
    pub fn withdrawn(&self) -> impl Future<Output = ()> + Send + 'static {
        let withdrawn = Arc::clone(&self.withdrawn);
        async move { withdrawn.wait().await }
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let query = self.event.query;
        // Also what wants no reply is given back: until then it counts towards its sender's share.
        let _ = self.commands.push(if self.wants_reply {
            Command::Reply(query, Err(Refusal::Failed))
        } else {
            Command::Ignore(query)
        });
    }
}

/// Becomes true once, and can be waited for: that a query's asker wants nothing more, or that a node
/// has ended.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    is_so: AtomicBool,
    notify: Notify,
}

impl Flag {
    pub(crate) fn set(&self) {
        self.is_so.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub(crate) async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_so.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }
}

/// A query that a handler has, as the driver knows it.
#[derive(Debug)]
pub(crate) struct OpenQuery {
    /// The message's id.
    pub id: MessageId,
    /// That its asker wants nothing more.
    pub withdrawn: Arc<Flag>,
}

/// The queries that handlers have, by the endpoint's names for them.
pub(crate) type OpenQueries = HashMap<QueryId, OpenQuery, BuildHasherDefault<OurOwn>>;
