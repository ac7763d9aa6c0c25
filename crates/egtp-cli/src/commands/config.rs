//! `egtp config`: configuration files, to begin with and to check.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config;
use crate::context::{Context, Named};
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Form;

/// Print a configuration file to begin with, or check one
///
/// No command needs such a file, and none is looked for unless --config or `EGTP_CONFIG` names it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp config example > egtp.toml     every key, what it means and what it is if nothing is said
  egtp config check egtp.toml         whether it is right, or all that is wrong with it
  egtp --config egtp.toml up          with what the file says
  egtp config check egtp.toml --json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print a file with every key, its meaning and what it is if nothing is said, all of it commented out
    Example,
    /// Say whether a file is right, or all that is wrong with it
    Check {
        /// The file; without it the one that --config or `EGTP_CONFIG` names
        file: Option<PathBuf>,
    },
}

/// Prints or checks. `whole` says what can be in a file.
///
/// # Errors
/// [`Code::Usage`] when no file is named, or it cannot be read. One with faults is no error, but ends with that code.
pub(crate) fn run(
    context: &Context,
    arguments: Arguments,
    whole: &clap::Command,
) -> Result<ExitCode, Failure> {
    match arguments.what {
        What::Example => example(context, whole).map(|()| ExitCode::SUCCESS),
        What::Check { file } => check(context, file, whole),
    }
}

fn example(context: &Context, whole: &clap::Command) -> Result<(), Failure> {
    let keys = config::keys(whole);
    match context.output.form() {
        Form::Json => keys.iter().try_for_each(|shown| context.output.event(&shown.object())),
        Form::Plain => context.output.data(&Object::new(), config::text(&keys)),
    }
}

fn check(
    context: &Context,
    file: Option<PathBuf>,
    whole: &clap::Command,
) -> Result<ExitCode, Failure> {
    let given = file.map(|path| Named { path, by: "the command line" });
    let Some(named) = given.or_else(|| context.config.clone()) else {
        let message = "no file is named, and neither --config nor EGTP_CONFIG names one";
        return Err(Failure::with_next(Code::Usage, message, "egtp config check FILE"));
    };
    let faults = config::check(&named, whole)?;
    let path = named.path.display();
    let object = Object::new().text("file", &path).with("ok", faults.is_empty());
    let listed: Vec<_> = faults.iter().map(|fault| fault.object().into_value()).collect();
    let object = object.with("faults", listed);
    if faults.is_empty() {
        context.output.data(&object, format_args!("{path}: ok"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let message = format!("{path} cannot be used:\n      {}", lines.join("\n      "));
    let next = "correct it in an editor; every key and its meaning: egtp config example";
    let failure = Failure::with_next(Code::Usage, message, next);
    context.output.failure_in(object, &failure)?;
    Ok(failure.code.into())
}
