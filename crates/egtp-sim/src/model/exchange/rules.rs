//! The rules of the exchange, each with its name, so that each can be taken away.
//!
//! Invariant: [`Rules::ALL`] is what the specification says; every other value lacks something.

use super::scope::Scope;

/// Which rules hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// A bit for each rule that does not.
    without: u32,
}

/// One rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// what was taken is not taken again.
    DuplicateCheck,
    /// what is bound to another life is refused.
    LifeCheck,
    /// forgetting a dialog raises the store's floor.
    Floor,
    /// when the floor reaches the generation, a new one is issued.
    GenerationRises,
    /// a remembered dialog has a floor of its own.
    FloorCopy,
    /// that floor is from before anything was forgotten to make room.
    FloorCopyFromBefore,
    /// a message is sent again under the binding of its first transmission.
    BindingKept,
    /// it is bound anew only when each transmission was refused.
    EachRefused,
    /// another life frees a message only if it is old enough.
    AgeRule,
    /// the margin in that comparison.
    AgeMargin,
    /// the clock that says more is believed.
    LargerClock,
    /// a statement counts only if its handshake began after the transmission.
    FreshStatement,
    /// H-9: a first flight is accepted once.
    FlightFilter,
    /// S-7: a record is opened once.
    ReplayWindow,
    /// Section 7: a refusal of something that is not protected from copies is not definitive.
    CopiesStay,
    /// the low water is applied before the window is looked at.
    LowWaterFirst,
    /// `Refused(Busy)` is reported only when nothing else may have been taken.
    BusyIsCertain,
    /// what is closed is never taken.
    ClosedIsVoid,
    /// a repeated message is acknowledged again.
    RepeatsAcknowledged,
    /// a reply is kept and sent again until the request is closed.
    ReplyKept,
    /// what is not answered is sent again.
    SentAgain,
    /// a sender may always send what lies within the window above its low water.
    CreditFollows,
}

impl Rule {
    /// A small scope in which a story shows that the rule is needed.
    pub fn shown_in(self) -> Scope {
        match self {
            Self::LowWaterFirst | Self::CreditFollows => Scope::gaps(),
            Self::FloorCopy => Scope::sends(),
            Self::FlightFilter => Scope::flights(),
            Self::LifeCheck | Self::CopiesStay => Scope::letters(),
            Self::AgeMargin | Self::LargerClock | Self::FreshStatement => Scope::clocks(),
            _ => Scope::records(),
        }
    }

    /// Every rule.
    pub const EVERY: [Self; 22] = [
        Self::DuplicateCheck,
        Self::LifeCheck,
        Self::Floor,
        Self::GenerationRises,
        Self::FloorCopy,
        Self::FloorCopyFromBefore,
        Self::BindingKept,
        Self::EachRefused,
        Self::AgeRule,
        Self::AgeMargin,
        Self::LargerClock,
        Self::FreshStatement,
        Self::FlightFilter,
        Self::ReplayWindow,
        Self::CopiesStay,
        Self::LowWaterFirst,
        Self::BusyIsCertain,
        Self::ClosedIsVoid,
        Self::RepeatsAcknowledged,
        Self::ReplyKept,
        Self::SentAgain,
        Self::CreditFollows,
    ];
}

impl Rules {
    /// All of them.
    pub const ALL: Self = Self { without: 0 };

    /// All of these but one.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self { without: self.without | 1 << rule as u32 }
    }

    /// Whether a rule holds.
    pub const fn has(self, rule: Rule) -> bool {
        self.without & 1 << rule as u32 == 0
    }
}
