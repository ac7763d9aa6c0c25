//! `reliability/rows.toml`: every requirement row, how it is to be proved, and what is still open.
//!
//! Knows the form of the file and nothing about tests. Invariant: a row that is to be closed by
//! documentation says where, from the first day.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Id;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The requirement rows.
    pub rows: BTreeMap<Id, Row>,
    /// Statements of the specification that no test proves yet, each with the reason.
    #[serde(default)]
    pub must: BTreeMap<Id, String>,
}

/// One requirement row.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "WrittenRow")]
pub struct Row {
    /// The requirement in one sentence.
    pub says: String,
    /// What closes it.
    pub proof: Proof,
    /// Why it is not closed yet; absent once it is.
    pub open: Option<String>,
}

/// What closes a row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Proof {
    /// At least one test that cites it.
    Tests,
    /// A phrase in a document. Line breaks count as spaces.
    Documentation {
        /// The document's path in the checkout.
        file: String,
        /// Words that the document contains.
        phrase: String,
    },
}

/// Why `rows.toml` cannot be used. Correct the line that the message names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Not the form described at the head of the file.
    #[error("reliability/rows.toml cannot be read: {0}")]
    Form(#[from] toml::de::Error),
}

impl Ledger {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// [`LedgerError::Form`] with the line, when something is missing, unknown or given twice.
    pub fn read(text: &str) -> Result<Self, LedgerError> {
        Ok(toml::from_str(text)?)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRow {
    says: String,
    proved: WrittenProof,
    file: Option<String>,
    phrase: Option<String>,
    open: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenProof {
    Tests,
    Documentation,
}

impl TryFrom<WrittenRow> for Row {
    type Error = &'static str;

    fn try_from(row: WrittenRow) -> Result<Self, Self::Error> {
        let proof = match (row.proved, row.file, row.phrase) {
            (WrittenProof::Tests, None, None) => Proof::Tests,
            // The empty phrase is in every document.
            (WrittenProof::Documentation, Some(file), Some(phrase))
                if !phrase.trim().is_empty() =>
            {
                Proof::Documentation { file, phrase }
            }
            (WrittenProof::Tests, ..) => return Err("a row proved by tests has no file or phrase"),
            (WrittenProof::Documentation, ..) => {
                return Err("a row proved by documentation needs both file and phrase");
            }
        };
        Ok(Self { says: row.says, proof, open: row.open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_says_too_much_or_too_little_is_refused() {
        for row in [
            "{ says = 'x' }",
            "{ says = 'x', proved = 'hope' }",
            "{ says = 'x', proved = 'tests', phrase = 'y' }",
            "{ says = 'x', proved = 'documentation', file = 'y' }",
            "{ says = 'x', proved = 'documentation', file = 'y', phrase = ' ' }",
            "{ says = 'x', proved = 'tests', opened = 'y' }",
        ] {
            assert!(Ledger::read(&format!("[rows]\nMSG-1 = {row}")).is_err(), "{row}");
        }
    }

    #[test]
    fn the_same_row_twice_is_refused() {
        let row = "MSG-1 = { says = 'x', proved = 'tests' }";
        assert!(Ledger::read(&format!("[rows]\n{row}")).is_ok());
        assert!(Ledger::read(&format!("[rows]\n{row}\n{row}")).is_err());
    }
}
