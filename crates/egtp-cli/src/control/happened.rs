//! Something that has happened in a node, as `events` prints it.
//!
//! Knows no node. Invariant: what is read from an object is what was written to it.

use std::time::Duration;

use egtp::events::{Happening, NodeEvent};

use super::Fields;
use crate::json::Object;
use crate::times;

/// Something that has happened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Happened {
    /// Its name.
    pub(crate) event: String,
    /// When, as text.
    pub(crate) at: String,
    /// The message that it is about.
    pub(crate) id: Option<String>,
    pub(crate) peer: Option<String>,
    pub(crate) kind: Option<String>,
    /// How a message of this node has ended.
    pub(crate) outcome: Option<String>,
    /// How the peer was reached.
    pub(crate) path: Option<String>,
    /// With which status a message of a peer was refused.
    pub(crate) refused: Option<u64>,
    /// How many events were missed.
    pub(crate) missed: Option<u64>,
}

impl Happened {
    pub(super) fn new(event: &NodeEvent) -> Self {
        let blank = Self { at: times::rfc3339(event.at), ..Self::default() };
        let named = |event: &str| Self { event: event.to_owned(), ..blank.clone() };
        let about =
            |event: &str, id: &egtp::MessageId| Self { id: Some(id.to_string()), ..named(event) };
        match &event.what {
            Happening::Session { peer } => {
                Self { peer: Some(peer.to_string()), ..named("session") }
            }
            Happening::Asked { id, to, kind } => Self {
                peer: Some(to.to_string()),
                kind: Some(kind.to_string()),
                ..about("asked", id)
            },
            Happening::Received { id } => about("received", id),
            Happening::Stored { id } => about("stored", id),
            Happening::Ended { id, ending, path } => Self {
                outcome: Some(ending.name().to_owned()),
                path: path.as_ref().map(ToString::to_string),
                ..about("outcome", id)
            },
            Happening::Taken { id, from, kind } => Self {
                peer: Some(from.to_string()),
                kind: Some(kind.to_string()),
                ..about("taken", id)
            },
            Happening::Replied { id, refused } => {
                Self { refused: refused.map(|why| why.status().into()), ..about("replied", id) }
            }
            Happening::Withdrawn { id } => about("withdrawn", id),
            Happening::TwoCopies { peer } => {
                Self { peer: Some(peer.to_string()), ..named("two_copies") }
            }
            Happening::AnotherCopy { from } => {
                Self { peer: Some(from.to_string()), ..named("another_copy") }
            }
            // A later library may know more.
            _ => named("other"),
        }
    }

    /// That so many could not be told.
    pub(super) fn missed(count: u64, now: Duration) -> Self {
        Self {
            event: "missed".to_owned(),
            at: times::rfc3339(now),
            missed: Some(count),
            ..Self::default()
        }
    }

    /// Its fields after others.
    pub(crate) fn write(&self, object: Object) -> Object {
        object
            .with("event", &*self.event)
            .with("at", &*self.at)
            .maybe("id", self.id.as_ref())
            .maybe("peer", self.peer.as_ref())
            .maybe("kind", self.kind.as_ref())
            .maybe("outcome", self.outcome.as_ref())
            .maybe("path", self.path.as_ref())
            .with("refused", self.refused)
            .with("missed", self.missed)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// Which field is wrong.
    pub(super) fn read(fields: &Fields) -> Result<Self, String> {
        let text = |name| Ok::<_, String>(fields.text(name)?.map(ToOwned::to_owned));
        Ok(Self {
            event: fields.needed("event", Fields::text)?.to_owned(),
            at: fields.needed("at", Fields::text)?.to_owned(),
            id: text("id")?,
            peer: text("peer")?,
            kind: text("kind")?,
            outcome: text("outcome")?,
            path: text("path")?,
            refused: fields.number("refused")?,
            missed: fields.number("missed")?,
        })
    }

    /// For people: one line.
    pub(crate) fn line(&self) -> String {
        let refused = self.refused.map(|status| format!("refused ({status})"));
        let missed = self.missed.map(|count| format!("{count} events"));
        let rest = [
            self.kind.clone(),
            self.outcome.clone(),
            refused,
            missed,
            self.path.clone(),
            self.peer.clone(),
            self.id.clone(),
        ];
        let rest: Vec<String> = rest.into_iter().flatten().collect();
        format!("{}  {:<9} {}", self.at, self.event, rest.join("  "))
    }
}
