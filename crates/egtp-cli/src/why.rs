//! Why there was no reply, in words: the outcome, and what became of the peer's addresses.
//!
//! Knows no node; it is given what happened. Invariant: it says what was observed, and guesses
//! nothing about what was not.

use egtp::path::{Attempt, Became};
use egtp::{NotSent, RequestError, Strategy, Taken};

use crate::failure::{Code, Failure};
use crate::outcome::NoReply;

/// What was known of a peer's addresses before anything was tried.
#[derive(Debug)]
pub(crate) enum Known {
    /// These, whether they can be dialed or not.
    Addresses(Vec<Strategy>),
    /// The contacts could not be read, for this reason.
    NotReadable(String),
}

impl Known {
    /// Adds more addresses.
    pub(crate) fn add(&mut self, strategies: &[Strategy]) {
        if let Self::Addresses(known) = self {
            for strategy in strategies {
                if !known.contains(strategy) {
                    known.push(strategy.clone());
                }
            }
        }
    }
}

/// The failure that a request without a reply is.
pub(crate) fn failure(no_reply: &NoReply, attempts: &[Attempt], known: &Known) -> Failure {
    let code = no_reply.code();
    if let NoReply::Outcome(RequestError::NotSent(NotSent::NotFound)) = no_reply {
        return not_found(no_reply, known);
    }
    // Who was reached is there; the addresses explain nothing then.
    let is_reached = attempts.iter().any(|one| one.became == Became::Proved);
    let is_about_addresses = matches!(
        no_reply,
        NoReply::Interrupted(_)
            | NoReply::Outcome(
                RequestError::NotSent(NotSent::Unreachable) | RequestError::TimedOut { .. }
            )
    );
    if is_reached || attempts.is_empty() || !is_about_addresses {
        return Failure::with_next(code, no_reply, no_reply.next());
    }
    let tried: Vec<String> = attempts.iter().map(ToString::to_string).collect();
    let message = format!("{no_reply}; {}", tried.join("; "));
    let is_open = attempts.iter().any(|one| one.became == Became::Unproved);
    let next = match no_reply.taken() {
        Some(Taken::No) if is_open => {
            "give it longer (--hard), or compare the key and the address with those that the peer \
             prints (egtp up, egtp id); repeating it is safe: the peer has not taken it"
        }
        _ => no_reply.next(),
    };
    Failure::with_next(code, message, next)
}

/// Nothing was dialed: nothing is known, or nothing that this version can dial.
fn not_found(no_reply: &NoReply, known: &Known) -> Failure {
    match known {
        Known::NotReadable(why) => Failure::with_next(
            Code::NotFound,
            format_args!("not sent: no address of this peer is known, and {why}"),
            "make that file readable, or use the peer's ticket",
        ),
        Known::Addresses(strategies) if strategies.is_empty() => {
            Failure::with_next(Code::NotFound, no_reply, no_reply.next())
        }
        Known::Addresses(strategies) => {
            let texts: Vec<String> = strategies.iter().map(ToString::to_string).collect();
            let texts = texts.join(", ");
            Failure::with_next(
                Code::NotFound,
                format_args!(
                    "not sent: this version dials tcp and relays only, and what is known of the peer is {texts}"
                ),
                "ask its owner for a ticket with an address that begins with at=tcp/",
            )
        }
    }
}
