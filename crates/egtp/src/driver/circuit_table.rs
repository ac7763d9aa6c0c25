//! Which circuits there are, through which relays, and how much each relay takes.
//!
//! Knows no endpoint. Invariant: bounded; of those that others have opened and nobody has proved anything on, far fewer
//! are kept, and not for long, so that strangers displace no circuit that is in use.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::{IdentityId, PathId, PublicKey};

use crate::path::{Attempts, DialError, DialId};
use crate::status::OpenedBy;

/// Two ends and what is between them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Circuit {
    pub(super) identity: IdentityId,
    pub(super) relay: PublicKey,
    pub(super) peer: PublicKey,
}

/// One by what a packet says: whose identity, the relay, and what may be the key of the peer.
pub(super) type Name = (IdentityId, PublicKey, [u8; 32]);

impl Circuit {
    const fn name(&self) -> Name {
        (self.identity, self.relay, *self.peer.as_bytes())
    }
}

/// An attempt to open one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) dial: DialId,
    pub(super) circuit: Circuit,
}

/// A node that circuits of ours go through.
#[derive(Debug, Default)]
struct Relay {
    paths: BTreeSet<u64>,
    /// Bytes that it takes now.
    room: usize,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Circuits {
    /// Their names ascend with time.
    by_path: BTreeMap<u64, Circuit>,
    paths: HashMap<Name, PathId>,
    relays: HashMap<(IdentityId, PublicKey), Relay>,
    /// Those that others have opened and nobody has proved anything on, and since when.
    unproved: BTreeMap<u64, Duration>,
    pub(super) openings: HashMap<u64, Opening>,
    /// Those that others may reach us by.
    trusted: HashSet<PublicKey>,
    /// Packets of this round.
    out: Vec<(Circuit, Bytes)>,
    next: u64,
    /// When those on which something is awaited were used for its sake last.
    pub(super) pinged: Duration,
    /// Where it is remembered what became of attempts, if somebody wants to know.
    attempts: Option<Attempts>,
}

impl Circuits {
    /// Tells there what becomes of each attempt.
    pub(super) fn watch(&mut self, attempts: Option<Attempts>) {
        self.attempts = attempts;
    }

    pub(super) const fn attempts(&self) -> Option<&Attempts> {
        self.attempts.as_ref()
    }

    /// Somebody at the other end of one has proved its key.
    pub(super) fn proved(&mut self, path: PathId) {
        self.unproved.remove(&path.0);
        if let Some(attempts) = &self.attempts {
            attempts.proved(path);
        }
    }

    pub(super) fn ended(&self, dial: DialId, opened: Result<PathId, DialError>) {
        if let Some(attempts) = &self.attempts {
            attempts.ended(dial, opened);
        }
    }

    /// Whether a path is one of these.
    pub(super) const fn has(path: PathId) -> bool {
        path.0 >> CIRCUIT_SHIFT == 1
    }

    /// Whether a token is one of theirs, and no request of the program's.
    pub(super) const fn is_theirs(token: u64) -> bool {
        token >= FIRST_TOKEN
    }

    /// The token of the request that opens one.
    pub(super) const fn token(dial: DialId) -> u64 {
        FIRST_TOKEN + dial.0
    }

    pub(super) fn are_open(&self) -> bool {
        !self.by_path.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = PathId> + '_ {
        self.by_path.keys().copied().map(PathId)
    }

    pub(super) fn path_of(&self, circuit: &Circuit) -> Option<PathId> {
        self.path_named(circuit.name())
    }

    /// That of a packet, whose key is one if there is a path.
    pub(super) fn path_named(&self, name: Name) -> Option<PathId> {
        self.paths.get(&name).copied()
    }

    /// Bytes that the relay of a path takes now, of one packet at most.
    pub(super) fn room(&self, path: PathId) -> usize {
        let circuit = self.by_path.get(&path.0);
        let relay = circuit.and_then(|one| self.relays.get(&(one.identity, one.relay)));
        relay.map_or(0, |relay| relay.room)
    }

    pub(super) fn send(&mut self, path: PathId, packet: Vec<u8>) {
        let Some(circuit) = self.by_path.get(&path.0).copied() else { return };
        if let Some(relay) = self.relays.get_mut(&(circuit.identity, circuit.relay)) {
            relay.room = relay.room.saturating_sub(packet.len() + AROUND);
        }
        self.out.push((circuit, Bytes::from(packet)));
    }

    /// What was sent since this was asked last.
    pub(super) fn take_out(&mut self) -> Vec<(Circuit, Bytes)> {
        std::mem::take(&mut self.out)
    }

    /// Looks how much each relay takes. Returns the circuits through those that take a packet again.
    pub(super) fn look(
        &mut self,
        room_of: impl Fn(IdentityId, &PublicKey) -> usize,
    ) -> Vec<PathId> {
        let mut again = Vec::new();
        for ((identity, key), relay) in &mut self.relays {
            let before = std::mem::replace(&mut relay.room, room_of(*identity, key));
            if before < ENOUGH && relay.room >= ENOUGH {
                again.extend(relay.paths.iter().copied().map(PathId));
            }
        }
        again.sort_unstable_by_key(|path| path.0);
        again
    }

    /// Others may reach us by this relay from now on, or not any more.
    pub(super) fn trust(&mut self, relay: PublicKey, is_trusted: bool) {
        if is_trusted {
            self.trusted.insert(relay);
        } else {
            self.trusted.remove(&relay);
        }
    }

    pub(super) fn trusts(&self, relay: &PublicKey) -> bool {
        self.trusted.contains(relay)
    }

    /// Whether a node relays for us.
    pub(super) fn uses(&self, relay: &PublicKey) -> bool {
        self.trusted.contains(relay)
            || self.openings.values().any(|one| one.circuit.relay == *relay)
            || self.relays.keys().any(|(_, key)| key == relay)
    }

    /// The circuits through a relay.
    pub(super) fn through(&self, relay: &PublicKey) -> Vec<PathId> {
        let of = self.relays.iter().filter(|((_, key), _)| key == relay);
        of.flat_map(|(_, relay)| relay.paths.iter().copied().map(PathId)).collect()
    }

    pub(super) fn insert(
        &mut self,
        circuit: Circuit,
        opened_by: OpenedBy,
        boot: Duration,
    ) -> PathId {
        self.next += 1;
        let path = (1 << CIRCUIT_SHIFT) + self.next;
        self.by_path.insert(path, circuit);
        self.paths.insert(circuit.name(), PathId(path));
        self.relays.entry((circuit.identity, circuit.relay)).or_default().paths.insert(path);
        if opened_by == OpenedBy::Them {
            self.unproved.insert(path, boot);
        }
        PathId(path)
    }

    pub(super) fn remove(&mut self, path: PathId) -> bool {
        let Some(circuit) = self.by_path.remove(&path.0) else { return false };
        self.paths.remove(&circuit.name());
        self.unproved.remove(&path.0);
        let relay = (circuit.identity, circuit.relay);
        if let Some(of) = self.relays.get_mut(&relay) {
            of.paths.remove(&path.0);
            if of.paths.is_empty() {
                self.relays.remove(&relay);
            }
        }
        true
    }

    /// Which one is to go before one more fits.
    pub(super) fn displaced(&self) -> Option<PathId> {
        let unproved = self.unproved.first_key_value().map(|(path, _)| *path);
        let oldest = if self.unproved.len() >= UNPROVED_MAX {
            unproved
        } else if self.by_path.len() >= CIRCUITS_MAX {
            unproved.or_else(|| self.by_path.first_key_value().map(|(path, _)| *path))
        } else {
            None
        };
        oldest.map(PathId)
    }

    /// Those that have had time enough to prove something.
    pub(super) fn overdue(&self, boot: Duration) -> Vec<PathId> {
        let overdue = |since: &Duration| boot.saturating_sub(*since) > UNPROVED_TIME;
        let late = self.unproved.iter().filter(|(_, since)| overdue(since));
        late.map(|(path, _)| PathId(*path)).collect()
    }
}

/// Circuits have names of their own.
const CIRCUIT_SHIFT: u32 = 62;
/// And their requests tokens that no request of the program has.
const FIRST_TOKEN: u64 = 1 << 40;
/// Bytes of a hint besides the packet, generously.
const AROUND: usize = 128;
/// Bytes that a relay takes when it takes any packet.
const ENOUGH: usize = egtp_proto::limits::RELAYED_PACKET_MAX + AROUND;
/// Circuits at a time.
const CIRCUITS_MAX: usize = 16_384;
/// Of which so many may have been opened by somebody who has proved nothing; as with connections.
const UNPROVED_MAX: usize = 1_024;
/// For so long, as with connections.
const UNPROVED_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use egtp_proto::SecretKey;

    use super::*;

    fn circuit(number: u64) -> Circuit {
        let key = |of: u64| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&of.to_le_bytes());
            SecretKey::from_seed(seed).public()
        };
        Circuit { identity: IdentityId(0), relay: key(0), peer: key(number + 1) }
    }

    #[test]
    fn strangers_displace_each_other_and_nobody_who_has_proved_a_key() {
        let mut circuits = Circuits::default();
        let ours = circuits.insert(circuit(0), OpenedBy::Us, Duration::ZERO);
        let friend = circuits.insert(circuit(1), OpenedBy::Them, Duration::ZERO);
        circuits.proved(friend);
        for number in 2..3_000 {
            if let Some(displaced) = circuits.displaced() {
                assert!(displaced != ours && displaced != friend);
                assert!(circuits.remove(displaced));
            }
            circuits.insert(circuit(number), OpenedBy::Them, Duration::from_secs(number));
        }
        assert_eq!(circuits.by_path.len(), UNPROVED_MAX + 2);
        assert_eq!(circuits.overdue(Duration::from_secs(10_000)).len(), UNPROVED_MAX);
        assert_eq!(circuits.overdue(Duration::from_secs(2_999)).len(), UNPROVED_MAX - 11);
        for path in circuits.all().collect::<Vec<_>>() {
            assert!(circuits.remove(path));
        }
        assert!(circuits.relays.is_empty() && circuits.unproved.is_empty());
        assert!(circuits.paths.is_empty() && !circuits.are_open());
    }

    #[test]
    fn a_relay_that_takes_packets_again_is_told_of_once() {
        let mut circuits = Circuits::default();
        let path = circuits.insert(circuit(0), OpenedBy::Us, Duration::ZERO);
        assert_eq!(circuits.look(|_, _| ENOUGH), [path]);
        assert_eq!(circuits.look(|_, _| ENOUGH), []);
        circuits.send(path, vec![0; 1_000]);
        assert_eq!(circuits.room(path), ENOUGH - 1_000 - AROUND);
        assert_eq!(circuits.look(|_, _| 0), []);
        assert_eq!(circuits.look(|_, _| ENOUGH), [path]);
    }
}
