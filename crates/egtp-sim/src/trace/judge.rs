//! Compares what is promised with what is proved.
//!
//! Pure: values in, a report out. Invariant: each row and each MUST ends in exactly one of proved,
//! documented, open or problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Citations, Id, Ledger, Proof, Row, Specification};
use crate::checkout::SourceFile;

/// Something that must be mended, in the ledger, in the specification or by writing a test.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Write the test, or list the id as open with a reason.
    #[error("{id}: no test cites it and it is not listed as open")]
    Uncited {
        /// The row or statement.
        id: Id,
    },
    /// Remove its `open` from `reliability/rows.toml`.
    #[error("{id}: listed as open, but it is proved by {by}; remove `open` from rows.toml")]
    OpenThoughProved {
        /// The row or statement.
        id: Id,
        /// The first test or document that proves it.
        by: String,
    },
    /// Write it down, or correct the phrase in `reliability/rows.toml`.
    #[error("{id}: {file} does not contain the phrase {phrase:?}")]
    NotDocumented {
        /// The row.
        id: Id,
        /// The document.
        file: String,
        /// What was looked for.
        phrase: String,
    },
    /// Correct the id in the `[must]` table.
    #[error("{id}: listed as open under [must], but docs/spec.md has no such statement")]
    NoSuchStatement {
        /// The id in the table.
        id: Id,
    },
    /// Say what is demanded, or take the id away.
    #[error("{id}: docs/spec.md gives it an id but it says no MUST")]
    StatementWithoutMust {
        /// The statement.
        id: Id,
    },
    /// Give the later one a new id.
    #[error("{id}: docs/spec.md uses this id twice, on lines {lines:?}")]
    IdUsedTwice {
        /// The id.
        id: Id,
        /// Where.
        lines: [usize; 2],
    },
    /// Begin the statement with an id in bold.
    #[error("docs/spec.md line {line}: a MUST without an id")]
    MustWithoutId {
        /// Counted from 1.
        line: usize,
    },
    /// A check of nothing is no check.
    #[error("{what} has nothing to check")]
    Nothing {
        /// The file.
        what: &'static str,
    },
}

/// What is proved, what is only documented, what is open, and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Rows and statements with the tests that cite them.
    pub proved: BTreeMap<Id, BTreeSet<String>>,
    /// Rows closed by a phrase, with the document.
    pub documented: BTreeMap<Id, String>,
    /// Rows and statements that are still open, with the reason.
    pub open: BTreeMap<Id, String>,
    /// Cited ids of a known family that nobody lists: rows of later work, or slips of the pen.
    pub unlisted: BTreeMap<Id, BTreeSet<String>>,
    /// Empty when all is well.
    pub problems: Vec<Problem>,
}

/// Judges each row of `ledger` and each statement of `specification` by `citations`, and by
/// `files` where a document closes a row.
pub fn judge(
    ledger: &Ledger,
    specification: &Specification,
    citations: &Citations,
    files: &[SourceFile],
) -> Report {
    let mut report = Report { problems: specification.problems.clone(), ..Report::default() };
    for (id, row) in &ledger.rows {
        report.judge_row(id, row, citations, files);
    }
    for id in specification.statements.keys() {
        report.judge_by_tests(id, ledger.must.get(id), citations);
    }
    report.judge_whole(ledger, specification, citations);
    report
}

impl Report {
    fn judge_row(&mut self, id: &Id, row: &Row, citations: &Citations, files: &[SourceFile]) {
        let Proof::Documentation { file, phrase } = &row.proof else {
            return self.judge_by_tests(id, row.open.as_ref(), citations);
        };
        let (id, file) = (id.clone(), file.clone());
        match (contains(files, &file, phrase), row.open.clone()) {
            (true, None) => {
                self.documented.insert(id, file);
            }
            (true, Some(_)) => self.problems.push(Problem::OpenThoughProved { id, by: file }),
            (false, Some(why)) => {
                self.open.insert(id, why);
            }
            (false, None) => {
                self.problems.push(Problem::NotDocumented { id, file, phrase: phrase.clone() });
            }
        }
    }

    fn judge_by_tests(&mut self, id: &Id, open: Option<&String>, citations: &Citations) {
        let id = id.clone();
        match (citations.get(&id), open.cloned()) {
            (Some(tests), None) => {
                self.proved.insert(id, tests.clone());
            }
            (Some(tests), Some(_)) => {
                let by = tests.first().cloned().unwrap_or_default();
                self.problems.push(Problem::OpenThoughProved { id, by });
            }
            (None, Some(why)) => {
                self.open.insert(id, why);
            }
            (None, None) => self.problems.push(Problem::Uncited { id }),
        }
    }

    /// What only shows when everything is seen together.
    fn judge_whole(&mut self, ledger: &Ledger, spec: &Specification, citations: &Citations) {
        if ledger.rows.is_empty() {
            self.problems.push(Problem::Nothing { what: "reliability/rows.toml" });
        }
        if spec.statements.is_empty() {
            self.problems.push(Problem::Nothing { what: "docs/spec.md" });
        }
        for id in ledger.must.keys().filter(|id| !spec.statements.contains_key(id)) {
            self.problems.push(Problem::NoSuchStatement { id: id.clone() });
        }
        let listed = |id: &Id| ledger.rows.contains_key(id) || spec.statements.contains_key(id);
        let families = ledger.rows.keys().chain(spec.statements.keys()).map(Id::family);
        let families = families.collect::<BTreeSet<_>>();
        for (id, tests) in citations.iter().filter(|(id, _)| !listed(id)) {
            if families.contains(id.family()) {
                self.unlisted.insert(id.clone(), tests.clone());
            }
        }
    }
}

/// Whether the document has the phrase, however its lines are broken.
fn contains(files: &[SourceFile], path: &str, phrase: &str) -> bool {
    let on_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(file) = files.iter().find(|file| file.path == path) else { return false };
    on_one_line(&file.text).contains(&on_one_line(phrase))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, tests) in &self.proved {
            for test in tests {
                writeln!(f, "{id:<12} {test}")?;
            }
        }
        for (id, file) in &self.documented {
            writeln!(f, "{id:<12} documented in {file}")?;
        }
        for (id, tests) in &self.unlisted {
            let places = tests.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            writeln!(f, "{id:<12} NOT LISTED in rows.toml or spec.md, cited by {places}")?;
        }
        for (id, why) in &self.open {
            writeln!(f, "{id:<12} OPEN: {why}")?;
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM      {problem}")?;
        }
        let (proved, documented) = (self.proved.len(), self.documented.len());
        let (open, problems) = (self.open.len(), self.problems.len());
        write!(
            f,
            "{proved} PROVED BY TESTS, {documented} DOCUMENTED, {open} OPEN, {problems} PROBLEMS"
        )
    }
}
