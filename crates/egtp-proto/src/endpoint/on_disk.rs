//! Kinds whose requests are remembered on our disk, whatever their sender wants: what becomes of them when
//! we die is up to their handlers.
//!
//! Invariant: such a message is taken by the durable store alone, so that its mark and what its handler
//! does can be one.

use super::Endpoint;
use super::frames::Arrival;
use super::journal::Waiting;
use crate::card::StoreKind;
use crate::exchange::durable::{MessageName, Run, SavedAnswer, Write};
use crate::exchange::query::Standing;
use crate::exchange::stores::DialogCode;
use crate::message::Kind;
use crate::output::{IdentityId, Policy, QueryEvent, QueryId};
use crate::time::Now;
use crate::wire::frame::Class;

impl Endpoint {
    /// What becomes of the requests of a kind when we die while at work on them. Counts for what arrives
    /// from now on, and for identities with a durable store: the others take every kind at most once.
    pub fn set_policy(&mut self, kind: Kind, policy: Policy) {
        if policy == Policy::AtMostOnce {
            self.policies.remove(&kind);
        } else {
            self.policies.insert(kind, policy);
        }
    }

    /// The same for messages that want no reply, of all kinds that have no policy of their own. For a program that keeps
    /// them until somebody looks.
    pub const fn set_policy_of_sends(&mut self, policy: Policy) {
        self.policy_of_sends = policy;
    }

    /// What becomes of a request of this kind.
    pub(super) fn policy(&self, kind: &Kind) -> Policy {
        self.policies.get(kind).copied().unwrap_or_default()
    }

    /// What becomes of a message of this kind that wants no reply.
    pub(super) fn policy_of_send(&self, kind: &Kind) -> Policy {
        self.policies.get(kind).copied().unwrap_or(self.policy_of_sends)
    }

    /// Whether a message of this kind, bound to this store, is one for the disk.
    pub(super) fn belongs_elsewhere(
        &self,
        identity: IdentityId,
        store: StoreKind,
        (class, kind): (&Class, &Kind),
    ) -> bool {
        let has_disk = || self.can_keep(identity);
        let policy = match class {
            Class::Request { .. } => self.policy(kind),
            Class::Send => self.policy_of_send(kind),
        };
        store == StoreKind::Ram && policy != Policy::AtMostOnce && has_disk()
    }

    /// A message was taken whose handler runs on the disk.
    pub(super) fn run_on_disk(
        &mut self,
        arrival: Arrival,
        (dialog, serial, place): (u64, u64, DialogCode),
        wants_reply: bool,
        event: QueryEvent,
    ) {
        let name = MessageName { peer: event.message.from, dialog, serial };
        let identity = arrival.identity;
        self.write(identity, Write::Run(Box::new(Run { name, wants_reply, event })));
        self.wait_for_disk(Waiting::Run { peer: arrival.peer, identity, place, serial });
    }

    /// The handler of a message has run on the disk, and so has its answer been written there.
    pub(super) fn has_run(&mut self, now: Now, query: QueryId, answer: &SavedAnswer) {
        match self.queries.get(query.0).map(|query| query.standing) {
            Some(Standing::Open) => self.give_answer(now, query.0, answer),
            Some(Standing::Held) => self.drop_query(query.0),
            None => {}
        }
    }
}
