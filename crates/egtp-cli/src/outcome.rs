//! How a request ended, in the words of the JSON fields and in those for people.
//!
//! Knows nothing of how it was asked. Invariant: every outcome has one of eight names, and an exit
//! code.

use std::time::Duration;

use egtp::error::taken_text;
use egtp::{MessageId, NotSent, Refusal, Reply, RequestError};

use crate::failure::Code;
use crate::json::{Object, milliseconds};

/// A request that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its id, unless nothing was sent.
    pub(crate) id: Option<MessageId>,
    /// How it ended.
    pub(crate) result: Result<Reply, RequestError>,
    /// How long it took.
    pub(crate) took: Duration,
    /// How often its soft timeout has passed: once or never.
    pub(crate) soft_timeouts: u32,
}

impl Ended {
    /// The failure that it is, if it is one.
    pub(crate) fn code(&self) -> Option<Code> {
        self.result.as_ref().err().map(Code::from)
    }

    /// Its name, as JSON and summaries have it.
    pub(crate) fn name(&self) -> &'static str {
        match &self.result {
            Ok(_) => "reply",
            Err(RequestError::NotSent(_)) => "not_sent",
            Err(RequestError::TimedOut { .. }) => "timed_out",
            Err(RequestError::Refused(_)) => "refused",
            Err(RequestError::Closing) => "closing",
            Err(_) => "unknown",
        }
    }

    /// Everything about it.
    pub(crate) fn object(&self) -> Object {
        let reply = self.result.as_ref().ok();
        let error = self.result.as_ref().err();
        let attempts = match (reply, error) {
            (Some(reply), _) => Some(reply.attempts),
            (_, Some(RequestError::Unknown { attempts })) => Some(*attempts),
            (_, Some(RequestError::NotSent(_))) => Some(0),
            _ => None,
        };
        let taken = match error {
            Some(RequestError::TimedOut { taken, .. }) => Some(taken_text(*taken)),
            _ => None,
        };
        Object::new()
            .maybe("id", self.id)
            .with("outcome", self.name())
            .base64("reply_base64", reply.map(|reply| &*reply.body))
            .maybe("reason", error.and_then(reason))
            .with("taken", taken)
            .with("took_ms", milliseconds(self.took))
            .maybe("path", reply.and_then(|reply| reply.via.as_ref()))
            .with("attempts", attempts)
            .with("soft_timeouts", self.soft_timeouts)
    }
}

/// One word for why, where there is a choice of reasons.
fn reason(error: &RequestError) -> Option<String> {
    let word = match error {
        RequestError::Refused(refusal) => match refusal {
            Refusal::Failed => "failed",
            Refusal::UnknownKind => "unknown_kind",
            Refusal::NotAllowed => "not_allowed",
            Refusal::Busy { .. } => "busy",
            Refusal::TooLarge => "too_large",
            other => return Some(format!("status_{}", other.status())),
        },
        RequestError::NotSent(why) => match why {
            NotSent::Oneself => "oneself",
            NotSent::TooLarge { .. } => "too_large",
            NotSent::Busy => "busy",
            NotSent::NotFound => "not_found",
            NotSent::Unreachable => "unreachable",
            _ => "other",
        },
        _ => return None,
    };
    Some(word.to_owned())
}
