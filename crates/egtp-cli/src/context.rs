//! What every command is given: how to speak, and which directory is meant.
//!
//! Knows no command. Invariant: with `--ephemeral` no directory is named at all, so nothing can
//! write to one.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::directory::Directory;
use crate::failure::{Code, Failure};
use crate::output::{Form, Output, Talk};

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// The data directory: its identity, names and contacts
    ///
    /// Without it, `EGTP_DATA` names the directory, unless it is empty. Without both, commands that keep
    /// an identity use `egtp` below `XDG_DATA_HOME` or `~/.local/share`; `request` and `ping` ask from a
    /// fresh identity in memory.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Take options that are left open from this file (TOML); egtp config example prints one
    ///
    /// Without it, `EGTP_CONFIG` names the file, unless it is empty. Without both no file is looked for. What is given here
    /// or in the environment goes before what is in the file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// A fresh identity in memory; no file is written
    #[arg(long, global = true, conflicts_with = "data")]
    ephemeral: bool,

    /// Print results as JSON, one object on each line
    #[arg(long, global = true)]
    json: bool,

    /// Log more to stderr (-v what happens, -vv everything); `EGTP_LOG` sets a filter
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// No remarks, only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Global {
    /// How much is logged, where `EGTP_LOG` says nothing.
    pub(crate) const fn log_level(&self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            (false, 0) => "warn",
            (false, 1) => "info",
            (false, 2..) => "debug",
        }
    }

    /// Whether data is printed as JSON.
    pub(crate) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Plain }
    }

    /// The configuration file, if one is named.
    pub(crate) fn config(&self) -> Option<Named> {
        let given = self.config.clone().map(|path| Named { path, by: "--config" });
        let set = || environment("config").map(PathBuf::from);
        given.or_else(|| set().map(|path| Named { path, by: "EGTP_CONFIG" }))
    }

    /// The context that these options describe.
    ///
    /// # Errors
    /// [`Code::Usage`] when they contradict each other.
    pub(crate) fn context(self) -> Result<Context, Failure> {
        let (form, config) = (self.form(), self.config());
        let talk = if self.quiet { Talk::Quiet } else { Talk::Usual };
        let set = environment("data");
        let keeping = match (self.data, self.ephemeral) {
            // The environment may name a directory that this one command is not to use.
            (None, true) => Keeping::Nothing,
            (None, false) => {
                set.map_or(Keeping::Unsaid, |path| Keeping::In(Directory::at(path.into())))
            }
            (Some(path), false) => Keeping::In(Directory::at(path)),
            (Some(_), true) => {
                let message = "--data names a directory, and --ephemeral says to use none";
                return Err(Failure::with_next(Code::Usage, message, "leave one of them out"));
            }
        };
        Ok(Context { output: Output::new(form, talk), config, keeping })
    }
}

/// What the environment says in the place of an option, unless it is empty.
pub(crate) fn environment(option: &str) -> Option<OsString> {
    let variable = BY_ENVIRONMENT.iter().find(|(of, _)| *of == option).map(|(_, name)| name);
    variable.and_then(std::env::var_os).filter(|value| !value.is_empty())
}

/// A file, and who named it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The option or the variable that says so.
    pub(crate) by: &'static str,
}

/// What a command works with.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Where it speaks.
    pub(crate) output: Output,
    /// The configuration file, if one is named.
    pub(crate) config: Option<Named>,
    keeping: Keeping,
}

#[derive(Clone, Debug)]
enum Keeping {
    Nothing,
    Unsaid,
    In(Directory),
}

impl Context {
    /// The directory of a command that needs one.
    ///
    /// # Errors
    /// [`Code::Usage`] with `--ephemeral`, or when nothing says where it is.
    pub(crate) fn directory(&self) -> Result<Directory, Failure> {
        match self.directory_if_kept() {
            Ok(Some(directory)) => Ok(directory),
            Ok(None) => {
                let message =
                    "this command works on a data directory, and --ephemeral says to use none";
                Err(Failure::with_next(Code::Usage, message, "leave out --ephemeral"))
            }
            Err(unsaid) => Err(Failure { next: "give --data DIR".to_owned(), ..unsaid }),
        }
    }

    /// The directory of a command that can also do without: `None` only with `--ephemeral`.
    ///
    /// # Errors
    /// [`Code::Usage`] when nothing says where it is.
    pub(crate) fn directory_if_kept(&self) -> Result<Option<Directory>, Failure> {
        match &self.keeping {
            Keeping::Nothing => Ok(None),
            Keeping::In(directory) => Ok(Some(directory.clone())),
            Keeping::Unsaid => Directory::usual().map(Some).ok_or_else(|| {
                let message = "neither XDG_DATA_HOME nor HOME says where data is kept";
                Failure::with_next(Code::Usage, message, "give --data DIR, or --ephemeral")
            }),
        }
    }

    /// The same for a command that works on a directory also if none was named: the usual one then.
    ///
    /// # Errors
    /// As [`Context::directory`].
    pub(crate) fn in_directory(&self) -> Result<Self, Failure> {
        Ok(Self { keeping: Keeping::In(self.directory()?), ..self.clone() })
    }

    /// The directory that was named, for a command that otherwise uses none.
    pub(crate) const fn named_directory(&self) -> Option<&Directory> {
        match &self.keeping {
            Keeping::In(directory) => Some(directory),
            Keeping::Nothing | Keeping::Unsaid => None,
        }
    }

    /// Where names and contacts are looked up; nothing is written there.
    pub(crate) fn names(&self) -> Option<Directory> {
        match &self.keeping {
            Keeping::Nothing => None,
            Keeping::In(directory) => Some(directory.clone()),
            Keeping::Unsaid => Directory::usual(),
        }
    }
}

/// Options that can be left to the environment.
const BY_ENVIRONMENT: [(&str, &str); 2] = [("data", "EGTP_DATA"), ("config", "EGTP_CONFIG")];
