//! The ledger of long runs: what counts for the code of this checkout, and adding a run to it.
//!
//! `ledger`: prints the sums. `ledger add --date 2000-12-31 --commit ID --kind simulator --unit seeds
//! --amount N --seconds N --failures N [--node-hours N]`: adds a run. Invariant: a run is added as it
//! was, also one with failures; only then does the exit code tell of them.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

use egtp_sim::checkout::{self, SourceFile};
use egtp_sim::long_runs::{LongRun, LongRuns, digest};
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::failure::{Failure, trying};
use egtp_sim::process::report::{Checks, run, say};

/// The file in the checkout.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reliability/ledger.toml");
const NAMES: [&str; 8] = [
    "--date",
    "--commit",
    "--kind",
    "--unit",
    "--amount",
    "--seconds",
    "--failures",
    "--node-hours",
];

fn main() -> ExitCode {
    run(|| async {
        let arguments = Arguments::read(&NAMES)?;
        match arguments.words()[..] {
            [] => show(),
            ["add"] => add(&arguments),
            _ => Err(Failure::Usage(format!("ledger [add {} VALUE ...]", NAMES.join(" VALUE ")))),
        }
    })
}

fn files() -> Result<Vec<SourceFile>, Failure> {
    trying("read the checkout", checkout::read())
}

/// Prints what counts. Failures of runs that count are broken promises.
fn show() -> Result<Checks, Failure> {
    let text = trying(format!("read {FILE}"), std::fs::read_to_string(FILE))?;
    let runs = LongRuns::parse(&text).map_err(|why| Failure::Usage(format!("{FILE}: {why}")))?;
    let sums = runs.sums(&files()?);
    let all = runs.run.len();
    say(format_args!("{all} long runs in all; of the code as it is now:"));
    let mut checks = Checks::new();
    for ((kind, unit), sum) in &sums {
        let claim = format!(
            "{kind}: {} {unit} in {} runs, {} s; failures",
            sum.amount, sum.runs, sum.seconds
        );
        checks.equal(&claim, &sum.failures, &0);
    }
    if sums.is_empty() {
        say("  none yet: .ci/long KIND MINUTES");
    }
    Ok(checks)
}

fn add(arguments: &Arguments) -> Result<Checks, Failure> {
    let text = |name| {
        let value = arguments.text(name);
        value.ok_or_else(|| Failure::Usage(format!("{name} is wanted")))
    };
    let number = |name| text(name).and_then(|_| arguments.number(name, 0));
    let mut measured = BTreeMap::new();
    if arguments.text("--node-hours").is_some() {
        measured.insert("node_hours".to_owned(), arguments.number("--node-hours", 0)?);
    }
    let kind = text("--kind")?;
    let code = digest(&files()?, &kind);
    let entry = LongRun {
        date: text("--date")?,
        commit: text("--commit")?,
        code: code.ok_or_else(|| Failure::Usage(format!("{kind:?} is no kind of long run")))?,
        kind,
        amount: number("--amount")?,
        unit: text("--unit")?,
        seconds: number("--seconds")?,
        failures: number("--failures")?,
        measured,
    };
    let file = OpenOptions::new().append(true).open(FILE);
    let mut file = trying(format!("open {FILE}"), file)?;
    trying(format!("write {FILE}"), file.write_all(entry.to_text().as_bytes()))?;
    let mut checks = Checks::new();
    let claim = format!("{}: {} {}; failures", entry.kind, entry.amount, entry.unit);
    checks.equal(&claim, &entry.failures, &0);
    Ok(checks)
}
