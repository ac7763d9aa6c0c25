//! The program `egtp`: nodes, requests and services from the command line.
//!
//! Reads the command line, hands it to one command, and turns its end into an exit code. Knows
//! nothing of what commands do. Invariant: whatever fails says so on stderr, with the next step.

mod access;
mod asker;
mod body;
mod callable;
mod code;
mod commands;
mod config;
mod contacts;
mod context;
mod control;
mod counts;
mod demo;
mod directory;
mod durations;
mod ended;
mod exec;
mod failure;
mod guarantee;
mod guest;
mod here;
mod inbox;
mod invocation;
mod json;
mod keeper;
mod key_lists;
mod listening;
mod logging;
mod message_id;
mod misunderstood;
mod monitor;
mod outcome;
mod output;
mod own_contact;
mod peer;
mod petnames;
mod posted;
mod progress_line;
mod query;
mod ready;
mod relayed;
mod signals;
mod standing;
mod summary;
mod text_file;
mod times;
mod why;

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::Verb;
use crate::config::Refusal;
use crate::context::{Context, Global};
use crate::failure::{Code, Failure};
use crate::output::{Output, Talk};

/// Messages between identities, sealed, at most once, over any path
#[derive(Parser, Debug)]
#[command(name = "egtp", after_help = EXAMPLES, propagate_version = true)]
#[command(arg_required_else_help = true, subcommand_required = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    let understood = config::understand(&command(), std::env::args_os());
    let arguments = understood.and_then(|understood| {
        let arguments = Arguments::from_arg_matches(&understood.matches);
        arguments.map(|arguments| (arguments, understood)).map_err(Refusal::Words)
    });
    let (arguments, understood) = match arguments {
        Ok(understood) => understood,
        Err(Refusal::Words(error)) => return misunderstood::answer(error, command()),
        Err(Refusal::File(failure)) => return failed(misunderstood::output(), &failure),
    };
    logging::begin(arguments.global.log_level());
    let output = Output::new(arguments.global.form(), Talk::Usual);
    let name = understood.matches.subcommand_name().unwrap_or_default();
    let explained = |failure: Failure| understood.explain(failure.of_command(name));
    let context = match arguments.global.context() {
        Ok(context) => context,
        Err(failure) => return failed(output, &explained(failure)),
    };
    match run(&context, arguments.verb) {
        Ok(code) => code,
        Err(failure) => failed(context.output, &explained(failure)),
    }
}

/// The command line as it is understood, with the version that was built.
fn command() -> clap::Command {
    Arguments::command().version(VERSION.as_str())
}

fn run(context: &Context, verb: Verb) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(Code::Internal, format_args!("could not start the runtime: {error}"))
    })?;
    let ended = runtime.block_on(verb.run(context, command));
    // Nothing that still runs on another thread is worth waiting for.
    runtime.shutdown_background();
    ended
}

/// Says why, and gives the exit code.
fn failed(output: Output, failure: &Failure) -> ExitCode {
    output.failure(failure);
    failure.code.into()
}

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("EGTP_COMMIT"));
    format!("{version}, EGTP v2, wire version {} (commit {commit})", egtp_proto::wire::VERSION)
});

const EXAMPLES: &str = "Examples:
  egtp up                                   a node that others can ask; prints what they type
  egtp ping TICKET                          is it there, and how far away?
  egtp request TICKET echo/1 hello          ask for one reply
  egtp serve upper/1 --exec 'tr a-z A-Z' --allow-any
  egtp demo                                 see what happens when a node is killed

Exit codes and what to do about each: egtp errors";
