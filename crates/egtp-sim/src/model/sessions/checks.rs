//! The choice of sessions is checked: with all rules, and without each of them.

use super::state::{Scope, State, Who};
use super::steps::{Sessions, Step};
use crate::model::check::{Finding, always, some_way};

/// One rule of sections 4.3, 5.2 and 5.3 of the specification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionRule {
    /// H-15, H-16: a session opened by the other counts only when a record on it has come.
    ProvisionalWaits,
    /// S-18: a hint deletes nothing.
    HintsDeleteNothing,
    /// S-13: the session is used on which the newest record came.
    NewestHeard,
    /// S-19: after silence there is a new handshake.
    HandshakeAfterSilence,
    /// S-12: only so many confirmed sessions are kept.
    FewKept,
    /// S-12: it is the oldest that makes room.
    OldestMakesRoom,
}

impl SessionRule {
    /// Every rule.
    pub const EVERY: [Self; 6] = [
        Self::ProvisionalWaits,
        Self::HintsDeleteNothing,
        Self::NewestHeard,
        Self::HandshakeAfterSilence,
        Self::FewKept,
        Self::OldestMakesRoom,
    ];
}

impl SessionRule {
    /// A small scope in which a story shows that the rule is needed.
    pub const fn shown_in(self) -> Scope {
        match self {
            Self::NewestHeard => HEARD,
            _ => CROSSED,
        }
    }
}

/// Both open sessions, at once or one after the other; one restarts, one packet goes wrong, and time
/// passes. One session is kept.
pub const CROSSED: Scope = Scope {
    name: "crossed",
    places: 3,
    kept: 1,
    restarts: 1,
    faults: 1,
    time: true,
    both_open: true,
};

/// Only one side can call; two sessions are kept, and all of them fit.
pub const CALLED: Scope = Scope {
    name: "called",
    places: 5,
    kept: 2,
    restarts: 0,
    faults: 0,
    time: false,
    both_open: false,
};

/// Two sessions are kept, and what was heard long ago differs from what was heard lately.
pub const HEARD: Scope = Scope {
    name: "heard",
    places: 3,
    kept: 2,
    restarts: 0,
    faults: 0,
    time: true,
    both_open: true,
};

/// All of them.
pub const SCOPES: [Scope; 3] = [CROSSED, CALLED, HEARD];

/// Checks everything within a scope, without a rule or with all.
pub fn check(without: Option<SessionRule>, scope: Scope) -> Finding {
    let model = Sessions { without, scope };
    let mut finding = always(model.clone());
    for (who, name) in [(Who::Left, LEFT_REACHES), (Who::Right, RIGHT_REACHES)] {
        let asked = scope.has_enough_places() && (scope.both_open || who == Who::Left);
        if finding.broken.is_none() && asked {
            let heard = |state: &State| is_heard(&model, state, who);
            let ways = some_way(name, &model, heard, |_, step| helps(who, *step));
            finding.broken = ways.broken;
        }
    }
    finding
}

const LEFT_REACHES: &str = "left can get a message to right";
const RIGHT_REACHES: &str = "right can get a message to left";

/// Whether what a peer sends now is opened.
fn is_heard(model: &Sessions, state: &State, sender: Who) -> bool {
    let choice = state.choice(model.without, sender);
    !state.peers.of(sender).lost_trust
        && choice.is_some_and(|place| state.opens(sender.other(), place))
}

/// Steps that a sender may hope for: no fault, no hint, and no handshake by the other, who may have
/// nothing to say.
fn helps(sender: Who, step: Step) -> bool {
    match step {
        Step::LoseAnswer(_)
        | Step::SendMisplaced(_)
        | Step::SendDenied(_)
        | Step::HintArrives(..)
        | Step::Restart(_) => false,
        Step::Open(who) => who == sender,
        _ => true,
    }
}
