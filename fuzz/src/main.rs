//! Runs every target over its committed corpus and then over seeded mutations of it, on a stable
//! toolchain: the smoke that always runs.
//!
//! `--seeds` writes instead what each target wants its corpus to begin with; a test keeps the
//! committed files equal to it.
//!
//! Refuses to know what a target promises. Invariant: the input that broke a target is written to
//! `fuzz/artifacts` before this program says so, and a run that ran nothing is a failed run.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use egtp_fuzz::mutation::Mutator;
use egtp_fuzz::{TARGETS, Target};

fn main() -> ExitCode {
    let plan = match Plan::from_arguments(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(complaint) => {
            eprintln!("{complaint}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if plan.seeds {
        return write_seeds(&plan);
    }
    let mut broken = 0;
    for target in TARGETS.iter().filter(|target| plan.wants(target)) {
        let begun = Instant::now();
        match smoke(*target, &plan) {
            Ok(inputs) => {
                let seconds = begun.elapsed().as_secs_f32();
                println!("{}: {inputs} inputs, {seconds:.1} s", target.name);
            }
            Err(complaint) => {
                eprintln!("{}: {complaint}", target.name);
                broken += 1;
            }
        }
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What to run.
struct Plan {
    mutations: u32,
    seed: u64,
    /// Whether to write the corpora instead.
    seeds: bool,
    /// Empty means all.
    names: Vec<String>,
}

impl Plan {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self { mutations: 20_000, seed: 1, seeds: false, names: Vec::new() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--mutations" => plan.mutations = number(arguments.next())?,
                "--seeds" => plan.seeds = true,
                "--seed" => plan.seed = number(arguments.next())?,
                name if TARGETS.iter().any(|target| target.name == name) => {
                    plan.names.push(argument);
                }
                other => return Err(format!("there is no target or option {other:?}")),
            }
        }
        Ok(plan)
    }

    fn wants(&self, target: &Target) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == target.name)
    }
}

fn number<N: std::str::FromStr>(text: Option<String>) -> Result<N, String> {
    let text = text.ok_or("a number is missing")?;
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

/// Runs one target, and gives back how many inputs it took.
fn smoke(target: Target, plan: &Plan) -> Result<usize, String> {
    let corpus =
        corpus_of(target).map_err(|error| format!("its corpus cannot be read: {error}"))?;
    if corpus.is_empty() {
        return Err("its corpus is empty: commit a few inputs that it accepts".to_owned());
    }
    let mut inputs = 0;
    let mut mutator = Mutator::new(&corpus, plan.seed);
    let mutated = (0..plan.mutations).map(|_| mutator.input());
    for input in corpus.iter().cloned().chain(mutated) {
        if panic::catch_unwind(|| (target.run)(&input)).is_err() {
            return Err(report_broken(target, &input));
        }
        inputs += 1;
    }
    Ok(inputs)
}

/// The committed inputs of a target, sorted by name so that every run is the same.
fn corpus_of(target: Target) -> io::Result<Vec<Vec<u8>>> {
    let folder = home().join("corpus").join(target.name);
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}

/// Writes the seeds of the chosen targets into their corpora.
fn write_seeds(plan: &Plan) -> ExitCode {
    for target in TARGETS.iter().filter(|target| plan.wants(target)) {
        let folder = home().join("corpus").join(target.name);
        let seeds = (target.seeds)();
        let written = fs::create_dir_all(&folder).and_then(|()| {
            seeds.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
        });
        if let Err(error) = written {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
        println!("{}: {} seeds", target.name, seeds.len());
    }
    ExitCode::SUCCESS
}

fn report_broken(target: Target, input: &[u8]) -> String {
    let folder = home().join("artifacts").join(target.name);
    let file = folder.join("broken-by-mutation");
    match fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input)) {
        Ok(()) => format!("broken by {} ({input:02x?})", file.display()),
        Err(error) => format!("broken by {input:02x?} (not written: {error})"),
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

const USAGE: &str = "usage: egtp-fuzz [--mutations N] [--seed N] [--seeds] [TARGET]...";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_committed_corpus_holds_the_seeds_of_its_target() {
        for target in TARGETS {
            for (name, bytes) in (target.seeds)() {
                let path = home().join("corpus").join(target.name).join(name);
                let committed = fs::read(&path);
                assert!(
                    committed.is_ok_and(|committed| committed == bytes),
                    "{} is not what `egtp-fuzz --seeds` writes",
                    path.display()
                );
            }
        }
    }
}
