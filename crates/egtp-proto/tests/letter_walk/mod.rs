//! A random walk of three machines that write letters to each other: kills, restarts, lost and slow disks, letters that
//! are lost, kept back and brought again, clocks that jump, full stores, paths that come and go.
//!
//! What is done follows from the seed alone. Invariant: after each step, a message was executed once at most over all
//! lives, and a letter that may be thrown away is known to whoever comes back from the disk as it is then; at the end
//! every message has an outcome that is true.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use egtp_proto::exchange::durable::Write;
use egtp_proto::{
    Config, Event, IdentityId, LetterError, Lost, MessageClass, MessageId, Outcome, Policy,
    StoreKind, Taken,
};

use super::common::disk::Disk;
use super::common::{World, make, millis, restore, secs};

const MACHINES: usize = 3;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Longer than any walk that does not sleep for weeks.
const PATIENCE: Duration = Duration::from_secs(13 * DAY);

/// Draws that follow from a seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}

/// What became of a walk.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Tally {
    pub messages: usize,
    pub executed: usize,
    pub letters: usize,
    pub thrown_away: usize,
    pub outcomes: BTreeMap<&'static str, usize>,
}

struct Walk {
    world: World,
    chance: Chance,
    policy: Policy,
    lives: [u8; MACHINES],
    disks: u64,
    /// Bodies by the id of the message, of all that was ever on a sender's disk.
    bodies: BTreeMap<MessageId, Bytes>,
    /// The outcomes that disks have said.
    outcomes: BTreeMap<MessageId, Outcome>,
    tally: Tally,
    /// What was done, to be shown by a failure.
    story: Vec<String>,
}

/// Walks so many steps.
///
/// # Panics
/// When a promise is broken; tells the seed and what was done.
pub fn walk(seed: u64, steps: usize) -> Tally {
    let mut walk = Walk::new(seed);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..steps {
            walk.step();
            walk.check();
        }
        walk.end();
    }));
    if let Err(why) = caught {
        eprintln!("seed {seed}, after:\n{}", walk.story.join("\n"));
        std::panic::resume_unwind(why);
    }
    let Walk { mut tally, world, outcomes, .. } = walk;
    tally.letters = world.post.recorded.len();
    tally.executed = (0..MACHINES).map(|machine| executed(&world, machine).count()).sum();
    for outcome in outcomes.values() {
        *tally.outcomes.entry(name(outcome)).or_default() += 1;
    }
    tally
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Reply { .. } => "reply",
        Outcome::Accepted { .. } => "accepted",
        Outcome::Unknown { .. } => "unknown",
        Outcome::TimedOut { taken: Taken::No } => "timed out, not taken",
        Outcome::TimedOut { .. } => "timed out",
        Outcome::Refused(_) => "refused",
        _ => "other",
    }
}

/// Bodies that were handled, in memory or on the disk.
fn executed(world: &World, machine: usize) -> impl Iterator<Item = &Bytes> {
    let one = &world.machines[machine];
    one.executed.iter().chain(one.disk.iter().flat_map(|disk| &disk.booked))
}

fn tight(config: &mut Config) {
    roomy(config);
    config.limits.letter_dialogs_max = 1;
    config.limits.queries_per_peer = 3;
}

fn roomy(config: &mut Config) {
    config.limits.open_max = 10_000;
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let adjust = if chance.below(3) == 0 { tight } else { roomy };
        let policy = if chance.below(2) == 0 { Policy::AtMostOnce } else { Policy::Transaction };
        let mut world = World::without_disks(u8::try_from(MACHINES).unwrap(), adjust);
        (world.wants, world.keeps) = (StoreKind::Durable, true);
        world.callable = vec![false; MACHINES];
        let mut walk = Self {
            world,
            chance,
            policy,
            lives: [0; MACHINES],
            disks: 0,
            bodies: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            tally: Tally::default(),
            story: vec![format!("{policy:?}")],
        };
        for machine in 0..MACHINES {
            walk.world.set_policy(machine, policy);
            walk.world.machines[machine].up = false;
            walk.new_disk(machine);
            walk.start(machine);
        }
        walk.introduce_all();
        walk
    }

    fn tell(&mut self, what: &str) {
        let at = self.world.now.since_start().as_secs_f64();
        self.story.push(format!("{at:>12.3} {what}"));
        if std::env::var_os("EGTP_LETTER_STORY").is_some() {
            eprintln!("{at:>12.3} {what}");
        }
    }

    /// The disk of a machine that is down is lost.
    fn new_disk(&mut self, machine: usize) {
        self.disks += 1;
        let mut booked = Vec::new();
        if let Some(disk) = &mut self.world.machines[machine].disk {
            booked = std::mem::take(&mut disk.booked);
        }
        let disk = Disk { booked, ..Disk::new(90_000 + self.disks) };
        self.world.machines[machine].disk = Some(disk);
    }

    fn start(&mut self, machine: usize) {
        self.lives[machine] += 1;
        self.world.restart(machine, self.lives[machine]);
        self.world.open_mailbox(machine);
    }

    fn introduce_all(&mut self) {
        for (machine, other) in pairs() {
            if self.world.post.contacts.contains_key(&other) {
                self.world.introduce(machine, other);
            }
        }
    }

    fn disk(&mut self, machine: usize) -> &mut Disk {
        self.world.machines[machine].disk.as_mut().unwrap()
    }

    fn is_up(&self, machine: usize) -> bool {
        self.world.machines[machine].up
    }

    fn step(&mut self) {
        let machine = self.chance.below(MACHINES);
        match self.chance.below(32) {
            0..=8 => self.send(machine),
            9..=11 => self.kill_or_start(machine),
            12..=16 => self.fetch(machine),
            17..=19 => self.replay(),
            20 => self.lose_letter(machine),
            21 => {
                self.world.post.is_closed = self.chance.below(3) == 0;
                self.tell(&format!("post is closed: {}", self.world.post.is_closed));
            }
            22 | 23 => self.slow_disk(machine),
            24 => {
                self.world.callable[machine] = self.chance.below(3) == 0;
                self.tell(&format!("{machine} can be called: {}", self.world.callable[machine]));
                self.world.cut(machine, Lost::Broken);
                self.world.settle();
            }
            25 => {
                let other = (machine + 1 + self.chance.below(2)) % MACHINES;
                self.tell(&format!("{machine} hears of {other}"));
                if self.world.post.contacts.contains_key(&other) {
                    self.world.introduce(machine, other);
                }
            }
            26 => self.die_at_a_write(machine),
            27 if self.chance.below(8) == 0 => self.lose_disk(machine),
            28 if self.chance.below(6) == 0 => self.rest(),
            29 => {
                let hours = u64::try_from(self.chance.below(72)).unwrap();
                self.tell(&format!("the clock of {machine} is {hours} h ahead"));
                self.world.machines[machine].wall_offset = secs(hours * HOUR);
            }
            _ => {
                let spans = [millis(3), millis(40), secs(1), secs(7), secs(60), secs(2_000)];
                let span = spans[self.chance.below(spans.len())];
                self.tell(&format!("{span:?} pass"));
                self.world.run(span);
            }
        }
    }

    fn send(&mut self, machine: usize) {
        let other = (machine + 1 + self.chance.below(2)) % MACHINES;
        if !self.is_up(machine) {
            return;
        }
        self.tally.messages += 1;
        let number = self.tally.messages;
        let mut body = number.to_le_bytes().to_vec();
        if self.chance.below(12) == 0 {
            body.resize(40_000, 7);
        }
        let class =
            if self.chance.below(2) == 0 { MessageClass::Send } else { MessageClass::Request };
        self.tell(&format!("{machine} to {other}: {class:?} {number}"));
        self.world.submit(machine, other, &body, class, None, PATIENCE);
    }

    fn kill_or_start(&mut self, machine: usize) {
        // Those who are down are up again before long.
        let machine = (0..MACHINES).find(|one| !self.is_up(*one)).unwrap_or(machine);
        if !self.is_up(machine) {
            self.tell(&format!("{machine} starts"));
            self.start(machine);
            return;
        }
        // What was being written is on the disk or not.
        let is_there = self.chance.below(2) == 0;
        self.tell(&format!("{machine} is killed, what it wrote is there: {is_there}"));
        let disk = self.disk(machine);
        disk.is_slow = false;
        if let Some(batch) = disk.at_work.take().filter(|_| is_there) {
            disk.commit(&batch);
        }
        self.world.kill(machine);
    }

    fn slow_disk(&mut self, machine: usize) {
        let is_slow = self.chance.below(2) == 0;
        self.tell(&format!("the disk of {machine} is slow: {is_slow}"));
        self.disk(machine).is_slow = is_slow;
        if self.is_up(machine) {
            self.world.settle();
        }
    }

    fn die_at_a_write(&mut self, machine: usize) {
        let (after, is_there) = (self.chance.next() % 3, self.chance.below(2) == 0);
        self.tell(&format!("{machine} dies after {after} writes, which is there: {is_there}"));
        let disk = self.disk(machine);
        disk.dies_at = Some((disk.commits + after, is_there));
    }

    fn lose_disk(&mut self, machine: usize) {
        self.tell(&format!("{machine} loses its disk"));
        self.world.kill(machine);
        self.new_disk(machine);
    }

    /// All are down for days.
    fn rest(&mut self) {
        let days = [1, 2, 8, 30, 120][self.chance.below(5)];
        self.tell(&format!("all sleep for {days} days"));
        for machine in 0..MACHINES {
            self.world.kill(machine);
        }
        self.world.run(secs(days * DAY));
    }

    fn fetch(&mut self, machine: usize) {
        if !self.is_up(machine) {
            return;
        }
        let letters = self.world.post.kept.remove(&machine).unwrap_or_default();
        self.tell(&format!("{machine} fetches {} letters", letters.len()));
        for letter in letters {
            if !self.is_up(machine) || !self.bring(machine, &letter) {
                self.world.post.kept.entry(machine).or_default().push(letter);
            }
        }
    }

    /// Any letter that there ever was comes again.
    fn replay(&mut self) {
        let all = self.world.post.recorded.len();
        if all == 0 {
            return;
        }
        let (_, to, letter) = self.world.post.recorded[self.chance.below(all)].clone();
        if self.is_up(to) {
            self.tell(&format!("{to} is brought a letter again"));
            self.bring(to, &letter);
        }
    }

    fn lose_letter(&mut self, machine: usize) {
        let Some(letters) = self.world.post.kept.get_mut(&machine).filter(|all| !all.is_empty())
        else {
            return;
        };
        letters.remove(self.chance.below(letters.len()));
        self.tell(&format!("a letter to {machine} is lost"));
    }

    /// Whether it may be thrown away.
    fn bring(&mut self, machine: usize, letter: &[u8]) -> bool {
        match self.world.bring(machine, letter) {
            Ok(true) => {
                self.tally.thrown_away += 1;
                if self.is_up(machine) {
                    self.is_known(machine, letter);
                }
                true
            }
            Ok(false) | Err(LetterError::Busy) => false,
            Err(_) => true,
        }
    }

    /// If the machine died now, nothing in this letter would be new to whoever comes back.
    fn is_known(&self, machine: usize, letter: &[u8]) {
        let one = &self.world.machines[machine];
        let now = self.world.at(machine);
        let mut disk = one.disk.clone().unwrap();
        let mut next = make(one.seed, u8::MAX, one.config, now).0;
        next.set_policy(egtp_proto::Kind::new("test/1").unwrap(), self.policy);
        restore(&mut next, now, &disk);
        while next.next_event().is_some() {}
        while let Some(batch) = next.take_batch() {
            next.committed(now, batch.number, disk.commit(&batch));
        }
        while next.next_event().is_some() {}
        next.receive_letter(now, IdentityId(0), letter).unwrap();
        let mut bodies = Vec::new();
        while let Some(batch) = next.take_batch() {
            bodies.extend(batch.rows.iter().filter_map(|row| match &row.write {
                Write::Run(run) => Some(run.event.message.body.clone()),
                _ => None,
            }));
            next.committed(now, batch.number, disk.commit(&batch));
        }
        while let Some(event) = next.next_event() {
            match event {
                Event::Query(query) => bodies.push(query.message.body),
                Event::Message { message, .. } => bodies.push(message.body),
                _ => {}
            }
        }
        // What its sender has given up may be void in memory alone.
        let open = self.open();
        bodies.retain(|body| open.contains(body));
        assert_eq!(bodies, Vec::<Bytes>::new(), "a letter was read that is not on the disk");
    }

    /// What has no outcome.
    fn open(&self) -> BTreeSet<Bytes> {
        let disks = self.world.machines.iter().filter_map(|one| one.disk.as_ref());
        disks.flat_map(|disk| &disk.saved.asks).map(|ask| ask.body.clone()).collect()
    }

    fn check(&mut self) {
        for one in &self.world.machines {
            let saved = &one.disk.as_ref().unwrap().saved;
            let asks = saved.asks.iter().map(|ask| (ask.id, ask.body.clone()));
            self.bodies.extend(asks);
            for ended in &saved.outcomes {
                let before = self.outcomes.insert(ended.id, ended.outcome.clone());
                assert!(before.is_none_or(|before| before == ended.outcome), "two outcomes");
            }
        }
        let mut count: BTreeMap<&Bytes, usize> = BTreeMap::new();
        for machine in 0..MACHINES {
            for body in executed(&self.world, machine) {
                *count.entry(body).or_default() += 1;
            }
        }
        for (body, count) in &count {
            let number = &body[..8];
            assert_eq!(*count, 1, "{number:?} was executed {count} times");
        }
        for (id, outcome) in &self.outcomes {
            let Some(body) = self.bodies.get(id) else { continue };
            let times = count.get(body).copied().unwrap_or_default();
            let (number, policy) = (&body[..8], self.policy);
            let is_true = match outcome {
                Outcome::Reply { .. } => times == 1,
                // Who took it at most once may have died with it in hand.
                Outcome::Accepted { .. } => times == 1 || policy == Policy::AtMostOnce,
                Outcome::TimedOut { taken: Taken::No } | Outcome::Refused(_) => times == 0,
                _ => true,
            };
            assert!(is_true, "{number:?}: {outcome:?}, and executed {times} times");
        }
    }

    /// Everything works again, and all letters are delivered.
    fn end(&mut self) {
        self.tell("everything works again");
        self.world.post.is_closed = false;
        for machine in 0..MACHINES {
            let disk = self.disk(machine);
            (disk.is_slow, disk.dies_at) = (false, None);
            self.world.machines[machine].config = roomy;
            self.world.kill(machine);
        }
        (0..MACHINES).for_each(|machine| self.start(machine));
        self.introduce_all();
        self.world.callable = vec![self.chance.below(2) == 0; MACHINES];
        for _ in 0..10 {
            self.world.run(secs(1_200));
            (0..MACHINES).for_each(|machine| self.fetch(machine));
            self.check();
            if self.unanswered().is_empty() {
                return;
            }
        }
        assert_eq!(self.unanswered(), Vec::<Vec<u8>>::new(), "still open");
    }

    /// What is open and should not be. A request that was taken by a store that is lost waits for a reply until its hard
    /// timeout: there may be one in a mailbox. What was bound to another store, before its sender knew of the mailbox,
    /// waits for a path.
    fn unanswered(&self) -> Vec<Vec<u8>> {
        let mut open = Vec::new();
        for one in &self.world.machines {
            for ask in &one.disk.as_ref().unwrap().saved.asks {
                let peer = self.world.machines.iter().find(|peer| peer.key == ask.name.peer);
                let saved = &peer.unwrap().disk.as_ref().unwrap().saved;
                let store = saved.letters.as_ref().map(|letters| letters.store);
                let is_lost = ask.class == MessageClass::Request
                    && ask.binding.is_some_and(|binding| Some(binding.store) != store);
                let is_no_letter =
                    ask.binding.is_some_and(|binding| binding.kind != StoreKind::Letter);
                let waits_for_path = is_no_letter && !self.world.callable[0];
                if !is_lost && !waits_for_path {
                    open.push(ask.body[..8].to_vec());
                }
            }
        }
        open
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..MACHINES)
        .flat_map(|one| (0..MACHINES).map(move |other| (one, other)))
        .filter(|(one, other)| one != other)
}
