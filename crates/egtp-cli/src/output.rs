//! What a command says: data to stdout, talk to stderr.
//!
//! The only place that writes to either. Knows no command. Invariant: with `--json` nothing but
//! objects, one on each line, reaches stdout.

use std::fmt;
use std::io::{self, Write};

use crate::failure::{Code, Failure};
use crate::json::Object;

/// Where and how a command speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    form: Form,
    talk: Talk,
}

/// In which form data is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// For people.
    Plain,
    /// For programs.
    Json,
}

/// Whether there is talk besides errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Talk {
    /// Remarks and summaries too.
    Usual,
    /// Errors only.
    Quiet,
}

impl Output {
    /// Speaks in this form.
    pub(crate) const fn new(form: Form, talk: Talk) -> Self {
        Self { form, talk }
    }

    /// Whether data is printed as JSON.
    pub(crate) const fn form(self) -> Form {
        self.form
    }

    /// Whether people are told more than errors.
    pub(crate) fn is_talking(self) -> bool {
        self.talk == Talk::Usual
    }

    /// Prints one result: the object with `--json`, the text without.
    pub(crate) fn data(self, object: &Object, text: impl fmt::Display) -> Result<(), Failure> {
        match self.form {
            Form::Json => bytes(format!("{object}\n").as_bytes()),
            Form::Plain => bytes(format!("{text}\n").as_bytes()),
        }
    }

    /// Prints an object that has no counterpart in plain text.
    pub(crate) fn event(self, object: &Object) -> Result<(), Failure> {
        match self.form {
            Form::Json => bytes(format!("{object}\n").as_bytes()),
            Form::Plain => Ok(()),
        }
    }

    /// A remark, unless the user wants none.
    pub(crate) fn say(self, words: impl fmt::Display) {
        if self.talk == Talk::Usual {
            warn(words);
        }
    }

    /// Tells why a command failed, to people and with `--json` to programs too.
    pub(crate) fn failure(self, failure: &Failure) {
        // Nobody is left to be told that nobody listens.
        let _ = self.failure_in(Object::new(), failure);
    }

    /// The same with an object that says more than the failure, which is added to it.
    pub(crate) fn failure_in(self, object: Object, failure: &Failure) -> Result<(), Failure> {
        let Failure { code, message, next } = failure;
        if *code == Code::ReaderGone {
            return Ok(());
        }
        warn(format_args!("egtp: {message}\n      next: {next}"));
        self.event(&object.object("error", failure.object()))
    }
}

/// Prints bytes as they are.
pub(crate) fn bytes(data: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(data).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Code::ReaderGone, Code::ReaderGone.meaning()),
        _ => Failure::new(Code::Io, format_args!("cannot write the result: {error}")),
    })
}

/// Something that the user must see.
pub(crate) fn warn(words: impl fmt::Display) {
    // There is no third place to say that this one is closed.
    let _ = writeln!(io::stderr().lock(), "{words}");
}
