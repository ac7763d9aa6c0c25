//! Where a node is registered: its choice, and what it asks relays for that.
//!
//! Knows nothing of circuits. Invariant: what an earlier life has asked is of no account.

use std::time::Duration;

use egtp::relay::Presence;
use egtp_services::relay::choice::{Act, Asked, Heard, LEASE, PATIENCE};
use egtp_services::relay::table::Registration;

use super::super::checker::Party;
use super::super::clock::Time;
use super::super::fault::Fault;
use super::super::queue::Happening;
use super::super::run::World;
use super::{Ends, Errand, RelayId, State};

impl World {
    /// A node begins a life: it knows nothing of relays, and turns to one if it is to be reached.
    pub(crate) fn begin_at_relays(&mut self, node: Party) {
        let now = self.now;
        let is_called = self.nodes.get(node).is_some_and(|node| node.callable);
        let Some(ends) = self.relays.ends.get_mut(node) else { return };
        *ends = Ends::new(now);
        if is_called && self.is_behind_relays(node) {
            self.choice_acts(node);
        }
    }

    /// Does what a node's choice says.
    fn choice_acts(&mut self, node: Party) {
        let life = self.life_of(node).1;
        while let Some(act) = self.relays.ends.get_mut(node).and_then(|one| one.choice.next_act()) {
            self.relays.numbers += 1;
            let number = self.relays.numbers;
            let Some(ends) = self.relays.ends.get_mut(node) else { return };
            let at = ends.at;
            match act {
                Act::Come(relay) => ends.at = Some(relay),
                Act::Leave(_) => (ends.at, ends.register, ends.look) = (None, number, None),
                Act::Settle => ends.look = None,
                Act::Register => {
                    (ends.register, ends.look) = (number, None);
                    self.ask_relay(at, (node, life), Asked::Register, number);
                }
                Act::Look => {
                    ends.look = Some(number);
                    self.ask_relay(at, (node, life), Asked::Look, number);
                }
            }
            self.tell(|| format!("node {node}, relays: {act:?}"));
        }
        let Some(ends) = self.relays.ends.get_mut(node) else { return };
        let wakes = ends.choice.wakes_at().map(|at| nanos(at).max(self.now));
        if let Some(at) = wakes.filter(|at| ends.wakes.is_none_or(|planned| *at < planned)) {
            ends.wakes = Some(at);
            self.queue.push(at, Happening::Errand(Errand::Ticks { node, life }));
        }
    }

    fn ask_relay(
        &mut self,
        relay: Option<RelayId>,
        (node, life): (Party, u64),
        asked: Asked,
        number: u64,
    ) {
        let Some(relay) = relay else { return };
        let at = self.now + self.way_to_relay(relay);
        let asks = Errand::Asks { relay, node, life, asked, number };
        self.queue.push(at, Happening::Errand(asks));
        if asked == Asked::Look {
            let heard = Heard::Failed(asked);
            let gives_up = Errand::Hears { node, life, asked, number, heard };
            self.queue.push(self.now + nanos(PATIENCE), Happening::Errand(gives_up));
        }
    }

    /// A relay is asked to register a node, or whether it is registered.
    pub(super) fn relay_asked(
        &mut self,
        id: RelayId,
        (node, life): (Party, u64),
        asked: Asked,
        number: u64,
    ) {
        let now = Duration::from_nanos(self.now);
        let Some(key) = self.keys.get(node).copied() else { return };
        let Some(relay) = self.relays.all.get_mut(id).filter(|one| one.state == State::Up) else {
            return;
        };
        relay.connected.insert(node);
        let heard = match asked {
            Asked::Look => Heard::Registered(relay.table.open(key, key, now) == Presence::Live),
            Asked::Register => {
                let Some(entered) = relay.table.register(key, LEASE) else { return };
                let registration = entered.registration;
                let of = (id, relay.life);
                let over = Errand::Over { relay: of, node: (node, life), registration, number };
                self.queue.push(self.now + nanos(entered.lease), Happening::Errand(over));
                Heard::Taken
            }
        };
        self.tell_node(id, (node, life), asked, (number, heard));
    }

    fn tell_node(
        &mut self,
        relay: RelayId,
        (node, life): (Party, u64),
        asked: Asked,
        (number, heard): (u64, Heard),
    ) {
        let at = self.now + self.way_to_relay(relay);
        let errand = Errand::Hears { node, life, asked, number, heard };
        self.queue.push(at, Happening::Errand(errand));
    }

    pub(super) fn lease_over(
        &mut self,
        (id, relay_life): (RelayId, u64),
        (node, life): (Party, u64),
        registration: Registration,
        number: u64,
    ) {
        let Some(key) = self.keys.get(node).copied() else { return };
        let Some(relay) = self.relays.all.get_mut(id) else { return };
        if relay.life == relay_life && relay.state == State::Up {
            relay.table.leave(&key, registration);
            self.tell_node(id, (node, life), Asked::Register, (number, Heard::Ended));
        }
    }

    pub(super) fn choice_hears(
        &mut self,
        (node, life): (Party, u64),
        asked: Asked,
        number: u64,
        heard: Heard,
    ) {
        let errand = Errand::Hears { node, life, asked, number, heard };
        if self.is_another_life(node, life) || self.put_off(node, Happening::Errand(errand)) {
            return;
        }
        let now = Duration::from_nanos(self.now);
        let Some(ends) = self.relays.ends.get_mut(node) else { return };
        let is_awaited = match asked {
            Asked::Register => ends.register == number,
            Asked::Look => ends.look == Some(number),
        };
        if is_awaited {
            if asked == Asked::Look {
                ends.look = None;
            }
            ends.choice.hear(heard, now);
            self.choice_acts(node);
        }
    }

    /// The connection of a node to its relay is closed.
    pub(super) fn choice_loses(&mut self, node: Party, relay: RelayId) {
        let now = Duration::from_nanos(self.now);
        let Some(ends) = self.relays.ends.get_mut(node) else { return };
        if ends.at == Some(relay) && ends.choice.minds_disconnection() {
            ends.choice.hear(Heard::Disconnected, now);
            self.choice_acts(node);
        }
    }

    pub(super) fn choice_ticks(&mut self, (node, life): (Party, u64)) {
        let ticks = Happening::Errand(Errand::Ticks { node, life });
        if self.is_another_life(node, life) || self.put_off(node, ticks) {
            return;
        }
        let now = self.now;
        let Some(ends) = self.relays.ends.get_mut(node) else { return };
        if ends.wakes.is_none_or(|at| at > now) {
            return;
        }
        ends.wakes = None;
        ends.choice.tick(Duration::from_nanos(now));
        self.choice_acts(node);
    }

    /// Whether something was for a life that is over.
    pub(super) fn is_another_life(&self, node: Party, life: u64) -> bool {
        let is_up = self.nodes.get(node).is_some_and(super::super::node::Node::is_up);
        self.life_of(node).1 != life || !is_up
    }

    /// How long something is under way to a relay or back.
    pub(super) fn way_to_relay(&mut self, relay: RelayId) -> Time {
        let latency = self.relays.all.get(relay).map_or(0, |relay| relay.latency);
        let more = self.dice_of(Fault::Relayed).among(0..=10);
        latency + more * super::super::clock::MILLI
    }
}

pub(super) fn nanos(time: Duration) -> Time {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
