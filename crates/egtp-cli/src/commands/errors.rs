//! `egtp errors`: what exit codes and error codes mean, and what to do.

use clap::Args;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::outcome::REASONS;

/// Explain exit codes and error codes
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp errors
  egtp errors 5
  egtp errors not_found --json")]
pub(crate) struct Arguments {
    /// An exit code, or a code or reason from the JSON of an error; without it all are listed
    code: Option<String>,
}

/// Explains.
///
/// # Errors
/// When there is no such code.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let wanted = arguments.code.as_deref();
    let is_wanted = |exit: u8, name: &str| {
        wanted.is_none_or(|wanted| name == wanted || exit.to_string() == wanted)
    };
    let mut found = 0;
    if is_wanted(0, OK.0) {
        let (name, meaning, next) = OK;
        explain(context, (0, name, meaning, next), &[])?;
        found += 1;
    }
    for code in Code::ALL {
        let reasons = REASONS.iter().filter(|(of, _, _)| *of == code);
        let reasons: Vec<_> = reasons.map(|(_, word, meaning)| (*word, *meaning)).collect();
        let has_reason = reasons.iter().any(|(word, _)| wanted == Some(word));
        if is_wanted(code.exit(), code.name()) || has_reason {
            let row = (code.exit(), code.name(), code.meaning(), code.next());
            explain(context, row, &reasons)?;
            found += 1;
        }
    }
    if found == 0 {
        let wanted = wanted.unwrap_or_default();
        let message = format!("{wanted} is no exit code, error code or reason");
        return Err(Failure::with_next(Code::Usage, message, "see all of them: egtp errors"));
    }
    Ok(())
}

/// One code, with the words that `reason` can have under it.
fn explain(
    context: &Context,
    (exit, name, meaning, next): (u8, &str, &str, &str),
    reasons: &[(&str, &str)],
) -> Result<(), Failure> {
    let words = reasons.iter().map(|(word, meaning)| format!("{word}: {meaning}"));
    let object = Object::new()
        .with("exit", exit)
        .with("code", name)
        .with("meaning", meaning)
        .with("next", next)
        .list("reasons", words.clone());
    let mut lines = vec![format!("{exit:>3}  {name}"), format!("     {meaning}")];
    lines.extend(words.map(|words| format!("     reason {words}")));
    lines.push(format!("     next: {next}"));
    let text = lines.join("\n");
    context.output.data(&object, text)
}

/// The exit code that is no failure.
const OK: (&str, &str, &str) = ("ok", "it did what was asked", "nothing");
