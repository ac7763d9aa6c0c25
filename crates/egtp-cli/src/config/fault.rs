//! What is wrong with a file, and where.
//!
//! Knows no key. Invariant: every fault has a line and a column as editors count them, from 1.

use std::fmt;
use std::path::Path;

use crate::failure::{Code, Failure};
use crate::json::Object;

/// A place in a file. Ordered as they are read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Spot {
    /// Counted from 1.
    pub(crate) line: usize,
    /// In characters, counted from 1.
    pub(crate) column: usize,
}

impl Spot {
    /// The place of a byte in a text.
    pub(crate) fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(begin..).unwrap_or_default().chars().count() + 1;
        Self { line, column }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) spot: Spot,
    /// The table and the key, as far as it is known: `relay.listen`.
    pub(crate) key: Option<String>,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

impl Fault {
    /// As `--json` has it.
    pub(crate) fn object(&self) -> Object {
        Object::bare()
            .with("line", self.spot.line)
            .with("column", self.spot.column)
            .maybe("key", self.key.as_ref())
            .text("message", &self.message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spot { line, column } = self.spot;
        write!(f, "line {line}, column {column}: ")?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A command cannot run with a file that has these faults, of which there is at least one.
pub(crate) fn failure(path: &Path, faults: &[Fault]) -> Failure {
    let path = path.display();
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    let more = match faults.len().saturating_sub(1) {
        0 => String::new(),
        1 => "; and one more fault".to_owned(),
        more => format!("; and {more} more faults"),
    };
    let next =
        format!("correct it in an editor; to see all that is wrong: egtp config check {path}");
    Failure::with_next(Code::Usage, format_args!("{path}, {first}{more}"), next)
}
