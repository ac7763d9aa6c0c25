//! Bugs that are planted on purpose, to see whether the proofs find them.
//!
//! Only a build with `--cfg planted` can have one, and one at a time for the whole process; in every
//! other build [`is`] is the constant `false` and the bugs are not there. Each site names the bug that
//! it would be. Invariant: nothing but the sites reads the switch.

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(not(planted), expect(unreachable_pub, reason = "public where it can be planted"))]
pub enum Bug {
    /// A message that was taken before is taken again.
    DuplicateCheckOff = 1,
    /// A new dialog is accepted whatever the floor.
    FloorForgotten,
    /// A remembered dialog accepts what is bound at or below the floor that it was made under.
    FloorCopyForgotten,
    /// Forgetting a dialog does not raise the floor.
    EvictionWithoutFloor,
    /// The receiver's window moves before the record has authenticated.
    WindowBeforeAuthentication,
    /// A message is acknowledged although it was refused for lack of room.
    AckBeforeTaken,
    /// A reply needs nothing but a code that is open: from anybody, to whatever.
    ReplyByCodeOnly,
    /// A provisional session pushes the confirmed ones out.
    ProvisionalDisplaces,
    /// The age rule takes every statement about an age for certain.
    AgeRuleOff,
    /// The age rule keeps no margin for clocks that run badly.
    AgeWithoutMargin,
    /// A reply is turned away while many requests are open, as if it needed room in their window.
    ReplyNeedsWindow,
    /// An altered answer ends the handshake that it pretends to answer.
    AlteredAnswerEnds,
    /// The soft timeout takes the hard one with it.
    SoftEndsHard,
    /// A hint that a session is unknown deletes it.
    HintDeletes,
    /// Every sixteenth record is sealed with the counter of the one before.
    CounterReused,
    /// One refused transmission frees a message of which others are under way.
    OneRefusalFrees,
    /// Nothing is sent a second time.
    NeverAgain,
    /// A connection that broke is believed to work.
    BrokenPathBelieved,
    /// What was sent and not answered counts as certainly not taken.
    TimeoutSaysNo,
    /// What the application has in hand is not counted.
    HandsUncounted,
    /// A message that its sender closed can still be taken.
    ClosedIsTaken,
    /// A message that was in doubt is bound anew.
    DoubtIsFreedom,
    /// What is to be durable is handed over and acknowledged before it is.
    BeforeTheDisk,
    /// A message that outlives a run is sent before our disk knows what it is bound to.
    SentBeforeBound,
    /// What an earlier run may have sent counts as never sent.
    EarlierRunForgotten,
    /// A message that outlives a run is over before our disk knows its outcome.
    OutcomeNotKept,
    /// The disk says that rows are durable, and loses the newest of them with the power: `synchronous` is
    /// off. Its site is the disk of the simulator.
    #[cfg_attr(not(planted), expect(dead_code, reason = "its site is outside of this crate"))]
    SyncOff,
    /// The counters and windows of a session that rests begin anew, under the same keys.
    RestStartsAnew,
    /// As much as there is goes to an address that nobody has proved to be his.
    Amplifies,
    /// A record that was opened is opened again when it is repeated.
    ReplayWindowOff,
    /// A letter store that is full forgets the dialog used least lately, and its floor stays.
    LetterStoreForgets,
    /// A letter may be thrown away before what it has brought is on the disk.
    LetterReadBeforeTheDisk,
    /// A mailbox prekey is named before it is on the disk.
    PrekeyBeforeTheDisk,
    /// A message is bound anew after one refused letter, although others with it may be read.
    LetterBoundAnew,
}

/// Whether this bug is planted.
#[cfg(not(planted))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}

#[cfg(planted)]
pub use switch::{ALL, OF_LETTERS, is, plant};

#[cfg(planted)]
mod switch {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Whether this bug is planted.
    pub fn is(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8
    }

    /// Plants this bug, or none, for the whole process.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }

    /// The bugs of letters, with their names: the walk of letters finds them, the simulator has none.
    pub const OF_LETTERS: [(Bug, &str); 4] = [
        (Bug::LetterStoreForgets, "full letter store that forgets"),
        (Bug::LetterReadBeforeTheDisk, "letter read before the disk"),
        (Bug::PrekeyBeforeTheDisk, "mailbox prekey named before the disk"),
        (Bug::LetterBoundAnew, "letter bound anew"),
    ];

    /// Every other bug with its name.
    pub const ALL: [(Bug, &str); 30] = [
        (Bug::DuplicateCheckOff, "duplicate check off"),
        (Bug::FloorForgotten, "floor forgotten"),
        (Bug::FloorCopyForgotten, "copy of the floor forgotten"),
        (Bug::EvictionWithoutFloor, "eviction without floor"),
        (Bug::WindowBeforeAuthentication, "window moved before authentication"),
        (Bug::AckBeforeTaken, "ack before taken"),
        (Bug::ReplyByCodeOnly, "reply matched by code only"),
        (Bug::ProvisionalDisplaces, "confirmed session displaced by a provisional one"),
        (Bug::AgeRuleOff, "age rule off"),
        (Bug::AgeWithoutMargin, "age rule without margin"),
        (Bug::ReplyNeedsWindow, "reply refused for lack of window"),
        (Bug::AlteredAnswerEnds, "altered answer ends the handshake"),
        (Bug::SoftEndsHard, "hard timeout dropped after soft"),
        (Bug::HintDeletes, "unknown-session hint that deletes"),
        (Bug::CounterReused, "record counter reused"),
        (Bug::OneRefusalFrees, "one refusal frees"),
        (Bug::NeverAgain, "nothing sent again"),
        (Bug::BrokenPathBelieved, "broken path believed"),
        (Bug::TimeoutSaysNo, "timeout says certainly not taken"),
        (Bug::HandsUncounted, "what is in hand uncounted"),
        (Bug::ClosedIsTaken, "closed message taken"),
        (Bug::DoubtIsFreedom, "doubt taken for freedom"),
        (Bug::BeforeTheDisk, "acted before the disk"),
        (Bug::SentBeforeBound, "sent before the binding is on disk"),
        (Bug::EarlierRunForgotten, "earlier run forgotten"),
        (Bug::OutcomeNotKept, "over before the outcome is on disk"),
        (Bug::SyncOff, "disk that does not sync"),
        (Bug::RestStartsAnew, "rest that starts counters anew"),
        (Bug::Amplifies, "unproven addresses flooded"),
        (Bug::ReplayWindowOff, "replay window off"),
    ];
}
