//! What can go wrong, by what the caller can do about it.

use std::io;
use std::time::Duration;

pub use egtp_proto::{NotSent, RefusedWhy as Refusal, Taken};

use egtp_proto::Kind;

use crate::keyfile::KeyFileError;
use crate::store::StoreError;

/// Why a request or a send has no good end. Each request ends once, with a reply or one of these.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Nothing left this machine. Safe to try elsewhere, or again, at once.
    #[error("not sent: {0}")]
    NotSent(#[source] NotSent),
    /// The hard timeout passed. `taken` tells whether the peer is known to have taken the message;
    /// unless it is `No`, repeating the request could have its effect twice.
    #[error("no reply {} (taken by the peer: {})", within(*after), taken_text(*taken))]
    TimedOut {
        /// The hard timeout; of a request of an earlier run what was left of it when this run began, zero
        /// if it ended in that run.
        after: Duration,
        /// Whether the peer has taken it.
        taken: Taken,
    },
    /// The peer answered that it will not serve this. Repeating it gives the same answer, except
    /// for `Busy`.
    #[error("refused by the peer: {}", refusal_text(*.0))]
    Refused(Refusal),
    /// The receiver was restarted in between, and nobody there knows what became of it; it may have acted.
    /// Ask the application before repeating.
    #[error("outcome unknown: the peer was restarted in between, and may have acted")]
    Unknown {
        /// How often the request was sent.
        attempts: u32,
    },
    /// This node is closing.
    #[error("this node is closing")]
    Closing,
}

/// Why a node did not start. Nothing was left half done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The key file cannot be used. It was not changed.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The durable store cannot be used. It was not changed.
    #[error("{0}; {next}", next = .0.next())]
    Store(#[from] StoreError),
    /// The node was to have several loops, and something that was asked for allows for one only.
    #[error("a node with {what} has one loop: leave out `loops`, or that")]
    Loops {
        /// What.
        what: &'static str,
    },
    /// An address to listen at cannot be had.
    #[error("cannot listen at {addresses}: {source}; choose another address or port")]
    Listen {
        /// The addresses.
        addresses: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// Two routers serve the same kind. Use one router for all.
    #[error("cannot serve: {0}")]
    Serve(#[from] ServeError),
    /// The operating system gives no randomness.
    #[error("the operating system gives no random bytes")]
    Randomness,
    /// The driver's thread could not be started.
    #[error("cannot start the driver: {0}")]
    Driver(#[source] io::Error),
    /// The cryptographic library refused a key.
    #[error("the cryptographic library refused a key")]
    Cryptography,
}

/// Why a node does not serve.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Somebody else serves this kind already. Use one router for all.
    #[error("this kind is served already")]
    KindTaken,
    /// A kind's handler runs in the node's store, or its requests are to be kept there, and there is none.
    #[error("{kind} needs a durable store; give the builder one with `store`")]
    NeedsStore {
        /// The kind.
        kind: Kind,
    },
    /// A relay passes packets on by the identity and the loop that they came to, and this node has several of one or the
    /// other: some of its users would not find each other.
    #[error(
        "a relay is a node with one identity and one loop: leave out `also` and `loops`, or let a node of its own be the \
         relay"
    )]
    RelayIsShared,
    /// The node is closing.
    #[error("this node is closing")]
    Closing,
}

/// A word for whether a message was taken.
pub const fn taken_text(taken: Taken) -> &'static str {
    match taken {
        Taken::Yes => "yes",
        Taken::No => "no",
        Taken::Unknown => "unknown",
    }
}

/// A sentence for why a request was refused.
pub fn refusal_text(refusal: Refusal) -> String {
    match refusal {
        Refusal::Failed => "its handler failed".into(),
        Refusal::UnknownKind => "it does not serve this kind".into(),
        Refusal::NotAllowed => "this identity may not ask it".into(),
        Refusal::Busy { .. } => "it is busy; try again later".into(),
        Refusal::TooLarge => "the message or its reply is larger than it takes".into(),
        other => format!("reason {}", other.status()),
    }
}

fn within(after: Duration) -> String {
    if after.is_zero() { "in time".to_owned() } else { format!("within {after:?}") }
}
