//! One message of ours, from the call that made it to its outcome.
//!
//! Invariant: it is bound to one (life, generation) of the receiver at a time, and bound anew only
//! when every transmission under the old binding was certainly refused.

use std::time::Duration;

use bytes::Bytes;

use super::age;
use super::assembly::Assembly;
use crate::card::{StoreCard, StoreKind};
use crate::message::{Kind, MessageClass, MessageId};
use crate::output::{Outcome, Taken};
use crate::planted::{Bug, is};
use crate::session::live::TransmissionName;
use crate::time::{Instant, Now};
use crate::timers::TimerId;
use crate::wire::frame::Refusal;

/// A request or send that has no outcome yet.
#[derive(Debug)]
pub struct Outgoing {
    /// What the caller calls it.
    pub token: u64,
    /// The peer, as the endpoint numbers them.
    pub peer: u32,
    /// The store of the receiver that is to remember it.
    pub wants: StoreKind,
    /// Our dialog with the peer.
    pub dialog: u64,
    /// Its number in it.
    pub serial: u64,
    /// Its id.
    pub id: MessageId,
    /// Request or send.
    pub class: MessageClass,
    /// Its kind.
    pub kind: Kind,
    /// Its body.
    pub body: Bytes,
    /// Bytes of the largest reply that is welcome.
    pub room: usize,
    /// How long it may take in all.
    pub hard: Duration,
    /// How long the receiver is asked to remember it: more than `hard` if progress may put that off.
    pub patience: Duration,
    /// Whether only records of a session with a hybrid suite may carry it.
    pub post_quantum: bool,
    /// The deadline of the soft timeout, until it fired.
    pub soft_timer: Option<TimerId>,
    /// When the hard timeout comes.
    pub hard_due: Instant,
    /// When it comes at the latest, however much progress there is.
    pub hard_end: Instant,
    /// The deadline of the hard timeout, or the earlier end of a doubt.
    pub hard_timer: Option<TimerId>,
    /// Where it stands.
    pub state: State,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was sent last, and whether only once: only then does an answer measure a round trip.
    pub sent: Option<Instant>,
    /// Its transmissions that were not certainly refused.
    transmissions: Transmissions,
    /// Bytes of the body that have been sent, while it is sent in parts.
    pub offset: usize,
    /// Bytes of the body that the peer is known to have.
    pub arrived: usize,
    /// The most that the peer has reported to have since its parts were sent anew. Only a report of
    /// more makes us go on from there, or every part that was out would make us send all of them.
    pub reported: Option<usize>,
    /// Bytes of it, and of its reply, that the application has been told of.
    pub told_sent: usize,
    /// See above.
    pub told_received: usize,
    /// A large reply that has begun to arrive.
    pub reply: Option<Box<LargeReply>>,
    /// What our own disk knows of it, if it is to outlive this run.
    pub kept: Option<Box<Kept>>,
}

/// A reply that comes in parts.
#[derive(Debug)]
pub struct LargeReply {
    /// As in a reply's head.
    pub status: u8,
    /// What is there of its body.
    pub body: Assembly,
}

/// What our own disk knows of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// What it is bound to there: only under this binding may it be sent.
    pub binding: Option<Binding>,
    /// Its outcome while that is on its way to the disk; `None` if the application wants none.
    pub outcome: Option<Outcome>,
    /// When it went into the last letter, unless nobody keeps that.
    pub posted: Option<Instant>,
}

impl Kept {
    /// What is on the disk of a message without an outcome.
    pub const fn new(binding: Option<Binding>) -> Self {
        Self { binding, outcome: None, posted: None }
    }
}

/// Where a message of ours stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It waits to be sent (again).
    Queued,
    /// It will be sent once our own disk knows what it is bound to.
    Recorded,
    /// It was sent, and an answer is awaited.
    Sent,
    /// It is in a letter, and an answer is awaited, for days perhaps.
    Posted,
    /// The receiver has no room for it at the moment: nothing of it is under way, and it is sent again
    /// in its time.
    Refused,
    /// The receiver has taken it; a reply is awaited.
    Taken,
    /// The receiver's life that it was bound to is gone and it is not certain that it was refused:
    /// nothing is sent any more, an answer is awaited until the endpoint's deadline.
    Doubtful {
        /// Whether the receiver had taken it.
        taken: bool,
    },
    /// It has its outcome, which our own disk does not know yet: nothing is sent any more, and nothing
    /// changes it.
    Over,
}

/// What a message is bound to: a life and generation of one of the receiver's stores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Binding {
    /// Which of its stores.
    pub kind: StoreKind,
    /// The store's life.
    pub store: u64,
    /// The generation that it issued.
    pub generation: u32,
}

impl From<&StoreCard> for Binding {
    fn from(card: &StoreCard) -> Self {
        Self { kind: card.kind, store: card.id, generation: card.generation }
    }
}

#[derive(Debug, Default)]
struct Transmissions {
    binding: Option<Binding>,
    since: Option<Now>,
    names: Names,
    /// Whether an earlier run of ours may have sent it: nobody can say when, or how often, so that it
    /// is never certain that all of it was refused.
    earlier_run: bool,
}

/// The transmissions of a message, oldest first. Nearly always one: that one takes no memory elsewhere.
#[derive(Debug, Default)]
struct Names {
    oldest: Option<TransmissionName>,
    others: Vec<TransmissionName>,
}

impl Names {
    const fn is_empty(&self) -> bool {
        self.oldest.is_none()
    }

    /// Names beyond the bound are forgotten oldest first: one of them stands for all, and counts as never
    /// refused.
    fn push(&mut self, name: TransmissionName) {
        if self.oldest.is_none() {
            self.oldest = Some(name);
            return;
        }
        if self.others.len() + 1 >= NAMES_MAX {
            self.oldest = Some(UNREFUSABLE);
            self.others.remove(0);
        }
        self.others.push(name);
    }

    /// Takes one out. Returns whether it was there.
    fn remove(&mut self, name: TransmissionName) -> bool {
        if self.oldest == Some(name) {
            self.oldest = (!self.others.is_empty()).then(|| self.others.remove(0));
            return true;
        }
        let index = self.others.iter().position(|sent| *sent == name);
        index.map(|index| self.others.remove(index)).is_some()
    }
}

/// What a refusal or a statement about a life means for a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// Nothing that concerns it.
    None,
    /// Every transmission was certainly refused: it may be bound anew.
    Free,
    /// Some transmission may have been taken, by a life that is gone or before it was refused.
    Doubtful,
}

/// What a refusal by frame makes a sender do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consequence {
    /// Nothing: it was sent under a binding that is over.
    None,
    /// Bind it anew and send it.
    BindAnew,
    /// Bind it to the receiver's store on its disk, and send it.
    BindToDisk,
    /// Send nothing more of it; await an answer for a while.
    Doubt,
    /// Send it again under the same binding, in its time.
    Wait,
    /// It was certainly not taken, for this reason: end it.
    End(Refusal),
}

impl Outgoing {
    /// A new message, not sent yet.
    #[expect(clippy::too_many_arguments, reason = "each is a different fact about the message")]
    pub fn new(
        token: u64,
        peer: u32,
        wants: StoreKind,
        (dialog, serial): (u64, u64),
        id: MessageId,
        class: MessageClass,
        kind: Kind,
        body: Bytes,
        room: usize,
        hard: Duration,
    ) -> Self {
        Self {
            token,
            peer,
            wants,
            dialog,
            serial,
            id,
            class,
            kind,
            body,
            room,
            hard,
            patience: hard,
            post_quantum: false,
            soft_timer: None,
            hard_due: Instant::default(),
            hard_end: Instant::default(),
            hard_timer: None,
            state: State::Queued,
            attempts: 0,
            sent: None,
            transmissions: Transmissions::default(),
            offset: 0,
            arrived: 0,
            reported: None,
            told_sent: 0,
            told_received: 0,
            reply: None,
            kept: None,
        }
    }

    /// It was bound to this in an earlier run, which may have sent it.
    pub const fn sent_by_earlier_run(&mut self, binding: Binding) {
        self.transmissions.binding = Some(binding);
        self.transmissions.earlier_run = true;
    }

    /// Whether certainly nothing of it has ever left, in this run or an earlier one.
    pub const fn never_left(&self) -> bool {
        self.attempts == 0 && !self.transmissions.earlier_run
    }

    /// Whether an earlier run may have sent it.
    pub const fn is_from_earlier_run(&self) -> bool {
        self.transmissions.earlier_run
    }

    /// Whether our own disk must know of this binding before it is sent.
    pub fn is_unrecorded(&self, binding: Binding) -> bool {
        let is_unknown = |kept: &Kept| kept.binding != Some(binding);
        self.kept.as_deref().is_some_and(is_unknown) && !is(Bug::SentBeforeBound)
    }

    /// It goes into a letter. That takes none of the credit that the receiver grants.
    pub fn post(&mut self, now: Instant) {
        self.state = State::Posted;
        self.attempts += 1;
        self.sent = None;
        self.kept.iter_mut().for_each(|kept| kept.posted = Some(now));
    }

    /// Nobody keeps the letter that it is in.
    pub fn not_posted(&mut self) {
        self.kept.iter_mut().for_each(|kept| kept.posted = None);
    }

    /// When it went into the last letter, unless nobody keeps that.
    pub fn posted(&self) -> Option<Instant> {
        self.kept.as_ref()?.posted
    }

    /// What it is bound to, once it was sent.
    pub const fn binding(&self) -> Option<Binding> {
        self.transmissions.binding
    }

    /// Whether the receiver has taken it under this binding, or under an older one of the same store.
    pub fn was_taken_under(&self, binding: Binding) -> bool {
        let is_of = |own: Binding| {
            (own.kind, own.store) == (binding.kind, binding.store)
                && own.generation <= binding.generation
        };
        self.state == State::Taken && self.transmissions.binding.is_some_and(is_of)
    }

    /// Notes a transmission under `binding`, which must be the present one if there is one.
    pub fn transmitted(&mut self, binding: Binding, name: TransmissionName, now: Now) {
        self.transmissions.binding.get_or_insert(binding);
        self.transmissions.since.get_or_insert(now);
        self.transmissions.names.push(name);
    }

    /// Whether any transmission was not certainly refused.
    pub fn may_have_arrived(&self) -> bool {
        let sent = self.transmissions.earlier_run || !self.transmissions.names.is_empty();
        sent && !is(Bug::TimeoutSaysNo)
    }

    /// The receiver refused the transmission of this name: `Free` if it was the last one, `Doubtful`
    /// if there are others, `None` if there is none of this name under the present binding.
    pub fn refused(&mut self, name: TransmissionName) -> Judgement {
        if !self.transmissions.names.remove(name) {
            return Judgement::None;
        }
        let none_left = self.transmissions.names.is_empty() && !self.transmissions.earlier_run;
        let is_letters = |binding: Binding| binding.kind == StoreKind::Letter;
        let is_bound_anew =
            is(Bug::LetterBoundAnew) && self.transmissions.binding.is_some_and(is_letters);
        if none_left || is(Bug::OneRefusalFrees) || is_bound_anew {
            Judgement::Free
        } else {
            Judgement::Doubtful
        }
    }

    /// The receiver refused the transmission of this name, and said why.
    pub fn after_refusal(&mut self, name: TransmissionName, why: Refusal) -> Consequence {
        match (why, self.refused(name)) {
            (Refusal::Stale, Judgement::Free) => Consequence::BindAnew,
            (Refusal::OtherStore, Judgement::Free) => Consequence::BindToDisk,
            (Refusal::Stale | Refusal::OtherStore, Judgement::Doubtful) => Consequence::Doubt,
            (Refusal::Stale | Refusal::OtherStore, Judgement::None) => Consequence::None,
            // What outlives its asker's run is in no hurry.
            (Refusal::Busy, Judgement::Free) if self.kept.is_some() => Consequence::Wait,
            (Refusal::Busy | Refusal::TooLarge, Judgement::Free) => Consequence::End(why),
            (Refusal::Window | Refusal::Busy | Refusal::TooLarge, _) => Consequence::Wait,
        }
    }

    /// The receiver says that it has taken it.
    pub const fn acknowledged(&mut self) {
        match &mut self.state {
            State::Doubtful { taken } => *taken = true,
            State::Over => {}
            state => *state = State::Taken,
        }
    }

    /// Nothing more is sent of it: it is not certain that what was sent was refused.
    pub const fn doubt(&mut self) {
        let taken = match self.state {
            State::Queued
            | State::Recorded
            | State::Sent
            | State::Posted
            | State::Refused
            | State::Over => false,
            State::Taken => true,
            State::Doubtful { taken } => taken,
        };
        self.state = State::Doubtful { taken };
    }

    /// What is known at its hard timeout.
    pub fn taken(&self) -> Taken {
        match self.state {
            State::Taken | State::Doubtful { taken: true } => Taken::Yes,
            _ if self.may_have_arrived() => Taken::Unknown,
            _ => Taken::No,
        }
    }

    /// The receiver stated in a handshake that began at `asked` that its present life is `store`,
    /// `age` seconds old.
    pub fn judge(&self, store: u64, age: u16, asked: Instant, now: &Now) -> Judgement {
        let Some(bound) = self.binding() else { return Judgement::None };
        if bound.store == store || self.state == State::Over {
            return Judgement::None;
        }
        if matches!(self.state, State::Taken | State::Doubtful { .. }) {
            return if is(Bug::DoubtIsFreedom) { Judgement::Free } else { Judgement::Doubtful };
        }
        if self.transmissions.earlier_run {
            return Judgement::Doubtful;
        }
        if self.transmissions.names.is_empty() {
            return Judgement::Free;
        }
        let Some(since) = self.transmissions.since else { return Judgement::Doubtful };
        // A statement counts only if our part of the handshake left after the transmission.
        if asked < since.boot {
            return Judgement::None;
        }
        if age::surely_refused(now.elapsed_since(&since), age) {
            Judgement::Free
        } else {
            Judgement::Doubtful
        }
    }

    /// Takes the binding off: the message is queued as if it had never been sent.
    pub fn unbind(&mut self) {
        self.transmissions = Transmissions::default();
        self.state = State::Queued;
        self.offset = 0;
        self.arrived = 0;
        self.reported = None;
    }

    /// Bytes that it occupies, roughly.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }
}

/// Transmissions that are told apart. A message sent more often than this is hardly ever refused.
const NAMES_MAX: usize = 64;
/// Stands for a transmission whose name was forgotten.
const UNREFUSABLE: TransmissionName = [0; 8];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However often it was sent, what is not in the list was refused, or stands behind the one that never is.
        #[test]
        fn names_equal_a_list_whose_oldest_stands_for_all_that_were_forgotten(
            steps in prop::collection::vec((0_u8..8, 1_u8..200), 1..400),
        ) {
            let (mut names, mut list) = (Names::default(), Vec::new());
            for (what, name) in steps {
                let name = [name; 8];
                if what > 0 {
                    names.push(name);
                    if list.len() == NAMES_MAX {
                        list[0] = UNREFUSABLE;
                        list.remove(1);
                    }
                    list.push(name);
                } else {
                    let index = list.iter().position(|sent| *sent == name);
                    prop_assert_eq!(names.remove(name), index.is_some());
                    index.map(|index| list.remove(index));
                }
                let all: Vec<_> = names.oldest.iter().chain(&names.others).copied().collect();
                prop_assert_eq!(&all, &list);
                prop_assert_eq!(names.is_empty(), list.is_empty());
            }
        }
    }
}
