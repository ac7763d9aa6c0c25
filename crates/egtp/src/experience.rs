//! What requests have shown about peers: how long they take for a kind, and how often they answer.
//!
//! Knows no clocks and no network. Invariant: bounded; what was not used for longest is forgotten, and a peer
//! of which nothing is known ranks behind one that answers and before one that does not.

use std::collections::BTreeMap;
use std::time::Duration;

use egtp_proto::{Kind, PublicKey};

/// Whom and what.
type Name = (PublicKey, Kind);

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Experience {
    /// Used lately; when it is full it takes the place of the other one.
    young: BTreeMap<Name, Known>,
    old: BTreeMap<Name, Known>,
}

/// What is known of a peer for one kind. Recent requests weigh more.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    replies: f64,
    failures: f64,
    /// Seconds.
    mean: f64,
    /// Seconds, squared.
    variance: f64,
}

impl Experience {
    /// A reply came after this time.
    pub(crate) fn replied(&mut self, to: PublicKey, kind: Kind, took: Duration) {
        let known = self.known((to, kind));
        let took = took.as_secs_f64();
        if known.replies < 1.0 {
            (known.mean, known.variance) = (took, (took / 2.0).powi(2));
        } else {
            let off = took - known.mean;
            known.mean += WEIGHT * off;
            known.variance = (1.0 - WEIGHT) * (known.variance + WEIGHT * off * off);
        }
        known.count(1.0, 0.0);
    }

    /// It was taken, and wanted no reply.
    pub(crate) fn accepted(&mut self, to: PublicKey, kind: Kind) {
        self.known((to, kind)).count(1.0, 0.0);
    }

    /// There was no answer, or only that it is busy.
    pub(crate) fn failed(&mut self, to: PublicKey, kind: Kind) {
        self.known((to, kind)).count(0.0, 1.0);
    }

    /// After how long a request counts as slow: the mean and two deviations, or `otherwise` while too little
    /// is known.
    pub(crate) fn soft(&self, to: PublicKey, kind: &Kind, otherwise: Duration) -> Duration {
        match self.find(&(to, kind.clone())) {
            Some(known) if known.replies >= REPLIES_ENOUGH => {
                let usual = known.mean + 2.0 * known.variance.sqrt();
                Duration::try_from_secs_f64(usual).unwrap_or(otherwise).max(SOFT_MIN)
            }
            _ => otherwise,
        }
    }

    /// After how many seconds an answer is to be expected of each.
    pub(crate) fn expected(&self, peers: &[PublicKey], kind: &Kind) -> Vec<f64> {
        let expected = |peer: &PublicKey| {
            let known = self.find(&(*peer, kind.clone())).copied().unwrap_or_default();
            known.expected()
        };
        peers.iter().map(expected).collect()
    }

    fn find(&self, name: &Name) -> Option<&Known> {
        self.young.get(name).or_else(|| self.old.get(name))
    }

    fn known(&mut self, name: Name) -> &mut Known {
        if self.young.len() >= KNOWN_MAX && !self.young.contains_key(&name) {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young.entry(name).or_insert_with_key(|name| old.remove(name).unwrap_or_default())
    }
}

/// Sorts peers by what is expected of each, the least first. Equals stay in their order.
pub(crate) fn rank(peers: Vec<PublicKey>, expected: &[f64]) -> Vec<PublicKey> {
    let mut ranked: Vec<_> = peers.into_iter().zip(expected).collect();
    ranked.sort_by(|one, other| one.1.total_cmp(other.1));
    ranked.into_iter().map(|(peer, _)| peer).collect()
}

impl Known {
    fn count(&mut self, replies: f64, failures: f64) {
        self.replies += replies;
        self.failures += failures;
        if self.replies + self.failures > COUNTED_MAX {
            self.replies /= 2.0;
            self.failures /= 2.0;
        }
    }

    /// Seconds until an answer, if one asks until there is one and each failure costs [`FAILURE_COST`].
    fn expected(self) -> f64 {
        let took = if self.replies < 1.0 { UNKNOWN_TAKES } else { self.mean };
        // One of each in advance: nobody is known never to fail.
        took + FAILURE_COST * (self.failures + 1.0) / (self.replies + 1.0)
    }
}

/// How much the newest delay counts.
const WEIGHT: f64 = 1.0 / 8.0;
/// Replies from which on a delay is believed.
const REPLIES_ENOUGH: f64 = 8.0;
/// Nothing counts as slow before: a peer that answers within a millisecond when idle is only busy if it
/// takes as long.
const SOFT_MIN: Duration = Duration::from_millis(200);
/// Requests that are weighed against each other.
const COUNTED_MAX: f64 = 64.0;
/// Peers and kinds in each of the two halves.
const KNOWN_MAX: usize = 4096;
/// What a failure costs, in seconds.
const FAILURE_COST: f64 = 5.0;
/// What a peer is believed to take before it has answered, in seconds.
const UNKNOWN_TAKES: f64 = 1.0;

#[cfg(test)]
mod tests {
    use egtp_proto::SecretKey;

    use super::*;

    const OTHERWISE: Duration = Duration::from_secs(10);

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    fn kind(name: &str) -> Kind {
        Kind::new(name).unwrap()
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Proves TMO-6: what is slow follows from what a peer usually takes for a kind.
    #[test]
    fn tmo_6_what_is_slow_is_learned_for_each_peer_and_kind() {
        let mut known = Experience::default();
        let (peer, block) = (key(1), kind("block.get/1"));
        for round in 0..100 {
            assert_eq!(known.soft(peer, &block, OTHERWISE) == OTHERWISE, round < 8, "{round}");
            known.replied(peer, block.clone(), millis(400 + round % 3 * 100));
        }
        let soft = known.soft(peer, &block, OTHERWISE);
        assert!(soft > millis(600) && soft < millis(800), "{soft:?}");
        assert_eq!(known.soft(peer, &kind("list/1"), OTHERWISE), OTHERWISE);
        assert_eq!(known.soft(key(2), &block, OTHERWISE), OTHERWISE);
        for _ in 0..60 {
            known.replied(peer, block.clone(), millis(3_000));
        }
        let soft = known.soft(peer, &block, OTHERWISE);
        assert!(soft > millis(2_900) && soft < millis(4_000), "it follows: {soft:?}");
    }

    /// Proves B-11: quick answers of an idle peer make no busy one look dead.
    #[test]
    fn b_11_a_peer_that_was_idle_does_not_look_dead_when_it_is_busy() {
        let mut known = Experience::default();
        for _ in 0..1_000 {
            known.replied(key(1), kind("poll/1"), millis(1));
        }
        assert!(known.soft(key(1), &kind("poll/1"), OTHERWISE) >= SOFT_MIN);
        // Busy for the first time: what it takes then is reckoned with at once.
        known.replied(key(1), kind("poll/1"), millis(800));
        assert!(known.soft(key(1), &kind("poll/1"), OTHERWISE) > millis(500));
    }

    fn ranked(known: &Experience, peers: Vec<PublicKey>, of: &str) -> Vec<PublicKey> {
        let expected = known.expected(&peers, &kind(of));
        rank(peers, &expected)
    }

    /// Proves B-17: who has answered twenty times comes before a stranger, and a stranger before who fails.
    #[test]
    fn b_17_proven_peers_come_first_and_failing_ones_last() {
        let mut known = Experience::default();
        let (good, quick, failing, stranger) = (key(1), key(2), key(3), key(4));
        for _ in 0..20 {
            known.replied(good, kind("a/1"), millis(900));
            known.replied(quick, kind("a/1"), millis(30));
            known.failed(failing, kind("a/1"));
        }
        let peers = ranked(&known, [stranger, failing, good, quick].to_vec(), "a/1");
        assert_eq!(peers, [quick, good, stranger, failing]);
        let peers = ranked(&known, [stranger, failing, good].to_vec(), "other/1");
        assert_eq!(peers, [stranger, failing, good], "for another kind nothing is known");
        for _ in 0..40 {
            known.failed(quick, kind("a/1"));
        }
        let peers = ranked(&known, [quick, stranger].to_vec(), "a/1");
        assert_eq!(peers, [stranger, quick], "and what was is not for ever");
    }

    #[test]
    fn what_is_known_stays_bounded() {
        let mut known = Experience::default();
        let often = kind("often/1");
        for number in 0..3 * KNOWN_MAX {
            known.accepted(key(1), kind(&format!("kind-{number}/1")));
            known.replied(key(1), often.clone(), millis(500));
        }
        assert!(known.young.len() + known.old.len() <= 2 * KNOWN_MAX);
        assert!(known.soft(key(1), &often, OTHERWISE) < OTHERWISE, "what is used is kept");
    }
}
