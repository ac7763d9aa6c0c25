//! `egtp mailbox`: what a relay keeps, for its recipient and for its operator.

use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use egtp::Kind;
use egtp::mailbox::{HELD, Held, LARGEST, decode_mailboxes, encode_count};
use tokio::sync::watch;

use super::mailbox_test;
use crate::asker::{Asking, Memory, Wait};
use crate::context::Context;
use crate::control::{Question, Wants};
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::peer::Peer;
use crate::signals::Signals;

/// Look at the letters that a relay keeps
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp mailbox quota RELAY                   how full your mailbox at that relay is
  egtp mailbox quota @relay --json
  egtp mailbox test RELAY                    does it keep letters for you?
  egtp --data ./me mailbox ls RELAY          the largest ones, if the relay was started with --operator KEY")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show how many letters and bytes a relay keeps for you, and how many it would
    Quota {
        /// The relay: a ticket, a key or @name
        relay: Peer,
    },
    /// Leave a letter in your own mailbox, fetch it and have it deleted, to see that the relay does all of that for you
    Test {
        /// The relay: a ticket, a key or @name
        relay: Peer,
    },
    /// List the largest mailboxes of a relay, as one of its operators
    Ls {
        /// The relay: a ticket, a key or @name
        relay: Peer,

        /// So many at most
        #[arg(long, value_name = "N", default_value = "20")]
        count: u32,
    },
}

/// Asks the relay.
///
/// # Errors
/// When it does not answer, or does not say that to this identity.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    // As whom the relay knows: not as a fresh identity.
    let context = &context.in_directory()?;
    match &arguments.what {
        What::Quota { relay } => {
            let reply = ask(context, relay, HELD, Bytes::new()).await?;
            let held = Held::decode(&reply).ok_or_else(not_understood)?;
            quota(context, held)
        }
        What::Test { relay } => mailbox_test::run(context, relay).await,
        What::Ls { relay, count } => {
            let most = Bytes::copy_from_slice(&encode_count(*count));
            let reply = ask(context, relay, LARGEST, most).await?;
            for one in decode_mailboxes(&reply).ok_or_else(not_understood)? {
                let (letters, bytes) = (one.letters, one.bytes);
                let object = Object::new()
                    .text("recipient", one.recipient)
                    .with("letters", letters)
                    .with("bytes", bytes);
                let text = format!("{letters:>8} letters {bytes:>12} bytes  {}", one.recipient);
                context.output.data(&object, text)?;
            }
            Ok(())
        }
    }
}

fn quota(context: &Context, held: Held) -> Result<(), Failure> {
    let Held { letters, bytes, letters_max, bytes_max } = held;
    let object = Object::new()
        .with("letters", letters)
        .with("letters_max", letters_max)
        .with("bytes", bytes)
        .with("bytes_max", bytes_max);
    let text = format!("{letters} of {letters_max} letters, {bytes} of {bytes_max} bytes");
    context.output.data(&object, text)
}

/// A conversation with a relay.
pub(super) struct Talk<'a> {
    context: &'a Context,
    relay: &'a Peer,
    asking: Asking,
    signals: Signals,
}

impl<'a> Talk<'a> {
    /// Begins it, as whom this directory is.
    ///
    /// # Errors
    /// When the relay is unknown, or the directory cannot be used.
    pub(super) async fn begin(context: &'a Context, relay: &'a Peer) -> Result<Self, Failure> {
        let mut signals = Signals::catch()?;
        let asking = tokio::select! {
            asking = Asking::start(context, "mailbox", relay, Memory::Ram) => asking?,
            () = signals.next() => return Err(Asking::interrupted()),
        };
        Ok(Self { context, relay, asking, signals })
    }

    /// Asks once.
    ///
    /// # Errors
    /// When the relay does not answer, or refuses. Nothing is lost if a signal ends it.
    pub(super) async fn ask(&mut self, kind: &str, body: Bytes) -> Result<Bytes, Failure> {
        let question = Question {
            peer: self.relay.clone(),
            kind: Kind::new(kind).map_err(|error| Failure::new(Code::Internal, error))?,
            body,
            soft: None,
            hard: PATIENCE,
            hard_max: None,
            durable: false,
            post_quantum: false,
            wants: Wants::Reply,
        };
        let (interrupt, interrupted) = watch::channel(false);
        let mut ended = Box::pin(self.asking.asker.ask(&question, |_| {}, interrupted));
        let ended = tokio::select! {
            ended = &mut ended => ended,
            () = self.signals.next() => {
                interrupt.send_replace(true);
                ended.await
            }
        }?;
        ended.failure.map_or(Ok(()), |failure| Err(explained(failure, kind)))?;
        ended.reply.ok_or_else(not_understood)
    }

    /// Ends it.
    pub(super) async fn end(self) {
        self.asking.close(self.context, self.signals, Wait::ForOthers).await;
    }
}

/// A conversation of one question.
async fn ask(context: &Context, relay: &Peer, kind: &str, body: Bytes) -> Result<Bytes, Failure> {
    let mut talk = Talk::begin(context, relay).await?;
    let reply = talk.ask(kind, body).await;
    talk.end().await;
    reply
}

/// What a refusal means here.
fn explained(failure: Failure, kind: &str) -> Failure {
    if failure.code != Code::Refused {
        return failure;
    }
    let next = if kind == LARGEST {
        "only its operators are told: egtp relay --operator KEY, with the key of this directory (egtp id)"
    } else {
        "this node keeps no letters: name a relay that does (egtp relay), or ask its operator"
    };
    Failure::with_next(failure.code, failure.message, next)
}

pub(super) fn not_understood() -> Failure {
    let next = "ask its operator which version runs there";
    Failure::with_next(Code::Internal, "the relay's answer is not understood", next)
}

/// How long a relay may take.
const PATIENCE: Duration = Duration::from_secs(20);
