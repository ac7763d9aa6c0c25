//! A relay: who is asked for, what passes, and its own misfortunes.
//!
//! Knows no circuits of nodes. Invariant: what an honest relay passes on is what its table lets pass, unchanged.

use std::time::Duration;

use egtp::relay::Presence;
use egtp_services::relay::table::{Table, Verdict};

use super::super::chance::spread;
use super::super::checker::{Party, Promise};
use super::super::clock::{MILLI, MINUTE, SECOND, Time};
use super::super::fault::Fault;
use super::super::queue::Happening;
use super::super::run::World;
use super::{Errand, Passed, RelayId, State};

impl World {
    /// A relay is asked for a peer.
    pub(super) fn opens(
        &mut self,
        id: RelayId,
        (node, life): (Party, u64),
        peer: Party,
        tried: usize,
    ) {
        let now = Duration::from_nanos(self.now);
        let keys = self.keys.get(node).copied().zip(self.keys.get(peer).copied());
        let Some((own, other)) = keys else { return };
        let Some(relay) = self.relays.all.get_mut(id) else { return };
        let (takes, is_live) = if relay.state == State::Up {
            relay.connected.insert(node);
            let is_silent = relay.silent_until > self.now;
            let presence = relay.table.open(own, other, now);
            (self.way_to_relay(id), is_silent || presence == Presence::Live)
        } else {
            (OPENING_TIME, false)
        };
        let opened = Errand::Opened { relay: id, node, life, peer, tried, is_live };
        self.queue.push(self.now + takes, Happening::Errand(opened));
    }

    /// A packet reaches a relay.
    pub(super) fn passes(&mut self, id: RelayId, passed: Passed) {
        let (now, world) = (Duration::from_nanos(self.now), self.now);
        let Passed { from, to, ref packet } = passed;
        let keys = self.keys.get(from).copied().zip(self.keys.get(to).copied());
        let Some((own, other)) = keys else { return };
        let Some(relay) = self.relays.all.get_mut(id).filter(|one| one.state == State::Up) else {
            return;
        };
        relay.connected.insert(from);
        let is_silent = relay.silent_until > world;
        let verdict = relay.table.judge(own, other, packet.len(), now);
        let is_there = relay.connected.contains(&to);
        if verdict == Verdict::Passes && !is_there {
            relay.table.lost(&other);
        }
        let found = self.relays.reader.find(packet);
        self.checker.check(Promise::RelayReadsNothing, found.is_none(), || {
            format!("a relay could read what node {from} said to {to}, at byte {found:?}")
        });
        self.remember(id, &passed);
        if is_silent {
            return self.fired(Fault::RelaySilent);
        }
        match verdict {
            Verdict::TooMuch => {}
            Verdict::Passes if is_there => {
                self.fired(Fault::Relayed);
                self.pass_on(id, passed);
            }
            Verdict::Passes | Verdict::Strangers => {
                let at = self.now + self.way_to_relay(id);
                let gone = Errand::Gone { relay: id, node: from, peer: to };
                self.queue.push(at, Happening::Errand(gone));
            }
        }
    }

    /// A node has died, and its relays have noticed it.
    pub(crate) fn lost_to_relays(&mut self, node: Party) {
        for relay in &mut self.relays.all {
            relay.connected.remove(&node);
        }
    }

    /// A relay dies: for a while, or for ever; but one of them lives on.
    pub(crate) fn kill_relay(&mut self, fault: Fault) {
        let relays = self.relays.all.len();
        let of = self.dice_of(fault);
        let (id, after) = (of.index(relays), spread(of, MILLI, 5 * MINUTE));
        let is_for_ever = fault == Fault::RelayGone;
        let is_last = self.relays.all.iter().any(|one| one.state == State::Gone);
        let Some(relay) = self.relays.all.get_mut(id) else { return };
        if relay.state != State::Up || is_for_ever && is_last {
            return;
        }
        relay.state = if is_for_ever { State::Gone } else { State::Down };
        relay.connected.clear();
        relay.table = Table::new(relay.limits.clone(), Duration::from_nanos(self.now));
        relay.life += 1;
        self.fired(fault);
        self.tell(|| format!("relay {id} dies, {fault:?}"));
        for node in 0..self.nodes.len() {
            let notices = spread(self.dice_of(fault), MILLI, 30 * SECOND);
            let broke = Errand::Broke { relay: id, node };
            self.queue.push(self.now + notices, Happening::Errand(broke));
        }
        if !is_for_ever {
            self.queue.push(self.now + after, Happening::Errand(Errand::Returns(id)));
        }
    }

    /// A relay is there again, and knows nobody.
    pub(super) fn relay_returns(&mut self, id: RelayId) {
        if let Some(relay) = self.relays.all.get_mut(id).filter(|one| one.state == State::Down) {
            relay.state = State::Up;
            self.tell(|| format!("relay {id} is back"));
        }
    }

    /// A relay passes nothing for a while, and says that everybody is there.
    pub(crate) fn silence_relay(&mut self) {
        let relays = self.relays.all.len();
        let of = self.dice_of(Fault::RelaySilent);
        let (id, lasts) = (of.index(relays), spread(of, SECOND, 10 * MINUTE));
        if let Some(relay) = self.relays.all.get_mut(id) {
            relay.silent_until = self.now + lasts;
        }
    }

    /// The faults end: whoever has not gone for ever is there.
    pub(crate) fn heal_relays(&mut self) {
        for id in 0..self.relays.all.len() {
            if let Some(relay) = self.relays.all.get_mut(id) {
                relay.silent_until = 0;
            }
            self.relay_returns(id);
        }
    }
}

/// How long a node waits for a relay to say whether somebody is there.
const OPENING_TIME: Time = 8 * SECOND;
