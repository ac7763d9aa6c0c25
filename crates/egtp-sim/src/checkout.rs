//! The text files of this checkout, as values, so that the checks over them are pure functions.
//!
//! Knows where the checkout begins and which folders hold what nobody wrote. Refuses to know what
//! the files mean. Invariant: the files come sorted by path, so that every report reads the same on
//! every machine.

use std::fs;
use std::io;
use std::path::Path;

/// One text file of the project.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceFile {
    /// The path below the root of the checkout, with `/` between its parts.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A file that need not exist, for the tests of a check.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether the path begins with `folder`, which ends with a `/`, and ends with `.extension`.
    pub fn is_under(&self, folder: &str, extension: &str) -> bool {
        self.path.starts_with(folder) && self.has_extension(extension)
    }

    /// Whether the path ends with `.extension`.
    pub fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// Whether this is a file of one of the crates, in the crate's folder `part` (`src`, `tests`).
    pub fn is_in_crate(&self, part: &str) -> bool {
        let mut steps = self.path.split('/');
        steps.next() == Some("crates") && steps.next().is_some() && steps.next() == Some(part)
    }

    /// The comment lines at the head of the file without their marks; a `#!` line is passed over.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.text
            .lines()
            .skip_while(|line| line.starts_with("#!/"))
            .take_while(|line| line.starts_with("//") || is_hash_comment(line))
            .map(|line| line.trim_start_matches(['/', '!', '#']).trim())
    }
}

/// Reads every text file of the checkout that this crate was built in.
///
/// # Errors
/// What the file system says. A file that is not UTF-8 is no text file and is left out.
pub fn read() -> io::Result<Vec<SourceFile>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    collect(&root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<SourceFile>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_WRITTEN_BY_HAND.contains(&path.as_str()) {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
        {
            files.push(SourceFile { path, text });
        }
    }
    Ok(())
}

/// A comment of a shell script, and not an attribute of a Rust file.
fn is_hash_comment(line: &str) -> bool {
    line.starts_with('#') && !line.starts_with("#[") && !line.starts_with("#!")
}

/// What a build or a tool puts into the checkout, and inputs of the fuzzer, which are data.
const NOT_WRITTEN_BY_HAND: &[&str] = &[
    ".git",
    "target",
    "bench/target",
    "fuzz/artifacts",
    "fuzz/corpus",
    "fuzz/coverage",
    "fuzz/target",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_file_is_found_under_its_path() {
        let files = read().unwrap();
        let this =
            files.iter().find(|file| file.path == "crates/egtp-sim/src/checkout.rs").unwrap();
        assert!(this.is_in_crate("src") && !this.is_in_crate("tests"));
        assert!(this.is_under("crates/", "rs") && !this.is_under("crates/", "sh"));
        assert_eq!(this.text, include_str!("checkout.rs"));
    }

    #[test]
    fn the_header_ends_where_the_comments_end() {
        let script =
            SourceFile::new("x.sh", "#!/usr/bin/env bash\n# One.\n#\n# Two.\nset -eu\n# no\n");
        assert_eq!(script.header().collect::<Vec<_>>(), ["One.", "", "Two."]);
        let program = SourceFile::new("x.rs", "//! One.\n// Two.\n#![no_main]\n// no\n");
        assert_eq!(program.header().collect::<Vec<_>>(), ["One.", "Two."]);
    }
}
