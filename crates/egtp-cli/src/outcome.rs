//! How a request ended without a reply, in the words of the JSON fields and in those for people.
//!
//! Knows nothing of how it was asked. Invariant: every outcome has a name and an exit code.

use std::fmt;

use egtp::error::taken_text;
use egtp::{NotSent, Refusal, RequestError, Taken};

use crate::failure::Code;

/// How a request ends without a reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoReply {
    /// With this outcome.
    Outcome(RequestError),
    /// By a signal: nobody waits for it any more. What was known of it then.
    Interrupted(Taken),
}

impl NoReply {
    /// Its name, as JSON and summaries have it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Interrupted(_) | Self::Outcome(RequestError::Closing) => "closing",
            Self::Outcome(RequestError::NotSent(_)) => "not_sent",
            Self::Outcome(RequestError::TimedOut { .. }) => "timed_out",
            Self::Outcome(RequestError::Refused(_)) => "refused",
            Self::Outcome(_) => "unknown",
        }
    }

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
            RequestError::NotSent(NotSent::DiskRefuses) => Code::Io,
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
            (Self::Outcome(RequestError::NotSent(NotSent::DiskRefuses)), None) => {
                "make room on the disk that holds the data directory; what came before goes on by itself"
            }
            (_, None) => self.code().next(),
        }
    }

    /// One word for why, where there is a choice of reasons.
    pub(crate) fn reason(&self) -> Option<String> {
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
                NotSent::DiskRefuses => "disk_refuses",
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
pub(crate) const REASONS: [(Code, &str, &str); 14] = [
    (Code::Usage, "too_large", "the body is larger than a message may be"),
    (Code::Oneself, "oneself", "the peer is this node itself"),
    (Code::NotFound, "not_found", "no address of the peer is known that can be dialed"),
    (Code::NotSent, "unreachable", "no known address accepts a connection"),
    (Code::NotSent, "busy", "too many requests of this node are open"),
    (Code::Io, "disk_refuses", "the disk of this node does not write; its log says why"),
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
    use std::time::Duration;

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
            NotSent::DiskRefuses,
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
