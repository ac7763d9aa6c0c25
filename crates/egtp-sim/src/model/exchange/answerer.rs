//! The receiver's side of the model: what it does with a transmission that it has opened.
//!
//! Follows section 7.1 of the specification, not the code. Invariant: without a rule taken away, a
//! refused message changes nothing here.

use super::rules::{Rule, Rules};
use super::scope::Scope;
use super::state::{
    Ack, Answerer, Binding, Dialog, Each, Facts, Network, Query, Transmission, Which, Why, Wrong,
};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is new, and is handed over.
    Take,
    /// It was taken or closed before.
    Known,
    /// It is not taken.
    Refuse(Why),
}

impl Answerer {
    /// A life that begins.
    pub const fn born(life: u8, age: u8) -> Self {
        Self {
            life,
            generation: 1,
            floor: 0,
            age,
            dialog: None,
            stranger: None,
            queries: NO_QUERIES,
        }
    }

    /// What it states of itself.
    pub const fn card(&self) -> Binding {
        Binding { life: self.life, generation: self.generation }
    }

    /// Whether the asker's dialog may be forgotten: none of its requests is open.
    pub fn is_idle(&self) -> bool {
        Which::ALL.iter().all(|which| self.queries.of(*which) == Query::None)
    }

    /// Decides about an opened transmission, and does what follows.
    pub fn receive(
        &mut self,
        rules: Rules,
        scope: &Scope,
        one: &Transmission,
        facts: &mut Facts,
        network: &mut Network,
    ) -> Verdict {
        let verdict = self.decide(rules, scope, one);
        let which = one.message;
        let ran = self.dialog.map_or(0, |dialog| dialog.ran.of(which));
        let closed = ran == 0 && self.dialog.is_some_and(|dialog| dialog.taken.of(which));
        match verdict {
            Verdict::Take => {
                if closed {
                    facts.wrong = Some(Wrong::TakenThoughClosed);
                }
                self.take(rules, scope, one);
                let runs = facts.runs.at(which);
                *runs = runs.saturating_add(1).min(2);
                self.acknowledge(scope, network);
            }
            Verdict::Known if rules.has(Rule::RepeatsAcknowledged) => {
                self.acknowledge(scope, network);
                if self.queries.of(which) == Query::Answered {
                    *network.replies.at(which) = true;
                }
            }
            Verdict::Known => {}
            Verdict::Refuse(why) => {
                // A transmission under an earlier binding is refused rightly.
                let taken_so = one.bound == Binding { life: self.life, generation: ran };
                if why == Why::Stale && taken_so {
                    facts.wrong = Some(Wrong::RefusedThoughTaken);
                }
            }
        }
        verdict
    }

    fn decide(&mut self, rules: Rules, scope: &Scope, one: &Transmission) -> Verdict {
        let Binding { life, generation } = one.bound;
        if life != self.life && rules.has(Rule::LifeCheck) {
            return Verdict::Refuse(Why::Stale);
        }
        if life == self.life && generation > self.generation {
            return Verdict::Refuse(Why::Stale);
        }
        let serial = one.message.serial();
        let floor = self.dialog.map_or(self.floor, |dialog| dialog.floor);
        if generation <= floor && (self.dialog.is_none() || rules.has(Rule::FloorCopy)) {
            return Verdict::Refuse(Why::Stale);
        }
        self.withdraw(Each::below(one.low_water));
        let held = Which::ALL.iter().filter(|one| self.queries.of(**one) != Query::None).count();
        let Some(dialog) = self.dialog.as_mut() else {
            if serial < one.low_water {
                return Verdict::Refuse(Why::Stale);
            }
            if serial >= one.low_water + scope.window {
                return Verdict::Refuse(Why::Window);
            }
            return if held >= scope.in_hand { Verdict::Refuse(Why::Busy) } else { Verdict::Take };
        };
        let before = dialog.taken;
        dialog.taken = before.or(Each::below(one.low_water));
        let ran = dialog.ran.of(one.message) != 0;
        let known = dialog.taken.of(one.message) && (ran || rules.has(Rule::ClosedIsVoid));
        if known && rules.has(Rule::DuplicateCheck) {
            return Verdict::Known;
        }
        if !rules.has(Rule::LowWaterFirst) && serial >= before.base() + scope.window {
            dialog.taken = before;
            return Verdict::Refuse(Why::Window);
        }
        if serial >= dialog.taken.base() + scope.window {
            return Verdict::Refuse(Why::Window);
        }
        if held >= scope.in_hand { Verdict::Refuse(Why::Busy) } else { Verdict::Take }
    }

    /// Whether it will refuse a transmission as stale whenever it comes: nothing that it is bound to
    /// comes back. Holds only with all rules.
    pub fn will_refuse(&self, one: &Transmission) -> bool {
        let Binding { life, generation } = one.bound;
        let floor = self.dialog.map_or(self.floor, |dialog| dialog.floor.min(self.floor));
        life != self.life || generation <= floor
    }

    fn take(&mut self, rules: Rules, scope: &Scope, one: &Transmission) {
        let generation = one.bound.generation;
        let mut dialog = self.dialog.unwrap_or_else(|| {
            let before = self.floor;
            if let Some(highest) = self.stranger.take() {
                self.forget(rules, highest);
            }
            let floor = if rules.has(Rule::FloorCopyFromBefore) { before } else { self.floor };
            let taken = Each::below(one.low_water);
            Dialog { floor, highest: generation, taken, ran: Each::default() }
        });
        *dialog.taken.at(one.message) = true;
        *dialog.ran.at(one.message) = generation;
        dialog.highest = dialog.highest.max(generation);
        self.dialog = Some(dialog);
        if scope.requests.of(one.message) {
            *self.queries.at(one.message) = Query::Held;
        }
    }

    /// A stranger's message takes the place of the asker's dialog.
    pub fn make_room_for_stranger(&mut self, rules: Rules) {
        let generation = self.generation;
        if let Some(dialog) = self.dialog.take() {
            self.forget(rules, dialog.highest);
        }
        self.stranger = Some(generation);
    }

    /// Pays for forgetting a dialog in which something bound to `highest` was taken.
    fn forget(&mut self, rules: Rules, highest: u8) {
        if rules.has(Rule::Floor) {
            self.floor = self.floor.max(highest);
        }
        if self.floor >= self.generation && rules.has(Rule::GenerationRises) {
            self.generation = self.floor + 1;
        }
    }

    /// The asker wants nothing more of these.
    pub fn close(&mut self, closed: Each<bool>) {
        if let Some(dialog) = self.dialog.as_mut() {
            dialog.taken = dialog.taken.or(closed);
        }
        self.withdraw(closed);
    }

    /// Forgets the requests that are closed.
    pub fn withdraw(&mut self, closed: Each<bool>) {
        for which in Which::ALL {
            if closed.of(which) {
                *self.queries.at(which) = Query::None;
            }
        }
    }

    /// Tells what was taken.
    fn acknowledge(&self, scope: &Scope, network: &mut Network) {
        let Some(dialog) = self.dialog else { return };
        let limit = dialog.taken.base() + scope.window;
        let before = network.ack.unwrap_or(Ack { taken: Each::default(), limit: 0 });
        let taken = before.taken.or(dialog.taken);
        network.ack = Some(Ack { taken, limit: before.limit.max(limit) });
    }
}

const NO_QUERIES: Each<Query> = Each::same(Query::None);
