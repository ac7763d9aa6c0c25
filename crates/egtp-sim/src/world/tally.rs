//! What happened in a run, as numbers.

use std::collections::BTreeMap;

use egtp_proto::Counters;

use super::checker::Promise;
use super::clock::Time;
use super::fault::Fault;

/// Counts of one run, or of many together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// How often each fault did something.
    pub fired: BTreeMap<Fault, u64>,
    /// How often each promise was looked at.
    pub checked: BTreeMap<Promise, u64>,
    /// How the messages ended, by name.
    pub ended: BTreeMap<&'static str, u64>,
    /// Requests and sends begun.
    pub messages: u64,
    /// Messages that handlers were given.
    pub delivered: u64,
    /// Lives begun after the first.
    pub restarts: u64,
    /// Packets that nodes sent.
    pub packets: u64,
    /// Handshakes of honest nodes that succeeded.
    pub handshakes: u64,
    /// Sessions that nodes put to rest, and those of them that came back.
    pub rested: (u64, u64),
    /// Cookies that nodes asked for.
    pub cookies: u64,
    /// Things that happened.
    pub events: u64,
    /// The same by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Nodes times the time they ran, in nanoseconds of the world.
    pub node_time: Time,
    /// The longest time that a pair took to exchange a request after the faults.
    pub recovery: Time,
    /// Pairs that exchanged one.
    pub recovered: u64,
    /// Of these, how many took longer than 120 seconds.
    pub recovered_late: u64,
}

impl Tally {
    /// What a life has counted, at its end.
    pub fn add_life(&mut self, counters: &Counters) {
        self.handshakes += counters.handshakes_finished;
        self.rested.0 += counters.sessions_frozen;
        self.rested.1 += counters.sessions_thawed;
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (fault, count) in &other.fired {
            *self.fired.entry(*fault).or_default() += count;
        }
        for (promise, count) in &other.checked {
            *self.checked.entry(*promise).or_default() += count;
        }
        for (name, count) in &other.ended {
            *self.ended.entry(name).or_default() += count;
        }
        for (name, count) in &other.kinds {
            *self.kinds.entry(name).or_default() += count;
        }
        self.messages += other.messages;
        self.delivered += other.delivered;
        self.restarts += other.restarts;
        self.packets += other.packets;
        self.handshakes += other.handshakes;
        self.rested.0 += other.rested.0;
        self.rested.1 += other.rested.1;
        self.cookies += other.cookies;
        self.events += other.events;
        self.node_time += other.node_time;
        self.recovery = self.recovery.max(other.recovery);
        self.recovered += other.recovered;
        self.recovered_late += other.recovered_late;
    }
}
