//! Whether from every reachable state some way leads to a goal.
//!
//! A checker of "always" and "eventually" cannot ask this. All states are visited once, breadth
//! first, and the goal is followed backwards along the steps that help. Invariant: what is found is a
//! state to which the shortest story leads.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use super::story::{Story, Tells};

/// What a search found.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    /// States visited.
    pub states: usize,
    /// The shortest story to a state from which no way leads to the goal.
    pub dead_end: Option<Story>,
}

/// Visits all states of a model. `goal` tells which are at the goal, `helps` which steps may be
/// hoped for: faults, for example, may not.
pub(super) fn ways<M>(
    model: &M,
    goal: impl Fn(&M::State) -> bool,
    helps: impl Fn(&M::State, &M::Action) -> bool,
) -> Ways
where
    M: Tells,
    M::State: Clone + Hash,
    M::Action: Clone,
{
    let mut visit = Visit::default();
    let mut waiting = VecDeque::new();
    for state in model.init_states() {
        visit.number(print(&state), NOBODY, goal(&state));
        waiting.push_back(state);
    }
    let mut actions = Vec::new();
    let mut here = 0;
    while let Some(state) = waiting.pop_front() {
        model.actions(&state, &mut actions);
        for action in actions.drain(..) {
            let helpful = helps(&state, &action);
            let Some(next) = model.next_state(&state, action) else { continue };
            let (there, is_new) = visit.number(print(&next), here, goal(&next));
            if helpful {
                visit.helpful.push((there, here));
            }
            if is_new {
                waiting.push_back(next);
            }
        }
        here += 1;
    }
    let states = visit.parents.len();
    let dead_end = visit.dead_end().map(|place| tell(model, &visit.way_to(place)));
    Ways { states, dead_end }
}

/// Everything that is remembered of the states.
#[derive(Default)]
struct Visit {
    places: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    prints: Vec<u64>,
    parents: Vec<u32>,
    goals: Vec<u32>,
    /// (to, from) of each helpful step.
    helpful: Vec<(u32, u32)>,
}

impl Visit {
    fn number(&mut self, print: u64, parent: u32, is_goal: bool) -> (u32, bool) {
        let next = u32::try_from(self.parents.len()).unwrap_or(NOBODY);
        let place = *self.places.entry(print).or_insert(next);
        if place == next {
            self.prints.push(print);
            self.parents.push(parent);
            if is_goal {
                self.goals.push(next);
            }
        }
        (place, place == next)
    }

    /// The first state from which no goal can be reached.
    fn dead_end(&mut self) -> Option<u32> {
        self.helpful.sort_unstable();
        let mut reaches = vec![false; self.parents.len()];
        let mut waiting = std::mem::take(&mut self.goals);
        while let Some(place) = waiting.pop() {
            let Some(seen) = reaches.get_mut(to_index(place)) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            let first = self.helpful.partition_point(|step| step.0 < place);
            let steps = self.helpful.iter().skip(first).take_while(|step| step.0 == place);
            waiting.extend(steps.map(|step| step.1));
        }
        let stuck = reaches.iter().position(|reached| !reached)?;
        u32::try_from(stuck).ok()
    }

    /// The fingerprints of the states on the shortest way to a place.
    fn way_to(&self, place: u32) -> Vec<u64> {
        let mut way = Vec::new();
        let mut place = place;
        while let Some(print) = self.prints.get(to_index(place)) {
            way.push(*print);
            place = self.parents.get(to_index(place)).copied().unwrap_or(NOBODY);
        }
        way.reverse();
        way
    }
}

/// Walks the way again and says what happens.
fn tell<M>(model: &M, way: &[u64]) -> Story
where
    M: Tells,
    M::State: Clone + Hash,
    M::Action: Clone,
{
    let mut story = Story::default();
    let first = model.init_states().into_iter().find(|state| way.first() == Some(&print(state)));
    let Some(mut state) = first else { return story };
    for wanted in way.iter().skip(1) {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let step = actions.into_iter().find_map(|action| {
            let next = model.next_state(&state, action.clone())?;
            (print(&next) == *wanted).then_some((action, next))
        });
        let Some((action, next)) = step else { return story };
        story.add(model.sentence(&state, &action));
        state = next;
    }
    story
}

/// Stands for the parent of a first state.
const NOBODY: u32 = u32::MAX;

fn to_index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

fn print<S: Hash>(state: &S) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Takes a fingerprint for its own hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
