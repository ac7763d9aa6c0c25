//! What a file may say: the long options of the command line, and what kind of value each takes.
//!
//! Knows the command line as it is defined, no file. Invariant: a key is what an option is called, and an option that the
//! definition gains or loses is a key gained or lost.

use std::any::TypeId;
use std::error::Error;
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

/// A long option as a key of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    arg: &'a Arg,
    name: &'a str,
}

/// How the value of a key is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// `true` or `false`: an option without a value.
    Switch,
    /// A whole number.
    Number,
    /// A text in quotes.
    Text,
}

/// The keys of a command's table, in the order in which its help has them.
pub(crate) fn of(command: &Command) -> impl Iterator<Item = Key<'_>> {
    command.get_arguments().filter_map(|arg| {
        let name = arg.get_long().filter(|name| *name != NAMES_THE_FILE)?;
        (!arg.is_hide_set()).then_some(Key { arg, name })
    })
}

/// The tables inside a command's table: its subcommands that have options.
pub(crate) fn tables(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| has_any(inner))
}

/// Whether a file can say anything about a command.
fn has_any(command: &Command) -> bool {
    of(command).next().is_some() || command.get_subcommands().any(has_any)
}

impl<'a> Key<'a> {
    /// What it is called, without dashes in front.
    pub(crate) const fn name(&self) -> &'a str {
        self.name
    }

    /// The option.
    pub(crate) const fn arg(&self) -> &'a Arg {
        self.arg
    }

    /// Whether several values can be given, as a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    /// Whether it is a switch that says more when it is given more often.
    pub(crate) fn is_count(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Count)
    }

    /// How a value is written.
    pub(crate) fn form(&self) -> Form {
        match self.arg.get_action() {
            ArgAction::SetTrue => Form::Switch,
            ArgAction::Count => Form::Number,
            _ if self.is_number() => Form::Number,
            _ => Form::Text,
        }
    }

    fn is_number(&self) -> bool {
        let parsed = self.arg.get_value_parser().type_id();
        let numbers = [
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<NonZeroU8>(),
            TypeId::of::<NonZeroU16>(),
            TypeId::of::<NonZeroU32>(),
            TypeId::of::<NonZeroU64>(),
            TypeId::of::<NonZeroUsize>(),
        ];
        numbers.into_iter().any(|number| parsed == number)
    }

    /// Whether the command line would take this value, or all of several for a list.
    ///
    /// # Errors
    /// What it would say instead, of the first that it would not take.
    pub(crate) fn check(&self, command: &Command, values: &[&str]) -> Result<(), String> {
        if values.iter().any(|value| value.contains('\0')) {
            return Err("no option can have a character with the number 0".to_owned());
        }
        match self.arg.get_action() {
            // It has no value there: to be given at all is what it says.
            ArgAction::SetTrue => return Ok(()),
            ArgAction::Count => {
                let mut times = values.iter().map(|value| value.parse::<u8>());
                return times
                    .try_for_each(|times| times.map(|_| ()))
                    .map_err(|_| format!("a whole number from 0 to {}", u8::MAX));
            }
            _ => {}
        }
        let alone = command.clone().no_binary_name(true).subcommand_required(false);
        let alone = alone.arg_required_else_help(false).mut_args(|arg| arg.required(false));
        let words = values.iter().map(|value| format!("--{}={value}", self.name));
        alone.try_get_matches_from(words).map(|_| ()).map_err(|error| reason(&error))
    }
}

/// What the parser has against a value, without the words about a command line.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
            format!("one of: {}", valid.join(", "))
        }
        _ => "a value is missing".to_owned(),
    }
}

/// The one option that is of no use inside a file.
pub(super) const NAMES_THE_FILE: &str = "config";
