//! Every requirement row and every MUST of the specification is proved by a test or a document, or
//! is openly listed as open. Run with `-- --nocapture` to see which test proves what.

use egtp_sim::checkout::{self, SourceFile};
use egtp_sim::trace::{Ledger, Specification, find_citations, judge};

#[test]
fn every_row_and_must_is_cited() {
    let files = checkout::read().expect("the checkout can be read");
    let ledger = Ledger::read(text_of(&files, "reliability/rows.toml")).expect("it has its form");
    let specification = Specification::read(text_of(&files, "docs/spec.md"));
    let report = judge(&ledger, &specification, &find_citations(&files), &files);
    println!("{report}");
    assert!(report.problems.is_empty(), "\n{report}");
}

/// A file that is not there reads as empty, which the check then reports as nothing to check.
fn text_of<'a>(files: &'a [SourceFile], path: &str) -> &'a str {
    files.iter().find(|file| file.path == path).map_or("", |file| &file.text)
}
