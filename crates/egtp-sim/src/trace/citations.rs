//! What the tests say they prove.
//!
//! A test cites a row by the beginning of its name (`msg_4_...`) or by a comment directly above it
//! (`Proves MSG-4, SES-2.`); a script, an example or a fuzz target by such a comment in its header.
//! Reads lines, not Rust. Invariant: only what `.ci/run` runs can cite, so a helper function or a
//! comment elsewhere proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Id;
use crate::checkout::SourceFile;

/// For each cited id the tests that cite it, each as `path: name`.
pub type Citations = BTreeMap<Id, BTreeSet<String>>;

/// Finds every citation in `files`.
pub fn find(files: &[SourceFile]) -> Citations {
    let mut found = Citations::new();
    for file in files {
        if file.has_extension("rs") && (file.is_in_crate("src") || file.is_in_crate("tests")) {
            for test in tests_of(&file.text) {
                let place = format!("{}: {}", file.path, test.name);
                add(&mut found, in_name(test.name), &place);
                add(&mut found, in_comment(&test.comment), &place);
            }
        }
        if is_run_as_a_whole(file) {
            let header = file.header().collect::<Vec<_>>().join("\n");
            add(&mut found, in_comment(&header), &file.path);
        }
    }
    found
}

/// A test function: its name, and the comment lines directly above it.
struct Test<'a> {
    name: &'a str,
    comment: String,
}

/// The test functions of a Rust file.
fn tests_of(text: &str) -> Vec<Test<'_>> {
    let mut tests = Vec::new();
    let mut comment = String::new();
    let mut is_test = false;
    let mut inside_attribute = false;
    for line in text.lines().map(str::trim) {
        if inside_attribute || line.starts_with("#[") {
            is_test |= TEST_ATTRIBUTES.iter().any(|start| line.starts_with(start));
            inside_attribute = !line.ends_with(']');
        } else if line.starts_with("//") {
            comment.push_str(line.trim_start_matches('/').trim());
            comment.push('\n');
        } else {
            if let Some(name) = function_name(line).filter(|_| is_test) {
                tests.push(Test { name, comment: std::mem::take(&mut comment) });
            }
            comment.clear();
            is_test = false;
        }
    }
    tests
}

fn function_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
}

/// The ids that a name begins with: `msg_4_ses_2_a_reply_counts` cites MSG-4 and SES-2.
fn in_name(name: &str) -> Vec<Id> {
    let mut ids = Vec::new();
    let mut words = name.split('_');
    while let (Some(family), Some(number)) = (words.next(), words.next()) {
        let Ok(id) = format!("{}-{number}", family.to_ascii_uppercase()).parse() else { break };
        ids.push(id);
    }
    ids
}

/// The ids in the list behind each `Proves`: `Proves MSG-1..5 and SES-2.` cites six.
fn in_comment(comment: &str) -> Vec<Id> {
    let mut ids = Vec::new();
    for list in comment.split("Proves").skip(1) {
        for word in list.split([' ', ',', '\n']).filter(|word| !word.is_empty() && *word != "and") {
            let bare = word.strip_suffix(['.', ';', ':']).unwrap_or(word);
            let Some(mut cited) = one_or_range(bare) else { break };
            ids.append(&mut cited);
            if bare != word {
                break;
            }
        }
    }
    ids
}

fn one_or_range(word: &str) -> Option<Vec<Id>> {
    let Some((first, last)) = word.split_once("..") else { return Some(vec![word.parse().ok()?]) };
    let first = first.parse::<Id>().ok()?;
    Some(first.up_to(last.parse().ok()?).collect())
}

/// Scripts, examples and fuzz targets pass or fail as a whole; `.ci/run` runs all of these places.
fn is_run_as_a_whole(file: &SourceFile) -> bool {
    file.is_under("tests/process/", "sh")
        || file.is_under("examples/", "sh")
        || file.is_under("crates/egtp/examples/", "rs")
        || file.is_under("fuzz/src/targets/", "rs")
}

fn add(found: &mut Citations, ids: Vec<Id>, place: &str) {
    for id in ids {
        found.entry(id).or_default().insert(place.to_owned());
    }
}

const TEST_ATTRIBUTES: &[&str] = &["#[test]", "#[tokio::test]", "#[tokio::test("];

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines are quoted one by one so that this file does not itself look like these tests.
    fn cited(path: &str, lines: &[&str]) -> Vec<String> {
        find(&[SourceFile::new(path, lines.join("\n"))]).keys().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_cites_every_id_that_it_begins_with() {
        let lines = ["#[test]", "fn zza_4_zzb_12_late_by_3_days() {", "}"];
        assert_eq!(cited("crates/a/src/b.rs", &lines), ["ZZA-4", "ZZB-12"]);
    }

    #[test]
    fn a_comment_cites_lists_and_ranges_over_several_lines() {
        let lines = [
            "/// What it is about. Proves ZZA-2..4, ZZB-1",
            "/// and ZZC-7. ZZD-1 is not proved.",
            "#[tokio::test(start_paused = true)]",
            "#[expect(",
            "    clippy::large_futures",
            ")]",
            "async fn it_works() {",
        ];
        let expected = ["ZZA-2", "ZZA-3", "ZZA-4", "ZZB-1", "ZZC-7"];
        assert_eq!(cited("crates/a/tests/b.rs", &lines), expected);
    }

    #[test]
    fn a_function_that_is_no_test_cites_nothing() {
        assert!(
            cited("crates/a/src/b.rs", &["/// Proves ZZA-1.", "fn zza_1_helper() {"]).is_empty()
        );
        let other = ["/// Proves ZZA-1.", "const A: u8 = 1;", "#[test]", "fn it_works() {"];
        assert!(cited("crates/a/src/b.rs", &other).is_empty());
        let removed = ["// #[test]", "// fn zza_1_was_here() {"];
        assert!(cited("crates/a/src/b.rs", &removed).is_empty());
    }

    #[test]
    fn a_script_cites_in_its_header_and_only_where_scripts_are_run() {
        let lines = ["#!/usr/bin/env bash", "# Proves ZZA-2.", "", "# Proves ZZA-3."];
        assert_eq!(cited("tests/process/b.sh", &lines), ["ZZA-2"]);
        assert_eq!(cited("examples/b.sh", &lines), ["ZZA-2"]);
        assert!(cited("tools/b.sh", &lines).is_empty());
    }
}
