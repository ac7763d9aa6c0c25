//! `egtp mailbox test`: whether a relay keeps letters for this node, and gives them out and away.
//!
//! Leaves one in the node's own mailbox, fetches it and has it deleted, and says how long each takes. Invariant: no other
//! letter is touched.

use std::time::{Duration, Instant};

use egtp::PublicKey;
use egtp::mailbox::{
    ACK, Ack, Deposit, DepositRefused, GET, Get, LetterName, Letters, PUT, encode_acks, encode_put,
};

use super::mailbox::{ask, not_understood};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::json::{Object, milliseconds};
use crate::peer::Peer;

/// Tries it.
///
/// # Errors
/// When the relay does not answer, or keeps no letters for this node.
pub(super) async fn run(context: &Context, relay: &Peer) -> Result<(), Failure> {
    let me = context.directory()?.key()?.public();
    let letter = made_up()?;
    let begun = Instant::now();
    let kept = leave(context, relay, &me, &letter).await?;
    let stored = begun.elapsed();
    let begun = Instant::now();
    let position = find(context, relay, &letter).await?;
    let fetched = begun.elapsed();
    let begun = Instant::now();
    if let Some(position) = position {
        let acks = [Ack { position, name: LetterName::of(&letter) }];
        ask(context, relay, ACK, encode_acks(&acks)).await?;
    }
    let deleted = position.map(|_| begun.elapsed());
    let object = Object::new()
        .with("stored_ms", milliseconds(stored))
        .with("kept_s", kept.as_secs())
        .with("fetched_ms", position.map(|_| milliseconds(fetched)))
        .with("deleted_ms", deleted.map(milliseconds));
    let days = kept.as_secs() / 86_400;
    let text = match deleted {
        Some(deleted) => format!(
            "stored after {:.1} ms (kept for {days} days), fetched after {:.1} ms, deleted after {:.1} ms",
            milliseconds(stored),
            milliseconds(fetched),
            milliseconds(deleted),
        ),
        None => format!(
            "stored after {:.1} ms (kept for {days} days), and fetched by the node that runs on this directory",
            milliseconds(stored),
        ),
    };
    context.output.data(&object, text)
}

/// What no letter looks like, so that a node that finds it throws it away.
fn made_up() -> Result<[u8; 32], Failure> {
    let mut letter = [0; 32];
    let failed = |error| Failure::new(Code::Internal, format_args!("no randomness: {error}"));
    getrandom::fill(&mut letter).map_err(failed)?;
    Ok(letter)
}

async fn leave(
    context: &Context,
    relay: &Peer,
    me: &PublicKey,
    letter: &[u8],
) -> Result<Duration, Failure> {
    let reply = ask(context, relay, PUT, encode_put(me, letter)).await?;
    match Deposit::decode(&reply).ok_or_else(not_understood)? {
        Deposit::Stored { kept } => Ok(kept),
        Deposit::Refused(why) => Err(refused(why)),
    }
}

fn refused(why: DepositRefused) -> Failure {
    let next = match why {
        DepositRefused::UnknownRecipient => {
            "ask its operator to add your key (egtp id) to --allow, or use another relay"
        }
        _ => "see how full it is: egtp mailbox quota RELAY; letters that were read make room",
    };
    Failure::with_next(Code::Refused, format_args!("no letter was left: {why}"), next)
}

/// Where it is in the mailbox. `None` if somebody has taken it away already.
async fn find(context: &Context, relay: &Peer, letter: &[u8]) -> Result<Option<u64>, Failure> {
    let mut after = 0;
    loop {
        let reply = ask(context, relay, GET, Get { largest: REPLY_BYTES, after }.encode()).await?;
        let Letters { letters, .. } = Letters::decode(&reply).ok_or_else(not_understood)?;
        if let Some(found) = letters.iter().find(|one| one.bytes == letter) {
            return Ok(Some(found.position));
        }
        match letters.last() {
            Some(last) if last.position > after => after = last.position,
            _ => return Ok(None),
        }
    }
}

/// As much as one look may bring: others wait there as well.
const REPLY_BYTES: u32 = 256 * 1024;
