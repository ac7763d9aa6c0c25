//! A request that is over, as it is printed and as it travels between two commands.
//!
//! Knows no node. Invariant: what is read from an object is what was written to it.

use std::time::Duration;

use bytes::Bytes;
use egtp::error::taken_text;
use egtp::{MessageId, Reply, RequestError, Taken};

use crate::control::Fields;
use crate::failure::{Code, Failure};
use crate::json::{Object, milliseconds};
use crate::message_id::Id;
use crate::outcome::NoReply;

/// A request that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its id, unless nothing was sent.
    id: Option<String>,
    /// How it ended, by its name in JSON and summaries.
    pub(crate) outcome: &'static str,
    /// The reply's body, if there was one.
    pub(crate) reply: Option<Bytes>,
    /// One word for why, where there is a choice of reasons.
    reason: Option<String>,
    /// Whether the peer has taken it, where that decides whether to repeat it.
    taken: Option<String>,
    /// How long it took.
    pub(crate) took: Duration,
    /// How the peer is reached, where that is known.
    pub(crate) path: Option<String>,
    attempts: Option<u32>,
    /// How often its soft timeout has passed: once or never.
    soft_timeouts: u32,
    /// Why there was no reply, if there was none.
    pub(crate) failure: Option<Failure>,
}

impl Ended {
    /// Ended with a reply.
    pub(crate) fn replied(
        id: Option<MessageId>,
        reply: Reply,
        took: Duration,
        soft_timeouts: u32,
    ) -> Self {
        Self {
            id: id.map(|id| id.to_string()),
            outcome: REPLY,
            path: reply.via.map(|via| via.to_string()),
            attempts: Some(reply.attempts),
            reply: Some(reply.body),
            reason: None,
            taken: None,
            took,
            soft_timeouts,
            failure: None,
        }
    }

    /// Ended without one, and why that is in words.
    pub(crate) fn without_reply(
        id: Option<MessageId>,
        no_reply: &NoReply,
        failure: Failure,
        took: Duration,
        soft_timeouts: u32,
    ) -> Self {
        let attempts = match no_reply {
            NoReply::Outcome(RequestError::Unknown { attempts }) => Some(*attempts),
            NoReply::Outcome(RequestError::NotSent(_)) => Some(0),
            _ => None,
        };
        Self {
            id: id.map(|id| id.to_string()),
            outcome: no_reply.name(),
            reply: None,
            reason: no_reply.reason(),
            taken: no_reply.taken().map(|taken| taken_text(taken).to_owned()),
            took,
            path: None,
            attempts,
            soft_timeouts,
            failure: Some(failure),
        }
    }

    /// Ended because the process that asked for us has gone and said nothing about it.
    /// If its disk keeps the request, under `kept`, that is not the end of it.
    pub(crate) fn lost(
        owner: &str,
        kept: Option<Id>,
        taken: Taken,
        (took, soft_timeouts): (Duration, u32),
    ) -> Self {
        let no_reply = NoReply::Interrupted(taken);
        let message = format_args!(
            "{owner}, through which this was asked, has ended without a word (taken by the peer: {})",
            taken_text(taken)
        );
        let next = kept.map_or_else(|| no_reply.next().to_owned(), how_it_goes_on);
        let failure = Failure::with_next(Code::Closing, message, next);
        Self::without_reply(kept.map(|id| id.0), &no_reply, failure, took, soft_timeouts)
    }

    /// The code of its failure, if it is one.
    pub(crate) fn code(&self) -> Option<Code> {
        self.failure.as_ref().map(|failure| failure.code)
    }

    /// Everything about it.
    pub(crate) fn object(&self) -> Object {
        self.write(Object::new())
    }

    /// The same after other fields.
    pub(crate) fn write(&self, object: Object) -> Object {
        let object = object
            .maybe("id", self.id.as_ref())
            .with("outcome", self.outcome)
            .base64("reply_base64", self.reply.as_deref())
            .maybe("reason", self.reason.as_ref())
            .maybe("taken", self.taken.as_ref())
            .with("took_ms", milliseconds(self.took))
            .maybe("path", self.path.as_ref())
            .with("attempts", self.attempts)
            .with("soft_timeouts", self.soft_timeouts);
        match &self.failure {
            Some(failure) => object.object("error", failure.object()),
            None => object,
        }
    }

    /// Reads it back.
    ///
    /// # Errors
    /// Which field is wrong.
    pub(crate) fn read(fields: &Fields) -> Result<Self, String> {
        let owned = |name| Ok::<_, String>(fields.text(name)?.map(ToOwned::to_owned));
        let outcome = fields.needed("outcome", Fields::text)?;
        let outcome = OUTCOMES.into_iter().find(|known| *known == outcome);
        let outcome = outcome.ok_or("the field outcome is no outcome that this version knows")?;
        let count = |name| {
            let number = fields.number(name)?;
            number
                .map(u32::try_from)
                .transpose()
                .map_err(|_| format!("the field {name} is too large"))
        };
        let (reply, failure) = (fields.bytes("reply_base64")?, fields.failure()?);
        if reply.is_some() == failure.is_some() {
            return Err("there is neither a reply nor an error, or both".to_owned());
        }
        Ok(Self {
            id: owned("id")?,
            outcome,
            reply,
            reason: owned("reason")?,
            taken: owned("taken")?,
            took: fields.needed("took_ms", Fields::milliseconds)?,
            path: owned("path")?,
            attempts: count("attempts")?,
            soft_timeouts: count("soft_timeouts")?.unwrap_or(0),
            failure,
        })
    }
}

const REPLY: &str = "reply";
const OUTCOMES: [&str; 7] =
    [REPLY, "accepted", "refused", "not_sent", "timed_out", "unknown", "closing"];

/// What to do about a request that goes on although this command does not.
pub(crate) fn how_it_goes_on(id: Id) -> String {
    format!(
        "it goes on while a node runs on this directory, as egtp up does; for its outcome: egtp events take {id}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(ended: &Ended) -> Ended {
        let fields: serde_json::Map<_, _> =
            serde_json::from_str(&ended.object().to_string()).unwrap();
        Ended::read(&fields.into()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let took = Duration::from_micros(1_234);
        let via = "tcp/127.0.0.1:1".parse().ok();
        let reply = Reply { body: Bytes::from_static(b"\0\xff"), took, via, attempts: 2 };
        let timed_out = RequestError::TimedOut { after: took, taken: Taken::Yes };
        let mut all = vec![
            Ended::replied(None, reply, took, 1),
            Ended::lost("process 1", None, Taken::Unknown, (took, 0)),
        ];
        for error in [timed_out, RequestError::Unknown { attempts: 3 }, RequestError::Closing] {
            let no_reply = NoReply::Outcome(error);
            let failure = Failure::with_next(no_reply.code(), "m", "n");
            all.push(Ended::without_reply(None, &no_reply, failure, took, 0));
        }
        for ended in all {
            assert_eq!(format!("{:?}", read_back(&ended)), format!("{ended:?}"));
        }
    }
}
