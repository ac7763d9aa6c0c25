//! What is known of the suites that a peer takes, and how sure and how new it is.
//!
//! Two sources count: contacts, which the peer signed some time ago, and its answers (RETRY, RSP), which
//! are made for us and just now. Knows no packets. Invariant (PRO-4): what an older statement leaves out
//! takes away nothing that a newer one names.

use crate::crypto::Suite;

/// The newest statements of a peer about its suites.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KnownSuites {
    answered: Option<Statement>,
    signed: Option<Statement>,
}

/// A list, and the sequence number of the contact that it belongs to: for an answer, that of the newest
/// contact of whoever answered.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Statement {
    sequence: u64,
    suites: Vec<u8>,
}

impl Statement {
    fn add(&mut self, suites: &[u8]) {
        for suite in suites {
            if !self.suites.contains(suite) {
                self.suites.push(*suite);
            }
        }
    }
}

impl KnownSuites {
    /// The numbers that may be used: what the newest answer and the newest contact name. Before anything
    /// is known, those that every node implements.
    pub fn list(&self) -> Vec<u8> {
        let mut all = Statement { sequence: 0, suites: Vec::new() };
        for statement in [&self.answered, &self.signed].into_iter().flatten() {
            all.add(&statement.suites);
        }
        if self.answered.is_none() && self.signed.is_none() {
            all.add(&Suite::CLASSICAL.map(Suite::id));
        }
        all.suites
    }

    /// What its newest answer names, with the number of the contact that it had then.
    pub fn answered(&self) -> Option<(u64, Vec<u8>)> {
        self.answered.as_ref().map(|known| (known.sequence, known.suites.clone()))
    }

    /// The peer has answered us: these are its suites, and its newest contact has this number (0: it has
    /// none). Takes the place of earlier answers, and of a contact that is older than that; from a peer
    /// that has gone back to an older contact than it named before, only what is new is taken over.
    pub fn answer(&mut self, sequence: u64, suites: &[u8]) {
        match &mut self.answered {
            Some(known) if sequence < known.sequence => known.add(suites),
            known => *known = Some(Statement { sequence, suites: suites.to_vec() }),
        }
        self.signed.take_if(|signed| signed.sequence < sequence);
    }

    /// The peer has signed this. Takes the place of a contact with a lower number, and never that of an
    /// answer: whether the contact is really newer, the next answer tells.
    pub fn contact(&mut self, sequence: u64, suites: &[u8]) {
        if self.answered.as_ref().is_some_and(|answered| sequence < answered.sequence) {
            return;
        }
        match &mut self.signed {
            Some(known) if sequence < known.sequence => {}
            // Of two with the same number it does not matter which one is kept elsewhere.
            Some(known) if sequence == known.sequence => known.add(suites),
            known => *known = Some(Statement { sequence, suites: suites.to_vec() }),
        }
    }

    /// The peer has shown that it implements this one: it has confirmed a session with it.
    pub fn shown(&mut self, suite: Suite) {
        let known = self.answered.get_or_insert_with(|| {
            let suites = Suite::CLASSICAL.map(Suite::id).to_vec();
            Statement { sequence: 0, suites }
        });
        known.add(&[suite.id()]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: [u8; 2] = [0x01, 0x02];
    const NEW: [u8; 4] = [0x01, 0x02, 0x11, 0x12];

    #[test]
    fn before_anything_is_known_it_is_what_every_node_implements() {
        assert_eq!(KnownSuites::default().list(), OLD);
    }

    #[test]
    fn pro_4_an_old_contact_takes_nothing_from_a_newer_one() {
        let mut known = KnownSuites::default();
        known.contact(5, &NEW);
        known.contact(4, &OLD);
        known.contact(5, &OLD);
        assert_eq!(known.list(), NEW);
        known.contact(6, &OLD);
        assert_eq!(known.list(), OLD, "its owner has signed that it is over");
    }

    #[test]
    fn pro_4_a_contact_takes_nothing_from_an_answer() {
        for (stated, signed) in [(0, 9), (5, 4), (5, 5), (5, 6)] {
            let mut known = KnownSuites::default();
            known.answer(stated, &NEW);
            known.contact(signed, &OLD);
            assert_eq!(known.list(), NEW, "{stated} {signed}");
        }
    }

    #[test]
    fn pro_4_an_answer_takes_nothing_from_a_contact_that_is_not_older_than_what_it_names() {
        for stated in [0, 4, 5] {
            let mut known = KnownSuites::default();
            known.contact(5, &NEW);
            known.answer(stated, &OLD);
            assert!(known.list().contains(&0x12), "{stated}");
        }
    }

    #[test]
    fn who_has_really_changed_its_suites_says_so_in_its_next_answer() {
        let mut known = KnownSuites::default();
        known.contact(5, &NEW);
        known.answer(5, &NEW);
        known.answer(6, &OLD);
        assert_eq!(known.list(), OLD);
        known.answer(6, &NEW);
        assert_eq!(known.list(), NEW, "and back, without a new contact");
        known.answer(6, &OLD);
        known.contact(5, &NEW);
        assert_eq!(known.list(), OLD, "an older contact brings nothing back");
    }

    #[test]
    fn a_session_shows_what_the_peer_implements() {
        let mut known = KnownSuites::default();
        known.shown(Suite::HybridAes256Gcm);
        assert_eq!(known.list(), [0x01, 0x02, 0x12]);
    }

    proptest! {
        /// Proves PRO-4: whatever else comes in whatever order, what the newest signed contact names stays.
        #[test]
        fn nothing_older_lowers_what_the_newest_contact_names(
            before in prop::collection::vec((0_u64..9, any::<bool>(), any::<bool>()), 0..6),
            after in prop::collection::vec((0_u64..=9, any::<bool>(), any::<bool>()), 0..6),
        ) {
            let mut known = KnownSuites::default();
            let mut say = |sequence, is_signed, is_new| {
                let list = if is_new { &NEW[..] } else { &OLD };
                if is_signed { known.contact(sequence, list) } else { known.answer(sequence, list) }
                known.list()
            };
            for (sequence, is_signed, is_new) in before {
                say(sequence, is_signed, is_new);
            }
            prop_assert!(say(9, true, true).contains(&0x12));
            for (sequence, is_signed, is_new) in after {
                prop_assert!(say(sequence, is_signed, is_new).contains(&0x12));
            }
        }
    }
}
