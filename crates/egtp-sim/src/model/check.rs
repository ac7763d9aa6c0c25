//! Visits every state of a model and says what holds.
//!
//! Invariant: a finding says "holds" only if all states within the scope were visited.

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries};

use super::reach::ways;
use super::story::{Story, Tells};

/// What was found about one property, or several.
#[derive(Clone, Debug)]
pub struct Finding {
    /// States visited.
    pub states: usize,
    /// The property that does not hold, and the shortest story that shows it.
    pub broken: Option<(&'static str, Story)>,
}

/// Checks the properties that must hold in every state, up to the first that does not.
pub fn always<M>(model: M) -> Finding
where
    M: Tells + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let checker =
        model.checker().threads(1).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let discovered = checker
        .discoveries()
        .into_iter()
        .min_by_key(|(name, path)| (path.clone().into_actions().len(), *name));
    let broken = discovered.map(|(name, path)| {
        let mut story = Story::default();
        for (state, action) in path.into_vec() {
            if let Some(action) = action {
                story.add(checker.model().sentence(&state, &action));
            }
        }
        (name, story)
    });
    Finding { states: checker.unique_state_count(), broken }
}

/// Checks that from every state some way leads to a goal, by steps that may be hoped for.
pub fn some_way<M>(
    name: &'static str,
    model: &M,
    goal: impl Fn(&M::State) -> bool,
    helps: impl Fn(&M::State, &M::Action) -> bool,
) -> Finding
where
    M: Tells,
    M::State: Clone + Hash,
    M::Action: Clone,
{
    let ways = ways(model, goal, helps);
    Finding { states: ways.states, broken: ways.dead_end.map(|story| (name, story)) }
}
