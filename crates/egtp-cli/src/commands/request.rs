//! `egtp request`: asks for a reply, once or many times.

use std::io::IsTerminal;
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use egtp::Kind;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::asker::{Asker, Asking, Memory, Step, Wait};
use crate::context::Context;
use crate::control::{Question, Wants};
use crate::ended::Ended;
use crate::failure::{Code, Failure};
use crate::output::{self, Form, Output};
use crate::peer::Peer;
use crate::progress_line::ProgressLine;
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

    /// Let bytes of a large body that arrive put --hard off, until this long after the start
    #[arg(long, value_name = "D", value_parser = durations::parse, allow_hyphen_values = true)]
    hard_max: Option<Duration>,

    /// Remember it on disk: at the peer, so that it is taken at most once over its restarts, and here,
    /// so that it goes on when a node starts on this directory again
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
    if arguments.hard_max.is_some_and(|longest| longest < arguments.hard) {
        let message = "--hard-max is shorter than --hard, which it is to put off";
        let next = "give it a longer time, as in --hard 1m --hard-max 10m";
        return Err(Failure::with_next(Code::Usage, message, next));
    }
    let question = Question {
        peer: arguments.peer.clone(),
        kind: arguments.kind.clone(),
        body: body::read(&arguments.body, "body", "a message")?,
        soft: arguments.soft,
        hard: arguments.hard,
        hard_max: arguments.hard_max,
        durable: arguments.durable,
        post_quantum: arguments.post_quantum,
        wants: Wants::Reply,
    };
    let memory = if arguments.durable { Memory::Disk } else { Memory::Ram };
    let mut signals = Signals::catch()?;
    let asking = tokio::select! {
        asking = Asking::start(context, "request", &arguments.peer, memory) => asking?,
        () = signals.next() => return Err(Asking::interrupted()),
    };
    let (interrupt, interrupted) = watch::channel(false);
    let all = ask_all(context, &arguments, &asking.asker, question, &interrupted);
    let mut all = Box::pin(all);
    let ended = tokio::select! {
        ended = &mut all => Some(ended),
        () = signals.next() => None,
    };
    let (ended, wait) = if let Some(ended) = ended {
        (ended, Wait::ForOthers)
    } else {
        interrupt.send_replace(true);
        let second = async {
            signals.next().await;
            std::process::exit(Code::Interrupted.exit().into());
        };
        tokio::select! {
            ended = &mut all => (ended, Wait::ForNobody),
            () = second => return Err(Failure::new(Code::Interrupted, "interrupted")),
        }
    };
    drop(all);
    asking.close(context, signals, wait).await;
    ended
}

async fn ask_all(
    context: &Context,
    arguments: &Arguments,
    asker: &Asker,
    question: Question,
    interrupted: &watch::Receiver<bool>,
) -> Result<ExitCode, Failure> {
    let count = arguments.count.get();
    let question = Arc::new(question);
    let mut summary = Summary::begin();
    let mut open = JoinSet::new();
    let mut started = 0;
    loop {
        let is_asking = !*interrupted.borrow();
        while is_asking && started < count && open.len() < arguments.concurrency.get() {
            let (asker, question, output) = (asker.clone(), Arc::clone(&question), context.output);
            let interrupted = interrupted.clone();
            open.spawn(async move {
                let mut line = ProgressLine::new(count == 1 && output.is_talking());
                // Of many it would be as many lines.
                let is_told =
                    |step: &Step| count == 1 || !matches!(step, Step::Kept(_) | Step::InMemory);
                let show = |step| {
                    if is_told(&step) {
                        tell(step, output, &mut line);
                    }
                };
                let ended = asker.ask(&question, show, interrupted);
                let ended = ended.await;
                line.end();
                ended
            });
            started += 1;
        }
        let Some(ended) = open.join_next().await else { break };
        let ended = ended.map_err(|error| Failure::new(Code::Internal, error))??;
        if count == 1 {
            return report_one(context, ended);
        }
        report_each(context, &ended)?;
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

/// Says to people what happens to a request.
pub(super) fn tell(step: Step, output: Output, line: &mut ProgressLine) {
    match step {
        Step::Kept(id) => {
            line.end();
            output.say(format_args!("Kept as {id}, and asked to its end whoever is killed."));
        }
        Step::InMemory => {
            line.end();
            output.say(
                "The peer keeps no store on a disk: if it is restarted before it replies, the outcome is unknown.",
            );
        }
        Step::Stored => {
            line.end();
            output.say("The peer is away: a relay keeps it for when it is back.");
        }
        Step::Taken => {}
        Step::Slow => {
            line.end();
            output.say("No reply yet; still waiting.");
        }
        Step::Sent(part) => line.show("Sent", part),
        Step::Received(part) => line.show("Received", part),
    }
}

/// The reply's bytes as they are, and nothing else, so that they can be piped.
pub(super) fn report_one(context: &Context, ended: Ended) -> Result<ExitCode, Failure> {
    let output = context.output;
    if let Some(failure) = &ended.failure {
        output.failure_in(ended.object(), failure)?;
        return Ok(failure.code.into());
    }
    match ended.reply {
        Some(reply) if output.form() == Form::Plain => {
            output::bytes(&reply)?;
            if std::io::stdout().is_terminal() && !reply.ends_with(b"\n") {
                output::bytes(b"\n")?;
            }
        }
        _ => output.event(&ended.object())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each.
fn report_each(context: &Context, ended: &Ended) -> Result<(), Failure> {
    context.output.event(&ended.object())?;
    if let Some(failure) = &ended.failure {
        output::warn(format_args!("egtp: {}", failure.message));
    }
    match &ended.reply {
        Some(reply) if context.output.form() == Form::Plain => {
            let end: &[u8] = if reply.ends_with(b"\n") { b"" } else { b"\n" };
            output::bytes(&[reply, end].concat())
        }
        _ => Ok(()),
    }
}
