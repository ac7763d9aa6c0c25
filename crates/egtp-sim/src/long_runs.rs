//! `reliability/ledger.toml`: what long runs have added up to, and how much of it still counts.
//!
//! A run counts while the code that it tested is unchanged: each entry has a digest over the sources that
//! its kind tests, without tests beside them. Knows of a kind no more than which these are. Invariant: an
//! entry is only ever added, also when the run has failed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::checkout::SourceFile;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongRuns {
    /// The runs, in the order in which they ended.
    #[serde(default)]
    pub run: Vec<LongRun>,
}

/// One long run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LongRun {
    /// The day on which it ended, as 2000-12-31.
    pub date: String,
    /// The commit that was tested.
    pub commit: String,
    /// The digest of what was tested: see [`digest`].
    pub code: String,
    /// What was run, as `.ci/long` calls it.
    pub kind: String,
    /// How much, in `unit`.
    pub amount: u64,
    /// What `amount` counts: `seeds`, `executions`, `rounds`, `requests`.
    pub unit: String,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// How many violations, crashes or hangs there were.
    pub failures: u64,
    /// More that the run measured, by name with its unit: `node_hours = 1234`.
    #[serde(default)]
    pub measured: BTreeMap<String, u64>,
}

/// What runs of one kind add up to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum {
    /// How many runs.
    pub runs: u64,
    /// Their amounts.
    pub amount: u64,
    /// Their seconds.
    pub seconds: u64,
    /// Their failures.
    pub failures: u64,
}

impl LongRuns {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// What is not of the form that the head of the file describes.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// What the runs of this code add up to, by kind and unit. What is of no known kind does not count.
    pub fn sums(&self, files: &[SourceFile]) -> BTreeMap<(String, String), Sum> {
        let codes: BTreeMap<&str, String> =
            KINDS.iter().filter_map(|(kind, _)| Some((*kind, digest(files, kind)?))).collect();
        let counts = |run: &&LongRun| codes.get(run.kind.as_str()) == Some(&run.code);
        let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
        for run in self.run.iter().filter(counts) {
            let sum = sums.entry((run.kind.clone(), run.unit.clone())).or_default();
            sum.runs += 1;
            sum.amount = sum.amount.saturating_add(run.amount);
            sum.seconds = sum.seconds.saturating_add(run.seconds);
            sum.failures = sum.failures.saturating_add(run.failures);
        }
        sums
    }
}

impl LongRun {
    /// The text to add to the file.
    pub fn to_text(&self) -> String {
        let Self { date, commit, code, kind, amount, unit, seconds, failures, measured } = self;
        let mut text = format!(
            "\n[[run]]\ndate = \"{date}\"\ncommit = \"{commit}\"\ncode = \"{code}\"\n\
             kind = \"{kind}\"\namount = {amount}\nunit = \"{unit}\"\nseconds = {seconds}\n\
             failures = {failures}\n"
        );
        if !measured.is_empty() {
            let pairs: Vec<String> =
                measured.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            // A String takes everything.
            let _ = writeln!(text, "measured = {{ {} }}", pairs.join(", "));
        }
        text
    }
}

/// The digest of the code that a kind of run tests: 16 hexadecimal digits over paths and texts of what it is
/// built from. Files of tests are left out, because they do not change what runs. `None` if there is no such
/// kind.
pub fn digest(files: &[SourceFile], kind: &str) -> Option<String> {
    let (_, folders) = KINDS.iter().find(|(known, _)| *known == kind)?;
    let mut hasher = blake3::Hasher::new();
    let is_tested = |file: &&SourceFile| folders.iter().any(|folder| file.is_under(folder, "rs"));
    let tested = files.iter().filter(is_tested);
    for file in tested.filter(|file| !file.path.ends_with("_tests.rs")) {
        for part in [&file.path, &file.text] {
            hasher.update(&u64::try_from(part.len()).unwrap_or(0).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    Some(hasher.finalize().to_hex().chars().take(16).collect())
}

/// The kinds of long runs, as `.ci/long` calls them, each with the folders that hold what it tests.
const KINDS: [(&str, &[&str]); 6] = [
    ("simulator", &[CORE]),
    ("fuzz", &[CORE]),
    ("storm", &[CORE, LIBRARY]),
    ("relay", &[CORE, LIBRARY, SERVICES]),
    ("mailbox", &[CORE, LIBRARY, SERVICES]),
    ("bad-link", &[CORE, LIBRARY]),
];
/// The protocol without a network.
const CORE: &str = "crates/egtp-proto/src/";
/// What gives it a network and a disk.
const LIBRARY: &str = "crates/egtp/src/";
/// What is built on that.
const SERVICES: &str = "crates/egtp-services/src/";

#[cfg(test)]
mod tests {
    use super::*;

    fn run(code: &str, amount: u64) -> LongRun {
        LongRun {
            date: "2000-12-31".into(),
            commit: "0123456".into(),
            code: code.into(),
            kind: "simulator".into(),
            amount,
            unit: "seeds".into(),
            seconds: 60,
            failures: 0,
            measured: BTreeMap::from([("node_hours".into(), 7)]),
        }
    }

    #[test]
    fn what_is_added_reads_back() {
        let text = run("a", 10).to_text() + &run("b", 20).to_text();
        let read = LongRuns::parse(&text).unwrap();
        assert_eq!(read.run, [run("a", 10), run("b", 20)]);
    }

    fn code(core: &str, library: &str, services: &str) -> Vec<SourceFile> {
        vec![
            SourceFile::new("crates/egtp-proto/src/a.rs", core),
            SourceFile::new("crates/egtp/src/b.rs", library),
            SourceFile::new("crates/egtp-services/src/c.rs", services),
        ]
    }

    #[test]
    fn only_runs_of_the_same_code_add_up() {
        let (old, new) = (code("1", "1", "1"), code("2", "1", "1"));
        let of = |files: &[SourceFile], kind: &str, amount| {
            let code = digest(files, kind).unwrap();
            LongRun { kind: kind.into(), ..run(&code, amount) }
        };
        let others = LongRun { kind: "walk".into(), ..run("a", 50) };
        let run = vec![
            of(&new, "simulator", 10),
            of(&old, "simulator", 20),
            of(&new, "storm", 30),
            others,
        ];
        let mut runs = LongRuns { run };
        runs.run.push(of(&new, "simulator", 40));
        let sums = runs.sums(&new);
        let sum = sums[&("simulator".to_owned(), "seeds".to_owned())];
        assert_eq!((sum.runs, sum.amount, sums.len()), (2, 50, 2));
        assert!(runs.sums(&code("3", "1", "1")).is_empty());
    }

    #[test]
    fn the_digest_changes_with_the_tested_code_alone() {
        let before = code("1", "1", "1");
        let mut test = before.clone();
        test.push(SourceFile::new("crates/egtp-proto/src/a_tests.rs", "3"));
        test.push(SourceFile::new("crates/egtp/tests/b.rs", "3"));
        for (kind, library_counts, services_count) in [
            ("simulator", false, false),
            ("fuzz", false, false),
            ("storm", true, false),
            ("relay", true, true),
            ("mailbox", true, true),
            ("bad-link", true, false),
        ] {
            let now = digest(&before, kind);
            assert!(now.is_some(), "{kind}");
            assert_ne!(now, digest(&code("2", "1", "1"), kind), "{kind}");
            assert_eq!(now == digest(&code("1", "2", "1"), kind), !library_counts, "{kind}");
            assert_eq!(now == digest(&code("1", "1", "2"), kind), !services_count, "{kind}");
            assert_eq!(now, digest(&test, kind), "{kind}");
        }
        assert_eq!(digest(&before, "walk"), None);
    }
}
