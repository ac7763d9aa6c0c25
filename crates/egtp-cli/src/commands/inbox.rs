//! `egtp inbox`: messages that were sent to this node and that nothing has answered.

use std::io::IsTerminal;

use clap::Args;

use crate::context::Context;
use crate::control::{Attached, Held};
use crate::exec::Exec;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{self, Form};
use crate::query::Query;
use crate::signals::Signals;

/// Print the messages that were sent to your node (egtp send), and take them off it
///
/// A message stays on the node's disk until it was printed here, or until CMD has ended well; whoever is killed in
/// between is given it once more. One that an earlier run of the node has held is marked as redelivered: it may have been
/// printed then. Only kinds that nothing serves come here.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp inbox                                      what is there
  egtp inbox --follow --json                      and what comes, one object a line
  egtp inbox --follow --exec 'cat >> notes.txt'   each to a command, body on its standard input")]
pub(crate) struct Arguments {
    /// Wait for those that come, until Ctrl-C
    #[arg(long)]
    follow: bool,

    /// Run this in a shell for each, with its body on the standard input
    ///
    /// `EGTP_PEER`, `EGTP_KIND`, `EGTP_ID` and `EGTP_REDELIVERED` are in its environment. What it prints is printed. If it
    /// fails, the message stays where it is, and this command ends with exit code 1.
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
}

/// Prints them.
///
/// # Errors
/// [`Code::NeedsNode`] when no node runs on the directory.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let directory = context.directory()?;
    let mut signals = Signals::catch()?;
    let attached = Attached::to(&directory).await?.ok_or_else(|| {
        let message = format_args!("no node runs on {}", directory.path().display());
        Failure::with_next(Code::NeedsNode, message, "start it, and run this again: egtp up")
    })?;
    let mut messages = attached.inbox(arguments.follow).await?;
    let exec = arguments.exec.clone().map(|command| Exec::new(command, None, context.output));
    let mut count = 0_u64;
    loop {
        let next = tokio::select! {
            biased;
            next = messages.next() => next?,
            () = signals.next() => break,
        };
        let Some(held) = next else { break };
        count += 1;
        match &exec {
            Some(exec) => exec.take(Query::Attached(held)).await?,
            None => print(context, held).await?,
        }
    }
    signals.give_up_on_next();
    if count == 0 && !arguments.follow {
        context.output.say("Nothing is there.");
    }
    Ok(())
}

async fn print(context: &Context, held: Held) -> Result<(), Failure> {
    if context.output.form() == Form::Json {
        let object = Object::new()
            .text("id", &held.id)
            .text("from", &held.from)
            .text("kind", &held.kind)
            .base64("body_base64", Some(&held.body))
            .maybe("received_at", held.received_at.as_ref())
            .with("redelivered", held.redelivered);
        context.output.event(&object)?;
    } else {
        context.output.say(format_args!(
            "From {}, {}{}:",
            held.from,
            held.kind,
            if held.redelivered { " (given once more)" } else { "" }
        ));
        output::bytes(&held.body)?;
        if std::io::stdout().is_terminal() || !held.body.ends_with(b"\n") {
            output::bytes(b"\n")?;
        }
    }
    // It is printed: nobody else has to.
    held.ignore().await;
    Ok(())
}
