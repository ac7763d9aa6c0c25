//! How large the model of the exchange is, and the constants of its rules.

use super::state::{Carrier, Each, Which};

/// The margin of the age rule, in ticks: as many as a clock may miss without being noticed.
pub const MARGIN: u8 = 1;

/// Enough to tell apart everything that the age rule compares: what is older is never freed.
const AGES: u8 = 3;

/// Bounds of what may happen.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What it is called.
    pub name: &'static str,
    /// Messages: 1, 2 or 3.
    pub messages: u8,
    /// Which of them want a reply.
    pub requests: Each<bool>,
    /// How wide windows are, in both directions.
    pub window: u8,
    /// Which messages may be given up (the hard timeout).
    pub timeouts: Each<bool>,
    /// How transmissions may be sealed.
    pub carriers: Vec<Carrier>,
    /// Transmissions on their way at a time. How many there are in all is not bounded.
    pub transmissions: usize,
    /// Handshakes on their way at a time.
    pub statements: usize,
    /// Crashes of the answerer: each begins a new life.
    pub crashes: u8,
    /// Times that a stranger comes and takes the asker's place in the answerer's table.
    pub evictions: u8,
    /// Whether it is taken also while a request of the asker is open, as by a later life of the asker itself.
    pub evicts_open: bool,
    /// Packets lost. What may come in copies may be lost without being counted.
    pub losses: u8,
    /// Requests that the answerer's application takes in hand at a time.
    pub in_hand: usize,
    /// Whether time is counted. If not, another life never frees a message.
    pub time: bool,
    /// The largest age that is stated, in ticks, and the longest time that is counted.
    pub age_max: u8,
    /// Ticks that both clocks of the asker miss: as many as the margin allows.
    pub missed: u8,
    /// Whether its boot clock may stand still for any time (the wall clock goes on).
    pub sleeps: bool,
}

impl Scope {
    /// Two messages, a request and a send, in records and self-contained letters; a crash, two
    /// evictions, windows of one message. This is where nearly all rules meet.
    pub fn letters() -> Self {
        Self {
            name: "letters",
            messages: 2,
            requests: Each::only(Which::First),
            window: 1,
            timeouts: Each::default(),
            carriers: vec![Carrier::Record, Carrier::Letter],
            transmissions: 2,
            statements: 1,
            crashes: 1,
            evictions: 2,
            evicts_open: true,
            losses: 0,
            in_hand: 1,
            time: false,
            age_max: AGES,
            missed: 0,
            sleeps: false,
        }
    }

    /// The same in first flights and records, with packets lost and messages given up.
    pub fn flights() -> Self {
        Self {
            name: "flights",
            timeouts: Each::same(true),
            carriers: vec![Carrier::Record, Carrier::Flight],
            transmissions: 2,
            losses: 1,
            ..Self::letters()
        }
    }

    /// Few records: small, and the shortest stories.
    pub fn records() -> Self {
        Self {
            name: "records",
            carriers: vec![Carrier::Record],
            transmissions: 2,
            evictions: 1,
            evicts_open: true,
            ..Self::flights()
        }
    }

    /// Two sends and windows of two messages: what is taken need not be what is first.
    pub fn sends() -> Self {
        Self {
            name: "sends",
            requests: Each::default(),
            window: 2,
            carriers: vec![Carrier::Record],
            transmissions: 3,
            evictions: 1,
            evicts_open: true,
            crashes: 0,
            timeouts: Each::default(),
            ..Self::flights()
        }
    }

    /// Three messages, of which the second may be given up unseen.
    pub fn gaps() -> Self {
        Self {
            name: "gaps",
            messages: 3,
            timeouts: Each::only(Which::Second),
            transmissions: 2,
            crashes: 0,
            evictions: 0,
            evicts_open: true,
            ..Self::records()
        }
    }

    /// Time, and clocks that are wrong within and beyond what the age rule allows; one message.
    pub fn clocks() -> Self {
        Self {
            name: "clocks",
            messages: 1,
            timeouts: Each::only(Which::First),
            transmissions: 2,
            statements: 2,
            evictions: 0,
            evicts_open: true,
            time: true,
            missed: MARGIN,
            sleeps: true,
            ..Self::letters()
        }
    }

    /// All of them, the smallest first.
    pub fn every() -> Vec<Self> {
        vec![
            Self::gaps(),
            Self::records(),
            Self::sends(),
            Self::flights(),
            Self::clocks(),
            Self::letters(),
        ]
    }
}
