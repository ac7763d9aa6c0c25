//! Several endpoints behind one identity: which of them a peer, a session or a prekey belongs to.
//!
//! They share the generation that they issue, and nothing else that changes. All parts say the same life, and each
//! numbers its sessions and prekeys so that a header shows whose they are. Invariant: a peer belongs to one part for
//! as long as the life lasts, so what was taken from it is remembered in one place, and there alone.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::crypto::keyed_prefix;
use crate::key::PublicKey;
use crate::output::IdentityId;

/// One of the endpoints of a node.
#[derive(Clone)]
pub struct Part {
    index: u16,
    count: u16,
    /// What all parts of a node have in common, and nobody else knows. Of no use where there is one.
    life: [u8; 32],
    /// The highest generation that any of them has issued; `None` where there is one.
    issued: Option<Arc<AtomicU32>>,
}

impl Part {
    /// The whole of a node with one endpoint.
    pub const WHOLE: Self = Self { index: 0, count: 1, life: [0; 32], issued: None };

    /// The parts of a node with so many endpoints, at least one. `life` is 32 bytes that nobody else knows, different
    /// at each start.
    pub fn split(count: u16, life: [u8; 32]) -> impl Iterator<Item = Self> {
        let count = count.max(1);
        let issued = (count > 1).then(Arc::default);
        (0..count).map(move |index| Self { index, count, life, issued: issued.clone() })
    }

    /// Which one this is, from 0.
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// Whether there is no other.
    pub const fn is_whole(&self) -> bool {
        self.count == 1
    }

    /// The part that a peer belongs to. Nobody outside can tell for which keys it is the same one.
    pub fn of_peer(&self, peer: &PublicKey) -> u16 {
        let word =
            |bytes: &[u8; 32]| bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let twist = self.life.last_chunk().map_or(0, |word| u64::from_le_bytes(*word)) | 1;
        let mixed = (word(peer.as_bytes()) ^ word(&self.life)).wrapping_mul(twist) >> 32;
        // A share of 32 bits, so that it needs no division.
        u16::try_from((mixed * u64::from(self.count)) >> 32).unwrap_or(0)
    }

    /// The part that has issued a session id, or the id of a prekey.
    pub fn of_code(&self, code: u32) -> u16 {
        u16::try_from(code % u32::from(self.count)).unwrap_or(0)
    }

    /// Whether a code is one that this part issues.
    pub fn issues(&self, code: u32) -> bool {
        self.is_whole() || self.of_code(code) == self.index
    }

    /// The codes that this part issues.
    pub fn codes(&self) -> Stripe {
        let step = u32::from(self.count);
        let least = if self.index == 0 { step } else { u32::from(self.index) };
        Stripe { step, least }
    }

    /// What stands for the life of an identity's store in memory, and the generation, the same for all parts. `None`
    /// where there is one part: it has its own.
    pub(crate) fn store(&self, identity: IdentityId) -> Option<(u64, Arc<AtomicU32>)> {
        let issued = self.issued.clone()?;
        let name = identity.0.to_le_bytes();
        Some((u64::from_le_bytes(keyed_prefix(&self.life, &[b"store", &name])), issued))
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({} of {})", self.index, self.count)
    }
}

/// Every n-th number of 32 bits, from a start of its own; never 0.
#[derive(Clone, Copy, Debug)]
pub struct Stripe {
    step: u32,
    least: u32,
}

impl Stripe {
    /// All numbers but 0.
    pub const ALL: Self = Self { step: 1, least: 1 };

    /// One that is near this number.
    pub const fn near(self, number: u32) -> u32 {
        let below = number - number % self.step;
        match below.checked_add(self.least % self.step) {
            Some(code) if code > 0 => code,
            _ => self.least,
        }
    }

    /// The one after `code`, the least after the greatest.
    pub const fn after(self, code: u32) -> u32 {
        match code.checked_add(self.step) {
            Some(next) => next,
            None => self.least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    fn peers(count: u8) -> impl Iterator<Item = PublicKey> {
        (0..count).map(|number| SecretKey::from_seed([number; 32]).public())
    }

    #[test]
    fn each_code_is_issued_by_one_part_and_none_is_zero() {
        for count in 1..=5 {
            let parts: Vec<Part> = Part::split(count, [7; 32]).collect();
            for number in (0..40).chain(u32::MAX - 40..=u32::MAX) {
                for part in &parts {
                    let code = part.codes().near(number);
                    let mut codes = vec![code];
                    (0..20).for_each(|_| codes.push(part.codes().after(codes[codes.len() - 1])));
                    assert!(codes.iter().all(|code| *code > 0 && part.issues(*code)));
                    assert!(codes.iter().all(|code| part.of_code(*code) == part.index()));
                }
                let issuers = parts.iter().filter(|part| part.issues(number)).count();
                assert_eq!(issuers, 1, "{number} of {count}");
            }
        }
    }

    #[test]
    fn all_parts_agree_whose_a_peer_is_and_share_them_out() {
        let parts: Vec<Part> = Part::split(4, [9; 32]).collect();
        let mut shares = [0; 4];
        for peer in peers(200) {
            let owner = parts[0].of_peer(&peer);
            assert!(parts.iter().all(|part| part.of_peer(&peer) == owner));
            shares[usize::from(owner)] += 1;
        }
        assert!(shares.iter().all(|share| *share > 20), "{shares:?}");
    }

    #[test]
    fn another_life_shares_them_out_otherwise() {
        let owners = |life| {
            let part = Part::split(2, [life; 32]).next().unwrap();
            peers(64).map(|peer| part.of_peer(&peer)).collect::<Vec<_>>()
        };
        assert_ne!(owners(1), owners(2));
    }

    #[test]
    fn all_parts_of_a_node_say_the_same_life() {
        let life = |part: &Part, identity| part.store(IdentityId(identity)).unwrap().0;
        let parts: Vec<Part> = Part::split(3, [5; 32]).collect();
        assert!(parts.iter().all(|part| life(part, 1) == life(&parts[0], 1)));
        assert_ne!(life(&parts[0], 0), life(&parts[0], 1));
        assert!(Part::WHOLE.store(IdentityId(0)).is_none());
    }
}
