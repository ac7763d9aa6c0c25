//! The runner: says how long it will take, runs all rounds, keeps what came out.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::client::Figures;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::plan::{self, Cell, Measure, Row, Work};
use crate::{at_rest, plots, processes, system, tables, versions};

/// All that one row showed in one work, over the rounds.
#[derive(Debug)]
pub struct Result {
    pub row: Row,
    pub work: Work,
    pub runs: Vec<Figures>,
    /// Why rounds gave nothing.
    pub failures: Vec<String>,
}

pub fn run(options: &Options) -> Outcome<()> {
    let round = plan::round(options);
    let at_rest = options.measures.contains(&Measure::AtRest);
    if round.is_empty() && !at_rest {
        return Err("nothing to measure: these sides do not do these measures".into());
    }
    let cells = round.len() * options.rounds as usize;
    let needed = round.iter().map(Cell::needs).sum::<f64>() * f64::from(options.rounds);
    eprintln!(
        "{} rounds of {} figures, {} s each: {cells} runs, about {}",
        options.rounds,
        round.len(),
        options.seconds,
        minutes(needed)
    );
    if at_rest {
        eprintln!("and memory of sessions at rest, from a thousand to a million, once");
    }
    if cfg!(debug_assertions) {
        eprintln!("built without optimization: these figures mean nothing; use --release");
    }
    if options.plan_only {
        return Ok(());
    }
    let fresh = |cell: &Cell| Result {
        row: cell.row,
        work: cell.work,
        runs: Vec::new(),
        failures: Vec::new(),
    };
    let mut results: Vec<Result> = round.iter().map(fresh).collect();
    let begun = Instant::now();
    let rounds = if round.is_empty() { 0 } else { options.rounds };
    for number in 1..=rounds {
        for (cell, result) in round.iter().zip(&mut results) {
            system::wait_until_idle(Duration::from_secs_f64(options.wait))?;
            match measure(cell) {
                Ok(figures) => result.runs.push(figures),
                Err(why) => {
                    let (side, work) = (cell.row.side.word(), cell.work.word());
                    eprintln!("{side} ({}), {work}: {why}", cell.row.runtime.word());
                    result.failures.push(why.to_string());
                }
            }
        }
        eprintln!("round {number} of {} done after {}", options.rounds, minutes_since(begun));
        // After each round, so that a run that is broken off leaves what it has.
        write(options, &results)?;
    }
    print!("{}", tables::markdown(options, &results));
    eprintln!("took {}; the same as JSON: {}", minutes_since(begun), options.out);
    let at_rest = if at_rest { at_rest::measure() } else { Ok(Vec::new()) };
    let points = at_rest.as_deref().unwrap_or_default();
    if !points.is_empty() {
        print!("{}", at_rest::markdown(points));
    }
    for plot in plots::draw(Path::new(&options.out), &results, points)? {
        eprintln!("drawn: {}", plot.display());
    }
    // What was measured besides is not lost by it.
    at_rest.map(|_| ())
}

fn measure(cell: &Cell) -> Outcome<Figures> {
    let limit = Duration::from_secs_f64(cell.needs() * 3.0 + 20.0);
    let output = processes::run_client(cell, limit)?;
    let line = output.lines().next_back().ok_or("the client printed nothing")?;
    Ok(serde_json::from_str(line)?)
}

fn minutes_since(begun: Instant) -> String {
    minutes(begun.elapsed().as_secs_f64())
}

fn minutes(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.0} s") } else { format!("{:.1} min", seconds / 60.0) }
}

#[derive(Serialize)]
struct File {
    unix_time: u64,
    machine: String,
    versions: Vec<String>,
    rounds: u32,
    seconds: f64,
    results: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    side: &'static str,
    runtime: &'static str,
    work: &'static str,
    figures: std::collections::BTreeMap<String, Spread>,
    failures: Vec<String>,
}

/// One figure over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub runs: Vec<f64>,
}

impl Result {
    /// A figure by its name; `None` if no round gave it.
    pub fn spread(&self, name: &str) -> Option<Spread> {
        let runs: Vec<f64> = self.runs.iter().filter_map(|run| run.get(name).copied()).collect();
        let mut sorted = runs.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[half]
        } else {
            f64::midpoint(sorted[half - 1], sorted[half])
        };
        Some(Spread { median, min, max, runs })
    }
}

fn write(options: &Options, results: &[Result]) -> Outcome<()> {
    let entry = |result: &Result| Entry {
        side: result.row.side.word(),
        runtime: result.row.runtime.word(),
        work: result.work.word(),
        figures: result
            .runs
            .iter()
            .flat_map(|run| run.keys())
            .filter_map(|name| Some((name.clone(), result.spread(name)?)))
            .collect(),
        failures: result.failures.clone(),
    };
    let file = File {
        unix_time: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        machine: system::describe(),
        versions: versions::all(),
        rounds: options.rounds,
        seconds: options.seconds,
        results: results.iter().map(entry).collect(),
    };
    if let Some(folder) = Path::new(&options.out).parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(&options.out, serde_json::to_string_pretty(&file)? + "\n")?)
}
