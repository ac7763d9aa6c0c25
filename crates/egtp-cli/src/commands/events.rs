//! `egtp events`: what happens in a running node.

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::control::{Attached, Happened, Which};
use crate::counts;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::signals::Signals;

/// Show what happens in the running node: messages taken, replies, sessions made
///
/// The events are session (made with a peer), asked, received and outcome (of a message of this node),
/// taken, replied and withdrawn (of a message of a peer), `two_copies` (two processes use a peer's key),
/// `another_copy` (a peer says that another process uses this node's), and missed (this command was too slow).
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp events ls                    what has happened last
  egtp events wait                  what happens from now on, until Ctrl-C
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
