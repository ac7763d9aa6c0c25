//! The suites: which primitives make a session's keys, and which cipher uses them.
//!
//! Knows their numbers and which of them a node takes; that a list of somebody else is believed is
//! decided elsewhere. Invariant: a list of ours names each suite once, and always those that every node
//! implements.

/// A named set of primitives. The initiator of a session picks one that the responder lists.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Suite {
    /// 0x01: X25519, ChaCha20-Poly1305, SHA-256. Fast without special instructions.
    ChaCha20Poly1305,
    /// 0x02: X25519, AES-256-GCM, SHA-256. Faster where the processor has AES instructions.
    Aes256Gcm,
    /// 0x11: as 0x01, and ML-KEM-768 in the second message.
    HybridChaCha20Poly1305,
    /// 0x12: as 0x02, and ML-KEM-768 in the second message.
    HybridAes256Gcm,
}

/// A cipher with its tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cipher {
    /// `ChaCha20-Poly1305`, RFC 8439.
    ChaCha20Poly1305,
    /// AES-256-GCM.
    Aes256Gcm,
}

impl Suite {
    /// All suites that this version implements.
    pub const ALL: [Self; 4] = [
        Self::ChaCha20Poly1305,
        Self::Aes256Gcm,
        Self::HybridChaCha20Poly1305,
        Self::HybridAes256Gcm,
    ];

    /// Those that every node implements.
    pub const CLASSICAL: [Self; 2] = [Self::ChaCha20Poly1305, Self::Aes256Gcm];

    /// The suite's number on the wire.
    pub const fn id(self) -> u8 {
        match self {
            Self::ChaCha20Poly1305 => 0x01,
            Self::Aes256Gcm => 0x02,
            Self::HybridChaCha20Poly1305 => 0x11,
            Self::HybridAes256Gcm => 0x12,
        }
    }

    /// The suite of a number; `None` if this version does not know it.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0x01 => Some(Self::ChaCha20Poly1305),
            0x02 => Some(Self::Aes256Gcm),
            0x11 => Some(Self::HybridChaCha20Poly1305),
            0x12 => Some(Self::HybridAes256Gcm),
            _ => None,
        }
    }

    /// The cipher that seals with the keys.
    pub const fn cipher(self) -> Cipher {
        match self {
            Self::ChaCha20Poly1305 | Self::HybridChaCha20Poly1305 => Cipher::ChaCha20Poly1305,
            Self::Aes256Gcm | Self::HybridAes256Gcm => Cipher::Aes256Gcm,
        }
    }

    /// Whether ML-KEM-768 takes part beside X25519, so that its records stay secret from whoever can
    /// break one of the two.
    pub const fn is_hybrid(self) -> bool {
        matches!(self, Self::HybridChaCha20Poly1305 | Self::HybridAes256Gcm)
    }
}

/// The suites that a node takes, best first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suites(Vec<Suite>);

impl Suites {
    /// These, best first, each once. Those that every node implements are put at the end if they are
    /// missing: without them some nodes could not talk to this one.
    pub fn new(best_first: impl IntoIterator<Item = Suite>) -> Self {
        let mut list = Vec::with_capacity(Suite::ALL.len());
        for suite in best_first.into_iter().chain(Suite::CLASSICAL) {
            if !list.contains(&suite) {
                list.push(suite);
            }
        }
        Self(list)
    }

    /// All that this version implements: the hybrid ones first, and of each sort the one first whose
    /// cipher this processor does fast.
    pub fn all(fast: Cipher) -> Self {
        let mut list = Suite::ALL;
        list.sort_by_key(|suite| (!suite.is_hybrid(), suite.cipher() != fast));
        Self::new(list)
    }

    /// Those of every node only, the one first whose cipher this processor does fast.
    pub fn classical(fast: Cipher) -> Self {
        let mut list = Suite::CLASSICAL;
        list.sort_by_key(|suite| suite.cipher() != fast);
        Self::new(list)
    }

    /// Whether `suite` is among them.
    pub fn contains(&self, suite: Suite) -> bool {
        self.0.contains(&suite)
    }

    /// Their numbers, best first.
    pub fn ids(&self) -> Vec<u8> {
        self.0.iter().map(|suite| suite.id()).collect()
    }

    /// The best of ours that `theirs` names. 0x01 if it names none: every node has that.
    pub fn pick(&self, theirs: &[u8]) -> Suite {
        let common = self.0.iter().copied().find(|suite| theirs.contains(&suite.id()));
        common.unwrap_or(Suite::ChaCha20Poly1305)
    }

    /// The best of ours for a letter: nobody answers one, so that ML-KEM has no place in it.
    pub fn pick_for_letter(&self, theirs: &[u8]) -> Suite {
        let own = self.0.iter().copied().filter(|suite| !suite.is_hybrid());
        own.into_iter()
            .find(|suite| theirs.contains(&suite.id()))
            .unwrap_or(Suite::ChaCha20Poly1305)
    }

    /// Whether any of them is hybrid.
    pub fn has_hybrid(&self) -> bool {
        self.0.iter().any(|suite| suite.is_hybrid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves H-2: no choice of an operator takes away what every node has.
    #[test]
    fn every_list_names_what_every_node_implements() {
        for list in [vec![], vec![Suite::HybridAes256Gcm], vec![Suite::Aes256Gcm; 3]] {
            let suites = Suites::new(list);
            assert!(Suite::CLASSICAL.into_iter().all(|suite| suites.contains(suite)));
            let mut ids = suites.ids();
            ids.dedup();
            assert_eq!(ids, suites.ids());
        }
    }

    /// Proves CIP-1.
    #[test]
    fn hybrid_suites_come_first_and_then_the_fast_cipher() {
        assert_eq!(Suites::all(Cipher::Aes256Gcm).ids(), [0x12, 0x11, 0x02, 0x01]);
        assert_eq!(Suites::all(Cipher::ChaCha20Poly1305).ids(), [0x11, 0x12, 0x01, 0x02]);
        assert_eq!(Suites::classical(Cipher::Aes256Gcm).ids(), [0x02, 0x01]);
    }

    /// Proves H-22.
    #[test]
    fn only_what_the_other_side_names_is_picked() {
        let ours = Suites::all(Cipher::Aes256Gcm);
        assert_eq!(ours.pick(&[0x01, 0x02, 0x11]), Suite::HybridChaCha20Poly1305);
        assert_eq!(ours.pick(&[0x01, 0x02]), Suite::Aes256Gcm);
        assert_eq!(ours.pick(&[0x7f]), Suite::ChaCha20Poly1305);
        assert_eq!(Suites::classical(Cipher::Aes256Gcm).pick(&[0x12, 0x01]).id(), 0x01);
    }
}
