//! Plays worlds of endpoints, checks the promises in each, and says what happened.
//!
//! `simulate [--seeds N] [--from SEED] [--seed ONE] [--plan FILE] [--trace yes] [--shrink RUNS]
//! [--minutes M] [--jobs N] [--planted NAME]`. Without `--seed` and `--plan` a batch is played, one seed
//! in twenty twice; `--planted` plants a bug first, in a build with `--cfg planted`. Ends with code 1 when a promise was broken, or when a fault or a check of a long batch never
//! fired: one that cannot fire proves nothing.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use egtp_sim::planted;
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::failure::Failure;
use egtp_sim::world::{Batch, Plan, Run, Story, run, shrink};

fn main() -> ExitCode {
    match play() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error}"));
            ExitCode::from(2)
        }
    }
}

fn play() -> Result<bool, Failure> {
    let known = [
        "--seeds",
        "--from",
        "--seed",
        "--plan",
        "--trace",
        "--shrink",
        "--minutes",
        "--jobs",
        "--planted",
    ];
    let arguments = Arguments::read(&known)?;
    if let Some(name) = arguments.text("--planted") {
        planted::plant(&name)?;
    }
    let shrink_runs = usize::try_from(arguments.number("--shrink", SHRINK_RUNS)?).unwrap_or(0);
    let story = match arguments.path("--trace") {
        Some(_) => Story::Told,
        None => Story::Untold,
    };
    // A seed is a number of the whole range; none is the highest.
    let one = arguments.number("--seed", u64::MAX)?;
    if let Some(path) = arguments.path("--plan") {
        return Ok(play_one(&read_plan(&path)?, story, shrink_runs));
    }
    if one != u64::MAX {
        return Ok(play_one(&Plan::draw(one), story, shrink_runs));
    }
    let minutes = arguments.number("--minutes", u64::MAX / 120)?;
    let work = Work {
        next: AtomicU64::new(arguments.number("--from", 0)?),
        left: AtomicU64::new(arguments.number("--seeds", SEEDS)?),
        until: Instant::now().checked_add(Duration::from_secs(minutes * 60)),
        broken: AtomicBool::new(false),
        batch: Mutex::new(Batch::default()),
    };
    let began = Instant::now();
    let jobs = arguments.number("--jobs", JOBS_MAX)?.clamp(1, JOBS_MAX);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work.play());
        }
    });
    let batch = work.batch.into_inner().unwrap_or_default();
    say(&batch.report(began.elapsed()));
    for (plan, violation) in batch.violations() {
        say(&format!("{violation}\nto repeat it: {REPEAT} --seed {}", plan.seed));
    }
    if let Some((plan, _)) = batch.violations().first() {
        tell_shrunk(plan, shrink_runs);
    }
    let complaints = batch.complaints();
    for complaint in &complaints {
        say(&format!("COMPLAINT: {complaint}"));
    }
    Ok(batch.violations().is_empty()
        && complaints.is_empty()
        && !work.broken.load(Ordering::Relaxed))
}

/// What the workers share.
struct Work {
    next: AtomicU64,
    left: AtomicU64,
    until: Option<Instant>,
    broken: AtomicBool,
    batch: Mutex<Batch>,
}

impl Work {
    fn play(&self) {
        let mut own = Batch::default();
        while self.until.is_none_or(|until| Instant::now() < until) {
            let left = self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if left.is_err() {
                break;
            }
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            let plan = Plan::draw(seed);
            let began = Instant::now();
            let result = run(&plan, Story::Untold);
            if began.elapsed() > SLOW {
                say(&format!("seed {seed} took {} ms", began.elapsed().as_millis()));
            }
            if let Some(violation) = &result.violation {
                say(&format!("{violation}"));
            }
            own.add(&plan, &result);
            if seed.is_multiple_of(TWICE) {
                if run(&plan, Story::Untold).hash == result.hash {
                    own.add_repetition();
                } else {
                    say(&format!("seed {seed} gave another hash when it was played again"));
                    self.broken.store(true, Ordering::Relaxed);
                }
            }
        }
        if let Ok(mut batch) = self.batch.lock() {
            batch.join(own);
        }
    }
}

fn play_one(plan: &Plan, story: Story, shrink_runs: usize) -> bool {
    say(&plan.to_text());
    let began = Instant::now();
    let result = run(plan, story);
    let Run { violation, hash, tally, story } = &result;
    for line in story {
        say(line);
    }
    let hash = hash.map(|byte| format!("{byte:02x}")).concat();
    say(&format!("hash {hash}\n{tally:?}\n{} ms", began.elapsed().as_millis()));
    if let Some(violation) = violation {
        say(&format!("{violation}"));
        tell_shrunk(plan, shrink_runs);
    }
    violation.is_none()
}

fn tell_shrunk(plan: &Plan, runs: usize) {
    if runs == 0 {
        return;
    }
    let small = shrink(plan, runs);
    let violation = run(&small, Story::Untold).violation;
    let violation = violation.map_or_else(String::new, |violation| violation.to_string());
    say(&format!("the smallest plan found:\n\n{}\n{violation}", small.to_text()));
}

fn read_plan(path: &Path) -> Result<Plan, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    Plan::from_text(&text).map_err(|error| Failure::Usage(error.to_string()))
}

fn say(line: &str) {
    // Whoever closed our output does not want to know more.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Seeds of a batch.
const SEEDS: u64 = 300;
/// One seed in so many is played twice.
const TWICE: u64 = 20;
/// Worker threads; each world has one.
const JOBS_MAX: u64 = 2;
/// Runs that making a plan smaller may cost.
const SHRINK_RUNS: u64 = 200;
/// A seed that takes longer is named.
const SLOW: Duration = Duration::from_secs(10);
const REPEAT: &str = "cargo run --release -p egtp-sim --example simulate --";
