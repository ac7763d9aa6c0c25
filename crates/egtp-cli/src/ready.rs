//! That a node is ready: what `up` and `serve` print then, whoever runs the node.
//!
//! Knows no node. Invariant: what is read from an object is what was written to it.

use egtp::{Kind, PublicKey, Strategy, Ticket};

use crate::control::Fields;
use crate::failure::Failure;
use crate::invocation;
use crate::json::Object;
use crate::output::Output;

/// A node that answers, and how it is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ready {
    pub(crate) key: PublicKey,
    pub(crate) ticket: Ticket,
    /// Where it listens, as bound.
    pub(crate) listening: Vec<Strategy>,
    /// What it answers; what is of interest first.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) guarantee: String,
}

impl Ready {
    /// Prints it.
    ///
    /// # Errors
    /// When nobody reads.
    pub(crate) fn announce(&self, output: Output) -> Result<(), Failure> {
        output.data(&self.write(Object::new()), self.greeting())
    }

    /// Its fields after others.
    pub(crate) fn write(&self, object: Object) -> Object {
        object
            .with("event", "ready")
            .text("public_key", self.key)
            .text("node_id", self.key.node_id())
            .text("ticket", &self.ticket)
            .list("listen", &self.listening)
            .list("kinds", &self.kinds)
            .with("guarantee", &*self.guarantee)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// Which field is wrong.
    pub(crate) fn read(fields: &Fields) -> Result<Self, String> {
        Ok(Self {
            key: fields.needed("public_key", Fields::parsed)?,
            ticket: fields.needed("ticket", Fields::parsed)?,
            listening: fields.needed("listen", Fields::list)?,
            kinds: fields.needed("kinds", Fields::list)?,
            guarantee: fields.needed("guarantee", Fields::text)?.to_owned(),
        })
    }

    fn greeting(&self) -> String {
        let (egtp, ticket) = (invocation::egtp(), &self.ticket);
        let example = self.kinds.first().map_or("echo/1", Kind::as_str);
        let listening: Vec<String> = self.listening.iter().map(ToString::to_string).collect();
        let kinds: Vec<&str> = self.kinds.iter().map(Kind::as_str).collect();
        format!(
            "Ready. This node answers {kinds}.\n\n\
             node id     {id}\n\
             public key  {key}\n\
             listening   {listening}\n\
             guarantee   {guarantee}\n\n\
             On the other side, in another terminal or on another machine, run\n\n  \
             {egtp} ping '{ticket}'\n  \
             {egtp} request '{ticket}' {example} hello\n\n\
             Ctrl-C stops it.",
            guarantee = self.guarantee,
            kinds = kinds.join(" and "),
            id = self.key.node_id(),
            key = self.key,
            listening = listening.join(" "),
        )
    }
}
