//! What can be asked through the control socket.
//!
//! Both sides use it: one writes what the other reads. Invariant: what is read back is what was
//! written.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use egtp::{Kind, PublicKey, Refusal};

use super::Fields;
use crate::json::{Object, milliseconds};
use crate::message_id::Id;
use crate::peer::Peer;

/// One thing to do, with the number by which its answers are known.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) number: u64,
    pub(super) what: What,
}

/// What to do.
#[derive(Debug)]
pub(super) enum What {
    /// Ask a peer.
    Request(Question),
    /// Say what the node holds.
    Status,
    /// Say what happens in the node.
    Events(Which),
    /// Name the durable requests that the node keeps.
    Kept,
    /// Follow one of them to its end.
    Take(Id),
    /// Give one of them up.
    Forget(Id),
    /// Back the directory up to this new file.
    BackUp(String),
    /// Give queries of a kind to this connection.
    Serve(Service),
    /// Lend the messages of the inbox to this connection: those that are there, or also those that come.
    Inbox {
        /// Whether also those that come.
        follow: bool,
    },
    /// The answer to a query that was given to the call with this number.
    Answer(u64, Answer),
    /// End the call with this number.
    Cancel,
}

/// Which events of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Which {
    /// Those that it remembers.
    Past,
    /// Those that come.
    Live,
}

/// A request to a peer, as the command line describes it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) peer: Peer,
    pub(crate) kind: Kind,
    pub(crate) body: Bytes,
    pub(crate) soft: Option<Duration>,
    pub(crate) hard: Duration,
    /// Until when progress of a large body may put that off.
    pub(crate) hard_max: Option<Duration>,
    pub(crate) durable: bool,
    /// Whether only a hybrid session may carry it.
    pub(crate) post_quantum: bool,
    /// What is wanted of the peer.
    pub(crate) wants: Wants,
}

/// What is wanted of whoever gets a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wants {
    /// A reply.
    Reply,
    /// That it takes the message.
    Receipt,
}

/// A kind that another process answers.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) kind: Kind,
    pub(crate) allowed: Option<HashSet<PublicKey>>,
    /// Queries that it takes at once.
    pub(crate) concurrency: usize,
}

/// What becomes of a query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Reply(Bytes),
    Refuse(Refusal),
    Ignore,
}

impl Call {
    /// Reads a call.
    ///
    /// # Errors
    /// Which field is wrong, and how.
    pub(super) fn read(fields: &Fields) -> Result<Self, String> {
        if fields.get("schema").and_then(serde_json::Value::as_u64) != Some(1) {
            return Err("an object begins with \"schema\":1".to_owned());
        }
        let number = fields.needed("call", Fields::number)?;
        let answered = || fields.needed("query", Fields::number);
        let what = match fields.needed("do", Fields::text)? {
            "request" => What::Request(Question::read(fields)?),
            "status" => What::Status,
            "events" => What::Events(if fields.flag("past")? { Which::Past } else { Which::Live }),
            "kept" => What::Kept,
            "take" => What::Take(fields.needed("id", Fields::parsed)?),
            "forget" => What::Forget(fields.needed("id", Fields::parsed)?),
            "backup" => What::BackUp(absolute(fields.needed("file", Fields::text)?)?),
            "inbox" => What::Inbox { follow: fields.flag("follow")? },
            "serve" => What::Serve(Service::read(fields)?),
            "reply" => {
                let body = fields.needed("body_base64", Fields::bytes)?;
                What::Answer(answered()?, Answer::Reply(body))
            }
            "refuse" => {
                let status = fields.needed("status", Fields::number)?;
                let status = u8::try_from(status).map_err(|_| "the field status is above 255")?;
                What::Answer(answered()?, Answer::Refuse(Refusal::from_status(status)))
            }
            "ignore" => What::Answer(answered()?, Answer::Ignore),
            "cancel" => What::Cancel,
            other => return Err(format!("the field do is {other:?}, and that is nothing to do")),
        };
        Ok(Self { number, what })
    }

    /// Writes it.
    pub(super) fn object(&self) -> Object {
        let object = Object::new().with("call", self.number);
        match &self.what {
            What::Request(question) => question.write(object.with("do", "request")),
            What::Status => object.with("do", "status"),
            What::Events(which) => object.with("do", "events").with("past", *which == Which::Past),
            What::Kept => object.with("do", "kept"),
            What::Take(id) => object.with("do", "take").text("id", id),
            What::Forget(id) => object.with("do", "forget").text("id", id),
            What::BackUp(file) => object.with("do", "backup").with("file", &**file),
            What::Inbox { follow } => object.with("do", "inbox").with("follow", *follow),
            What::Serve(service) => service.write(object.with("do", "serve")),
            What::Answer(query, answer) => match answer {
                Answer::Reply(body) => object
                    .with("do", "reply")
                    .with("query", *query)
                    .base64("body_base64", Some(&**body)),
                Answer::Refuse(why) => {
                    object.with("do", "refuse").with("query", *query).with("status", why.status())
                }
                Answer::Ignore => object.with("do", "ignore").with("query", *query),
            },
            What::Cancel => object.with("do", "cancel"),
        }
    }
}

/// A path that means the same to both sides.
fn absolute(file: &str) -> Result<String, String> {
    if file.starts_with('/') {
        return Ok(file.to_owned());
    }
    Err("the field file is no absolute path: the owner may run elsewhere".to_owned())
}

impl Question {
    fn read(fields: &Fields) -> Result<Self, String> {
        Ok(Self {
            peer: fields.needed("peer", Fields::parsed)?,
            kind: fields.needed("kind", Fields::parsed)?,
            body: fields.bytes("body_base64")?.unwrap_or_default(),
            soft: fields.milliseconds("soft_ms")?,
            hard: fields.milliseconds("hard_ms")?.unwrap_or(HARD),
            hard_max: fields.milliseconds("hard_max_ms")?,
            durable: fields.flag("durable")?,
            post_quantum: fields.flag("post_quantum")?,
            wants: if fields.flag("send")? { Wants::Receipt } else { Wants::Reply },
        })
    }

    fn write(&self, object: Object) -> Object {
        object
            .text("peer", &self.peer)
            .text("kind", &self.kind)
            .base64("body_base64", Some(&self.body))
            .with("soft_ms", self.soft.map(milliseconds))
            .with("hard_ms", milliseconds(self.hard))
            .with("hard_max_ms", self.hard_max.map(milliseconds))
            .with("durable", self.durable)
            .with("post_quantum", self.post_quantum)
            .with("send", self.wants == Wants::Receipt)
    }
}

impl Service {
    fn read(fields: &Fields) -> Result<Self, String> {
        let keys = fields.list::<PublicKey>("allow")?;
        let concurrency = fields.number("concurrency")?.unwrap_or(CONCURRENCY);
        Ok(Self {
            kind: fields.needed("kind", Fields::parsed)?,
            allowed: keys.map(|keys| keys.into_iter().collect()),
            concurrency: usize::try_from(concurrency).unwrap_or(usize::MAX),
        })
    }

    fn write(&self, object: Object) -> Object {
        let object = object.text("kind", &self.kind);
        let object = match &self.allowed {
            None => object.with("allow", None::<bool>),
            Some(keys) => object.list("allow", keys),
        };
        object.with("concurrency", self.concurrency)
    }
}

/// As long as the command line waits where nothing else is said.
const HARD: Duration = Duration::from_mins(1);
/// As many as `egtp serve` takes at once where nothing else is said.
const CONCURRENCY: u64 = 64;

#[cfg(test)]
mod tests {
    use egtp::MessageId;

    use super::*;

    fn read_back(call: &Call) -> Call {
        let text = call.object().to_string();
        let fields: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
        Call::read(&fields.into()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let key = egtp::SecretKey::from_seed([7; 32]).public();
        let kind = Kind::new("a/1").unwrap();
        let question = Question {
            peer: format!("egtp:{key}?at=tcp/127.0.0.1:1").parse().unwrap(),
            kind: kind.clone(),
            body: Bytes::from_static(b"\0\xff"),
            soft: Some(Duration::from_millis(1)),
            hard: Duration::from_hours(24),
            hard_max: Some(Duration::from_millis(7)),
            durable: true,
            post_quantum: true,
            wants: Wants::Receipt,
        };
        let service = Service { kind, allowed: Some([key].into()), concurrency: 3 };
        for what in [
            What::Request(question),
            What::Status,
            What::Events(Which::Past),
            What::Events(Which::Live),
            What::Kept,
            What::Take(Id(MessageId::from_bytes([0xab; 32]))),
            What::Forget(Id(MessageId::from_bytes([0; 32]))),
            What::BackUp("/tmp/a file".into()),
            What::Serve(service),
            What::Inbox { follow: true },
            What::Answer(5, Answer::Reply(Bytes::from_static(b"\n"))),
            What::Answer(6, Answer::Refuse(Refusal::TooLarge)),
            What::Answer(7, Answer::Ignore),
            What::Cancel,
        ] {
            let call = Call { number: u64::MAX, what };
            assert_eq!(format!("{:?}", read_back(&call)), format!("{call:?}"));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            (r#"{"call":1,"do":"status"}"#, "schema"),
            (r#"{"schema":2,"call":1,"do":"status"}"#, "schema"),
            (r#"{"schema":1,"do":"status"}"#, "call is missing"),
            (r#"{"schema":1,"call":-1,"do":"status"}"#, "call is not a whole number"),
            (r#"{"schema":1,"call":1,"do":"fly"}"#, "fly"),
            (r#"{"schema":1,"call":1,"do":"request","kind":"a/1"}"#, "peer is missing"),
            (r#"{"schema":1,"call":1,"do":"request","kind":"a/1","peer":"bob"}"#, "@bob"),
            (
                r#"{"schema":1,"call":1,"do":"request","kind":"a/1","peer":"@bob","hard_ms":1e99}"#,
                "hard_ms",
            ),
            (
                r#"{"schema":1,"call":1,"do":"request","kind":"a/1","peer":"@bob","body_base64":"?"}"#,
                "body_base64",
            ),
            (r#"{"schema":1,"call":1,"do":"serve","kind":"a/1","allow":["x"]}"#, "allow"),
            (r#"{"schema":1,"call":1,"do":"take","id":"0f"}"#, "64 hexadecimal digits"),
            (r#"{"schema":1,"call":1,"do":"forget"}"#, "id is missing"),
            (r#"{"schema":1,"call":1,"do":"backup","file":"a"}"#, "no absolute path"),
            (r#"{"schema":1,"call":1,"do":"refuse","query":1,"status":256}"#, "status"),
        ] {
            let fields: serde_json::Map<_, _> = serde_json::from_str(text).unwrap();
            let error = Call::read(&fields.into()).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
