//! `egtp ping`: is a peer there, and how far away?

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use egtp::{Kind, Message};

use crate::asker::Asker;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::json::{Object, milliseconds};
use crate::outcome::NoReply;
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
    let asker = Asker::start(context, "ping", &arguments.peer).await?;
    let measured = tokio::select! {
        measured = measure(context, arguments, &asker) => measured,
        () = signals.next() => {
            let next = "run it again: a ping does no harm";
            Err(Failure::with_next(Code::Interrupted, "interrupted", next))
        }
    };
    signals.give_up_on_next();
    asker.node.clone().close().await;
    measured.map(|()| ExitCode::SUCCESS)
}

async fn measure(context: &Context, arguments: &Arguments, asker: &Asker) -> Result<(), Failure> {
    let kind = Kind::new(egtp_services::echo::KIND)
        .map_err(|error| Failure::new(Code::Internal, error))?;
    let peer = asker.to.key.short();
    for number in 1..=arguments.count.get() {
        let mut body = vec![0; BODY_BYTES];
        getrandom::fill(&mut body).map_err(|error| Failure::new(Code::Internal, error))?;
        let message = Message::new(kind.clone(), body.clone());
        let request = asker.node.request(asker.to.clone(), message).hard_timeout(arguments.hard);
        let reply = match request.await {
            Ok(reply) => reply,
            Err(error) => return Err(asker.explain(&NoReply::Outcome(error)).await),
        };
        if reply.body != body {
            let message = "the peer answered, but not with what was sent";
            return Err(Failure::new(Code::Internal, message));
        }
        let rtt = milliseconds(reply.took);
        let path = reply.via.as_ref();
        let object = Object::new().with("rtt_ms", rtt).maybe("path", path);
        let path = path.map_or_else(|| "a path that has closed".to_owned(), ToString::to_string);
        context
            .output
            .data(&object, format_args!("{number}: {peer}... answers in {rtt:.3} ms by {path}"))?;
    }
    Ok(())
}

/// Enough that no other answer fits, and no more.
const BODY_BYTES: usize = 16;
