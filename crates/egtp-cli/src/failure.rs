//! How a command fails: a code, a sentence, and what to do next.
//!
//! Turns the errors of the library into failures. Knows no command. Invariant: every failure says
//! what to do next.

use std::fmt;
use std::io::ErrorKind;

use egtp::error::StartError;
use egtp::keyfile::KeyFileError;
use egtp::lookup::LookupError;
use egtp::store::StoreError;

pub(crate) use crate::code::Code;
use crate::json::Object;

/// A command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Its place in the table.
    pub(crate) code: Code,
    /// What was tried, and what happened.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) next: String,
}

impl Failure {
    /// A failure whose next step is the one in the table.
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string(), next: code.next().to_owned() }
    }

    /// A failure with a better next step than the general one.
    pub(crate) fn with_next(
        code: Code,
        message: impl fmt::Display,
        next: impl fmt::Display,
    ) -> Self {
        Self { code, message: message.to_string(), next: next.to_string() }
    }

    /// As `--json` has it, in the field `error`.
    pub(crate) fn object(&self) -> Object {
        Object::bare()
            .text("code", self.code.name())
            .text("message", &self.message)
            .text("next", &self.next)
    }

    /// The same, said by this command: the general advice names it.
    pub(crate) fn of_command(mut self, command: &str) -> Self {
        if self.code == Code::Usage && self.next == self.code.next() {
            self.next = Code::next_for(command);
        }
        self
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::KeyFile(error) => error.into(),
            StartError::Listen { ref source, .. } => match source.kind() {
                ErrorKind::AddrNotAvailable => {
                    let next = "this machine has no such address: name one that it has, or all of \
                                them with --listen tcp/0.0.0.0:PORT";
                    Self::with_next(Code::Listen, error, next)
                }
                ErrorKind::PermissionDenied => {
                    let next = "ports below 1024 are for the system: choose a higher one";
                    Self::with_next(Code::Listen, error, next)
                }
                _ => Self::new(Code::Listen, error),
            },
            StartError::Store(error) => error.into(),
            error => Self::new(Code::Internal, error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::InUse { .. } | StoreError::Unavailable { .. } => Code::Owned,
            StoreError::Io { .. } => Code::Io,
            _ => Code::Damaged,
        };
        Self::with_next(code, &error, error.next())
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        match error {
            KeyFileError::Missing { .. } => {
                let next = "name the right directory with --data, or make an identity: egtp init";
                Self::with_next(Code::Usage, error, next)
            }
            KeyFileError::TooOpen { path, mode } => {
                let path = path.display();
                Self::with_next(
                    Code::Damaged,
                    format_args!("others on this machine may use {path} (mode {mode:03o})"),
                    format_args!(
                        "run: chmod go-rwx {path}; if it was so for long, think of the key as known \
                         to them"
                    ),
                )
            }
            KeyFileError::Io { .. } => Self::new(Code::Io, error),
            error => Self::new(Code::Damaged, error),
        }
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        Self::new(Code::Io, error)
    }
}
