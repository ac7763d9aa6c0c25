//! Random walks, and what comes of doing them again.

use std::fmt;

use stateright::Model;

use super::pair::Pair;
use crate::model::exchange::rules::{Rule, Rules};
use crate::model::exchange::scope::Scope;
use crate::model::exchange::state::{Each, State};
use crate::model::exchange::{Action, Exchange};
use crate::model::story::{Story, Tells};
use crate::process::dice::Dice;

/// What the code is held to.
pub const THE_CODE: Rules = Rules::ALL;

/// What was done again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Walks in which model and code agreed after each step.
    pub walks: u64,
    /// Their steps.
    pub steps: u64,
    /// Messages that handlers were given in them.
    pub runs: u64,
}

/// The first step after which model and code differ.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// The walk.
    pub seed: u64,
    /// What happened up to then.
    pub story: Story,
    /// What differs.
    pub what: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "walk {}: {}\n{}", self.seed, self.what, self.story)
    }
}

/// Does the walks of seeds `first` to `first + count` again, under rules that should be the code's.
///
/// # Errors
/// The first disagreement.
pub fn replay(rules: Rules, first: u64, count: u64) -> Result<Tally, Box<Disagreement>> {
    let scopes = scopes();
    let mut tally = Tally::default();
    for seed in first..first + count {
        let mut dice = Dice::from_seed(seed);
        let Some(scope) = dice.pick(&scopes).cloned() else { return Ok(tally) };
        let model = Exchange { rules, scope };
        let (steps, runs) = walk(&model, seed, &mut dice)?;
        tally.walks += 1;
        tally.steps += steps;
        tally.runs += runs;
    }
    Ok(tally)
}

fn walk(model: &Exchange, seed: u64, dice: &mut Dice) -> Result<(u64, u64), Box<Disagreement>> {
    let mut story = Story::default();
    let fail =
        |what: &str, story: Story| Box::new(Disagreement { seed, story, what: what.to_owned() });
    let Some(mut state) = model.init_states().into_iter().next() else { return Ok((0, 0)) };
    let Some(mut pair) = Pair::new(seed, &model.scope) else {
        return Err(fail("the code refuses to begin", story));
    };
    let (mut actions, mut steps, mut tag) = (Vec::new(), 0, 0);
    for _ in 0..STEPS {
        model.actions(&state, &mut actions);
        actions.retain(|action| is_exact(model, &state, action));
        let Some(action) = pick(dice, &actions) else { break };
        actions.clear();
        let Some(mut next) = model.next_state(&state, action) else { continue };
        tag += 1;
        name(&mut next, tag);
        story.add(model.sentence(&state, &action));
        let done = pair.step(model, &state, &next, action, tag);
        if let Err(what) = done.and_then(|()| pair.agrees(model, &next)) {
            return Err(fail(&what, story));
        }
        state = next;
        steps += 1;
    }
    Ok((steps, pair.runs()))
}

/// Gives what is new in the network its name.
fn name(state: &mut State, tag: u16) {
    for one in state.network.transmissions.iter_mut().filter(|one| one.tag == 0) {
        one.tag = tag;
    }
    for one in state.network.statements.iter_mut().filter(|one| one.tag == 0) {
        one.tag = tag;
    }
}

/// Whether the model counts time as exactly as the code does.
fn is_exact(model: &Exchange, state: &State, action: &Action) -> bool {
    let ticks = matches!(action, Action::Tick | Action::TickAsleep | Action::TickMissed);
    !ticks || state.answerer.life == 1 || state.answerer.age < model.scope.age_max
}

/// Faults and endings are rarer than the rest, or most walks would be short.
fn pick(dice: &mut Dice, actions: &[Action]) -> Option<Action> {
    let is_rare = |action: &Action| {
        matches!(
            action,
            Action::Crash | Action::Evict | Action::TimeOut(_) | Action::GiveUp(_) | Action::Ask
        )
    };
    let first = *dice.pick(actions)?;
    if is_rare(&first) && dice.index(RARE) != 0 { dice.pick(actions).copied() } else { Some(first) }
}

/// What can be walked: no letters; times that the age rule rounds are left out by counting no longer
/// than it is exact; and the stranger is another peer, who displaces no dialog with open requests.
fn scopes() -> [Scope; 3] {
    let flights = Scope { transmissions: 3, statements: 2, losses: 2, ..Scope::flights() };
    let sends = Scope { crashes: 1, evictions: 2, timeouts: Each::same(true), ..Scope::sends() };
    let carriers = flights.carriers.clone();
    let clocks = Scope { carriers, age_max: AGE_EXACT, ..Scope::clocks() };
    [flights, sends, clocks].map(|scope| Scope { evicts_open: false, ..scope })
}

/// Steps of a walk at most.
const STEPS: usize = 40;
/// Of as many rare steps that are drawn, one is taken for sure.
const RARE: usize = 3;
/// Ticks that may pass in a life: with ticks of 2 s, ages up to 16 s have at most three bits.
const AGE_EXACT: u8 = 8;

/// Rules without which the model does something that the code does not, on some short walk.
pub const NEEDED_BY_WALKS: [Rule; 13] = [
    Rule::DuplicateCheck,
    Rule::LifeCheck,
    Rule::Floor,
    Rule::GenerationRises,
    Rule::FloorCopyFromBefore,
    Rule::BindingKept,
    Rule::EachRefused,
    Rule::AgeRule,
    Rule::AgeMargin,
    Rule::LargerClock,
    Rule::FreshStatement,
    Rule::BusyIsCertain,
    Rule::ClosedIsVoid,
];
