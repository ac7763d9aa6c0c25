//! The arguments of the example programs: `--name value` pairs behind an optional list of words.
//!
//! Knows no particular program. Invariant: an argument that nobody asks for is an error, so that a
//! misspelt one is not silently ignored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::dice::Dice;
use super::failure::Failure;

/// What the program was called with.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    words: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Arguments {
    /// Sorts the arguments of this process; `known` are the names that the program understands.
    ///
    /// # Errors
    /// [`Failure::Usage`] for an unknown name or one without a value.
    pub fn read(known: &[&str]) -> Result<Self, Failure> {
        Self::sort(std::env::args().skip(1), known)
    }

    /// The words in front, such as `server DIR PORT`.
    pub fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// A number.
    ///
    /// # Errors
    /// [`Failure::Usage`] if the value is none.
    pub fn number(&self, name: &str, otherwise: u64) -> Result<u64, Failure> {
        let Some(value) = self.named.get(name) else { return Ok(otherwise) };
        value.parse().map_err(|_| Failure::Usage(format!("{name} wants a number, not {value}")))
    }

    /// The seed of this run: `--seed`, or a new one.
    ///
    /// # Errors
    /// [`Failure::Usage`] if the value is no number.
    pub fn seed(&self) -> Result<u64, Failure> {
        self.number("--seed", Dice::fresh_seed())
    }

    /// A value as it was given, if it was.
    pub fn text(&self, name: &str) -> Option<String> {
        self.named.get(name).cloned()
    }

    /// A path, if it was given.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.named.get(name).map(PathBuf::from)
    }

    fn sort(all: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, Failure> {
        let mut sorted = Self::default();
        let mut all = all;
        while let Some(argument) = all.next() {
            if !argument.starts_with("--") {
                sorted.words.push(argument);
                continue;
            }
            if !known.contains(&argument.as_str()) {
                let known = known.join(" ");
                return Err(Failure::Usage(format!("{argument} is unknown; known are: {known}")));
            }
            let Some(value) = all.next() else {
                return Err(Failure::Usage(format!("{argument} wants a value")));
            };
            sorted.named.insert(argument, value);
        }
        Ok(sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_argument_is_not_ignored() {
        let given = ["server", "--seed", "7"].map(str::to_owned);
        let arguments = Arguments::sort(given.into_iter(), &["--seed"]).unwrap();
        assert_eq!(arguments.words(), ["server"]);
        assert_eq!(arguments.number("--seed", 1).unwrap(), 7);
        let misspelt = ["--sed", "7"].map(str::to_owned);
        assert!(Arguments::sort(misspelt.into_iter(), &["--seed"]).is_err());
    }
}
