//! The negative controls of the check: each kind of gap is found.

use super::{Id, Ledger, Problem, Report, Specification, find_citations, judge};
use crate::checkout::SourceFile;

const SPECIFICATION: &str = "**W-1** A packet MUST be short.\n";

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// Judges `rows` against one test named `test` and a document with the words "said here".
fn judged(rows: &str, specification: &str, test: &str) -> Report {
    let ledger = Ledger::read(rows).unwrap();
    let files = [
        SourceFile::new("crates/a/src/b.rs", ["#[test]", &format!("fn {test}() {{")].join("\n")),
        SourceFile::new("docs/design.md", "It is said\nhere, once.\n"),
    ];
    let citations = find_citations(&files);
    judge(&ledger, &Specification::read(specification), &citations, &files)
}

#[test]
fn a_missing_citation_is_found() {
    let rows = "[rows]\nZZA-1 = { says = 'x', proved = 'tests' }";
    let report = judged(rows, SPECIFICATION, "zza_2_is_something_else");
    assert_eq!(
        report.problems,
        [Problem::Uncited { id: id("ZZA-1") }, Problem::Uncited { id: id("W-1") }]
    );
    assert_eq!(report.unlisted.keys().collect::<Vec<_>>(), [&id("ZZA-2")]);
}

#[test]
fn a_cited_row_and_a_cited_must_are_proved() {
    let rows = "[rows]\nZZA-1 = { says = 'x', proved = 'tests' }";
    let report = judged(rows, SPECIFICATION, "zza_1_w_1_holds");
    assert!(report.problems.is_empty(), "{report}");
    assert_eq!(report.proved.len(), 2);
}

#[test]
fn what_is_open_is_counted_and_no_problem() {
    let rows =
        "[rows]\nZZA-1 = { says = 'x', proved = 'tests', open = 'later' }\n[must]\nW-1 = 'soon'";
    let report = judged(rows, SPECIFICATION, "unrelated");
    assert!(report.problems.is_empty(), "{report}");
    assert_eq!(report.open.len(), 2);
    assert!(report.to_string().ends_with("0 PROVED BY TESTS, 0 DOCUMENTED, 2 OPEN, 0 PROBLEMS"));
}

#[test]
fn what_is_open_though_proved_is_found() {
    let rows =
        "[rows]\nZZA-1 = { says = 'x', proved = 'tests', open = 'later' }\n[must]\nW-1 = 'soon'";
    let report = judged(rows, SPECIFICATION, "zza_1_w_1_holds");
    let by = || "crates/a/src/b.rs: zza_1_w_1_holds".to_owned();
    assert_eq!(
        report.problems,
        [
            Problem::OpenThoughProved { id: id("ZZA-1"), by: by() },
            Problem::OpenThoughProved { id: id("W-1"), by: by() },
        ]
    );
}

#[test]
fn a_phrase_closes_a_row_only_where_the_document_has_it() {
    let row = |phrase: &str, open: &str| {
        let rows = format!(
            "[rows]\nZZA-1 = {{ says = 'x', proved = 'documentation', file = 'docs/design.md', \
             phrase = '{phrase}'{open} }}"
        );
        judged(&rows, SPECIFICATION, "w_1_holds")
    };
    assert_eq!(row("is said here", "").documented.len(), 1);
    assert!(matches!(row("never said", "").problems[..], [Problem::NotDocumented { .. }]));
    assert_eq!(row("never said", ", open = 'later'").open.len(), 1);
    let both = row("is said here", ", open = 'later'");
    assert!(matches!(both.problems[..], [Problem::OpenThoughProved { .. }]));
}

#[test]
fn a_check_of_nothing_is_a_problem() {
    let report = judged("[rows]", "", "unrelated");
    assert!(matches!(report.problems[..], [Problem::Nothing { .. }, Problem::Nothing { .. }]));
}

#[test]
fn an_open_must_that_nobody_wrote_is_found() {
    let rows = "[rows]\nZZA-1 = { says = 'x', proved = 'tests' }\n[must]\nW-9 = 'soon'";
    let report = judged(rows, SPECIFICATION, "zza_1_w_1_holds");
    assert_eq!(report.problems, [Problem::NoSuchStatement { id: id("W-9") }]);
}
