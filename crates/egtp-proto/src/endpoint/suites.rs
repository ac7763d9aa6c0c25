//! Which suite a handshake uses, and messages that want a hybrid one.
//!
//! Invariant: a message that wants post-quantum secrecy leaves only in a record of a hybrid session, and a
//! list that is older than another one never leads to a weaker suite.

use std::time::Duration;

use super::peer::{Peer, Trust};
use super::{Endpoint, Slot};
use crate::contact::Contact;
use crate::crypto::Suite;
use crate::exchange::outgoing::{Outgoing, State};
use crate::output::{IdentityId, NotSent, Outcome};
use crate::time::Now;

impl Endpoint {
    /// The suite of ours that we prefer among those that the peer is known to take.
    pub(super) fn pick_suite(&self, peer: &Peer) -> Suite {
        self.suites.pick(&peer.suites.list())
    }

    /// The peer has told us its suites under authentication, just now. Messages that can never be sent end
    /// here.
    pub(super) fn learn_suites(
        &mut self,
        now: Now,
        code: u32,
        contact_sequence: u64,
        suites: &[u8],
    ) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        peer.suites.answer(contact_sequence, suites);
        let takes_hybrid = self.suites.pick(&peer.suites.list()).is_hybrid();
        peer.classical_since = (!takes_hybrid).then_some(now.boot);
        if takes_hybrid || peer.post_quantum_open == 0 {
            return;
        }
        let Some(peer) = self.peers.get(code) else { return };
        // Those of which nothing has left. Of the others an earlier life of the peer may know.
        let is_unsent = |one: &Outgoing| one.post_quantum && one.never_left();
        let codes: Vec<u32> = peer
            .outboxes
            .codes()
            .filter(|event| self.outgoing.get(*event).is_some_and(is_unsent))
            .collect();
        for event in codes {
            self.end(event, Outcome::NotSent(NotSent::NoHybridSuite));
        }
    }

    /// A contact has been found. What it states counts for its owner, unless something newer is known; of an
    /// identity of ours, its number is told to others.
    pub fn learn_contact(&mut self, contact: &Contact) {
        let (key, sequence) = (contact.key(), contact.sequence());
        for identity in &mut self.identities {
            if identity.secret_keys.public == key {
                identity.contact_sequence = identity.contact_sequence.max(sequence);
                let known = identity.contact.as_deref();
                if known.is_none_or(|known| contact.supersedes(known)) {
                    identity.contact = Some(Box::new(contact.clone()));
                }
            }
        }
        for id in (0..self.identities.len()).filter_map(|index| u16::try_from(index).ok()) {
            let code = self.by_key.get(&(IdentityId(id), key));
            if let Some(peer) = code.and_then(|code| self.peers.get_mut(*code)) {
                peer.suites.contact(sequence, contact.suites());
                peer.learn_mailbox(contact);
                if peer.idle_out.is_none_or(|(known, _)| known <= sequence) {
                    peer.idle_out = Some((sequence, contact.idle_out()));
                }
            }
        }
    }

    /// Whether messages wait that a record of this session must not carry, and a handshake may help.
    pub(super) fn lacks_hybrid(&self, now: Now, code: u32, session: Option<u32>) -> bool {
        self.peers.get(code).is_some_and(|peer| self.awaits_hybrid(now, peer))
            && !session.is_some_and(|session| self.is_hybrid(session))
    }

    /// Whether it is not known of any hybrid suite that the peer takes it, though messages wait for one.
    pub(super) fn hopes_for_hybrid(&self, now: Now, peer: &Peer) -> bool {
        self.awaits_hybrid(now, peer) && !self.pick_suite(peer).is_hybrid()
    }

    /// What may have been sent waits on when the peer says that it takes no hybrid suite. It says so
    /// again in its next life, or when it is asked again.
    fn awaits_hybrid(&self, now: Now, peer: &Peer) -> bool {
        let said = peer.classical_since.map(|since| now.boot.since(since));
        let has_said = said.is_some_and(|ago| ago < CLASSICAL_BELIEVED);
        let waits = |one: &Outgoing| {
            one.post_quantum && one.state == State::Queued && (one.never_left() || !has_said)
        };
        peer.post_quantum_open > 0
            && peer.outboxes.codes().any(|event| self.outgoing.get(event).is_some_and(waits))
    }

    /// Whether records of this session keep their secret from a quantum computer.
    pub(super) fn is_hybrid(&self, session: u32) -> bool {
        match self.sessions.get(session) {
            Some(Slot::Live(session)) => session.suite.is_hybrid(),
            _ => false,
        }
    }

    /// Whether an attempt that was answered with advice is to go on: not if it only asked for the list,
    /// which is known now, and a session is there for all that is left.
    pub(super) fn still_wants_session(&self, now: Now, code: u32) -> bool {
        let session = self.session_to_send_on(now, code);
        let Some(peer) = self.peers.get(code) else { return false };
        let serves = session.is_some_and(|session| !self.is_worn(now, session));
        !serves
            || peer.trust != Trust::Good
            || self.lacks_hybrid(now, code, session)
            || peer.lacks_card()
    }

    /// A session was confirmed. If it is hybrid, those without that were made before it carry nothing more:
    /// who drops packets of one session must not be able to choose the weaker one for us.
    pub(super) fn retire_classical(&mut self, code: u32, confirmed: u32) {
        if !self.is_hybrid(confirmed) {
            return;
        }
        let Some(peer) = self.peers.get(code) else { return };
        for id in peer.sessions.clone() {
            if let Some(session) = self.live(id) {
                session.is_retired = !session.suite.is_hybrid();
            }
        }
    }
}

/// How long a peer that has said to take no hybrid suite is not asked again for the same messages.
const CLASSICAL_BELIEVED: Duration = Duration::from_mins(1);
