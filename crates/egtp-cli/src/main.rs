//! The program `egtp`: nodes, requests and services from the command line.
//!
//! Reads the command line, hands it to one command, and turns its end into an exit code. Knows
//! nothing of what commands do. Invariant: whatever fails says so on stderr, with the next step.

mod asker;
mod body;
mod commands;
mod context;
mod demo;
mod directory;
mod durations;
mod exec;
mod failure;
mod guarantee;
mod here;
mod invocation;
mod json;
mod logging;
mod outcome;
mod output;
mod peer;
mod petnames;
mod signals;
mod standing;
mod summary;
mod text_file;

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::Verb;
use crate::context::{Context, Global};
use crate::failure::{Code, Failure};
use crate::output::{Form, Output, Talk};

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
    let arguments = match command().try_get_matches().and_then(|m| Arguments::from_arg_matches(&m))
    {
        Ok(arguments) => arguments,
        Err(error) => return misunderstood(&error),
    };
    logging::begin(arguments.global.log_level());
    let form = if std::env::args().any(|word| word == "--json") { Form::Json } else { Form::Plain };
    let context = match arguments.global.context() {
        Ok(context) => context,
        Err(failure) => return failed(Output::new(form, Talk::Usual), &failure),
    };
    match run(&context, arguments.verb) {
        Ok(code) => code,
        Err(failure) => failed(context.output, &failure),
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

fn failed(output: Output, failure: &Failure) -> ExitCode {
    output.failure(failure);
    failure.code.into()
}

/// Help and version are answers; the rest is a mistake in the command line.
fn misunderstood(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Nobody is left to be told that nobody listens.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let is_json = std::env::args().any(|word| word == "--json");
    let output = Output::new(if is_json { Form::Json } else { Form::Plain }, Talk::Usual);
    let text = error.render().to_string();
    let message = text.trim().trim_start_matches("error: ");
    failed(output, &Failure::new(Code::Usage, message))
}

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("EGTP_COMMIT"));
    format!("{version} (commit {commit}, protocol version {})", egtp_proto::wire::VERSION)
});

const EXAMPLES: &str = "Examples:
  egtp up                                   a node that others can ask; prints what they type
  egtp ping TICKET                          is it there, and how far away?
  egtp request TICKET echo/1 hello          ask for one reply
  egtp serve upper/1 --exec 'tr a-z A-Z' --allow-any
  egtp demo                                 see what happens when a node is killed

Exit codes and what to do about each: egtp errors";
