//! What a file says becomes what an option is when nobody says otherwise.
//!
//! Knows the parser and the order of precedence, no option. Invariant: nothing of a file stays that contradicts what the
//! command line or the environment says.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::file::{File, Setting};
use crate::context;

/// The command line as it is defined, with what the file says in the place of the defaults; and what was so set, which is
/// all but what other commands are told, and what the words of `given` or the environment contradict.
pub(super) fn completed(whole: &Command, given: &ArgMatches, file: File) -> (Command, File) {
    let (mut path, mut table, mut matches) = (Vec::new(), Some(whole), Some(given));
    let mut set = Vec::new();
    while let (Some(command), Some(given)) = (table, matches) {
        let said = said(command, given, path.is_empty());
        let own = file.settings.iter().filter(|setting| setting.table == path);
        set.extend(own.filter(|setting| !is_contradicted(command, &said, setting)).cloned());
        let inner = given.subcommand();
        table = inner.and_then(|(name, _)| command.find_subcommand(name));
        matches = inner.map(|(_, matches)| matches);
        path.extend(inner.map(|(name, _)| name.to_owned()));
    }
    let completed =
        set.iter().fold(whole.clone(), |command, setting| with(command, &setting.table, setting));
    (completed, File { settings: set, ..file })
}

/// The definition with another default.
fn with(command: Command, path: &[String], setting: &Setting) -> Command {
    if let Some((name, rest)) = path.split_first() {
        return command.mut_subcommand(name, |inner| with(inner, rest, setting));
    }
    let values = setting.values.clone();
    command.mut_arg(&setting.id, |arg| arg.default_values(values))
}

/// The options that the command line gives, or the environment.
fn said<'a>(command: &'a Command, given: &ArgMatches, is_whole: bool) -> Vec<&'a Arg> {
    let is_said = |arg: &&Arg| is_given(given, arg) || is_whole && is_in_environment(arg);
    command.get_arguments().filter(is_said).collect()
}

fn is_contradicted(command: &Command, said: &[&Arg], setting: &Setting) -> bool {
    let set = command.get_arguments().find(|arg| *arg.get_id() == setting.id);
    set.is_some_and(|set| said.iter().any(|said| are_apart(command, said, set)))
}

/// Whether two options cannot be given together, in the order in which the definition has it or the other one; each of
/// them contradicts itself.
pub(super) fn are_apart(command: &Command, one: &Arg, other: &Arg) -> bool {
    let excludes = |one: &Arg, other: &Arg| {
        let excluded = command.get_arg_conflicts_with(one);
        excluded.iter().any(|arg| arg.get_id() == other.get_id())
    };
    one.get_id() == other.get_id() || excludes(one, other) || excludes(other, one)
}

fn is_given(given: &ArgMatches, arg: &Arg) -> bool {
    let source = given.value_source(arg.get_id().as_str());
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

fn is_in_environment(arg: &Arg) -> bool {
    context::environment(arg.get_id().as_str()).is_some()
}
