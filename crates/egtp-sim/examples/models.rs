//! Visits every state of the models, shows what each rule is for, and holds the code to them.
//!
//! `models [--traces N]`. Fails if a property is broken, if a rule can be taken away without a story
//! that breaks one, or if the code does something else than the model on a random walk.

use std::process::ExitCode;
use std::time::Instant;

use egtp_sim::model::check::Finding;
use egtp_sim::model::exchange::checks::{check, need};
use egtp_sim::model::exchange::rules::{Rule, Rules};
use egtp_sim::model::exchange::scope::Scope;
use egtp_sim::model::replay::{NEEDED_BY_WALKS, THE_CODE, replay};
use egtp_sim::model::sessions::{self, SCOPES, SessionRule};

/// Walks unless the command line says otherwise.
const TRACES: u64 = 100_000;
/// Walks in which a rule that is taken from the model must be missed.
const CONTROL: u64 = 20_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let traces = match (arguments.next().as_deref(), arguments.next().map(|text| text.parse())) {
        (None, None) => TRACES,
        (Some("--traces"), Some(Ok(traces))) => traces,
        _ => {
            println!("models [--traces N]");
            return ExitCode::FAILURE;
        }
    };
    let begun = Instant::now();
    let mut good = true;
    println!("Exchange: at most once, honest outcomes, no dead end");
    for scope in Scope::every() {
        good &= holds(scope.name, &check(Rules::ALL, &scope));
    }
    println!("Sessions: two live peers can always reach each other");
    for scope in SCOPES {
        good &= holds(scope.name, &sessions::check(None, scope));
    }
    println!("What each rule is for");
    for rule in Rule::EVERY {
        good &= is_needed(&format!("{rule:?}"), rule.shown_in().name, &need(rule));
    }
    for rule in SessionRule::EVERY {
        let scope = rule.shown_in();
        let finding = sessions::check(Some(rule), scope);
        good &= is_needed(&format!("{rule:?}"), scope.name, &finding);
    }
    good &= walks(traces);
    println!("{} after {:.0?}", if good { "All holds" } else { "NOT ALL HOLDS" }, begun.elapsed());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn holds(name: &str, finding: &Finding) -> bool {
    match &finding.broken {
        None => println!("  {name}: {} states, all properties hold", finding.states),
        Some((property, story)) => println!("  {name}: BROKEN: {property}\n{story}"),
    }
    finding.broken.is_none()
}

fn is_needed(rule: &str, scope: &str, finding: &Finding) -> bool {
    let Some((property, story)) = &finding.broken else {
        println!("  without {rule} ({scope}): NO STORY in {} states", finding.states);
        return false;
    };
    let steps = story.steps();
    println!("  without {rule} ({scope}), {steps} steps, not so: {property}\n{story}");
    true
}

fn walks(traces: u64) -> bool {
    println!("The code on random walks of the exchange");
    let begun = Instant::now();
    let good = match replay(THE_CODE, 0, traces) {
        Ok(tally) => {
            let (walks, steps, runs) = (tally.walks, tally.steps, tally.runs);
            println!("  {walks} walks agree, {steps} steps, {runs} runs, {:.1?}", begun.elapsed());
            walks == traces
        }
        Err(what) => {
            println!("  DISAGREES: {what}");
            false
        }
    };
    NEEDED_BY_WALKS.iter().fold(good, |good, rule| {
        let found = replay(THE_CODE.without(*rule), 0, CONTROL).err();
        match &found {
            Some(found) => {
                println!("  without {rule:?}: walk {} differs, {}", found.seed, found.what);
            }
            None => println!("  without {rule:?}: NO WALK DIFFERS"),
        }
        good && found.is_some()
    })
}
