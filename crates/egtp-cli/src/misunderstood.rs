//! A command line that is not understood, and the two that only look so: help and version.
//!
//! Knows the parser and the command line as it is defined. Invariant: what it advises is a command
//! or an option that exists.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::failed;
use crate::failure::{Code, Failure};
use crate::output::{Form, Output, Talk};

/// Answers with help, with the version, or with what to write instead.
pub(crate) fn answer(mut error: clap::Error, whole: Command) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Nobody is left to be told that nobody listens.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    let meant = meant(whole, &words);
    let next = next(&error, &meant);
    // The parser guesses; where we know, its guess is in the way.
    if other_option(&error, &meant.1).is_some() {
        error.remove(ContextKind::Suggested);
        error.remove(ContextKind::SuggestedArg);
    }
    let text = error.render().to_string();
    let message = text.trim().trim_start_matches("error: ");
    failed(output(), &Failure::with_next(Code::Usage, message, next))
}

/// Where it is said that what was asked for is not understood, as far as that is.
pub(crate) fn output() -> Output {
    let is_json = std::env::args_os().any(|word| word == "--json");
    Output::new(if is_json { Form::Json } else { Form::Plain }, Talk::Usual)
}

/// The command that the words begin to name, as far as they do, and how it is called.
fn meant(whole: Command, words: &[String]) -> (Command, String) {
    let mut words = words.iter();
    let of_all: Vec<String> = whole.get_arguments().filter_map(with_value).collect();
    let (mut command, mut names) = (whole, Vec::new());
    while let Some(word) = words.next() {
        if of_all.contains(word) {
            // The next word is a directory or a file, whatever it is called.
            words.next();
        } else if let Some(found) = command.find_subcommand(word).cloned() {
            names.push(word.as_str());
            command = found;
        }
    }
    (command, names.join(" "))
}

/// An option whose value is the next word.
fn with_value(arg: &Arg) -> Option<String> {
    let name = arg.get_long().filter(|_| arg.get_action().takes_values())?;
    Some(format!("--{name}"))
}

fn next(error: &clap::Error, (command, name): &(Command, String)) -> String {
    let no_command = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if no_command {
        let known = command.get_subcommands().map(Command::get_name).collect::<Vec<_>>();
        return format!("one of these: {}", known.join(", "));
    }
    if error.kind() == ErrorKind::ArgumentConflict {
        return "leave one of them out".to_owned();
    }
    if let Some(other) = other_option(error, name) {
        return other.to_owned();
    }
    if name.is_empty() { "see what there is: egtp --help".to_owned() } else { Code::next_for(name) }
}

/// What is called otherwise here than elsewhere.
fn other_option(error: &clap::Error, command: &str) -> Option<&'static str> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    let is_asking = matches!(command, "request" | "ping");
    (is_unknown && is_asking && option == "--timeout")
        .then_some("give --hard D to give up after D, as in --hard 5s")
}
