//! One hour of a client with two relays, as events: what is under way, and what each relay answers when.
//!
//! The choice and the table are the real ones; time and answers are made here. Knows no packets. Invariant: equal seeds give
//! equal hours, and no relay that is well takes ten seconds for anything.

use std::collections::BTreeMap;
use std::time::Duration;

use egtp::relay::Presence;
use egtp::{PublicKey, SecretKey};
use egtp_services::relay::choice::{Act, Asked, Choice, Heard, LEASE, PATIENCE};
use egtp_services::relay::table::{Limits, Registration, Table};
use egtp_sim::process::dice::Dice;

/// How a node is hasty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Haste {
    /// Not at all: it decides as the product does.
    None,
    /// It goes to the other relay whenever that is quicker at the moment.
    Quickest,
    /// It waits for an answer for a second.
    Impatient,
}

/// A time at a relay.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    pub relay: usize,
    /// When it was registered there for the first time.
    pub registered: Option<Duration>,
}

/// See the head of this file.
pub struct Hour {
    haste: Haste,
    dice: Dice,
    now: Duration,
    choice: Choice,
    node: PublicKey,
    relays: [Relay; 2],
    events: BTreeMap<(Duration, u64), Event>,
    count: u64,
    /// The registration that was asked for last, and whether the relay has it: other answers are of no account.
    register: (u64, bool),
    /// The question that is open.
    look: Option<u64>,
    visits: Vec<Visit>,
}

struct Relay {
    table: Table,
    /// How long something is under way to it, period by period.
    takes: Vec<Duration>,
    /// When it hangs: what comes is answered at the end of that.
    hangs: Vec<(Duration, Duration)>,
    /// When it is dead.
    dead: Option<(Duration, Duration)>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A question reaches a relay.
    Asked(usize, Asked, u64),
    /// An answer reaches the node.
    Heard(Asked, u64, Heard),
    /// The node waits no longer.
    GivesUp(Asked, u64),
    /// A lease is over.
    Over(usize, Registration, u64),
    /// The connection to a relay breaks; perhaps the relay has forgotten the node with it.
    Breaks(usize, bool),
}

impl Hour {
    pub fn new(seed: u64, haste: Haste) -> Self {
        let mut dice = Dice::from_seed(seed);
        let relays = [Relay::new(&mut dice), Relay::new(&mut dice)];
        let node = SecretKey::from_seed([1; 32]).public();
        let mut new = Self {
            haste,
            dice,
            now: Duration::ZERO,
            choice: Choice::new(2, Duration::ZERO),
            node,
            relays,
            events: BTreeMap::new(),
            count: 0,
            register: (0, false),
            look: None,
            visits: Vec::new(),
        };
        for _ in 0..20 {
            let (at, relay) = (new.dice.millis(0..=3_600_000), new.dice.index(2));
            let forgets = new.dice.among(0..=1) == 1;
            new.plan(at, Event::Breaks(relay, forgets));
        }
        new
    }

    /// A relay is dead for a while, and has forgotten everything then.
    pub fn dies(&mut self, relay: usize, from: Duration, until: Duration, is_noticed: bool) {
        self.relays[relay].dead = Some((from, until));
        if is_noticed {
            self.plan(from, Event::Breaks(relay, true));
        }
    }

    /// Plays it. Returns where the node was.
    pub fn play(mut self) -> Vec<Visit> {
        loop {
            self.act();
            let wake = self.choice.wakes_at().map(|at| at.max(self.now));
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = wake.into_iter().chain(event).min().filter(|at| *at < HOUR) else {
                return self.visits;
            };
            self.now = next.max(self.now);
            if event == Some(next) {
                if let Some((_, event)) = self.events.pop_first() {
                    self.happen(event);
                }
            } else {
                self.choice.tick(self.now);
            }
        }
    }

    fn act(&mut self) {
        while let Some(act) = self.choice.next_act() {
            match act {
                Act::Come(relay) => self.visits.push(Visit { relay, registered: None }),
                Act::Register => {
                    (self.register, self.look) = ((self.number(), false), None);
                    self.ask(Asked::Register, self.register.0);
                }
                Act::Look => {
                    let number = self.number();
                    self.look = Some(number);
                    self.ask(Asked::Look, number);
                }
                Act::Settle => {
                    let now = self.now;
                    self.visits.last_mut().unwrap().registered.get_or_insert(now);
                    self.look = None;
                }
                Act::Leave(_) => (self.register, self.look) = ((self.number(), false), None),
            }
        }
    }

    fn ask(&mut self, asked: Asked, number: u64) {
        let relay = self.visits.last().unwrap().relay;
        let takes = self.takes(relay) + self.relays[relay].hang(self.now);
        self.plan(self.now + takes, Event::Asked(relay, asked, number));
        let patience = match self.haste {
            Haste::Impatient => Duration::from_secs(1),
            _ => PATIENCE,
        };
        self.plan(self.now + patience, Event::GivesUp(asked, number));
    }

    /// How long something is under way to a relay or back: sometimes longer, because a copy was lost.
    fn takes(&mut self, relay: usize) -> Duration {
        let usual = self.relays[relay].usual(self.now) + self.dice.millis(0..=100);
        let is_lost = self.dice.among(1..=20) == 1;
        if is_lost { usual + self.dice.millis(500..=1_500) } else { usual }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Asked(relay, asked, number) => self.asked(relay, asked, number),
            Event::Heard(asked, number, heard) => self.heard(asked, number, heard),
            Event::GivesUp(asked, number) => {
                let is_open = match asked {
                    Asked::Register => self.register == (number, false),
                    Asked::Look => self.look == Some(number),
                };
                if is_open {
                    self.choice.hear(Heard::Failed(asked), self.now);
                }
            }
            Event::Over(relay, registration, number) => {
                self.relays[relay].table.leave(&self.node, registration);
                self.answer(relay, Asked::Register, number, Heard::Ended);
            }
            Event::Breaks(relay, forgets) => {
                if forgets {
                    self.relays[relay].table.lost(&self.node);
                }
                if self.visits.last().unwrap().relay == relay && self.choice.minds_disconnection() {
                    self.choice.hear(Heard::Disconnected, self.now);
                }
            }
        }
    }

    /// A question reaches a relay.
    fn asked(&mut self, relay: usize, asked: Asked, number: u64) {
        let (now, node) = (self.now, self.node);
        let at = &mut self.relays[relay];
        if at.is_dead(now) {
            return;
        }
        match asked {
            Asked::Look => {
                let is_live = at.table.open(node, node, now) == Presence::Live;
                self.answer(relay, asked, number, Heard::Registered(is_live));
            }
            Asked::Register => {
                let entered = at.table.register(node, LEASE).unwrap();
                self.plan(now + entered.lease, Event::Over(relay, entered.registration, number));
                self.answer(relay, asked, number, Heard::Taken);
            }
        }
    }

    fn answer(&mut self, relay: usize, asked: Asked, number: u64, heard: Heard) {
        if !self.relays[relay].is_dead(self.now) {
            let takes = self.takes(relay);
            self.plan(self.now + takes, Event::Heard(asked, number, heard));
        }
    }

    fn heard(&mut self, asked: Asked, number: u64, heard: Heard) {
        match asked {
            Asked::Register if self.register.0 == number => self.register.1 = true,
            Asked::Look if self.look == Some(number) => self.look = None,
            _ => return,
        }
        self.choice.hear(heard, self.now);
        let at = self.visits.last().unwrap().relay;
        let [here, there] = [at, 1 - at].map(|relay| self.relays[relay].usual(self.now));
        let is_here = self.choice.registered_at() == Some(at) && self.choice.minds_disconnection();
        if self.haste == Haste::Quickest && is_here && there < here {
            self.choice.hear(Heard::Failed(Asked::Look), self.now);
        }
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn plan(&mut self, at: Duration, event: Event) {
        let number = self.number();
        self.events.insert((at, number), event);
    }
}

impl Relay {
    fn new(dice: &mut Dice) -> Self {
        let mut hang = || {
            let from = dice.millis(0..=3_600_000);
            (from, from + dice.millis(100..=5_000))
        };
        let hangs = (0..30).map(|_| hang()).collect();
        Self {
            table: Table::new(Limits::default(), Duration::ZERO),
            takes: (0..=3_600 / PERIOD).map(|_| dice.millis(5..=400)).collect(),
            hangs,
            dead: None,
        }
    }

    /// How long it takes at the moment.
    fn usual(&self, now: Duration) -> Duration {
        let period = usize::try_from(now.as_secs() / PERIOD).unwrap();
        self.takes.get(period).copied().unwrap_or_default()
    }

    /// How much longer, because it hangs.
    fn hang(&self, now: Duration) -> Duration {
        let hangs = self.hangs.iter().filter(|(from, until)| (*from..*until).contains(&now));
        hangs.map(|(_, until)| until.saturating_sub(now)).max().unwrap_or_default()
    }

    fn is_dead(&mut self, now: Duration) -> bool {
        let Some((from, until)) = self.dead.filter(|(from, _)| now >= *from) else { return false };
        if now < until {
            return true;
        }
        // It begins anew, and knows nobody.
        self.table = Table::new(Limits::default(), from);
        self.dead = None;
        false
    }
}

const HOUR: Duration = Duration::from_hours(1);
/// Seconds for which a relay is as quick as it is.
const PERIOD: u64 = 30;
