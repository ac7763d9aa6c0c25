//! Plants each bug in turn and plays seeds until a promise is broken: the control of the simulator.
//!
//! `hunt [--seeds 300] [--from SEED] [--bug "name of one"]`, in a build with `--cfg planted`. Ends with
//! code 1 when a bug was not found within so many seeds. Invariant: one bug at a time, because the
//! switch is one for the whole process.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use egtp_sim::planted;
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::failure::Failure;
use egtp_sim::process::report::say;
use egtp_sim::world::{Plan, Story, Violation, run};

fn main() -> ExitCode {
    // Some bugs end in a panic; the simulator tells of it.
    std::panic::set_hook(Box::new(|_| {}));
    match hunt() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(error);
            ExitCode::from(2)
        }
    }
}

fn hunt() -> Result<bool, Failure> {
    let arguments = Arguments::read(&["--seeds", "--from", "--bug"])?;
    let (seeds, from) = (arguments.number("--seeds", SEEDS)?, arguments.number("--from", 0)?);
    let only = arguments.text("--bug");
    let (mut looked_for, mut missed) = (0_usize, Vec::new());
    say(format_args!("{:<46} {:>5} {:>6}  promise", "planted bug", "seeds", "s"));
    for name in planted::names()? {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        looked_for += 1;
        planted::plant(name)?;
        let began = Instant::now();
        let found = first_violation(from, seeds);
        let took = began.elapsed().as_secs_f32();
        if let Some((needed, violation)) = found {
            let (promise, what) = (violation.promise, violation.what);
            say(format_args!("{name:<46} {needed:>5} {took:>6.1}  {promise:?}: {what}"));
        } else {
            say(format_args!("{name:<46}  none {took:>6.1}  NOT FOUND"));
            missed.push(name);
        }
    }
    say(format_args!("{} of {looked_for} not found within {seeds} seeds", missed.len()));
    Ok(missed.is_empty())
}

/// The first violation from a seed on, and after how many seeds.
fn first_violation(from: u64, seeds: u64) -> Option<(u64, Violation)> {
    let (next, end) = (AtomicU64::new(0), AtomicU64::new(seeds));
    let found: Mutex<Option<(u64, Violation)>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= end.load(Ordering::Relaxed) {
                        break;
                    }
                    let plan = Plan::draw(from.wrapping_add(index));
                    let Some(violation) = run(&plan, Story::Untold).violation else { continue };
                    // Whoever is at an earlier seed goes on; nobody begins a later one.
                    end.fetch_min(index, Ordering::Relaxed);
                    let Ok(mut found) = found.lock() else { break };
                    if found.as_ref().is_none_or(|(needed, _)| index < *needed - 1) {
                        *found = Some((index + 1, violation));
                    }
                }
            });
        }
    });
    found.into_inner().ok().flatten()
}

/// Seeds within which each bug is to be found.
const SEEDS: u64 = 300;
/// Worker threads; each world has one.
const JOBS: usize = 2;
