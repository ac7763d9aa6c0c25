//! What a running node holds, as `status` shows it.
//!
//! Knows no node. Invariant: what is read from an object is what was written to it.

use std::fmt;

use egtp::{OpenPath, OpenedBy, Status};
use serde_json::Value;

use super::Fields;
use crate::json::Object;

/// What a running node holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Report {
    /// Sessions that both sides have confirmed.
    confirmed: u64,
    /// Sessions of which that is not known yet.
    under_way: u64,
    /// Sessions of which only a root is left.
    at_rest: u64,
    /// Dialogs that are remembered so that nothing is taken twice.
    dialogs: u64,
    /// Requests of this node without an outcome.
    asked: u64,
    /// Requests of others without an acknowledged reply.
    to_answer: u64,
    /// Messages of others, without a reply, that are in hand.
    in_hand: u64,
    /// Open connections; not all of them need be in `paths`.
    connections: u64,
    paths: Vec<Line>,
    /// Kinds that are answered, and by whom.
    kinds: Vec<(String, String)>,
}

/// An open connection.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Line {
    path: String,
    peer: Option<String>,
    opened_by: String,
}

impl Report {
    /// From what the node says, and who answers what.
    pub(super) fn new(status: &Status, kinds: Vec<(String, String)>) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let sizes = &status.sizes;
        Self {
            confirmed: count(sizes.confirmed),
            under_way: count(sizes.sessions.saturating_sub(sizes.confirmed)),
            at_rest: count(sizes.frozen),
            dialogs: count(sizes.dialogs),
            asked: count(sizes.open),
            to_answer: count(sizes.queries),
            in_hand: count(sizes.held),
            connections: count(status.connections),
            paths: status.paths.iter().take(PATHS_MAX).map(Line::new).collect(),
            kinds,
        }
    }

    /// Its fields after others.
    pub(crate) fn write(&self, object: Object) -> Object {
        let sessions = Object::bare()
            .with("confirmed", self.confirmed)
            .with("under_way", self.under_way)
            .with("at_rest", self.at_rest);
        let waiting = Object::bare()
            .with("asked", self.asked)
            .with("to_answer", self.to_answer)
            .with("in_hand", self.in_hand);
        let paths = self.paths.iter().map(|line| {
            Object::bare()
                .with("path", &*line.path)
                .maybe("peer", line.peer.as_ref())
                .with("opened_by", &*line.opened_by)
        });
        let kinds = self
            .kinds
            .iter()
            .map(|(kind, by)| Object::bare().with("kind", &**kind).with("answered_by", &**by));
        object
            .object("sessions", sessions)
            .with("dialogs", self.dialogs)
            .object("waiting", waiting)
            .with("connections", self.connections)
            .with("paths", paths.map(Object::into_value).collect::<Vec<Value>>())
            .with("kinds", kinds.map(Object::into_value).collect::<Vec<Value>>())
    }

    /// Reads it back.
    ///
    /// # Errors
    /// Which field is wrong.
    pub(super) fn read(fields: &Fields) -> Result<Self, String> {
        let sessions = fields.needed("sessions", Fields::object)?;
        let waiting = fields.needed("waiting", Fields::object)?;
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let path = |line: &Fields| {
            Ok::<_, String>(Line {
                path: line.needed("path", Fields::text)?.to_owned(),
                peer: owned(line.text("peer")?),
                opened_by: line.needed("opened_by", Fields::text)?.to_owned(),
            })
        };
        let kind = |line: &Fields| {
            let kind = line.needed("kind", Fields::text)?.to_owned();
            Ok::<_, String>((kind, line.needed("answered_by", Fields::text)?.to_owned()))
        };
        Ok(Self {
            confirmed: sessions.needed("confirmed", Fields::number)?,
            under_way: sessions.needed("under_way", Fields::number)?,
            // An owner of an earlier version does not say it.
            at_rest: sessions.number("at_rest")?.unwrap_or(0),
            dialogs: fields.needed("dialogs", Fields::number)?,
            asked: waiting.needed("asked", Fields::number)?,
            to_answer: waiting.needed("to_answer", Fields::number)?,
            in_hand: waiting.needed("in_hand", Fields::number)?,
            connections: fields.needed("connections", Fields::number)?,
            paths: fields.objects("paths")?.iter().map(path).collect::<Result<_, _>>()?,
            kinds: fields.objects("kinds")?.iter().map(kind).collect::<Result<_, _>>()?,
        })
    }

    /// The fields of a report where no node runs.
    pub(crate) fn nothing(object: Object) -> Object {
        ["sessions", "dialogs", "waiting", "connections", "paths", "kinds"]
            .into_iter()
            .fold(object, |object, name| object.with(name, Value::Null))
    }
}

impl Line {
    fn new(open: &OpenPath) -> Self {
        let opened_by = match open.opened_by {
            OpenedBy::Us => "us",
            OpenedBy::Them => "them",
        };
        Self {
            path: open.strategy.to_string(),
            peer: open.peer.map(|peer| peer.to_string()),
            opened_by: opened_by.to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { confirmed, under_way, at_rest, dialogs, asked, to_answer, in_hand, .. } = self;
        writeln!(f, "sessions    {confirmed} confirmed, {under_way} under way, {at_rest} at rest")?;
        writeln!(f, "dialogs     {dialogs} remembered, so that nothing is taken twice")?;
        writeln!(
            f,
            "waiting     {asked} asked here, {to_answer} asked by others, {in_hand} other messages in hand"
        )?;
        for (kind, by) in &self.kinds {
            writeln!(f, "answers     {kind}, by {by}")?;
        }
        write!(f, "connections {}", self.connections)?;
        for Line { path, peer, opened_by } in &self.paths {
            let opened_by = if opened_by == "us" { "opened here" } else { "opened there" };
            let peer = peer.as_deref().unwrap_or("nobody has proved a key yet");
            write!(f, "\n  {path}, {opened_by}: {peer}")?;
        }
        Ok(())
    }
}

/// Connections that are listed: as many as anybody reads. How many there are is said in any case.
const PATHS_MAX: usize = 100;
