//! `egtp mailbox test`: whether a relay keeps letters for this node, and gives them out and away.
//!
//! Leaves one in the node's own mailbox, fetches it and has it deleted, and says how long each takes. Invariant: no other
//! letter is touched.

use std::time::{Duration, Instant};

use bytes::Bytes;
use egtp::PublicKey;
use egtp::mailbox::{
    ACK, Ack, Deposit, DepositRefused, GET, Get, HELD, LetterName, Letters, PUT, encode_acks,
    encode_put,
};

use super::mailbox::{Talk, not_understood};
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
    let mut talk = Talk::begin(context, relay).await?;
    let tried = tried(&mut talk, &me).await;
    talk.end().await;
    let Tried { stored, kept, fetched } = tried?;
    let object = Object::new()
        .with("stored_ms", milliseconds(stored))
        .with("kept_s", kept.as_secs())
        .with("fetched_ms", fetched.map(|(fetched, _)| milliseconds(fetched)))
        .with("deleted_ms", fetched.map(|(_, deleted)| milliseconds(deleted)));
    let (days, stored) = (kept.as_secs() / 86_400, milliseconds(stored));
    let rest = match fetched {
        Some((fetched, deleted)) => format!(
            ", fetched after {:.1} ms, deleted after {:.1} ms",
            milliseconds(fetched),
            milliseconds(deleted)
        ),
        None => ", and fetched by the node that runs on this directory".to_owned(),
    };
    context
        .output
        .data(&object, format_args!("stored after {stored:.1} ms (kept for {days} days){rest}"))
}

/// How long each step took.
struct Tried {
    stored: Duration,
    /// How long the relay would keep it.
    kept: Duration,
    /// To fetch it, and to have it deleted. `None` if the node that runs on the directory was first.
    fetched: Option<(Duration, Duration)>,
}

async fn tried(talk: &mut Talk<'_>, me: &PublicKey) -> Result<Tried, Failure> {
    let letter = made_up()?;
    // With the connection, which is no part of what is shown.
    talk.ask(HELD, Bytes::new()).await?;
    let begun = Instant::now();
    let kept = leave(talk, me, &letter).await?;
    let stored = begun.elapsed();
    let begun = Instant::now();
    let Some(position) = find(talk, &letter).await? else {
        return Ok(Tried { stored, kept, fetched: None });
    };
    let fetched = begun.elapsed();
    let begun = Instant::now();
    let acks = [Ack { position, name: LetterName::of(&letter) }];
    talk.ask(ACK, encode_acks(&acks)).await?;
    Ok(Tried { stored, kept, fetched: Some((fetched, begun.elapsed())) })
}

/// What no letter looks like, so that a node that finds it throws it away.
fn made_up() -> Result<[u8; 32], Failure> {
    let mut letter = [0; 32];
    let failed = |error| Failure::new(Code::Internal, format_args!("no randomness: {error}"));
    getrandom::fill(&mut letter).map_err(failed)?;
    Ok(letter)
}

async fn leave(talk: &mut Talk<'_>, me: &PublicKey, letter: &[u8]) -> Result<Duration, Failure> {
    let reply = talk.ask(PUT, encode_put(me, letter)).await?;
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
async fn find(talk: &mut Talk<'_>, letter: &[u8]) -> Result<Option<u64>, Failure> {
    let mut after = 0;
    loop {
        let reply = talk.ask(GET, Get { largest: REPLY_BYTES, after }.encode()).await?;
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
