//! `egtp request`: asks for a reply, once or many times.

use std::io::IsTerminal;
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use egtp::{Kind, Message, Progress, Request};
use tokio::task::JoinSet;

use crate::asker::Asker;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::outcome::Ended;
use crate::output::{self, Form};
use crate::peer::Peer;
use crate::signals::Signals;
use crate::summary::Summary;
use crate::{body, durations};

/// Ask a peer, and print its reply
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
    #[arg(long, value_name = "D", value_parser = durations::parse)]
    soft: Option<Duration>,

    /// Give up after this long, as in 5s or 2m
    #[arg(long, value_name = "D", value_parser = durations::parse, default_value = "60s")]
    hard: Duration,

    /// Ask this often
    #[arg(long, value_name = "N", default_value = "1")]
    count: NonZeroU32,

    /// Ask so many at a time
    #[arg(long, value_name = "M", default_value = "1")]
    concurrency: NonZeroUsize,
}

/// Asks.
///
/// # Errors
/// When nothing could be asked; an outcome that is no reply is an exit code.
pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let body = body::read(&arguments.body)?;
    let mut signals = Signals::catch()?;
    let asker = Asker::start(context, "request", &arguments.peer).await?;
    let ended = tokio::select! {
        ended = ask_all(context, &arguments, &asker, &body) => ended,
        () = signals.next() => {
            Err(Failure::new(Code::Interrupted, "interrupted before all had ended"))
        }
    };
    // So that the peer learns that we have its replies, and of what we want no reply any more.
    signals.give_up_on_next();
    asker.node.close().await;
    ended
}

async fn ask_all(
    context: &Context,
    arguments: &Arguments,
    asker: &Asker,
    body: &Bytes,
) -> Result<ExitCode, Failure> {
    let count = arguments.count.get();
    let mut summary = Summary::begin();
    let mut open = JoinSet::new();
    let mut started = 0;
    loop {
        while started < count && open.len() < arguments.concurrency.get() {
            let message = Message::new(arguments.kind.clone(), body.clone());
            let request = asker.node.request(asker.to.clone(), message);
            let request = request.hard_timeout(arguments.hard);
            open.spawn(ask(with_soft(request, arguments.soft), context.clone()));
            started += 1;
        }
        let Some(ended) = open.join_next().await else { break };
        let ended = ended.map_err(|error| Failure::new(Code::Internal, error))?;
        if count == 1 {
            return report_one(context, &ended);
        }
        report_each(context, &ended)?;
        summary.count(&ended);
    }
    context.output.say(&summary);
    Ok(summary.exit_code())
}

fn with_soft(request: Request, soft: Option<Duration>) -> Request {
    match soft {
        Some(soft) => request.soft_timeout(soft),
        None => request,
    }
}

/// Follows one request to its end.
async fn ask(request: Request, context: Context) -> Ended {
    let started = Instant::now();
    let mut pending = request.start();
    let mut soft_timeouts = 0;
    let result = loop {
        match pending.progress().await {
            Ok(Progress::Replied(reply)) => break Ok(reply),
            Ok(Progress::Slow) => {
                soft_timeouts += 1;
                context.output.say("No reply yet; still waiting.");
            }
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    Ended { id: pending.id(), result, took: started.elapsed(), soft_timeouts }
}

/// The reply's bytes as they are, and nothing else, so that they can be piped.
fn report_one(context: &Context, ended: &Ended) -> Result<ExitCode, Failure> {
    let output = context.output;
    let is_json = output.form() == Form::Json;
    match &ended.result {
        Ok(reply) if !is_json => {
            output::bytes(&reply.body)?;
            if std::io::stdout().is_terminal() && !reply.body.ends_with(b"\n") {
                output::bytes(b"\n")?;
            }
        }
        Ok(_) => output.event(&ended.object())?,
        Err(error) => {
            let code = Code::from(error);
            // A mistake of the caller is reported as one; the rest are outcomes.
            if code == Code::Oneself || !is_json {
                return Err(Failure::new(code, error));
            }
            output.event(&ended.object())?;
            output::warn(format_args!("egtp: {error}\n      next: {}", code.next()));
        }
    }
    Ok(ended.code().map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// One line for each.
fn report_each(context: &Context, ended: &Ended) -> Result<(), Failure> {
    if context.output.form() == Form::Json {
        return context.output.event(&ended.object());
    }
    match &ended.result {
        Ok(reply) => output::bytes(&[&reply.body[..], b"\n"].concat()),
        Err(error) => {
            output::warn(format_args!("egtp: {error}"));
            Ok(())
        }
    }
}
