//! Which promise is kept by which test: requirement rows and the MUSTs of the specification.
//!
//! Three inputs meet here. `citations` finds what tests say they prove, `specification` finds what
//! `docs/spec.md` demands, `ledger` holds the rows and says what is still open; `judge` compares
//! them. Nothing here knows what a row means. Invariant: a promise that nobody keeps, and that is
//! not openly listed as unkept, is a problem and never a blank.

mod citations;
mod judge;
#[cfg(test)]
mod judge_tests;
mod ledger;
mod specification;

use std::fmt;
use std::str::FromStr;

pub use citations::{Citations, find as find_citations};
pub use judge::{Problem, Report, judge};
pub use ledger::{Ledger, LedgerError, Proof, Row};
pub use specification::{Specification, Statement};

/// The name of a requirement row or of a statement of the specification, such as `MSG-4`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Id {
    family: String,
    number: u32,
}

/// The text is not of the form `MSG-4`: capital letters, a hyphen, a number that begins with 1 to 9.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no id; write capital letters, a hyphen and a number, as in MSG-4")]
pub struct IdError(String);

impl Id {
    /// The part in front of the hyphen.
    pub fn family(&self) -> &str {
        &self.family
    }

    /// The ids of the same family from this number to `last`, both included.
    pub fn up_to(&self, last: u32) -> impl Iterator<Item = Self> + use<> {
        let family = self.family.clone();
        (self.number..=last.min(self.number + RANGE_MAX))
            .map(move |number| Self { family: family.clone(), number })
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError(text.to_owned());
        let (family, digits) = text.split_once('-').ok_or_else(wrong)?;
        if family.is_empty() || !family.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong());
        }
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number = digits.parse().map_err(|_| wrong())?;
        Ok(Self { family: family.to_owned(), number })
    }
}

impl TryFrom<String> for Id {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.family, self.number))
    }
}

/// A range longer than this is a slip of the pen, not a citation.
const RANGE_MAX: u32 = 99;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        assert_eq!("MSG-4".parse::<Id>().unwrap().to_string(), "MSG-4");
        for text in
            ["", "MSG", "MSG-", "-4", "msg-4", "MSG-04", "MSG-0", "MSG-4a", "MSG-+4", "M4-1"]
        {
            assert_eq!(text.parse::<Id>(), Err(IdError(text.to_owned())));
        }
    }

    #[test]
    fn ids_sort_by_number_and_not_by_spelling() {
        assert!("MSG-9".parse::<Id>().unwrap() < "MSG-10".parse::<Id>().unwrap());
    }
}
