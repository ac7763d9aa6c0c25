//! Who is at a relay, who talks to whom, and what becomes of their packets.
//!
//! The deciding part of a relay, without a network: it is told what comes and what time it is, and says what is to be done.
//! Time is counted from any moment that does not change. Knows no packet and no session. Invariant: everything in it has
//! a bound; a packet passes only between two of which one has asked for the other while the other was registered.

use std::collections::HashMap;
use std::time::Duration;

use egtp::PublicKey;
use egtp::relay::Presence;

use super::counts::Counts;
use super::rates::Rates;

/// What a relay does for whom.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nodes that are registered at a time. Above it a further one is refused as busy.
    pub registered_max: usize,
    /// The longest lease.
    pub lease_max: Duration,
    /// Pairs that talk at a time. Above it a further one hears that its peer is absent.
    pub circuits_max: usize,
    /// Pairs of one asker at a time: nobody takes all of them alone.
    pub circuits_per_asker: usize,
    /// How long a pair that is silent is remembered.
    pub circuit_idle: Duration,
    /// Bytes that each sender may have passed on in a second, and a second of it in one go after silence. Above it packets
    /// are dropped, like those that a full network drops: the two ends send again, and more slowly.
    pub bytes_per_second: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            registered_max: 16_384,
            lease_max: Duration::from_mins(2),
            circuits_max: 65_536,
            circuits_per_asker: 4_096,
            circuit_idle: Duration::from_mins(10),
            bytes_per_second: 8 * 1024 * 1024,
        }
    }
}

/// See the head of this file.
#[derive(Debug)]
pub struct Table {
    limits: Limits,
    /// With the registration that counts: a later one of the same node takes its place.
    registered: HashMap<PublicKey, Registration>,
    /// How many there have been.
    registrations: u64,
    /// By both ends in order.
    circuits: HashMap<(PublicKey, PublicKey), Circuit>,
    /// How many of them each asker has; nobody is in it with none.
    askers: HashMap<PublicKey, usize>,
    /// When silent pairs were looked for last.
    swept: Duration,
    rates: Rates,
    /// Nobody is entered any more.
    is_draining: bool,
    counted: Counts,
}

/// Two that talk.
#[derive(Clone, Copy, Debug)]
struct Circuit {
    /// Who has asked for the other.
    asker: PublicKey,
    /// When something was last passed between them, or one has asked for the other.
    used: Duration,
}

/// Names a registration of a node, for as long as the table lives.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Registration(u64);

/// A node has been entered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entered {
    /// What counts from now on.
    pub registration: Registration,
    /// What counted before, and whose lease is over with that.
    pub replaced: Option<Registration>,
    /// For how long: no longer than was asked for. Then [`Table::leave`] is to be called.
    pub lease: Duration,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is passed on.
    Passes,
    /// These two do not talk: its sender is told that the other one is gone.
    Strangers,
    /// Its sender has sent more than its share: it is dropped.
    TooMuch,
}

impl Table {
    /// Of a relay that nobody is registered at.
    pub fn new(limits: Limits, now: Duration) -> Self {
        // Both ends of each pair.
        let senders_max = limits.circuits_max.saturating_mul(2);
        Self {
            rates: Rates::new(limits.bytes_per_second, senders_max, now),
            limits,
            registered: HashMap::new(),
            registrations: 0,
            circuits: HashMap::new(),
            askers: HashMap::new(),
            swept: now,
            is_draining: false,
            counted: Counts::default(),
        }
    }

    /// What bounds it.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it holds, and what it has decided since it was made.
    pub fn counts(&self) -> Counts {
        let (registered, circuits) = (self.registered.len(), self.circuits.len());
        Counts { registered, circuits, registrations: self.registrations, ..self.counted }
    }

    /// Enters a node for so long. `None` if no further one fits, or the relay is about to go: it may ask again later.
    pub fn register(&mut self, who: PublicKey, lease: Duration) -> Option<Entered> {
        let is_full = self.registered.len() >= self.limits.registered_max;
        if self.is_draining || is_full && !self.registered.contains_key(&who) {
            self.counted.registrations_refused += 1;
            return None;
        }
        self.registrations += 1;
        let registration = Registration(self.registrations);
        let replaced = self.registered.insert(who, registration);
        Some(Entered { registration, replaced, lease: lease.min(self.limits.lease_max) })
    }

    /// A registration is over; a later one of the same node may count.
    pub fn leave(&mut self, who: &PublicKey, registration: Registration) {
        if self.registered.get(who) == Some(&registration) {
            self.registered.remove(who);
        }
    }

    /// Enters nobody any more and ends all leases, so that whoever has another relay goes there. Those who talk go on.
    pub fn drain(&mut self) -> Vec<Registration> {
        self.is_draining = true;
        self.registered.drain().map(|(_, registration)| registration).collect()
    }

    /// Ends the leases of all who may not register any more, and the talks of those who may not talk, or of whom neither
    /// may register.
    pub fn keep(
        &mut self,
        may_register: impl Fn(&PublicKey) -> bool,
        may_talk: impl Fn(&PublicKey) -> bool,
    ) -> Vec<Registration> {
        let left = self.registered.extract_if(|who, _| !may_register(who));
        let ended = left.map(|(_, registration)| registration).collect();
        self.retain(|(one, other), _| {
            may_talk(one) && may_talk(other) && (may_register(one) || may_register(other))
        });
        ended
    }

    /// Whether somebody is there for one who asks. If he is, the two talk from now on.
    pub fn open(&mut self, from: PublicKey, peer: PublicKey, now: Duration) -> Presence {
        if !self.registered.contains_key(&peer) {
            return Presence::Absent;
        }
        if from == peer {
            // It wants to know whether its registration still counts.
            return Presence::Live;
        }
        let pair = pair(from, peer);
        if let Some(circuit) = self.circuits.get_mut(&pair) {
            circuit.used = now;
            return Presence::Live;
        }
        if !self.has_room_for(&from) {
            self.sweep(now);
            if !self.has_room_for(&from) {
                return Presence::Absent;
            }
        }
        self.circuits.insert(pair, Circuit { asker: from, used: now });
        *self.askers.entry(from).or_default() += 1;
        Presence::Live
    }

    fn has_room_for(&self, asker: &PublicKey) -> bool {
        let own = self.askers.get(asker).copied().unwrap_or(0);
        self.circuits.len() < self.limits.circuits_max && own < self.limits.circuits_per_asker
    }

    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept) > SWEEP_EVERY {
            let idle = self.limits.circuit_idle;
            self.retain(|_, circuit| now.saturating_sub(circuit.used) < idle);
            self.swept = now;
        }
    }

    /// Forgets all other circuits.
    fn retain(&mut self, stays: impl Fn(&(PublicKey, PublicKey), &Circuit) -> bool) {
        let Self { circuits, askers, .. } = self;
        circuits.retain(|ends, circuit| {
            let stays = stays(ends, circuit);
            if !stays && let Some(own) = askers.get_mut(&circuit.asker) {
                *own = own.saturating_sub(1);
            }
            stays
        });
        askers.retain(|_, own| *own > 0);
    }

    /// What becomes of a packet of so many bytes.
    pub fn judge(
        &mut self,
        from: PublicKey,
        to: PublicKey,
        bytes: usize,
        now: Duration,
    ) -> Verdict {
        if !self.uses(from, to, now) {
            self.counted.dropped_strangers += 1;
            Verdict::Strangers
        } else if self.rates.take(from, bytes, now) {
            self.counted.passed_packets += 1;
            self.counted.passed_bytes += u64::try_from(bytes).unwrap_or(0);
            Verdict::Passes
        } else {
            self.counted.dropped_rate += 1;
            Verdict::TooMuch
        }
    }

    /// Whether these two talk. Then they do so now.
    fn uses(&mut self, one: PublicKey, other: PublicKey, now: Duration) -> bool {
        let idle = self.limits.circuit_idle;
        match self.circuits.get_mut(&pair(one, other)) {
            Some(circuit) if now.saturating_sub(circuit.used) < idle => {
                circuit.used = now;
                true
            }
            _ => false,
        }
    }

    /// A node was registered, and is not reached any more. It registers again when it is back.
    pub fn lost(&mut self, who: &PublicKey) {
        self.counted.dropped_unreachable += 1;
        self.registered.remove(who);
    }

    /// A packet that was to pass found too many waiting before it.
    pub const fn overtaxed(&mut self) {
        self.counted.dropped_busy += 1;
    }
}

fn pair(one: PublicKey, other: PublicKey) -> (PublicKey, PublicKey) {
    if one < other { (one, other) } else { (other, one) }
}

/// How often a full table is searched for pairs that are silent.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use egtp::SecretKey;

    use super::*;

    const START: Duration = Duration::ZERO;
    const MINUTE: Duration = Duration::from_mins(1);

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    fn table(limits: Limits) -> Table {
        Table::new(limits, START)
    }

    #[test]
    fn packets_pass_both_ways_between_two_of_which_one_has_asked_for_the_other_who_was_there() {
        let mut table = table(Limits::default());
        let (alice, bob, carol) = (key(1), key(2), key(3));
        assert_eq!(table.open(alice, bob, START), Presence::Absent);
        assert_eq!(table.judge(alice, bob, 100, START), Verdict::Strangers);
        table.register(bob, MINUTE).unwrap();
        assert_eq!(table.judge(alice, bob, 100, START), Verdict::Strangers, "nobody has asked");
        assert_eq!(table.open(alice, bob, START), Presence::Live);
        for (from, to) in [(alice, bob), (bob, alice)] {
            assert_eq!(table.judge(from, to, 100, START), Verdict::Passes);
        }
        for (from, to) in [(carol, bob), (bob, carol), (alice, carol), (bob, bob)] {
            assert_eq!(table.judge(from, to, 100, START), Verdict::Strangers);
        }
    }

    #[test]
    fn a_later_registration_takes_the_place_of_an_earlier_one_whose_end_is_then_of_no_account() {
        let mut table = table(Limits::default());
        let bob = key(2);
        let first = table.register(bob, MINUTE).unwrap();
        assert_eq!((first.replaced, first.lease), (None, MINUTE));
        let second = table.register(bob, Duration::from_hours(1)).unwrap();
        assert_eq!(second.replaced, Some(first.registration));
        assert_eq!(second.lease, Limits::default().lease_max);
        table.leave(&bob, first.registration);
        assert_eq!(table.open(bob, bob, START), Presence::Live, "he asks whether he is there");
        table.leave(&bob, second.registration);
        assert_eq!(table.open(bob, bob, START), Presence::Absent);
        // Lost, and registered again: the end of what was lost does not matter either.
        let third = table.register(bob, MINUTE).unwrap();
        table.lost(&bob);
        assert_eq!(table.open(key(1), bob, START), Presence::Absent);
        assert_eq!(table.register(bob, MINUTE).unwrap().replaced, None);
        table.leave(&bob, third.registration);
        assert_eq!(table.open(key(1), bob, START), Presence::Live);
    }

    #[test]
    fn a_full_table_takes_nobody_but_those_who_are_in_it() {
        let mut table = table(Limits { registered_max: 2, ..Limits::default() });
        let one = table.register(key(1), MINUTE).unwrap();
        assert!(table.register(key(2), MINUTE).is_some());
        assert_eq!(table.register(key(3), MINUTE), None);
        assert!(table.register(key(2), MINUTE).is_some());
        table.leave(&key(1), one.registration);
        assert!(table.register(key(3), MINUTE).is_some());
    }

    #[test]
    fn one_asker_has_a_share_of_the_pairs_and_gets_it_back_when_his_are_silent() {
        let mut table = table(Limits { circuits_per_asker: 2, ..Limits::default() });
        let idle = table.limits().circuit_idle;
        let (alice, bob) = (key(1), key(2));
        for peer in 3..=5 {
            table.register(key(peer), MINUTE).unwrap();
        }
        let opened = |table: &mut Table, from, peer, now| table.open(from, key(peer), now);
        assert_eq!(opened(&mut table, alice, 3, START), Presence::Live);
        assert_eq!(opened(&mut table, alice, 4, START), Presence::Live);
        assert_eq!(opened(&mut table, alice, 5, MINUTE), Presence::Absent, "her share is taken");
        assert_eq!(opened(&mut table, alice, 4, MINUTE), Presence::Live, "she has that already");
        assert_eq!(opened(&mut table, bob, 5, MINUTE), Presence::Live, "others have theirs");
        assert_eq!(opened(&mut table, bob, 3, MINUTE), Presence::Live);
        assert_eq!(opened(&mut table, alice, 5, idle), Presence::Live, "one was silent for long");
        assert_eq!(opened(&mut table, alice, 3, idle), Presence::Absent);
        assert_eq!(table.askers, HashMap::from([(alice, 2), (bob, 2)]));
        table.keep(|_| true, |who| *who != alice);
        assert_eq!(table.askers, HashMap::from([(bob, 2)]));
    }

    #[test]
    fn pairs_are_bounded_and_those_who_are_silent_make_room() {
        let mut table = table(Limits { circuits_max: 1, ..Limits::default() });
        let idle = table.limits().circuit_idle;
        let (alice, bob, carol) = (key(1), key(2), key(3));
        table.register(bob, MINUTE).unwrap();
        assert_eq!(table.open(alice, bob, START), Presence::Live);
        assert_eq!(table.open(carol, bob, idle / 2), Presence::Absent);
        assert_eq!(table.judge(bob, alice, 100, idle / 2), Verdict::Passes, "that is use");
        assert_eq!(table.open(carol, bob, idle), Presence::Absent);
        let later = idle / 2 + idle;
        assert_eq!(table.judge(bob, alice, 100, later), Verdict::Strangers, "silent for too long");
        assert_eq!(table.open(carol, bob, later), Presence::Live);
        assert_eq!(table.circuits.len(), 1);
    }

    #[test]
    fn one_that_is_about_to_go_ends_its_leases_enters_nobody_and_lets_those_talk_who_do() {
        let mut table = table(Limits::default());
        let (alice, bob, carol) = (key(1), key(2), key(3));
        let registered = table.register(bob, MINUTE).unwrap().registration;
        table.open(alice, bob, START);
        assert_eq!(table.drain(), [registered]);
        assert_eq!(table.register(bob, MINUTE), None);
        assert_eq!(table.open(carol, bob, START), Presence::Absent);
        assert_eq!(table.judge(bob, alice, 100, START), Verdict::Passes);
    }

    #[test]
    fn whoever_is_not_welcome_any_more_loses_his_lease_and_his_talks_and_nobody_else_does() {
        let mut table = table(Limits::default());
        let (alice, bob, carol, dave) = (key(1), key(2), key(3), key(4));
        let registered = table.register(bob, MINUTE).unwrap().registration;
        table.register(carol, MINUTE).unwrap();
        for (from, to) in [(alice, bob), (bob, carol), (alice, carol), (dave, carol)] {
            assert_eq!(table.open(from, to, START), Presence::Live);
        }
        // From now on Carol alone may register, and Dave may not even talk.
        assert_eq!(table.keep(|who| *who == carol, |who| *who != dave), [registered]);
        let judged = |table: &mut Table, from, to| table.judge(from, to, 100, START);
        assert_eq!(judged(&mut table, alice, bob), Verdict::Strangers, "neither is at home here");
        assert_eq!(judged(&mut table, carol, dave), Verdict::Strangers);
        assert_eq!(judged(&mut table, alice, carol), Verdict::Passes);
        assert_eq!(judged(&mut table, bob, carol), Verdict::Passes, "as anybody may");
        assert_eq!(table.open(alice, bob, START), Presence::Absent);
    }

    #[test]
    fn all_that_is_decided_is_counted() {
        let limits = Limits { registered_max: 1, bytes_per_second: 150, ..Limits::default() };
        let mut table = table(limits);
        let (alice, bob, carol) = (key(1), key(2), key(3));
        table.register(bob, MINUTE).unwrap();
        table.register(carol, MINUTE);
        table.open(alice, bob, START);
        for to in [bob, bob, bob, carol] {
            table.judge(alice, to, 100, START);
        }
        table.overtaxed();
        let counts = Counts {
            registered: 1,
            circuits: 1,
            registrations: 1,
            registrations_refused: 1,
            passed_packets: 2,
            passed_bytes: 200,
            dropped_rate: 1,
            dropped_strangers: 1,
            dropped_busy: 1,
            dropped_unreachable: 0,
        };
        assert_eq!(table.counts(), counts);
        table.lost(&bob);
        assert_eq!(table.counts(), Counts { registered: 0, dropped_unreachable: 1, ..counts });
    }
}
