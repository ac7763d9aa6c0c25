//! What the driver tells about itself: what it holds when it is asked, and what happens as it happens.
//!
//! Invariant: decides nothing; what it changes are the memory of events and the slots of requests.

use egtp_proto::time::Now;
use egtp_proto::{MessageEvent, MessageId, Outcome, PathId, PublicKey, Strategy};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{Driver, Running};
use crate::error::Refusal;
use crate::events::{Ending, Happening};
use crate::slot::Slot;
use crate::status::{OpenPath, Status};

impl Driver {
    pub(super) fn status(&self) -> Status {
        let mut paths: Vec<(&PathId, &OpenPath)> = self.connections.iter().collect();
        // Each path counts its connections upwards.
        paths.sort_unstable_by_key(|(path, _)| path.0);
        Status {
            sizes: self.endpoint.sizes(),
            counters: *self.endpoint.counters(),
            connections: paths.len(),
            paths: paths.into_iter().map(|(_, open)| open.clone()).collect(),
        }
    }

    /// Somebody wants to know when a peer is connected no longer.
    pub(super) fn tell_when_disconnected(&mut self, peer: PublicKey, tell: oneshot::Sender<()>) {
        self.waiters.retain(|(_, tell)| !tell.is_closed());
        self.waiters.push((peer, tell));
        self.look_for_disconnected(peer);
    }

    /// A connection has closed. Returns whose it was.
    pub(super) fn disconnected(&mut self, path: PathId) -> Option<PublicKey> {
        let peer = self.connections.remove(&path).and_then(|open| open.peer)?;
        if !self.waiters.is_empty() {
            self.look_for_disconnected(peer);
        }
        Some(peer)
    }

    fn look_for_disconnected(&mut self, peer: PublicKey) {
        if self.connections.values().any(|open| open.peer == Some(peer)) {
            return;
        }
        for (_, tell) in self.waiters.extract_if(.., |(of, _)| *of == peer) {
            // It may have lost interest.
            let _ = tell.send(());
        }
    }

    /// A session was confirmed.
    pub(super) fn has_session(&mut self, now: Now, peer: PublicKey) {
        info!(peer = %peer.short(), "session confirmed");
        self.feed.tell(now.wall, Happening::Session { peer });
    }

    /// A peer runs twice.
    pub(super) fn saw_copies(&mut self, now: Now, peer: PublicKey) {
        warn!(peer = %peer.short(), "two copies of this peer run: one may take again what the other has");
        self.feed.tell(now.wall, Happening::TwoCopies { peer });
    }

    /// A peer has seen another copy of this node.
    pub(super) fn told_of_copies(&mut self, now: Now, from: PublicKey) {
        warn!(from = %from.short(), "a peer says that another process uses this node's key");
        self.feed.tell(now.wall, Happening::AnotherCopy { from });
    }

    /// A peer's message is handed over.
    pub(super) fn took(&mut self, now: Now, message: &MessageEvent) {
        let (id, from, kind) = (message.id, message.from, message.kind.clone());
        self.feed.tell(now.wall, Happening::Taken { id, from, kind });
    }

    /// A peer's message has its reply.
    pub(super) fn replied(&mut self, now: Now, id: MessageId, refused: Option<Refusal>) {
        self.feed.tell(now.wall, Happening::Replied { id, refused });
    }

    /// A peer has taken a message of ours.
    pub(super) fn received(&mut self, now: Now, token: u64) {
        let running = u32::try_from(token).ok().and_then(|token| self.running.get(token));
        if let Some(id) = running.and_then(|running| running.id) {
            self.feed.tell(now.wall, Happening::Received { id });
        }
        self.with_slot(token, Slot::taken);
    }

    /// A message of ours is kept for its receiver.
    pub(super) fn stored(&mut self, now: Now, token: u64) {
        let running = u32::try_from(token).ok().and_then(|token| self.running.get(token));
        if let Some(id) = running.and_then(|running| running.id) {
            self.feed.tell(now.wall, Happening::Stored { id });
        }
    }

    /// A message of ours has ended.
    pub(super) fn ended(
        &mut self,
        now: Now,
        running: &Running,
        outcome: &Outcome,
        path: Option<Strategy>,
    ) {
        if let Some(id) = running.id {
            let ending = Ending::of(outcome);
            self.feed.tell(now.wall, Happening::Ended { id, ending, path });
        }
    }
}
