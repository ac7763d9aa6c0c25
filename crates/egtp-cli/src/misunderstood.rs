//! A command line that is not understood, and the two that only look so: help and version.
//!
//! Knows the parser and the command line as it is defined. Invariant: what it advises is a command
//! or an option that exists.

use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

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
    let words: Vec<String> = std::env::args().skip(1).collect();
    let form = if words.iter().any(|word| word == "--json") { Form::Json } else { Form::Plain };
    let meant = meant(whole, &words);
    let next = next(&error, &meant);
    // The parser guesses; where we know, its guess is in the way.
    if other_option(&error, &meant.1).is_some() {
        error.remove(ContextKind::Suggested);
        error.remove(ContextKind::SuggestedArg);
    }
    let text = error.render().to_string();
    let message = text.trim().trim_start_matches("error: ");
    failed(Output::new(form, Talk::Usual), &Failure::with_next(Code::Usage, message, next))
}

/// The command that the words begin to name, as far as they do, and how it is called.
fn meant(whole: Command, words: &[String]) -> (Command, String) {
    let (mut command, mut names) = (whole, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--data" {
            // The next word is a directory, whatever it is called.
            words.next();
        } else if let Some(found) = command.find_subcommand(word).cloned() {
            names.push(word.as_str());
            command = found;
        }
    }
    (command, names.join(" "))
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
