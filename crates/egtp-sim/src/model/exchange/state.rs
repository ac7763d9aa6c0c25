//! What the asker, the answerer and the network between them hold, in the model of the exchange.
//!
//! Data only. Invariant: everything is bounded, so that all states can be visited; where reality
//! counts without end (times, transmissions), the model keeps what a rule can still tell apart.

/// One of the messages.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Which {
    /// Serial 0.
    First,
    /// Serial 1.
    Second,
    /// Serial 2.
    Third,
}

impl Which {
    /// All, in order.
    pub const ALL: [Self; 3] = [Self::First, Self::Second, Self::Third];

    /// Its number in the dialog.
    pub const fn serial(self) -> u8 {
        match self {
            Self::First => 0,
            Self::Second => 1,
            Self::Third => 2,
        }
    }
}

/// Something for each message.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Each<T> {
    first: T,
    second: T,
    third: T,
}

impl<T: Copy> Each<T> {
    /// The same for all.
    pub const fn same(one: T) -> Self {
        Self { first: one, second: one, third: one }
    }

    /// The one of a message.
    pub const fn of(&self, which: Which) -> T {
        match which {
            Which::First => self.first,
            Which::Second => self.second,
            Which::Third => self.third,
        }
    }

    /// The one of a message, to be changed.
    pub const fn at(&mut self, which: Which) -> &mut T {
        match which {
            Which::First => &mut self.first,
            Which::Second => &mut self.second,
            Which::Third => &mut self.third,
        }
    }
}

impl Each<bool> {
    /// True for one message.
    pub fn only(which: Which) -> Self {
        let mut each = Self::default();
        *each.at(which) = true;
        each
    }

    /// The number of messages from the first on for which it is true.
    pub const fn base(self) -> u8 {
        match (self.first, self.second, self.third) {
            (false, _, _) => 0,
            (true, false, _) => 1,
            (true, true, false) => 2,
            (true, true, true) => 3,
        }
    }

    /// What is true in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            first: self.first || other.first,
            second: self.second || other.second,
            third: self.third || other.third,
        }
    }

    /// All messages with a serial below.
    pub const fn below(base: u8) -> Self {
        Self { first: base > 0, second: base > 1, third: base > 2 }
    }
}

/// A life of the answerer's store and a generation that this life issued.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Binding {
    /// The life: 1 before the crash, 2 after it.
    pub life: u8,
    /// The generation.
    pub generation: u8,
}

/// Everything.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct State {
    /// Who sends the messages.
    pub asker: Asker,
    /// Who takes them.
    pub answerer: Answerer,
    /// What is between them.
    pub network: Network,
    /// What an all-knowing observer has seen.
    pub facts: Facts,
    /// Faults that have happened.
    pub spent: Spent,
}

/// The sender of the messages.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Asker {
    /// Its messages.
    pub messages: Each<Message>,
    /// The newest statement of the answerer: what is sent for the first time is bound to it.
    pub card: Binding,
    /// The life of the answerer that its session leads to.
    pub session: u8,
    /// Serials below this may be sent.
    pub limit: u8,
    /// Whether something was closed and not told.
    pub untold: bool,
}

/// One message, as its sender sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Message {
    /// Where it stands.
    pub standing: Standing,
    /// What it is bound to, once it was sent.
    pub bound: Option<Binding>,
    /// Whether one of its transmissions can never be refused any more: it was lost, or taken, or
    /// its refusal was lost.
    pub unrefusable: bool,
    /// Time since its first transmission under the binding, by the clock that counts through sleep.
    pub boot: u8,
    /// The same by the wall clock.
    pub wall: u8,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Standing {
    /// It is sent until something is heard of it.
    Open,
    /// It was acknowledged; a reply is awaited.
    Taken,
    /// Nothing more is sent.
    Doubtful {
        /// Whether it was acknowledged.
        taken: bool,
    },
    /// It is over.
    Over {
        /// Whether the outcome said that it was certainly not taken.
        surely_not: bool,
    },
}

/// How a message ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum End {
    /// With the reply.
    Reply,
    /// The send was taken.
    Accepted,
    /// The answerer had too much in hand.
    Busy,
    /// Its time was over; it was taken.
    TimedOutTaken,
    /// Its time was over; it was certainly not taken.
    TimedOutNotTaken,
    /// Its time was over; nobody knows.
    TimedOutUnknown,
    /// The answerer lost its memory in between.
    Unknown,
}

/// The receiver.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Answerer {
    /// Its present life.
    pub life: u8,
    /// The generation that it issues.
    pub generation: u8,
    /// What is bound at or below this is refused, unless the dialog is remembered.
    pub floor: u8,
    /// How long its life has lasted.
    pub age: u8,
    /// What it remembers of the asker. Its table has one place.
    pub dialog: Option<Dialog>,
    /// A stranger's dialog in that place: the generation of what was taken in it.
    pub stranger: Option<u8>,
    /// What its application has in hand, or has answered.
    pub queries: Each<Query>,
}

/// What is remembered of the asker's dialog.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Dialog {
    /// What is bound at or below this is refused.
    pub floor: u8,
    /// The highest generation of anything taken.
    pub highest: u8,
    /// What was taken or is closed.
    pub taken: Each<bool>,
    /// Of these, what was taken, and under which generation; 0 for the others.
    pub ran: Each<u8>,
}

/// A request at the answerer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Query {
    /// None, or not any more.
    #[default]
    None,
    /// The handler works on it.
    Held,
    /// The reply is kept.
    Answered,
}

/// Packets on their way.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Network {
    /// Transmissions of messages and their refusals, sorted.
    pub transmissions: Vec<Transmission>,
    /// Acknowledgements only add, so all that are on their way count as one.
    pub ack: Option<Ack>,
    /// Replies.
    pub replies: Each<bool>,
    /// What the asker told to be closed, in a record to this life.
    pub closed: Option<(u8, Each<bool>)>,
    /// Statements of the answerer about its life, in answer to a handshake.
    pub statements: Vec<Statement>,
}

/// One sealed packet that carried a message, until nothing can come of it any more.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Transmission {
    /// Which message.
    pub message: Which,
    /// How it was sealed.
    pub carrier: Carrier,
    /// What the message was bound to.
    pub bound: Binding,
    /// The life to which a record or a first flight was sealed.
    pub sealed: u8,
    /// The low water that it carried.
    pub low_water: u8,
    /// Whether it may (still) arrive.
    pub flying: bool,
    /// Its refusal, on the way back, with the card that goes with it.
    pub refused: Option<(Why, Binding)>,
    /// Whether it still counts as not refused.
    pub counts: bool,
    /// Names it where a walk is replayed; 0 where all states are visited.
    pub tag: u16,
}

/// How a transmission was sealed: what is known of its copies.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Carrier {
    /// A record of a session: opened at most once, and by the life that has the session.
    Record,
    /// A first flight: copies come later, one is accepted, by the life that has the prekey.
    Flight,
    /// Self-contained: each copy is opened, in any life.
    Letter,
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Why {
    /// Bound to something else than the present life and generations.
    Stale,
    /// Too far ahead.
    Window,
    /// Too much in hand.
    Busy,
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ack {
    /// What was taken or is closed.
    pub taken: Each<bool>,
    /// The serial from which on nothing is taken.
    pub limit: u8,
}

/// What the answerer says of itself in a handshake.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Statement {
    /// Its life and generation.
    pub card: Binding,
    /// The age of its life.
    pub age: u8,
    /// The messages that had left under their present binding when the handshake began.
    pub covers: Each<bool>,
    /// As that of a transmission.
    pub tag: u16,
}

/// What an observer has seen.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Facts {
    /// How often each message was handed to a handler, over all lives; 2 stands for more.
    pub runs: Each<u8>,
    /// What was done against the word of a rule.
    pub wrong: Option<Wrong>,
}

/// Something that must not happen, besides a second run.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Wrong {
    /// A message was refused as stale although the answerer remembers having taken it.
    RefusedThoughTaken,
    /// A message was taken although its dialog is remembered and says that it is closed.
    TakenThoughClosed,
    /// An outcome said that a message was taken, and it was not.
    SaidTaken,
    /// An outcome said that a message was certainly not taken, and it was.
    SaidNotTaken,
    /// An outcome said that nobody knows, and the answerer had lost no memory.
    SaidUnknown,
}

/// Faults that have happened.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Spent {
    /// Crashes of the answerer.
    pub crashes: u8,
    /// Times that the answerer forgot the asker's dialog.
    pub evictions: u8,
    /// Packets that were lost.
    pub losses: u8,
    /// Ticks that a clock of the asker missed.
    pub missed: u8,
}
