//! What two peers hold of their sessions, and the packets between them.
//!
//! A session is one place in a short list that both peers and the network refer to; a place that
//! nobody refers to is free again, so the state stays bounded however many sessions there are.

/// One of the two.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Who {
    /// One.
    Left,
    /// The other.
    Right,
}

impl Who {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// Whom it talks to.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// Something for each peer.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Pair<T> {
    left: T,
    right: T,
}

impl<T> Pair<T> {
    /// The one of a peer.
    pub const fn of(&self, who: Who) -> &T {
        match who {
            Who::Left => &self.left,
            Who::Right => &self.right,
        }
    }

    /// The one of a peer, to be changed.
    pub const fn at(&mut self, who: Who) -> &mut T {
        match who {
            Who::Left => &mut self.left,
            Who::Right => &mut self.right,
        }
    }
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// What it is called.
    pub name: &'static str,
    /// Sessions and handshakes that exist at a time.
    pub places: usize,
    /// Confirmed sessions that a peer keeps. The specification says four; two show the same.
    pub kept: usize,
    /// Restarts, of both together.
    pub restarts: u8,
    /// Packets lost, and records put on the wrong lane.
    pub faults: u8,
    /// Whether time passes, so that what came long ago and what came lately differ.
    pub time: bool,
    /// Whether both open sessions, or only the left one; then the right one cannot call.
    pub both_open: bool,
}

impl Scope {
    /// Whether a new session finds a place even if all that both keep are different ones. Where not,
    /// it makes no sense to ask for a way out.
    pub const fn has_enough_places(self) -> bool {
        self.places > 2 * self.kept
    }
}

/// Everything.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct State {
    /// Sessions and handshakes. The place stands for the handshake's hash.
    pub sessions: Vec<Session>,
    /// What each peer knows besides.
    pub peers: Pair<Peer>,
    /// Restarts so far.
    pub restarts: u8,
    /// Packets lost or misplaced so far.
    pub faults: u8,
    /// What was done against the word of a rule.
    pub wrong: Option<Wrong>,
}

/// A session, from its first flight until nobody knows it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Session {
    /// Who opened it.
    pub opened_by: Who,
    /// Whether its first flight may still arrive and be accepted.
    pub flight: bool,
    /// Whether its answer is on its way.
    pub answer: bool,
    /// What each peer has of it.
    pub has: Pair<Has>,
    /// Whether a denial is on its way to each.
    pub hint: Pair<bool>,
}

/// What a peer has of a session.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Has {
    /// Nothing.
    #[default]
    Nothing,
    /// A first flight of its own is out.
    Pending,
    /// It was opened by the other, who has not shown that it has the keys.
    Provisional,
    /// Keys that the other has shown to have.
    Confirmed {
        /// Whether a hint or silence speaks against it.
        doubted: bool,
    },
}

/// What a peer knows besides its sessions.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Peer {
    /// Confirmed sessions, in the order of confirmation.
    pub confirmed: Vec<usize>,
    /// Sessions heard within ten seconds of the newest record.
    pub recent: Vec<usize>,
    /// Sessions confirmed within ten seconds of the latest confirmation.
    pub close: Vec<usize>,
    /// Whether ten seconds have passed since the newest record.
    pub long_unheard: bool,
    /// Whether ten seconds have passed since the latest confirmation.
    pub long_unconfirmed: bool,
    /// Whether nothing is sent but a new handshake.
    pub lost_trust: bool,
}

/// Something that must not happen.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Wrong {
    /// A hint took away the last session that both had.
    HintTookSession,
    /// A first flight made a peer leave a session that both had.
    FlightTurnedAway,
    /// A peer heard the other on one session, after a while, and chose one that the other has not.
    ChoseUnheard,
}
