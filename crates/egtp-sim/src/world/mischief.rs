//! Faults that strike at moments of their own: crashes, pauses, clocks, partitions, broken paths.
//!
//! Invariant: every one of them ends by itself or when the faults end.

use super::chance::{dice, happens, spread};
use super::checker::Party;
use super::clock::{HOUR, MILLI, MINUTE, SECOND, Time, YEAR};
use super::fault::Fault;
use super::link::LinkId;
use super::queue::Happening;
use super::run::World;

/// Faults that strike at planned moments; the others strike packets, dials or requests.
const PLANNED: [Fault; 22] = [
    Fault::Partition,
    Fault::OneWayPartition,
    Fault::Clog,
    Fault::PathDeath,
    Fault::SilentPath,
    Fault::AddressChange,
    Fault::FullPath,
    Fault::WallJump,
    Fault::Suspend,
    Fault::ClockStop,
    Fault::Crash,
    Fault::Pause,
    Fault::Replay,
    Fault::Stranger,
    Fault::Hostile,
    Fault::WrongWall,
    Fault::Crowd,
    Fault::FullDisk,
    Fault::RelayCrash,
    Fault::RelayGone,
    Fault::RelaySilent,
    Fault::RelayRepeats,
];

impl World {
    /// When the workload happens: much of it around a few moments, the rest at any time.
    pub(crate) fn plan_workload(&mut self) {
        let mut of = dice(self.plan.seed, "workload", 0);
        let busy = self.busy_moments();
        let (end, burst) = (self.plan.fault_seconds * SECOND, self.plan.strength(Fault::Burst));
        let mut at = 0;
        for number in 0..self.plan.requests {
            if burst > 0 && number > 0 && happens(&mut of, burst * 9) {
                self.fired(Fault::Burst);
            } else if happens(&mut of, 700) {
                at = of.pick(&busy).copied().unwrap_or(0) + spread(&mut of, 1, 90_000) * MILLI;
            } else {
                at = of.among(0..=end);
            }
            self.queue.push(at.min(end.saturating_sub(1)), Happening::Ask(number));
        }
    }

    /// When the planned faults strike: mostly while there is work.
    pub(crate) fn plan_mischief(&mut self) {
        let busy = self.busy_moments();
        let end = self.plan.fault_seconds * SECOND;
        for fault in PLANNED {
            let strength = self.plan.strength(fault);
            if strength == 0 {
                continue;
            }
            let mut of = dice(self.plan.seed, fault.name(), 2);
            for _ in 0..=strength / STRENGTH_OF_ONE {
                let at = if happens(&mut of, 700) {
                    of.pick(&busy).copied().unwrap_or(0) + spread(&mut of, 1, 120_000) * MILLI
                } else {
                    of.among(0..=end)
                };
                self.queue.push(at.min(end.saturating_sub(1)), Happening::Strike(fault));
            }
        }
        if self.plan.strength(Fault::Drift) > 0 {
            self.fired(Fault::Drift);
        }
        if self.plan.strength(Fault::TinyLimits) > 0 {
            self.fired(Fault::TinyLimits);
        }
        if self.plan.strength(Fault::NoAge) > 0 {
            self.fired(Fault::NoAge);
        }
    }

    fn busy_moments(&self) -> Vec<Time> {
        let mut of = dice(self.plan.seed, "busy", 0);
        let last = self.plan.fault_seconds * 4 / 5 * SECOND;
        (0..=of.among(0..=4)).map(|_| of.among(0..=last)).collect()
    }

    /// A planned fault strikes.
    pub(crate) fn strike(&mut self, fault: Fault) {
        if self.calm {
            return;
        }
        let node = {
            let nodes = self.nodes.len();
            self.dice_of(fault).index(nodes)
        };
        self.tell(|| format!("{} strikes", fault.name()));
        match fault {
            Fault::Partition => self.part(),
            Fault::OneWayPartition => self.part_one_way(),
            Fault::Clog => self.clog(),
            Fault::PathDeath => self.kill_path(),
            Fault::SilentPath => {
                if let Some(link) = self.some_link(fault).and_then(|id| self.links.get_mut(&id)) {
                    link.swallows = true;
                }
            }
            Fault::AddressChange => self.change_address(node),
            Fault::FullPath => self.fill_path(),
            Fault::WallJump | Fault::WrongWall => self.jump_wall(node, fault),
            Fault::Suspend => self.freeze(node, fault, SECOND, 10 * 24 * HOUR),
            Fault::Pause => self.freeze(node, fault, MILLI, HOUR),
            Fault::ClockStop => self.stop_clock(node),
            Fault::Crash => self.crash_for_a_while(node),
            Fault::Replay => self.replay(node),
            Fault::Stranger => self.stranger_acts(node),
            Fault::Hostile => self.hostile_acts(),
            Fault::Crowd => self.crowd(),
            Fault::FullDisk => self.fill_disk(node),
            Fault::RelayCrash | Fault::RelayGone => self.kill_relay(fault),
            Fault::RelaySilent => self.silence_relay(),
            Fault::RelayRepeats => self.relay_repeats(node),
            _ => {}
        }
    }

    /// Two groups that do not reach each other.
    fn part(&mut self) {
        let parties = self.parties();
        let of = self.dice_of(Fault::Partition);
        let group: Vec<bool> = (0..parties).map(|_| happens(of, 500)).collect();
        let until = spread(of, SECOND, 10 * MINUTE) + self.now;
        for (from, here) in group.iter().enumerate() {
            for (to, there) in group.iter().enumerate() {
                if here != there {
                    self.cuts.insert((from, to), until);
                    self.fired(Fault::Partition);
                }
            }
        }
    }

    fn part_one_way(&mut self) {
        let (parties, now) = (self.parties(), self.now);
        let of = self.dice_of(Fault::OneWayPartition);
        let from = of.index(parties);
        let to = (from + 1 + of.index(parties - 1)) % parties;
        let until = spread(of, SECOND, 10 * MINUTE) + now;
        self.cuts.insert((from, to), until);
        self.fired(Fault::OneWayPartition);
    }

    fn some_link(&mut self, fault: Fault) -> Option<LinkId> {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        self.dice_of(fault).pick(&links).copied()
    }

    fn clog(&mut self) {
        let Some(id) = self.some_link(Fault::Clog) else { return };
        let after = spread(self.dice_of(Fault::Clog), 100 * MILLI, 5 * MINUTE);
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.clogged.is_none()) {
            link.clogged = Some(Vec::new());
            self.queue.push(self.now + after, Happening::Unclog(id));
        }
    }

    /// A clogged link goes on: everything at once, and not in the order in which it came.
    pub(crate) fn unclog(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (kind, held) = (link.kind, link.clogged.take().unwrap_or_default());
        let mut order: Vec<(u64, usize)> = Vec::new();
        for place in 0..held.len() {
            let key = match kind {
                super::link::LinkKind::Stream => 0,
                super::link::LinkKind::Packets => self.dice_of(Fault::Clog).among(0..=1000),
            };
            order.push((key, place));
        }
        order.sort_unstable();
        for (_, place) in order {
            if let Some((side, packet)) = held.get(place) {
                let origin = super::queue::Origin::Genuine;
                let arrives = Happening::Arrive(id, *side, packet.clone(), origin);
                self.queue.push(self.now, arrives);
            }
        }
    }

    fn kill_path(&mut self) {
        let Some(id) = self.some_link(Fault::PathDeath) else { return };
        let of = self.dice_of(Fault::PathDeath);
        let notice = [spread(of, MILLI, 30 * SECOND), spread(of, MILLI, 30 * SECOND)];
        self.fired(Fault::PathDeath);
        self.break_link(id, notice);
    }

    fn links_of(&self, party: Party) -> Vec<LinkId> {
        let touching = self.links.iter().filter(|(_, link)| link.touches(party));
        touching.map(|(id, _)| *id).collect()
    }

    /// All links of a node break, and it may open new ones before anybody asks for them.
    fn change_address(&mut self, node: Party) {
        if !self.nodes.get(node).is_some_and(|node| node.acts(self.now)) {
            return;
        }
        self.leave_relays(node);
        for id in self.links_of(node) {
            self.fired(Fault::AddressChange);
            let other = self.links.get(&id).map(|link| {
                link.ends.iter().map(|end| end.party).find(|party| *party != node).unwrap_or(node)
            });
            let later = spread(self.dice_of(Fault::AddressChange), MILLI, 30 * SECOND);
            let dialed = self.links.get(&id).is_some_and(|link| link.ends[0].party == node);
            self.break_link(id, if dialed { [0, later] } else { [later, 0] });
            let Some(other) = other.filter(|other| *other < self.nodes.len()) else { continue };
            let listens = self.nodes.get(other).is_some_and(|one| one.is_up() && one.callable);
            if listens && happens(self.dice_of(Fault::AddressChange), 500) {
                self.open_link(node, other);
            }
        }
    }

    fn fill_path(&mut self) {
        let Some(id) = self.some_link(Fault::FullPath) else { return };
        let until = self.now + spread(self.dice_of(Fault::FullPath), 10 * MILLI, MINUTE);
        if let Some(link) = self.links.get_mut(&id) {
            link.full_until = until;
            self.fired(Fault::FullPath);
            for side in 0..=1 {
                self.queue.push(until, Happening::Writable(id, side));
            }
        }
    }

    fn jump_wall(&mut self, node: Party, fault: Fault) {
        let of = self.dice_of(fault);
        let by = i128::from(spread(of, SECOND, 10 * YEAR));
        // Where boot clocks stop, wall clocks are not set back: one of both must tell of the past.
        let back = happens(of, 500) && self.plan.strength(Fault::ClockStop) == 0;
        if let Some(node) = self.nodes.get_mut(node) {
            node.clocks.jump_wall(if back { -by } else { by });
            self.fired(fault);
        }
    }

    /// A machine stands still; its clocks do not.
    fn freeze(&mut self, index: Party, fault: Fault, low: Time, high: Time) {
        let now = self.now;
        let left = (self.plan.fault_seconds * SECOND).saturating_sub(now);
        let of = self.dice_of(fault);
        let until = spread(of, low, high).min(left) + now;
        let breaks = happens(of, 500);
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.acts(self.now)) else {
            return;
        };
        node.frozen_until = until;
        self.queue.push(until, Happening::Thaw(index));
        self.fired(fault);
        if breaks {
            for id in self.links_of(index) {
                self.break_link(id, [MINUTE, MINUTE]);
            }
        }
    }

    fn stop_clock(&mut self, index: Party) {
        let after = spread(self.dice_of(Fault::ClockStop), SECOND, 10 * MINUTE);
        let now = self.now;
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.is_up() && !node.clocks.is_stopped() {
            node.clocks.stop(now);
            self.queue.push(now + after, Happening::ClockGoesOn(index));
            self.fired(Fault::ClockStop);
        }
    }

    /// A boot clock goes on from where it stood.
    pub(crate) fn clock_goes_on(&mut self, index: Party) {
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(index) {
            node.clocks.go_on(now);
            node.wake = (node.wake.0 + 1, None);
        }
        self.arm(index);
    }

    fn crash_for_a_while(&mut self, index: Party) {
        let (gently, after, silently) = {
            let of = self.dice_of(Fault::Crash);
            (happens(of, 250), spread(of, MILLI, 5 * MINUTE), happens(of, 250))
        };
        if !self.nodes.get(index).is_some_and(|node| node.acts(self.now)) {
            return;
        }
        self.fired(Fault::Crash);
        self.crash(index, gently, silently);
        self.queue.push(self.now + after, Happening::Restart(index));
        if self.plan.strength(Fault::Replay) > 0 {
            self.queue.push(self.now + after + MILLI, Happening::Strike(Fault::Replay));
        }
    }

    /// A life ends: gently, with its goodbyes said, or at once; and noticed by others or not.
    pub(crate) fn crash(&mut self, index: Party, gently: bool, silently: bool) {
        self.tell(|| format!("node {index} dies"));
        if gently {
            self.with(index, |endpoint, _| endpoint.close());
            self.settle(index);
        }
        self.checker.died(index);
        if let Some(node) = self.nodes.get_mut(index) {
            if let Some(endpoint) = &node.endpoint {
                self.tally.add_life(endpoint.counters());
            }
            node.end();
            node.frozen_until = 0;
        }
        self.interrupt_disk(index);
        if !silently {
            self.lost_to_relays(index);
        }
        for id in self.links_of(index) {
            if silently {
                if let Some(link) = self.links.get_mut(&id) {
                    link.swallows = true;
                }
            } else {
                self.break_link(id, [MILLI, MILLI]);
            }
        }
    }

    /// A recording is played to a node, over one of its links or a new one.
    fn replay(&mut self, node: Party) {
        if !self.nodes.get(node).is_some_and(|one| one.acts(self.now)) {
            return;
        }
        let recorded: Vec<Vec<u8>> = {
            let to_it = self.recordings.iter().filter(|one| one.to == node && one.from != node);
            to_it.map(|one| one.packet.clone()).collect()
        };
        if recorded.is_empty() {
            return;
        }
        let links = self.links_of(node);
        let own = self.dice_of(Fault::Replay).pick(&links).copied();
        let own = own.filter(|_| happens(self.dice_of(Fault::Replay), 500));
        let id = own.unwrap_or_else(|| self.open_link(STRANGER, node));
        let Some(link) = self.links.get(&id) else { return };
        let side = usize::from(link.ends[0].party != node);
        self.fired(Fault::Replay);
        let from = self.dice_of(Fault::Replay).index(recorded.len());
        for (later, packet) in recorded.into_iter().skip(from).take(REPLAYED).enumerate() {
            let at = self.now + u64::try_from(later).unwrap_or(0) * MILLI;
            let origin = super::queue::Origin::Genuine;
            self.queue.push(at, Happening::Arrive(id, side, packet, origin));
        }
    }
}

/// Who has no key.
pub(crate) const STRANGER: Party = Party::MAX;
/// Each so many points of strength let a fault strike once more.
const STRENGTH_OF_ONE: u64 = 8;
/// Packets of a recording that are played at once.
const REPLAYED: usize = 200;
