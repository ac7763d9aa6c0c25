//! `egtp trace`: what became of one message.

use clap::Args;

use super::events;
use crate::context::Context;
use crate::control::Happened;
use crate::failure::{Code, Failure};
use crate::json::Object;

/// Show what became of a message, by its id, step by step
///
/// The running node remembers its last 1,024 events; what happened before is forgotten.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp request TICKET echo/1 hello --json     prints the id
  egtp trace ID
  egtp --data ./alice trace ID --json")]
pub(crate) struct Arguments {
    /// The id of the message, as `request --json` and `events` print it
    id: String,
}

/// Shows it.
///
/// # Errors
/// [`Code::NeedsNode`] when no node is running, [`Code::Usage`] when it remembers no such message.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let attached = events::needed(context).await?;
    let id = arguments.id.trim();
    let all = events::past(&attached).await?.into_iter();
    let steps: Vec<Happened> = all.filter(|event| event.id.as_deref() == Some(id)).collect();
    let Some(last) = steps.last() else {
        let message = format_args!("the running node remembers no message {id}");
        let next = "see those that it remembers: egtp events ls";
        return Err(Failure::with_next(Code::Usage, message, next));
    };
    let attempts = steps.iter().map(|step| {
        Object::bare()
            .with("at", &*step.at)
            .maybe("path", step.path.as_ref())
            .with("state", state(step))
            .into_value()
    });
    let attempts = attempts.collect::<Vec<serde_json::Value>>();
    let object = Object::new().with("id", id).with("state", state(last)).with("attempts", attempts);
    let lines: Vec<String> = steps
        .iter()
        .map(|step| {
            let path = step.path.as_ref().map(|path| format!(" by {path}")).unwrap_or_default();
            format!("{}  {}{path}", step.at, state(step))
        })
        .collect();
    context.output.data(&object, lines.join("\n"))
}

/// The state in which a step has left the message.
fn state(step: &Happened) -> &str {
    match step.event.as_str() {
        "asked" => "queued",
        "stored" => "stored",
        "received" | "taken" => "received",
        "replied" if step.refused.is_some() => "refused",
        "replied" => "answered",
        "withdrawn" => "closing",
        _ => step.outcome.as_deref().unwrap_or("unknown"),
    }
}
