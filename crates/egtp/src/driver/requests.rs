//! Requests of ours: from the program's wish to the endpoint, and from its events back to who waits.
//!
//! Invariant: each request has one slot, which hears of everything that happens to it, also in a later run
//! of the node.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use egtp_proto::codes::Table;
use egtp_proto::exchange::durable::{SavedAsk, SavedOutcome};
use egtp_proto::time::{Instant, Now};
use egtp_proto::{
    Endpoint, EventCode, IdentityId, Kind, MessageId, NotSent, Outcome, PublicKey, RefusedWhy,
    StoreKind, Submission,
};

use super::Driver;
use super::kept::KeptRequests;
use crate::command::Start;
use crate::events::Happening;
use crate::slot::Slot;

/// A request of ours under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) slot: Arc<Slot>,
    code: Option<EventCode>,
    pub(super) id: Option<MessageId>,
    /// Whether it outlives this run.
    is_kept: bool,
    measured: Option<Measured>,
}

/// A request from which is to be learned, and when it began.
#[derive(Debug)]
struct Measured {
    to: PublicKey,
    kind: Kind,
    began: Instant,
}

/// What a node begins with: requests of earlier runs.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(super) running: Table<Running>,
    pub(super) kept: KeptRequests,
}

impl Restored {
    pub(crate) fn new() -> Self {
        Self { running: Table::new(1), kept: KeptRequests::default() }
    }

    /// A request that goes on. Returns what to call it.
    pub(crate) fn ask(&mut self, now: Now, identity: IdentityId, ask: &SavedAsk) -> u64 {
        let slot = Arc::new(Slot::default());
        let running = Running {
            slot: Arc::clone(&slot),
            code: None,
            id: Some(ask.id),
            is_kept: true,
            measured: None,
        };
        let token = self.running.insert(running).into();
        slot.numbered(ask.id, token);
        slot.restored(ask.id, ask.expires.saturating_sub(now.wall));
        self.kept.insert(identity, ask.id, slot);
        token
    }

    /// An outcome that nobody has taken.
    pub(crate) fn outcome(&mut self, identity: IdentityId, saved: SavedOutcome) {
        let slot = Arc::new(Slot::default());
        slot.restored(saved.id, Duration::ZERO);
        slot.finish_here(saved.outcome);
        self.kept.insert(identity, saved.id, slot);
        self.kept.ended(saved.id);
    }

    /// The endpoint's names for the requests that go on.
    pub(crate) fn find_codes(&mut self, endpoint: &Endpoint, asks: &[(PublicKey, u64, MessageId)]) {
        for (peer, token, id) in asks {
            let running = u32::try_from(*token).ok().and_then(|token| self.running.get_mut(token));
            if let Some(running) = running {
                running.code = endpoint.find(peer, id);
            }
        }
    }
}

impl Driver {
    /// The application has let go of a request. What outlives this run outlives that too.
    pub(super) fn let_go(&mut self, now: Now, slot: &Slot) {
        let token = slot.token().and_then(|token| u32::try_from(token).ok());
        let running = token.and_then(|token| self.running.get(token));
        if running.is_some_and(|one| !one.is_kept) {
            self.cancel(now, token);
        }
    }

    /// The application has the outcome of a request that was kept, or wants none.
    pub(super) fn forget(&mut self, now: Now, id: MessageId) {
        let token = self.kept.slot(&id).and_then(|slot| slot.token());
        self.cancel(now, token.and_then(|token| u32::try_from(token).ok()));
        if let Some(identity) = self.kept.remove(&id) {
            self.endpoint.collected(identity, id);
        }
    }

    fn cancel(&mut self, now: Now, token: Option<u32>) {
        let running = token.and_then(|token| self.running.remove(token));
        if let Some(running) = running {
            self.ended(now, &running, &Outcome::Closing, None);
            // Somebody else may still wait for one that was kept.
            running.slot.finish(&mut self.ringer.waiting, Outcome::Closing, None);
            if let Some(code) = running.code {
                self.endpoint.cancel(code);
            }
        }
    }

    pub(super) fn start(&mut self, now: Now, start: Start) {
        let Start { slot, to, class, message, identity, soft, hard, hard_max, room, wants, .. } =
            start;
        let outlives = wants == StoreKind::Durable && self.writer.is_some();
        let identity = match identity {
            None => Some(IdentityId::default()),
            Some(key) => self.endpoint.identity_of(&key),
        };
        self.reach.hint(to.key, &to.hints);
        let kind = message.kind.clone();
        let soft = match soft {
            Some(otherwise) if start.is_soft_learned => {
                Some(self.experience.soft(to.key, &kind, otherwise))
            }
            soft => soft,
        };
        let measured =
            start.is_measured.then(|| Measured { to: to.key, kind: kind.clone(), began: now.boot });
        let slot_of = Arc::clone(&slot);
        let running = Running { slot: slot_of, code: None, id: None, is_kept: false, measured };
        let token = self.running.insert(running);
        let submitted = match identity {
            Some(identity) => self.endpoint.submit(
                now,
                Submission {
                    token: token.into(),
                    identity,
                    to: to.key,
                    class,
                    kind: message.kind,
                    body: message.body,
                    room,
                    soft,
                    hard,
                    hard_max,
                    wants,
                    post_quantum: start.post_quantum,
                    keep: outlives.then_some(to.hints),
                },
            ),
            None => Err(NotSent::NoIdentity),
        };
        match submitted {
            Ok((code, id)) => {
                slot.numbered(id, token.into());
                if let Some(running) = self.running.get_mut(token) {
                    (running.code, running.id) = (Some(code), Some(id));
                    running.is_kept = outlives;
                }
                if outlives && let Some(identity) = identity {
                    self.kept.insert(identity, id, slot);
                    // Where it may go as a letter decides what it is bound to.
                    self.tell_contact(&to.key);
                }
                self.feed.tell(now.wall, Happening::Asked { id, to: to.key, kind });
            }
            Err(why) => {
                self.running.remove(token);
                // The endpoint has no word for it: to it, it takes nothing more.
                let is_closing = self.closing_since.is_some();
                let outcome = if is_closing { Outcome::Closing } else { Outcome::NotSent(why) };
                slot.finish(&mut self.ringer.waiting, outcome, None);
            }
        }
    }

    pub(super) fn finish(&mut self, now: Now, token: u64, outcome: Outcome) {
        let running = u32::try_from(token).ok().and_then(|token| self.running.remove(token));
        let Some(mut running) = running else { return };
        if let Some(measured) = running.measured.take() {
            self.learn(now, measured, &outcome);
        }
        let path = match &outcome {
            Outcome::Reply { path, .. } | Outcome::Accepted { path, .. } => *path,
            _ => None,
        };
        let connection = path.and_then(|path| self.connections.get(&path));
        let path = connection.map(|one| one.strategy.clone());
        self.ended(now, &running, &outcome, path.clone());
        let is_over = running.is_kept && outcome != Outcome::Closing;
        running.slot.finish(&mut self.ringer.waiting, outcome, path);
        if let Some((identity, oldest)) =
            running.id.filter(|_| is_over).and_then(|id| self.kept.ended(id))
        {
            self.endpoint.collected(identity, oldest);
        }
    }

    /// What a request has shown about its peer.
    fn learn(&mut self, now: Now, Measured { to, kind, began }: Measured, outcome: &Outcome) {
        match outcome {
            Outcome::Reply { .. } => self.experience.replied(to, kind, now.boot.since(began)),
            Outcome::Accepted { .. } => self.experience.accepted(to, kind),
            Outcome::TimedOut { .. }
            | Outcome::Unknown { .. }
            | Outcome::NotSent(NotSent::NotFound | NotSent::Unreachable)
            | Outcome::Refused(RefusedWhy::Busy { .. }) => self.experience.failed(to, kind),
            // These say nothing about what comes next.
            Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Closing => {}
        }
    }

    pub(super) fn with_slot(&mut self, token: u64, note: impl Fn(&Slot, &mut Vec<Waker>)) {
        let token = u32::try_from(token).ok();
        if let Some(running) = token.and_then(|token| self.running.get(token)) {
            note(&running.slot, &mut self.ringer.waiting);
        }
    }
}
