//! `egtp ping`: is a peer there, and how far away?

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use egtp::Kind;
use tokio::sync::watch;

use crate::asker::{Asker, Asking, Memory, Wait};
use crate::context::Context;
use crate::control::{Question, Wants};
use crate::failure::{Code, Failure};
use crate::json::{Object, milliseconds};
use crate::peer::Peer;
use crate::signals::Signals;
use crate::{counts, durations};

/// Measure how long a peer takes to answer, and by which path
///
/// The first round trip includes getting to know each other.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp ping TICKET
  egtp ping @bob --count 10
  egtp ping TICKET --hard 2s --json")]
pub(crate) struct Arguments {
    /// Whom: a ticket, a key (egtp1...), a peer id (40 digits) or @name
    peer: Peer,

    /// How often, one after the other
    #[arg(long, value_name = "N", default_value = "3", value_parser = counts::parse::<NonZeroU32>)]
    count: NonZeroU32,

    /// Give up after this long
    #[arg(long, value_name = "D", value_parser = durations::parse, default_value = "10s")]
    #[arg(allow_hyphen_values = true)]
    hard: Duration,
}

/// Measures.
///
/// # Errors
/// When the peer does not answer, each with the exit code of the outcome.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut signals = Signals::catch()?;
    let asking = tokio::select! {
        asking = Asking::start(context, "ping", &arguments.peer, Memory::Ram) => asking?,
        () = signals.next() => return Err(Asking::interrupted()),
    };
    let (measured, wait) = tokio::select! {
        measured = measure(context, arguments, &asking.asker) => (measured, Wait::ForOthers),
        () = signals.next() => {
            let next = "run it again: a ping does no harm";
            let failure = Failure::with_next(Code::Interrupted, "interrupted", next);
            (Err(failure), Wait::ForNobody)
        }
    };
    asking.close(context, signals, wait).await;
    measured.map(|()| ExitCode::SUCCESS)
}

async fn measure(context: &Context, arguments: &Arguments, asker: &Asker) -> Result<(), Failure> {
    let kind = Kind::new(egtp_services::echo::KIND)
        .map_err(|error| Failure::new(Code::Internal, error))?;
    let peer = asker.to.key.short();
    // A signal ends all of it at once, so nobody interrupts one of them.
    let (_interrupt, interrupted) = watch::channel(false);
    for number in 1..=arguments.count.get() {
        let mut body = vec![0; BODY_BYTES];
        getrandom::fill(&mut body).map_err(|error| Failure::new(Code::Internal, error))?;
        let question = Question {
            peer: arguments.peer.clone(),
            kind: kind.clone(),
            body: body.clone().into(),
            soft: None,
            hard: arguments.hard,
            hard_max: None,
            durable: false,
            post_quantum: false,
            wants: Wants::Reply,
        };
        let ended = asker.ask(&question, |_| {}, interrupted.clone()).await?;
        if let Some(failure) = ended.failure {
            return Err(failure);
        }
        if ended.reply.is_none_or(|reply| reply != body) {
            let message = "the peer answered, but not with what was sent";
            return Err(Failure::new(Code::Internal, message));
        }
        let rtt = milliseconds(ended.took);
        let path = ended.path;
        let object = Object::new().with("rtt_ms", rtt).maybe("path", path.as_ref());
        let path = path.unwrap_or_else(|| "a path that has closed".to_owned());
        context
            .output
            .data(&object, format_args!("{number}: {peer}... answers in {rtt:.3} ms by {path}"))?;
    }
    Ok(())
}

/// Enough that no other answer fits, and no more.
const BODY_BYTES: usize = 16;
