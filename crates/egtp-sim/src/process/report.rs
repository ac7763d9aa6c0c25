//! What a program prints, and whether it ends well.
//!
//! Invariant: each check prints what was claimed and what was found, and one that failed decides the
//! exit code: 0 all held, 1 a promise was broken, 2 the program could not try.

use std::fmt::Display;
use std::process::ExitCode;

use super::failure::Failure;

/// Prints one line.
#[expect(clippy::print_stdout, reason = "the programs exist to print what they found")]
pub fn say(line: impl Display) {
    println!("{line}");
}

/// The claims of one run.
#[derive(Debug, Default)]
pub struct Checks {
    held: usize,
    broken: usize,
}

impl Checks {
    /// Nothing claimed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Claims that a count is exactly so.
    pub fn equal<T: PartialEq + Display>(&mut self, claim: &str, found: &T, wanted: &T) {
        let judged = judge(found == wanted);
        self.note(judged, &format!("{claim}: {found} (wanted {wanted})"));
    }

    /// Claims that a count or time is at most so much.
    pub fn at_most<T: PartialOrd + Display>(&mut self, claim: &str, found: &T, limit: &T) {
        let judged = judge(found <= limit);
        self.note(judged, &format!("{claim}: {found} (at most {limit})"));
    }

    /// Claims that a count is at least so much.
    pub fn at_least<T: PartialOrd + Display>(&mut self, claim: &str, found: &T, limit: &T) {
        let judged = judge(found >= limit);
        self.note(judged, &format!("{claim}: {found} (at least {limit})"));
    }

    /// Claims that nothing breaks a rule; prints what does.
    pub fn none(&mut self, claim: &str, offenders: &[String]) {
        self.note(judge(offenders.is_empty()), &format!("{claim}: {} do not", offenders.len()));
        for offender in offenders.iter().take(SHOWN_MAX) {
            say(format_args!("         {offender}"));
        }
        if offenders.len() > SHOWN_MAX {
            say(format_args!("         and {} more", offenders.len() - SHOWN_MAX));
        }
    }

    /// How many claims did not hold.
    pub const fn broken(&self) -> usize {
        self.broken
    }

    fn note(&mut self, judged: Judged, line: &str) {
        match judged {
            Judged::Held => {
                self.held += 1;
                say(format_args!("  held   {line}"));
            }
            Judged::Broken => {
                self.broken += 1;
                say(format_args!("  BROKEN {line}"));
            }
        }
    }
}

/// Runs a program on a runtime of its own and turns its claims into the exit code.
pub fn run<F>(program: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output = Result<Checks, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(program()),
        Err(source) => Err(Failure::System { what: "start a runtime".into(), source }),
    };
    match ended {
        Ok(checks) => {
            say(format_args!("{} checks held, {} broken", checks.held, checks.broken));
            if checks.broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            say(format_args!("could not try: {failure}"));
            ExitCode::from(2)
        }
    }
}

#[derive(Clone, Copy)]
enum Judged {
    Held,
    Broken,
}

const fn judge(holds: bool) -> Judged {
    if holds { Judged::Held } else { Judged::Broken }
}

/// Offenders that are printed in full.
const SHOWN_MAX: usize = 20;
