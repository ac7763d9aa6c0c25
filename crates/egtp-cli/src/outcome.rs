//! How a request ended, in the words of the JSON fields and in those for people.
//!
//! Knows nothing of how it was asked. Invariant: every outcome has one of eight names, and an exit
//! code.

use std::fmt;
use std::time::Duration;

use egtp::error::taken_text;
use egtp::{MessageId, NotSent, Refusal, Reply, RequestError, Taken};

use crate::failure::{Code, Failure};
use crate::json::{Object, milliseconds};

/// A request that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its id, unless nothing was sent.
    pub(crate) id: Option<MessageId>,
    /// How it ended.
    pub(crate) result: Result<Reply, NoReply>,
    /// How long it took.
    pub(crate) took: Duration,
    /// How often its soft timeout has passed: once or never.
    pub(crate) soft_timeouts: u32,
}

/// How a request ends without a reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoReply {
    /// With this outcome.
    Outcome(RequestError),
    /// By a signal: nobody waits for it any more. What was known of it then.
    Interrupted(Taken),
}

impl Ended {
    /// The failure that it is, if it is one.
    pub(crate) fn code(&self) -> Option<Code> {
        self.result.as_ref().err().map(NoReply::code)
    }

    /// Its name, as JSON and summaries have it.
    pub(crate) fn name(&self) -> &'static str {
        match &self.result {
            Ok(_) => "reply",
            Err(NoReply::Interrupted(_) | NoReply::Outcome(RequestError::Closing)) => "closing",
            Err(NoReply::Outcome(error)) => match error {
                RequestError::NotSent(_) => "not_sent",
                RequestError::TimedOut { .. } => "timed_out",
                RequestError::Refused(_) => "refused",
                _ => "unknown",
            },
        }
    }

    /// Everything about it, and the failure that it is, if it is one.
    pub(crate) fn object(&self, failure: Option<&Failure>) -> Object {
        let reply = self.result.as_ref().ok();
        let no_reply = self.result.as_ref().err();
        let attempts = match (reply, no_reply) {
            (Some(reply), _) => Some(reply.attempts),
            (_, Some(NoReply::Outcome(RequestError::Unknown { attempts }))) => Some(*attempts),
            (_, Some(NoReply::Outcome(RequestError::NotSent(_)))) => Some(0),
            _ => None,
        };
        let object = Object::new()
            .maybe("id", self.id)
            .with("outcome", self.name())
            .base64("reply_base64", reply.map(|reply| &*reply.body))
            .maybe("reason", no_reply.and_then(NoReply::reason))
            .with("taken", no_reply.and_then(NoReply::taken).map(taken_text))
            .with("took_ms", milliseconds(self.took))
            .maybe("path", reply.and_then(|reply| reply.via.as_ref()))
            .with("attempts", attempts)
            .with("soft_timeouts", self.soft_timeouts);
        match failure {
            Some(failure) => object.object("error", failure.object()),
            None => object,
        }
    }
}

impl NoReply {
    /// Its place in the table of exit codes.
    pub(crate) const fn code(&self) -> Code {
        let error = match self {
            Self::Interrupted(_) => return Code::Interrupted,
            Self::Outcome(error) => error,
        };
        match error {
            RequestError::NotSent(NotSent::Oneself) => Code::Oneself,
            RequestError::NotSent(NotSent::TooLarge { .. }) => Code::Usage,
            RequestError::NotSent(NotSent::NotFound) => Code::NotFound,
            RequestError::NotSent(_) => Code::NotSent,
            RequestError::TimedOut { .. } => Code::TimedOut,
            RequestError::Refused(_) => Code::Refused,
            RequestError::Unknown { .. } => Code::Unknown,
            RequestError::Closing => Code::Closing,
            _ => Code::Internal,
        }
    }

    /// Whether the peer has taken it, where that decides whether to repeat it.
    pub(crate) const fn taken(&self) -> Option<Taken> {
        match self {
            Self::Interrupted(taken) | Self::Outcome(RequestError::TimedOut { taken, .. }) => {
                Some(*taken)
            }
            Self::Outcome(_) => None,
        }
    }

    /// What to do next, as far as the outcome alone tells.
    pub(crate) const fn next(&self) -> &'static str {
        match (self, self.taken()) {
            (_, Some(Taken::Yes)) => {
                "do not repeat it, unless doing it twice does no harm: it was taken, and the peer may \
                 have acted on it"
            }
            (_, Some(Taken::No)) => "repeating it is safe: the peer has not taken it",
            (_, Some(Taken::Unknown)) => {
                "repeat it only if doing it twice does no harm: it may have been taken"
            }
            (Self::Outcome(RequestError::Refused(Refusal::Busy { .. })), None) => "repeat it later",
            (_, None) => self.code().next(),
        }
    }

    /// One word for why, where there is a choice of reasons.
    fn reason(&self) -> Option<String> {
        let word = match self {
            Self::Outcome(RequestError::Refused(refusal)) => match refusal {
                Refusal::Failed => "failed",
                Refusal::UnknownKind => "unknown_kind",
                Refusal::NotAllowed => "not_allowed",
                Refusal::Busy { .. } => "busy",
                Refusal::TooLarge => "too_large",
                other => return Some(format!("status_{}", other.status())),
            },
            Self::Outcome(RequestError::NotSent(why)) => match why {
                NotSent::Oneself => "oneself",
                NotSent::TooLarge { .. } => "too_large",
                NotSent::Busy => "busy",
                NotSent::NotFound => "not_found",
                NotSent::Unreachable => "unreachable",
                NotSent::NoHybridSuite => "no_hybrid_suite",
                _ => "other",
            },
            _ => return None,
        };
        Some(word.to_owned())
    }
}

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outcome(error) => error.fmt(f),
            Self::Interrupted(taken) => {
                write!(f, "interrupted (taken by the peer: {})", taken_text(*taken))
            }
        }
    }
}

/// Every word that `reason` can have: the code under which it occurs, the word, what it means.
pub(crate) const REASONS: [(Code, &str, &str); 13] = [
    (Code::Usage, "too_large", "the body is larger than a message may be"),
    (Code::Oneself, "oneself", "the peer is this node itself"),
    (Code::NotFound, "not_found", "no address of the peer is known that can be dialed"),
    (Code::NotSent, "unreachable", "no known address accepts a connection"),
    (Code::NotSent, "busy", "too many requests of this node are open"),
    (Code::NotSent, "no_hybrid_suite", "the peer, or this node, has no post-quantum suite"),
    (Code::NotSent, "other", "another reason of this machine"),
    (Code::Refused, "failed", "the handler failed"),
    (Code::Refused, "unknown_kind", "the peer does not serve this kind"),
    (Code::Refused, "not_allowed", "this identity may not ask that"),
    (Code::Refused, "busy", "the peer has too much to do; repeat it later"),
    (Code::Refused, "too_large", "the body or the reply is larger than one side takes"),
    (Code::Refused, "status_N", "a reason that this version has no word for"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_under_its_code() {
        let refusals = [
            Refusal::Failed,
            Refusal::UnknownKind,
            Refusal::NotAllowed,
            Refusal::Busy { retry_after: Duration::ZERO },
            Refusal::TooLarge,
        ];
        let not_sent = [
            NotSent::Oneself,
            NotSent::TooLarge { bytes: 2, limit: 1 },
            NotSent::Busy,
            NotSent::NotFound,
            NotSent::Unreachable,
            NotSent::NoHybridSuite,
            NotSent::NoIdentity,
        ];
        let refusals = refusals.into_iter().map(RequestError::Refused);
        let all = refusals.chain(not_sent.into_iter().map(RequestError::NotSent));
        for no_reply in all.map(NoReply::Outcome) {
            let (code, reason) = (no_reply.code(), no_reply.reason().expect("a reason"));
            let is_it = |row: &&(Code, &str, &str)| row.0 == code && row.1 == reason;
            assert_eq!(REASONS.iter().filter(is_it).count(), 1, "{code:?} {reason}");
        }
    }

    #[test]
    fn the_advice_depends_on_what_was_taken() {
        for (taken, words) in [
            (Taken::Yes, "do not repeat it"),
            (Taken::No, "repeating it is safe"),
            (Taken::Unknown, "only if doing it twice does no harm"),
        ] {
            let timed_out = RequestError::TimedOut { after: Duration::from_secs(1), taken };
            for no_reply in [NoReply::Outcome(timed_out), NoReply::Interrupted(taken)] {
                assert!(no_reply.next().contains(words), "{no_reply:?}");
            }
        }
    }
}
