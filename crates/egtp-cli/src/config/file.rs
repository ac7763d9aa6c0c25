//! A configuration file: what it sets, and what is wrong with it.
//!
//! Knows how a file is read (`reading`), not who uses what it sets. Invariant: a file with a fault is used by no command,
//! also if the fault is in the table of another one.

use std::path::PathBuf;

use clap::Command;

use super::fault::{self, Fault, Spot};
use super::reading;
use crate::context::Named;
use crate::failure::{Code, Failure};
use crate::text_file;

/// What a file says.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it sets.
    pub(super) settings: Vec<Setting>,
}

/// An option that a file sets.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The command whose option it is, word by word; no word for an option of every command.
    pub(super) table: Vec<String>,
    /// What the parser calls it.
    pub(super) id: String,
    /// What it is called in the file, and on the command line behind two dashes.
    pub(super) key: String,
    /// Its values, as the command line would have them. At least one.
    pub(super) values: Vec<String>,
    /// Where its key stands.
    pub(super) spot: Spot,
}

impl File {
    /// Reads a file that is to be used. `whole` says what can be in it.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be read, or has a fault in any table.
    pub(crate) fn read(named: &Named, whole: &Command) -> Result<Self, Failure> {
        let (file, faults) = Self::check(named, whole)?;
        if faults.is_empty() { Ok(file) } else { Err(fault::failure(&named.path, &faults)) }
    }

    /// Reads a file, and lists what is wrong with it, in the order of its lines.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be read at all.
    pub(crate) fn check(named: &Named, whole: &Command) -> Result<(Self, Vec<Fault>), Failure> {
        let (settings, faults) = reading::read(&text_of(named)?, whole);
        Ok((Self { path: named.path.clone(), settings }, faults))
    }

    /// The same failure, which says of the options that it names where they come from, as far as this file has set them.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        let is_named = |setting: &&Setting| names_option(&failure.message, &setting.key);
        let path = self.path.display();
        let places = self.settings.iter().filter(is_named).map(|Setting { key, spot, .. }| {
            format!("--{key} is the key `{key}` of {path}, line {}", spot.line)
        });
        let places = places.collect::<Vec<_>>().join(", ");
        if places.is_empty() {
            return failure;
        }
        Failure { message: format!("{} ({places})", failure.message), ..failure }
    }
}

/// Whether a text has an option in it as a whole word.
fn names_option(text: &str, key: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '-';
    text.split("--")
        .skip(1)
        .any(|behind| behind.strip_prefix(key).is_some_and(|rest| !rest.starts_with(is_part)))
}

fn text_of(named: &Named) -> Result<String, Failure> {
    let path = named.path.display();
    let why = match text_file::read(&named.path) {
        Ok(Some(text)) => return Ok(text),
        Ok(None) => "there is no such file".to_owned(),
        Err(failure) => failure.message,
    };
    let message = format!("no configuration can be read from {path}, named by {}: {why}", named.by);
    let next = "name one that can be read, or print one to begin with: egtp config example";
    Err(Failure::with_next(Code::Usage, message, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_named_only_by_its_whole_name() {
        for (text, is_named) in [
            ("--allow x is no key", true),
            ("leave out --allow", true),
            ("--exec, or --allow: none", true),
            ("--allow-any is there", false),
            ("--allowed", false),
            ("allow", false),
            ("--", false),
        ] {
            assert_eq!(names_option(text, "allow"), is_named, "{text}");
        }
    }
}
