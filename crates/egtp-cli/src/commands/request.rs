//! `egtp request`: asks for a reply, once or many times.

use std::io::IsTerminal;
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use egtp::{Kind, Message, Progress, Request, Taken};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::asker::Asker;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::outcome::{Ended, NoReply};
use crate::output::{self, Form};
use crate::peer::Peer;
use crate::signals::Signals;
use crate::summary::Summary;
use crate::{body, counts, durations};

/// Ask a peer, and print its reply
///
/// A reply is printed as it is, byte by byte; a newline is added only for a terminal. With --count,
/// each reply that does not end with a newline gets one, so that replies are lines; --json has the
/// exact bytes of each.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp request TICKET echo/1 hello
  egtp request @bob upper/1 - < letter.txt
  egtp request TICKET echo/1 hi --hard 5s --count 1000 --concurrency 16 --json")]
pub(crate) struct Arguments {
    /// Whom: a ticket, a key (egtp1...), a peer id (40 digits) or @name
    peer: Peer,

    /// What kind of request, such as echo/1
    kind: Kind,

    /// The body: text, - for the standard input, @FILE for a file
    #[arg(default_value = "", hide_default_value = true)]
    body: String,

    /// Say so if there is no reply after this long, as in 500ms; the reply stays welcome
    #[arg(long, value_name = "D", value_parser = durations::parse, allow_hyphen_values = true)]
    soft: Option<Duration>,

    /// Give up after this long, as in 5s or 2m
    #[arg(long, value_name = "D", value_parser = durations::parse, default_value = "60s")]
    #[arg(allow_hyphen_values = true)]
    hard: Duration,

    /// Have the peer remember it on its disk: at most once over its restarts, too
    #[arg(long)]
    durable: bool,

    /// Send it only under keys that withstand quantum computers; not at all if the peer has none
    #[arg(long)]
    post_quantum: bool,

    /// Ask this often
    #[arg(long, value_name = "N", default_value = "1", value_parser = counts::parse::<NonZeroU32>)]
    count: NonZeroU32,

    /// Ask so many at a time
    #[arg(long, value_name = "M", default_value = "1")]
    #[arg(value_parser = counts::parse::<NonZeroUsize>)]
    concurrency: NonZeroUsize,
}

/// Asks.
///
/// # Errors
/// When nothing could be asked; an outcome that is no reply is an exit code.
pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let body = body::read(&arguments.body, "body", "a message")?;
    let mut signals = Signals::catch()?;
    let asker = Arc::new(Asker::start(context, "request", &arguments.peer).await?);
    let (interrupt, interrupted) = watch::channel(false);
    let mut asking = Box::pin(ask_all(context, &arguments, &asker, &body, &interrupted));
    let ended = tokio::select! {
        ended = &mut asking => Some(ended),
        () = signals.next() => None,
    };
    signals.give_up_on_next();
    let ended = if let Some(ended) = ended {
        ended
    } else {
        interrupt.send_replace(true);
        asking.await
    };
    // So that the peer learns that we have its replies, and of what we want no reply any more.
    asker.node.clone().close().await;
    ended
}

async fn ask_all(
    context: &Context,
    arguments: &Arguments,
    asker: &Arc<Asker>,
    body: &Bytes,
    interrupted: &watch::Receiver<bool>,
) -> Result<ExitCode, Failure> {
    let count = arguments.count.get();
    let mut summary = Summary::begin();
    let mut open = JoinSet::new();
    let mut started = 0;
    loop {
        let is_asking = !*interrupted.borrow();
        while is_asking && started < count && open.len() < arguments.concurrency.get() {
            let message = Message::new(arguments.kind.clone(), body.clone());
            let request = asker.node.request(asker.to.clone(), message);
            let request = with_soft(request.hard_timeout(arguments.hard), arguments.soft);
            let request = if arguments.durable { request.durable() } else { request };
            let request = if arguments.post_quantum { request.post_quantum() } else { request };
            open.spawn(ask(request, Arc::clone(asker), context.clone(), interrupted.clone()));
            started += 1;
        }
        let Some(ended) = open.join_next().await else { break };
        let ended = ended.map_err(|error| Failure::new(Code::Internal, error))?;
        let failure = match &ended.result {
            Ok(_) => None,
            Err(no_reply) => Some(asker.explain(no_reply).await),
        };
        if count == 1 {
            return report_one(context, &ended, failure);
        }
        report_each(context, &ended, failure.as_ref())?;
        summary.count(&ended);
    }
    context.output.say(&summary);
    if *interrupted.borrow() {
        let left = count.saturating_sub(started);
        let message = format!("interrupted before all had ended; not begun: {left}");
        return Err(Failure::new(Code::Interrupted, message));
    }
    Ok(summary.exit_code())
}

fn with_soft(request: Request, soft: Option<Duration>) -> Request {
    match soft {
        Some(soft) => request.soft_timeout(soft),
        None => request,
    }
}

/// Follows one request to its end.
async fn ask(
    request: Request,
    asker: Arc<Asker>,
    context: Context,
    mut interrupted: watch::Receiver<bool>,
) -> Ended {
    let started = Instant::now();
    let mut pending = request.start();
    let mut soft_timeouts = 0;
    let mut is_taken = false;
    let result = loop {
        // What has happened already counts, also if the signal came with it.
        let progress = tokio::select! {
            biased;
            progress = pending.progress() => progress,
            _ = interrupted.wait_for(|is_so| *is_so) => {
                let taken = if is_taken { Taken::Yes } else { asker.may_have_taken() };
                break Err(NoReply::Interrupted(taken));
            }
        };
        match progress {
            Ok(Progress::Replied(reply)) => break Ok(reply),
            Ok(Progress::Taken) => is_taken = true,
            Ok(Progress::Slow) => {
                soft_timeouts += 1;
                context.output.say("No reply yet; still waiting.");
            }
            Ok(_) => {}
            Err(error) => break Err(NoReply::Outcome(error)),
        }
    };
    Ended { id: pending.id(), result, took: started.elapsed(), soft_timeouts }
}

/// The reply's bytes as they are, and nothing else, so that they can be piped.
fn report_one(
    context: &Context,
    ended: &Ended,
    failure: Option<Failure>,
) -> Result<ExitCode, Failure> {
    let output = context.output;
    match (&ended.result, failure) {
        (Ok(reply), _) if output.form() == Form::Plain => {
            output::bytes(&reply.body)?;
            if std::io::stdout().is_terminal() && !reply.body.ends_with(b"\n") {
                output::bytes(b"\n")?;
            }
        }
        (_, Some(failure)) => {
            output.failure_in(&ended.object(Some(&failure)), &failure)?;
            return Ok(failure.code.into());
        }
        (_, None) => output.event(&ended.object(None))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each.
fn report_each(context: &Context, ended: &Ended, failure: Option<&Failure>) -> Result<(), Failure> {
    context.output.event(&ended.object(failure))?;
    match (&ended.result, failure) {
        (Ok(_), _) if context.output.form() == Form::Json => Ok(()),
        (Ok(reply), _) if reply.body.ends_with(b"\n") => output::bytes(&reply.body),
        (Ok(reply), _) => output::bytes(&[&reply.body[..], b"\n"].concat()),
        (Err(_), Some(failure)) => {
            output::warn(format_args!("egtp: {}", failure.message));
            Ok(())
        }
        (Err(_), None) => Ok(()),
    }
}
