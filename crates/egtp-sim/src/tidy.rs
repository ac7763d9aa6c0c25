//! House rules that no compiler checks, each a pure function from files to complaints.
//!
//! Refuses to know why a particular exception is granted: the test that calls these rules lists
//! its exceptions with their reasons. Invariant: an exception that is no longer needed is itself a
//! complaint, so that the lists only shrink.

use crate::checkout::SourceFile;

/// A file that may break one rule, and why.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The path below the root of the checkout.
    pub path: &'static str,
    /// A sentence for whoever wonders.
    pub reason: &'static str,
}

/// A source file of a crate has at most `lines_max` lines: a longer one holds two ideas.
pub fn files_are_short(
    files: &[SourceFile],
    lines_max: usize,
    exceptions: &[Exception],
) -> Vec<String> {
    let sources = rust(files).filter(|file| file.is_in_crate("src"));
    complain(sources, exceptions, |file| {
        let lines = file.text.lines().count();
        (lines > lines_max).then(|| format!("{lines} lines, more than {lines_max}: split it"))
    })
}

/// Every Rust file begins by saying what it is for.
pub fn files_say_what_they_are_for(files: &[SourceFile]) -> Vec<String> {
    complain(rust(files), &[], |file| {
        (!file.text.starts_with("//! ")).then(|| "does not begin with `//!`".to_owned())
    })
}

/// No test is switched off.
pub fn no_test_is_ignored(files: &[SourceFile]) -> Vec<String> {
    complain(rust(files), &[], |file| {
        let line = line_of(&file.text, |line| line.starts_with("#[ignore"))?;
        Some(format!("line {line} switches a test off: repair or remove the test"))
    })
}

/// No test waits for the clock: it is slow when all is well and wrong when the machine is busy.
pub fn no_test_sleeps(files: &[SourceFile], exceptions: &[Exception]) -> Vec<String> {
    complain(rust(files), exceptions, |file| {
        let lines = file.text.lines().enumerate().skip(tests_begin(file));
        let mut code = lines.map(|(index, line)| (index + 1, line.trim_start()));
        let (line, _) =
            code.find(|(_, code)| code.contains("sleep(") && !code.starts_with("//"))?;
        Some(format!("line {line} sleeps in a test: wait for an event or step a paused clock"))
    })
}

/// Each `pub fn decode` in `egtp-proto` is named by a fuzz target in a header line such as
/// `Reaches: Contact::decode, Ticket::decode`.
pub fn every_decoder_is_fuzzed(files: &[SourceFile]) -> Vec<String> {
    let targets = files.iter().filter(|file| file.is_under("fuzz/src/targets/", "rs"));
    let reached = targets
        .flat_map(SourceFile::header)
        .filter_map(|line| line.strip_prefix("Reaches: "))
        .flat_map(|list| list.split([',', ' ', '`']).map(|name| name.trim_end_matches('.')))
        .collect::<Vec<_>>();
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_under("crates/egtp-proto/src/", "rs")) {
        for decoder in decoders_in(file) {
            if !reached.contains(&decoder.as_str()) {
                complaints.push(format!("{}: no fuzz target reaches {decoder}", file.path));
            }
        }
    }
    complaints
}

/// Each fuzz target is known to `cargo fuzz` and to the runner.
pub fn every_fuzz_target_is_wired(files: &[SourceFile]) -> Vec<String> {
    let text_of = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.text);
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_under("fuzz/src/targets/", "rs")) {
        let name = file.path.trim_start_matches("fuzz/src/targets/").trim_end_matches(".rs");
        if name == "mod" {
            continue;
        }
        for (path, words) in [
            ("fuzz/Cargo.toml", format!("name = \"{name}\"")),
            ("fuzz/src/lib.rs", format!("\"{name}\"")),
            (&format!("fuzz/fuzz_targets/{name}.rs"), format!("targets::{name}::run")),
        ] {
            if !text_of(path).is_some_and(|text| text.contains(&words)) {
                complaints.push(format!("{}: {path} does not contain `{words}`", file.path));
            }
        }
    }
    complaints
}

/// No file names a place that exists on one machine only.
pub fn no_file_names_a_private_place(files: &[SourceFile], places: &[&str]) -> Vec<String> {
    complain(files.iter(), &[], |file| {
        let line = line_of(&file.text, |line| places.iter().any(|place| line.contains(place)))?;
        Some(format!("line {line} names a place that only one machine has"))
    })
}

fn rust(files: &[SourceFile]) -> impl Iterator<Item = &SourceFile> {
    files.iter().filter(|file| file.has_extension("rs"))
}

/// One complaint for each file that breaks `rule` without an exception, and one for each exception
/// that nothing needs. Files that were not there at all are a complaint as well.
fn complain<'a>(
    files: impl Iterator<Item = &'a SourceFile>,
    exceptions: &[Exception],
    rule: impl Fn(&SourceFile) -> Option<String>,
) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut needed = Vec::new();
    let mut looked_at = 0_usize;
    for file in files {
        looked_at += 1;
        let Some(complaint) = rule(file) else { continue };
        if exceptions.iter().any(|exception| exception.path == file.path) {
            needed.push(file.path.as_str());
        } else {
            complaints.push(format!("{}: {complaint}", file.path));
        }
    }
    for exception in exceptions.iter().filter(|exception| !needed.contains(&exception.path)) {
        complaints.push(format!("{}: needs no exception any more", exception.path));
    }
    if looked_at == 0 {
        complaints.push("no file to look at".to_owned());
    }
    complaints
}

/// The number, counted from 1, of the first line that `wanted` accepts without its indentation.
fn line_of(text: &str, wanted: impl Fn(&str) -> bool) -> Option<usize> {
    text.lines().position(|line| wanted(line.trim_start())).map(|index| index + 1)
}

/// How many lines of a file stand before its test code: none in a file of tests, else all up to
/// `#[cfg(test)]`.
fn tests_begin(file: &SourceFile) -> usize {
    if file.is_in_crate("tests") || file.path.ends_with("tests.rs") {
        return 0;
    }
    let mut lines = file.text.lines();
    lines.position(|line| line == "#[cfg(test)]").unwrap_or(usize::MAX)
}

/// The public decoders of a file as `Type::decode`, or `module::decode` for a free function.
fn decoders_in(file: &SourceFile) -> Vec<String> {
    let mut owner = None;
    let mut decoders = Vec::new();
    for line in file.text.lines() {
        if line.starts_with("impl") {
            owner = implemented_type(line);
        } else if line.starts_with('}') {
            owner = None;
        }
        let line = line.trim_start();
        let name = line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("pub const fn "));
        if name.is_some_and(|name| name.starts_with("decode(") || name.starts_with("decode<")) {
            let owner = owner.clone().unwrap_or_else(|| module_name(&file.path));
            decoders.push(format!("{owner}::decode"));
        }
    }
    decoders
}

/// The name of the type in `impl<'a> Trait for path::Type<'a> {`.
fn implemented_type(line: &str) -> Option<String> {
    let line = line.split_once(" for ").map_or(line, |(_, rest)| rest);
    let line = line.trim_start_matches("impl");
    let line = if line.starts_with('<') { line.split_once("> ")?.1 } else { line };
    let path = line.trim().split(['<', ' ', '{']).next()?;
    path.rsplit("::").next().map(str::to_owned)
}

fn module_name(path: &str) -> String {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    #[test]
    fn a_long_file_is_found_unless_it_is_excused() {
        let files = [SourceFile::new("crates/a/src/b.rs", "\n".repeat(7))];
        assert_eq!(files_are_short(&files, 7, &[]), NONE);
        assert_eq!(files_are_short(&files, 6, &[]).len(), 1);
        let excused = [Exception { path: "crates/a/src/b.rs", reason: "a table" }];
        assert_eq!(files_are_short(&files, 6, &excused), NONE);
        assert_eq!(files_are_short(&files, 7, &excused).len(), 1);
    }

    #[test]
    fn a_sleeping_test_is_found_and_a_sleeping_product_is_not() {
        // Put together here, so that this file does not find itself.
        let sleeps = ["sle", "ep(x);\n"].concat();
        let product = SourceFile::new("crates/a/src/b.rs", sleeps.clone());
        let inside = SourceFile::new("crates/a/src/c.rs", format!("a\n#[cfg(test)]\n{sleeps}"));
        let beside = SourceFile::new("crates/a/tests/b.rs", format!("// {sleeps}{sleeps}"));
        let found = no_test_sleeps(&[product, inside, beside], &[]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crates/a/src/c.rs: line 3 "), "{found:?}");
        assert!(found[1].starts_with("crates/a/tests/b.rs: line 2 "), "{found:?}");
    }

    #[test]
    fn an_ignored_test_and_a_file_without_a_head_are_found() {
        let files = [SourceFile::new("crates/a/src/b.rs", "    #[ignore = \"slow\"]\n")];
        assert_eq!(no_test_is_ignored(&files).len(), 1);
        assert_eq!(files_say_what_they_are_for(&files).len(), 1);
    }

    #[test]
    fn a_decoder_that_no_target_reaches_is_found() {
        let text = "impl<'a> Frame<'a> {\n    pub fn decode(\n}\npub fn decode(\n";
        let proto = SourceFile::new("crates/egtp-proto/src/wire/ack.rs", text);
        let target = SourceFile::new(
            "fuzz/src/targets/ack.rs",
            "//! Acks.\n//!\n//! Reaches: Frame::decode, x::decode.\n",
        );
        assert_eq!(
            every_decoder_is_fuzzed(&[proto.clone(), target]),
            ["crates/egtp-proto/src/wire/ack.rs: no fuzz target reaches ack::decode"]
        );
        assert_eq!(every_decoder_is_fuzzed(&[proto]).len(), 2);
    }

    #[test]
    fn a_target_without_its_wrapper_is_found() {
        let target = SourceFile::new("fuzz/src/targets/ack.rs", "");
        assert_eq!(every_fuzz_target_is_wired(&[target]).len(), 3);
    }

    #[test]
    fn a_private_place_is_found_with_its_line() {
        let file = SourceFile::new("README.md", "a\nsee /nowhere/else\n");
        assert_eq!(
            no_file_names_a_private_place(&[file], &["/nowhere/"]),
            ["README.md: line 2 names a place that only one machine has"]
        );
    }
}
