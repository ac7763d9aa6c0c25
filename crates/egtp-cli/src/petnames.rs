//! Petnames: short names that the owner of a directory has given to others.
//!
//! A text file of lines `@name ticket-or-key`. Knows nobody but them. Invariant: a name leads to
//! one key, and no name changes unless its owner removes it first, whoever else changes the file at
//! the same time.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use egtp::{Recipient, Ticket};

use crate::directory::Directory;
use crate::failure::{Code, Failure};
use crate::text_file;

/// A name, written `@bob`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Petname(String);

impl FromStr for Petname {
    type Err = String;

    /// Reads a name with or without its `@`.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('@').unwrap_or(text);
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        // A key without its `@` must not become a name by a slip.
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(format!(
                "a name has 1 to {NAME_BYTES_MAX} characters from a-z, 0-9, - and _, as in @bob"
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Petname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// The names of one directory, as its file has them.
#[derive(Debug)]
pub(crate) struct Petnames {
    path: PathBuf,
    text: String,
    entries: Vec<(Petname, Ticket)>,
}

impl Petnames {
    /// Reads the file; none is the same as an empty one.
    ///
    /// # Errors
    /// [`Code::Damaged`] with the number of the line that cannot be read.
    pub(crate) fn read(directory: &Directory) -> Result<Self, Failure> {
        let path = directory.peers();
        let text = text_file::read(&path)?.unwrap_or_else(|| HEADER.to_owned());
        let mut entries: Vec<(Petname, Ticket)> = Vec::new();
        for (number, line) in text_file::lines(&text) {
            let entry = parse(line);
            let wrong = |what| text_file::damaged(&path, format_args!("line {number}: {what}"));
            let (name, ticket) = entry.map_err(&wrong)?;
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(wrong(format!("{name} is there twice")));
            }
            entries.push((name, ticket));
        }
        Ok(Self { path, text, entries })
    }

    /// Everybody who has a name.
    pub(crate) fn entries(&self) -> &[(Petname, Ticket)] {
        &self.entries
    }

    /// Whom a name means.
    pub(crate) fn find(&self, name: &Petname) -> Option<Recipient> {
        let (_, ticket) = self.entries.iter().find(|(known, _)| known == name)?;
        Some(ticket.into())
    }

    /// Gives a name.
    ///
    /// # Errors
    /// [`Code::Usage`] when somebody else has it.
    pub(crate) fn add(
        directory: &Directory,
        name: &Petname,
        ticket: &Ticket,
    ) -> Result<(), Failure> {
        let _held = text_file::hold(&directory.peers())?;
        let mut names = Self::read(directory)?;
        let known = names.entries.iter().find(|(known, _)| known == name);
        if known.is_some_and(|(_, known)| known.key != ticket.key) {
            return Err(Failure::with_next(
                Code::Usage,
                format_args!("{name} is somebody else's name already"),
                format_args!("choose another name, or first: egtp peers rm {name}"),
            ));
        }
        names.remove_lines(name);
        if !names.text.is_empty() && !names.text.ends_with('\n') {
            names.text.push('\n');
        }
        text_file::replace(&names.path, &format!("{}{name} {ticket}\n", names.text))
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// [`Code::Usage`] when nobody has it.
    pub(crate) fn remove(directory: &Directory, name: &Petname) -> Result<(), Failure> {
        let _held = text_file::hold(&directory.peers())?;
        let mut names = Self::read(directory)?;
        if names.find(name).is_none() {
            return Err(unknown(name));
        }
        names.remove_lines(name);
        text_file::replace(&names.path, &names.text)
    }

    fn remove_lines(&mut self, name: &Petname) {
        let is_other = |line: &&str| parse(line.trim()).map_or(true, |(found, _)| found != *name);
        self.text = self.text.split_inclusive('\n').filter(is_other).collect();
    }
}

/// Nobody has this name.
pub(crate) fn unknown(name: &Petname) -> Failure {
    Failure::with_next(
        Code::Usage,
        format_args!("nobody is called {name} here"),
        format_args!("see the names: egtp peers ls; or give one: egtp peers add {name} TICKET"),
    )
}

fn parse(line: &str) -> Result<(Petname, Ticket), String> {
    let wrong = || "write @name and a ticket or key, with a space between them".to_owned();
    let (name, ticket) = line.split_once(char::is_whitespace).ok_or_else(wrong)?;
    let ticket = ticket.trim().parse::<Ticket>().map_err(|error| error.to_string())?;
    Ok((name.parse()?, ticket))
}

const HEADER: &str = "# Names for peers, one on each line: @name, then a ticket or key.\n";
const NAME_BYTES_MAX: usize = 32;
