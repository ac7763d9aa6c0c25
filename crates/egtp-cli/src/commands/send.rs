//! `egtp send`: a message that wants no reply, to a peer that may be away.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use egtp::Kind;
use tokio::sync::watch;

use crate::asker::{Asking, Memory, Step, Wait};
use crate::context::Context;
use crate::control::{Question, Wants};
use crate::ended::Ended;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::peer::Peer;
use crate::signals::Signals;
use crate::{body, durations};

/// Send a peer a message that wants no reply, now or when it is back
///
/// The message is on this disk before anything of it is sent, and goes on under the same id until the peer has taken it,
/// whoever is killed in between. If the peer is away and its contact names relays that keep letters, it waits there, sealed.
/// This needs the peer's contact (egtp contact import): a ticket does not say where letters go.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp send @bob note/1 'see you on Monday'
  egtp send @bob report/1 @report.pdf --wait received
  egtp send @bob note/1 - --expires 2h --json < note.txt
  egtp events kept                                what is still on its way")]
pub(crate) struct Arguments {
    /// Whom: a ticket, a key (egtp1...), a peer id (40 digits) or @name
    peer: Peer,

    /// What kind of message, such as note/1
    kind: Kind,

    /// The body: text, - for the standard input, @FILE for a file
    #[arg(default_value = "", hide_default_value = true)]
    body: String,

    /// Return when it is on this disk, when a relay keeps it for the peer (or the peer has it), or when the peer has it
    #[arg(long, value_name = "STATE", default_value = "stored")]
    wait: State,

    /// Give up after this long, as in 2h or 7d; no letter is kept for more than 14 days
    #[arg(long, value_name = "D", value_parser = durations::parse_days, default_value = "7d")]
    #[arg(allow_hyphen_values = true)]
    expires: Duration,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
enum State {
    /// It is on this disk.
    Queued,
    /// A relay keeps it for the peer.
    Stored,
    /// The peer has taken it.
    Received,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Stored => "stored",
            Self::Received => "received",
        }
    }

    const fn said(self) -> &'static str {
        match self {
            Self::Queued => "it is on this disk; a node on this directory (egtp up) sends it on",
            Self::Stored => "a relay keeps it for the peer, who is away",
            Self::Received => "the peer has it",
        }
    }
}

/// What has been heard of it.
#[derive(Debug, Default)]
struct Heard {
    id: Option<String>,
    state: Option<State>,
}

/// Sends.
///
/// # Errors
/// When it could not be kept; an outcome other than being received is an exit code.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Failure> {
    // Kept until it has arrived, so also without --data this needs a directory.
    let context = &context.in_directory()?;
    let question = Question {
        peer: arguments.peer.clone(),
        kind: arguments.kind.clone(),
        body: body::read(&arguments.body, "body", "a message")?,
        soft: None,
        hard: arguments.expires,
        hard_max: None,
        durable: true,
        post_quantum: false,
        wants: Wants::Receipt,
    };
    let mut signals = Signals::catch()?;
    let asking = tokio::select! {
        asking = Asking::start(context, "send", &arguments.peer, Memory::Disk) => asking?,
        () = signals.next() => return Err(Asking::interrupted()),
    };
    let (enough, is_enough) = watch::channel(false);
    let heard = Arc::new(Mutex::new(Heard::default()));
    let note = {
        let (heard, enough, wait) = (Arc::clone(&heard), enough.clone(), arguments.wait);
        move |step| {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let state = match step {
                Step::Kept(id) => {
                    heard.id = Some(id.to_string());
                    State::Queued
                }
                Step::Stored => State::Stored,
                _ => return,
            };
            heard.state = heard.state.max(Some(state));
            if state >= wait {
                enough.send_replace(true);
            }
        }
    };
    let ended = {
        let mut ended = Box::pin(asking.asker.ask(&question, note, is_enough));
        tokio::select! {
            ended = &mut ended => ended,
            () = signals.next() => {
                enough.send_replace(true);
                ended.await
            }
        }
    };
    asking.close(context, signals, Wait::ForOthers).await;
    let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    report(context, arguments.wait, heard, &ended?)
}

fn report(
    context: &Context,
    wait: State,
    heard: Heard,
    ended: &Ended,
) -> Result<ExitCode, Failure> {
    let state = if ended.reply.is_some() { Some(State::Received) } else { heard.state };
    let object = Object::new()
        .maybe("id", heard.id)
        .maybe("state", state.map(State::name))
        .maybe("path", ended.path.as_ref());
    match (state, &ended.failure) {
        (Some(state), _) if state >= wait => {
            context.output.data(&object, format_args!("{}: {}", state.name(), state.said()))?;
            Ok(ExitCode::SUCCESS)
        }
        (_, Some(failure)) => {
            context.output.failure_in(object, failure)?;
            Ok(failure.code.into())
        }
        (_, None) => Err(Failure::new(Code::Internal, "it has ended without a word")),
    }
}
