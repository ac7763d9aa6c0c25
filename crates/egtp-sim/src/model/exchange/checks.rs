//! The exchange is checked: with all rules, and without each of them.

use super::action::{Action, Exchange};
use super::rules::{Rule, Rules};
use super::scope::Scope;
use super::state::{Query, State, Which};
use crate::model::check::{Finding, always, some_way};

/// Checks everything within a scope.
pub fn check(rules: Rules, scope: &Scope) -> Finding {
    let model = Exchange { rules, scope: scope.clone() };
    let finding = always(model.clone());
    if finding.broken.is_some() {
        return finding;
    }
    let ways = some_way(NO_DEAD_END, &model, is_over, helps);
    Finding { states: finding.states, broken: ways.broken }
}

/// Looks for a story that shows why a rule is needed.
pub fn need(rule: Rule) -> Finding {
    check(Rules::ALL.without(rule), &rule.shown_in())
}

/// The property that `check` adds to those of the model.
pub const NO_DEAD_END: &str = "some way leads to the end of each message";

fn is_over(state: &State) -> bool {
    Which::ALL.iter().all(|which| state.asker.is_over(*which))
}

/// Steps that may be hoped for: no fault, no timeout, and nothing that a sender has no reason for.
fn helps(state: &State, action: &Action) -> bool {
    match action {
        Action::Crash
        | Action::Evict
        | Action::TimeOut(_)
        | Action::Lose(_)
        | Action::LoseRefusal(_)
        | Action::LoseAck
        | Action::LoseReply(_)
        | Action::LoseClosed
        | Action::LoseStatement(_)
        | Action::TickAsleep
        | Action::TickMissed => false,
        // To say "unknown" ends a message, but it is no way out where nothing was in doubt.
        Action::GiveUp(which) => {
            state.facts.runs.of(*which) > 0
                || state.spent.crashes > 0
                || state.asker.messages.of(*which).unrefusable
        }
        // A handshake is opened when the answerer is silent.
        Action::Ask => {
            let waits = |which| state.asker.messages.of(which).bound.is_some();
            let is_working = |which| state.answerer.queries.of(which) == Query::Held;
            state.asker.session != state.answerer.life
                || Which::ALL.iter().any(|which| waits(*which) && !is_working(*which))
        }
        _ => true,
    }
}
