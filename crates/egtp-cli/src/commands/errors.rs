//! `egtp errors`: what exit codes and error codes mean, and what to do.

use clap::Args;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::json::Object;

/// Explain exit codes and error codes
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp errors
  egtp errors 5
  egtp errors not_found --json")]
pub(crate) struct Arguments {
    /// An exit code, or a code from the JSON of an error; without it all are listed
    code: Option<String>,
}

/// Explains.
///
/// # Errors
/// When there is no such code.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let wanted = arguments.code.as_deref();
    let is_wanted = |code: &&Code| {
        wanted.is_none_or(|wanted| code.name() == wanted || code.exit().to_string() == wanted)
    };
    let found: Vec<&Code> = Code::ALL.iter().filter(is_wanted).collect();
    if found.is_empty() {
        let message = format!("{} is no exit code or error code", wanted.unwrap_or_default());
        return Err(Failure::with_next(Code::Usage, message, "see all of them: egtp errors"));
    }
    for code in found {
        let (exit, name, meaning, next) = (code.exit(), code.name(), code.meaning(), code.next());
        let object = Object::new()
            .with("exit", exit)
            .with("code", name)
            .with("meaning", meaning)
            .with("next", next);
        let text = format!("{exit:>3}  {name}\n     {meaning}\n     next: {next}");
        context.output.data(&object, text)?;
    }
    Ok(())
}
