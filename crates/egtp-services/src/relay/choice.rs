//! At which of several relays a node is registered, and when it goes to the next one.
//!
//! The deciding part of a client, without a network: it is told what the relay says and what time it is, and says what is
//! to be done ([`Act`]). Time is counted from any moment that does not change. A relay is left when it does not answer
//! for ten seconds or says that it does not want us, and for no other reason: that another one is quicker is none. Knows
//! relays by their places in a list, and no requests. Invariant: one relay at a time; it is registered there only once
//! that relay has said so.

use std::collections::VecDeque;
use std::time::Duration;

/// What is to be done next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// Turn to this relay: it may pass packets to us from now on.
    Come(usize),
    /// Ask the relay to register us, for [`LEASE`]. An earlier registration is kept until [`Act::Settle`].
    Register,
    /// Ask the relay whether we are registered. It may take [`PATIENCE`]; then that is [`Heard::Failed`].
    Look,
    /// We are registered at the relay by what was asked last; what was asked before that is given up.
    Settle,
    /// Turn away from this relay, and give up all that was asked there.
    Leave(usize),
}

/// What was heard from the relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// It has the request to register us that was made last.
    Taken,
    /// It says that this registration is over.
    Ended,
    /// It answers [`Act::Look`] with whether we are registered.
    Registered(bool),
    /// The connection to it is closed.
    Disconnected,
    /// It refuses one of the two, or does not answer.
    Failed(Asked),
}

/// What was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// [`Act::Register`], the last one.
    Register,
    /// [`Act::Look`].
    Look,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Choice {
    relays: usize,
    at: usize,
    /// When it came there.
    came: Duration,
    /// How long to wait when none answers.
    pause: Duration,
    is_registered: bool,
    stage: Stage,
    acts: VecDeque<Act>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// None answers: the first one is asked again then.
    Resting { until: Duration },
    /// Asked, and not taken yet. If it was asked before that, it is to be entered by then.
    Asking { by: Duration, again: Option<Duration> },
    /// Taken. A busy relay may enter it later, which is no reason to leave.
    Entering { by: Duration, taken: Duration, look: Look },
    /// It is registered.
    Settled { due: Duration, look: Look, ended: Option<Heard> },
}

/// When the relay is asked whether it knows us.
#[derive(Clone, Copy, Debug)]
enum Look {
    At(Duration),
    UnderWay,
}

impl Choice {
    /// Of so many relays, the first of them if it answers.
    pub fn new(relays: usize, now: Duration) -> Self {
        let stage = Stage::Resting { until: now };
        let (pause, acts) = (PAUSE_MIN, VecDeque::new());
        let mut new = Self { relays, at: 0, came: now, pause, is_registered: false, stage, acts };
        new.come(0, now);
        new
    }

    /// What is to be done, one after another, until there is nothing more.
    pub fn next_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// The relay at which it is registered, also while it asks there for more time.
    pub const fn registered_at(&self) -> Option<usize> {
        if self.is_registered { Some(self.at) } else { None }
    }

    /// Whether it is to be told when the connection to the relay closes.
    pub const fn minds_disconnection(&self) -> bool {
        matches!(self.stage, Stage::Settled { look: Look::At(_), .. })
    }

    /// When [`Choice::tick`] is to be called, at the latest. `None` if something is under way that has its own end.
    pub fn wakes_at(&self) -> Option<Duration> {
        match self.stage {
            Stage::Resting { until } => Some(until),
            Stage::Asking { by, .. } | Stage::Entering { by, look: Look::UnderWay, .. } => Some(by),
            Stage::Entering { by, look: Look::At(look), .. } => Some(by.min(look)),
            Stage::Settled { due, look: Look::At(look), .. } => Some(due.min(look)),
            Stage::Settled { look: Look::UnderWay, .. } => None,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        match self.stage {
            Stage::Resting { until } if now >= until => {
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                self.come(0, now);
            }
            Stage::Asking { by, .. } | Stage::Entering { by, .. } if now >= by => self.leave(now),
            Stage::Entering { by, taken, look: Look::At(at) } if now >= at => {
                self.stage = Stage::Entering { by, taken, look: Look::UnderWay };
                self.acts.push_back(Act::Look);
            }
            Stage::Settled { due, look: Look::At(_), .. } if now >= due => self.register(now),
            Stage::Settled { look: Look::At(at), .. } if now >= at => self.look_again(),
            _ => {}
        }
    }

    /// The relay was heard. What does not fit what is under way changes nothing.
    pub fn hear(&mut self, heard: Heard, now: Duration) {
        match self.stage {
            Stage::Resting { .. } => {}
            Stage::Asking { again, .. } => match heard {
                Heard::Taken | Heard::Ended => {
                    let by = again.unwrap_or(now + PATIENCE);
                    self.stage = Stage::Entering { by, taken: now, look: Look::UnderWay };
                    self.acts.push_back(Act::Look);
                }
                Heard::Failed(Asked::Register) => self.leave(now),
                _ => {}
            },
            Stage::Entering { by, taken, .. } => match heard {
                // A lease that is over was there.
                Heard::Registered(true) | Heard::Ended => self.settle(now),
                // It may have been entered and forgotten at once.
                Heard::Registered(false) if now.saturating_sub(taken) > ENTERED_WITHIN => {
                    self.stage = Stage::Asking { by, again: Some(by) };
                    self.acts.push_back(Act::Register);
                }
                Heard::Registered(false) => {
                    let look = Look::At(now + LOOK_EVERY);
                    self.stage = Stage::Entering { by, taken, look };
                }
                Heard::Failed(_) => self.leave(now),
                Heard::Taken | Heard::Disconnected => {}
            },
            Stage::Settled { .. } => self.hear_settled(heard, now),
        }
    }

    fn hear_settled(&mut self, heard: Heard, now: Duration) {
        let Stage::Settled { due, look, ended } = self.stage else { return };
        match (heard, look) {
            // What the relay says of us now comes first.
            (Heard::Ended | Heard::Failed(Asked::Register), Look::UnderWay) => {
                self.stage = Stage::Settled { due, look, ended: Some(heard) };
            }
            // Or it has forgotten us, which it does when it could not reach us for a moment.
            (Heard::Ended, Look::At(_)) | (Heard::Registered(false), Look::UnderWay) => {
                self.register(now);
            }
            (Heard::Failed(_), _) => self.leave(now),
            (Heard::Registered(true), Look::UnderWay) => {
                let look = Look::At(now + PROBE_EVERY);
                self.stage = Stage::Settled { due, look, ended: None };
                if let Some(ended) = ended {
                    self.hear_settled(ended, now);
                }
            }
            (Heard::Disconnected, Look::At(_)) => self.look_again(),
            _ => {}
        }
    }

    fn look_again(&mut self) {
        if let Stage::Settled { look, .. } = &mut self.stage {
            *look = Look::UnderWay;
            self.acts.push_back(Act::Look);
        }
    }

    fn come(&mut self, to: usize, now: Duration) {
        if to >= self.relays {
            self.stage = Stage::Resting { until: now + self.pause };
            return;
        }
        (self.at, self.came) = (to, now);
        self.acts.push_back(Act::Come(to));
        self.register(now);
    }

    fn register(&mut self, now: Duration) {
        self.stage = Stage::Asking { by: now + PATIENCE, again: None };
        self.acts.push_back(Act::Register);
    }

    fn settle(&mut self, now: Duration) {
        let look = Look::At(now + PROBE_EVERY);
        self.stage = Stage::Settled { due: now + RENEWAL, look, ended: None };
        self.is_registered = true;
        self.acts.push_back(Act::Settle);
    }

    fn leave(&mut self, now: Duration) {
        self.is_registered = false;
        self.acts.push_back(Act::Leave(self.at));
        if now.saturating_sub(self.came) > PAUSE_MAX {
            self.pause = PAUSE_MIN;
        }
        self.come(self.at + 1, now);
    }
}

/// How long a registration is asked for.
pub const LEASE: Duration = Duration::from_mins(1);
/// How long a relay may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// After how long a registration is asked for again: in time for one more try.
const RENEWAL: Duration = Duration::from_secs(45);
/// How long a relay that answers may take to enter what it has taken before it is asked to once more.
const ENTERED_WITHIN: Duration = Duration::from_secs(2);
/// How often it is asked whether a registration is entered yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often it is asked whether it is there, if nothing else happens.
const PROBE_EVERY: Duration = Duration::from_secs(25);
/// How long to wait when none answers, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(3);

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
