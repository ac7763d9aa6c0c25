//! `egtp events`: what happens in a running node, and the durable requests that it keeps.

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use tokio::sync::watch;

use super::request;
use crate::context::Context;
use crate::control::{Attached, Happened, Which};
use crate::counts;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::message_id::Id;
use crate::progress_line::ProgressLine;
use crate::signals::Signals;

/// Show what happens in the running node, and take up durable requests of earlier runs
///
/// The events are session (made with a peer), asked, received and outcome (of a message of this node),
/// taken, replied and withdrawn (of a message of a peer), `two_copies` (two processes use a peer's key),
/// `another_copy` (a peer says that another process uses this node's), and missed (this command was too slow).
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp events ls                    what has happened last
  egtp events wait                  what happens from now on, until Ctrl-C
  egtp events kept                  the durable requests that wait for a reply, or for you
  egtp events take ID               the reply of one, as egtp request would have printed it
  egtp --data ./alice events wait --count 1 --json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show the last events: 1,024 of them at most
    Ls,
    /// Wait for events, and show each as it happens
    Wait {
        /// End after so many
        #[arg(long, value_name = "N", value_parser = counts::parse::<NonZeroU32>)]
        count: Option<NonZeroU32>,
    },
    /// Show the ids of durable requests that the node keeps, also of earlier runs
    ///
    /// Each is under way, or has ended and its outcome was taken by nobody yet.
    Kept,
    /// Wait for the end of one of them, and print its reply as `request` does
    ///
    /// Its outcome is given once: after that the node keeps it no more. Interrupted, it is left as it is.
    Take {
        /// The id of the request, as `request --json` and `events kept` print it
        id: Id,
    },
    /// Give one of them up: nothing more of it is sent, and no outcome is kept
    ///
    /// The peer may have taken it all the same.
    Cancel {
        /// The id of the request
        id: Id,
    },
}

/// Shows them.
///
/// # Errors
/// [`Code::NeedsNode`] when no node is running, [`Code::Closing`] when it ends.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let attached = needed(context).await?;
    let (which, count) = match &arguments.what {
        What::Ls => (Which::Past, None),
        What::Wait { count } => (Which::Live, count.map(NonZeroU32::get)),
        What::Kept => return list_kept(context, &attached).await,
        What::Take { id } => return take(context, &attached, *id).await,
        What::Cancel { id } => {
            attached.forget(*id).await?;
            context.output.data(&Object::new().text("id", id), format_args!("Given up: {id}"))?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut happening = attached.events(which).await?;
    let mut signals = Signals::catch()?;
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        let event = tokio::select! {
            biased;
            // Whoever watches ends it so; that is no failure to talk about.
            () = signals.next() => return Ok(Code::Interrupted.into()),
            event = happening.next() => event?,
        };
        let Some(event) = event else { break };
        context.output.data(&event.write(Object::new()), event.line())?;
        shown += 1;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list_kept(context: &Context, attached: &Attached) -> Result<ExitCode, Failure> {
    for id in attached.kept().await? {
        context.output.data(&Object::new().text("id", id), id)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn take(context: &Context, attached: &Attached, id: Id) -> Result<ExitCode, Failure> {
    let mut signals = Signals::catch()?;
    let (interrupt, interrupted) = watch::channel(false);
    let mut line = ProgressLine::new(context.output.is_talking());
    let tell = |step| request::tell(step, context.output, &mut line);
    let mut taking = Box::pin(attached.take(id, tell, interrupted));
    let ended = tokio::select! {
        ended = &mut taking => ended,
        () = signals.next() => {
            interrupt.send_replace(true);
            signals.give_up_on_next();
            taking.as_mut().await
        }
    };
    drop(taking);
    line.end();
    request::report_one(context, ended?)
}

/// The node that runs on the directory.
///
/// # Errors
/// [`Code::NeedsNode`] when none does.
pub(super) async fn needed(context: &Context) -> Result<Attached, Failure> {
    let directory = context.directory()?;
    directory.key()?;
    Attached::to(&directory).await?.ok_or_else(|| {
        let path = directory.path().display();
        Failure::new(Code::NeedsNode, format_args!("no node is running on {path}"))
    })
}

/// The events of the node so far that are still remembered.
///
/// # Errors
/// As [`run`].
pub(super) async fn past(attached: &Attached) -> Result<Vec<Happened>, Failure> {
    let mut happening = attached.events(Which::Past).await?;
    let mut past = Vec::new();
    while let Some(event) = happening.next().await? {
        past.push(event);
    }
    Ok(past)
}
