//! The world itself and its one loop: take the next thing that happens, let it happen, look at the
//! promises.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use egtp_proto::{MessageId, PublicKey};

use super::chance::dice;
use super::checker::{Checker, Party, Promise, Violation, Wire};
use super::clock::{SECOND, Time};
use super::disk::disk_wait_max;
use super::fault::Fault;
use super::hostile::Hostile;
use super::link::{Link, LinkId};
use super::node::Node;
use super::plan::Plan;
use super::queue::{Happening, Queue};
use super::rebirth::Rebirth;
use super::relays::Relays;
use super::tally::Tally;
use super::workload::Wish;
use crate::process::dice::Dice;

/// Whether a run writes down what happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Story {
    /// It does, line by line.
    Told,
    /// It does not.
    Untold,
}

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Run {
    /// The first broken promise, if one was broken.
    pub violation: Option<Violation>,
    /// A hash over everything that happened: equal for equal plans and equal code.
    pub hash: [u8; 32],
    /// What happened, as numbers.
    pub tally: Tally,
    /// What happened, as lines.
    pub story: Vec<String>,
}

/// Plays a plan until everything is over or a promise is broken.
pub fn run(plan: &Plan, story: Story) -> Run {
    let mut world = World::new(plan, story);
    // A panic is a violation like any other: the run must be able to say which seed it was.
    let ended = catch_unwind(AssertUnwindSafe(|| world.play()));
    if let Err(cause) = ended {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.checker.check(Promise::NoPanic, false, || {
            format!("a panic: {}", text.unwrap_or_else(|| "of an unknown type".to_owned()))
        });
    } else {
        world.checker.check(Promise::NoPanic, true, String::new);
    }
    world.finish()
}

/// A recorded packet: who sent it to whom.
pub(crate) struct Recorded {
    pub from: Party,
    pub to: Party,
    pub packet: Vec<u8>,
}

/// Everything that there is.
pub(crate) struct World {
    pub plan: Plan,
    pub now: Time,
    pub queue: Queue,
    /// The honest nodes; the hostile peer is the party after the last of them.
    pub nodes: Vec<Node>,
    pub hostile: Option<Hostile>,
    pub keys: Vec<PublicKey>,
    pub parties: BTreeMap<PublicKey, Party>,
    pub links: BTreeMap<LinkId, Link>,
    pub links_made: u64,
    pub relays: Relays,
    /// Directions that are dead until a moment.
    pub cuts: BTreeMap<(Party, Party), Time>,
    pub wishes: BTreeMap<u64, Wish>,
    pub numbers: u64,
    pub recordings: VecDeque<Recorded>,
    pub checker: Checker,
    pub wire: Wire,
    pub tally: Tally,
    /// Whether the faults are over.
    pub calm: bool,
    /// Pairs that have yet to exchange a request after the faults, and since when.
    pub probes: BTreeMap<(Party, Party), Time>,
    /// Their tries.
    pub probing: BTreeMap<u64, (Party, Party)>,
    /// Requests that must all be answered: see [`World::rush`].
    pub rushing: BTreeSet<u64>,
    /// The ids of messages that are to outlive the lives of their askers.
    pub outlived: BTreeMap<u64, MessageId>,
    /// The pair of the present trial.
    pub rebirth: Option<Rebirth>,
    pub over: bool,
    /// How often junk was looked after in full.
    pub looks_at_junk: u64,
    pub network_dice: Dice,
    pub dial_dice: Dice,
    pub mischief_dice: BTreeMap<Fault, Dice>,
    hasher: blake3::Hasher,
    story: Option<Vec<String>>,
}

impl World {
    fn new(plan: &Plan, story: Story) -> Self {
        let honest = plan.nodes.clamp(2, NODES_MAX);
        let nodes: Vec<Node> = (0..honest).map(|index| Node::new(plan, index)).collect();
        let hostile = (plan.strength(Fault::Hostile) > 0).then(|| Hostile::new(plan, nodes.len()));
        let hostile = hostile.flatten();
        let mut keys: Vec<PublicKey> = nodes.iter().map(|node| node.key).collect();
        keys.extend(hostile.as_ref().map(Hostile::key));
        let parties = keys.iter().enumerate().map(|(party, key)| (*key, party)).collect();
        let wire = Wire::new(&keys);
        let seed = plan.seed;
        let dices = Fault::ALL.iter().map(|fault| (*fault, dice(seed, fault.name(), 1)));
        Self {
            plan: plan.clone(),
            now: 0,
            queue: Queue::default(),
            nodes,
            hostile,
            keys,
            parties,
            links: BTreeMap::new(),
            links_made: 0,
            relays: Relays::new(plan),
            cuts: BTreeMap::new(),
            wishes: BTreeMap::new(),
            numbers: plan.requests,
            recordings: VecDeque::new(),
            checker: Checker::new(seed, disk_wait_max(plan)),
            wire,
            tally: Tally::default(),
            calm: false,
            probes: BTreeMap::new(),
            probing: BTreeMap::new(),
            rushing: BTreeSet::new(),
            outlived: BTreeMap::new(),
            rebirth: None,
            over: false,
            looks_at_junk: 0,
            network_dice: dice(seed, "network", 0),
            dial_dice: dice(seed, "dial", 0),
            mischief_dice: dices.collect(),
            hasher: blake3::Hasher::new(),
            story: (story == Story::Told).then(Vec::new),
        }
    }

    fn play(&mut self) {
        for node in 0..self.nodes.len() {
            self.restart(node);
        }
        self.tally.restarts = 0;
        self.plan_workload();
        self.plan_mischief();
        self.queue.push(self.plan.fault_seconds * SECOND, Happening::Calm);
        while let Some((at, happening)) = self.queue.pop() {
            self.now = at.max(self.now);
            self.checker.now = self.now;
            self.tally.events += 1;
            *self.tally.kinds.entry(happening.name()).or_default() += 1;
            self.note(&happening);
            self.happen(happening);
            let bound = EVENTS_FREE + self.now / SECOND * EVENTS_A_SECOND;
            self.checker.check(Promise::NoSpin, self.tally.events < bound, || {
                format!("more than {bound} things have happened: {:?}", self.tally.kinds)
            });
            if self.over || self.checker.violation.is_some() {
                break;
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake(node, number) => self.wake(node, number),
            Happening::Arrive(link, side, packet, origin) => {
                self.arrive(link, side, &packet, origin);
            }
            Happening::Drained(link, side, bytes) => self.drained(link, side, bytes),
            Happening::Writable(link, side) => self.writable(link, side),
            Happening::Dialed { from, life, to, succeeds } => {
                self.dialed(from, life, to, succeeds);
            }
            Happening::Accepted(link) => self.accepted(link),
            Happening::Broken(link, side) => self.notice_broken(link, side),
            Happening::IdleLook(link) => self.idle_look(link),
            Happening::Unclog(link) => self.unclog(link),
            Happening::Ask(number) => self.ask(number),
            Happening::Answer(node, life, query) => self.answer(node, life, query),
            Happening::Cancel(number) => self.cancel(number),
            Happening::Due(number) => self.due(number),
            Happening::Strike(fault) => self.strike(fault),
            Happening::Rush(from, to) => self.rush(from, to),
            Happening::Throng(from, to) => self.throng(from, to),
            Happening::Trial(trial) => self.begin_trial(trial),
            Happening::Death(trial) => self.die_for(trial),
            Happening::AskReborn => self.ask_reborn(),
            Happening::Written(node, life, number) => self.written(node, life, number),
            Happening::Restart(node) => self.restart(node),
            Happening::Thaw(node) => self.thaw(node),
            Happening::ClockGoesOn(node) => self.clock_goes_on(node),
            Happening::Errand(errand) => self.errand(errand),
            Happening::HostileActs => self.hostile_acts(),
            Happening::Calm => self.calm_down(),
            Happening::Probe(from, to) => self.probe(from, to),
            Happening::ProbeDue(from, to) => self.probe_due(from, to),
            Happening::End => self.look_for_leaks(),
        }
    }

    /// Everything that happens enters the hash; packets do when they are sent.
    fn note(&mut self, happening: &Happening) {
        self.hasher.update(&self.now.to_le_bytes());
        match happening {
            Happening::Arrive(link, side, packet, _) => {
                self.hasher.update(&link.to_le_bytes());
                self.hasher.update(&[u8::from(*side == 1)]);
                self.hasher.update(packet.last_chunk::<16>().map_or(&[][..], |end| &end[..]));
            }
            Happening::Errand(errand) => {
                self.hasher.update(errand.digest().as_bytes());
            }
            other => {
                self.hasher.update(format!("{other:?}").as_bytes());
            }
        }
    }

    /// Something that nodes did enters the hash.
    pub(crate) fn hash(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// A line of the story.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        let now = Duration::from_nanos(self.now);
        if let Some(story) = self.story.as_mut().filter(|story| story.len() < STORY_LINES_MAX) {
            story.push(format!("{:>12.6} {}", now.as_secs_f64(), line()));
        }
    }

    /// Whether somebody reads the story.
    pub(crate) const fn is_telling(&self) -> bool {
        self.story.is_some()
    }

    /// A fault has done something.
    pub(crate) fn fired(&mut self, fault: Fault) {
        *self.tally.fired.entry(fault).or_default() += 1;
    }

    /// The strength of a fault at this moment.
    pub(crate) fn strength(&self, fault: Fault) -> u64 {
        if self.calm { 0 } else { self.plan.strength(fault) }
    }

    /// The sequence of choices of a fault.
    pub(crate) fn dice_of(&mut self, fault: Fault) -> &mut Dice {
        let seed = self.plan.seed;
        self.mischief_dice.entry(fault).or_insert_with(|| dice(seed, fault.name(), 1))
    }

    /// How many parties there are.
    pub(crate) fn parties(&self) -> Party {
        self.keys.len()
    }

    fn finish(mut self) -> Run {
        let nodes = u64::try_from(self.nodes.len()).unwrap_or(0);
        self.tally.node_time = self.now.saturating_mul(nodes);
        self.tally.checked = std::mem::take(&mut self.checker.checked);
        for node in &self.nodes {
            if let Some(endpoint) = &node.endpoint {
                self.tally.add_life(endpoint.counters());
            }
        }
        Run {
            violation: self.checker.violation,
            hash: *self.hasher.finalize().as_bytes(),
            tally: self.tally,
            story: self.story.unwrap_or_default(),
        }
    }
}

/// More nodes than any plan has.
const NODES_MAX: u64 = 16;
/// More never happens in a world that is well: so much at any time, and so much for each second, in
/// which a node may dial everybody once and repeat what is not answered.
const EVENTS_FREE: u64 = 400_000;
const EVENTS_A_SECOND: u64 = 50;
/// Lines of a story that are kept.
const STORY_LINES_MAX: usize = 1_000_000;
