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
    pub(crate) role: Role,
    /// Where it tells how it is, if it does.
    pub(crate) metrics: Option<String>,
    /// Whether its relay has got through to it by calling it back, if that has been tried.
    pub(crate) callable: Option<bool>,
}

/// What a node is to others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Somebody to ask.
    Node,
    /// Somebody who passes on.
    Relay,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Relay => "relay",
        }
    }
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
            .with("role", self.role.name())
            .text("public_key", self.key)
            .text("node_id", self.key.node_id())
            .text("ticket", &self.ticket)
            .list("listen", &self.listening)
            .list("kinds", &self.kinds)
            .with("guarantee", &*self.guarantee)
            .maybe("metrics", self.metrics.as_ref())
            .with("callable", self.callable)
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
            // An owner that does not say is of a version without relays.
            role: match fields.text("role")? {
                Some("relay") => Role::Relay,
                _ => Role::Node,
            },
            metrics: fields.text("metrics")?.map(ToOwned::to_owned),
            callable: fields.get("callable").and_then(serde_json::Value::as_bool),
        })
    }

    fn greeting(&self) -> String {
        let (egtp, ticket) = (invocation::egtp(), &self.ticket);
        let example = self.kinds.first().map_or("echo/1", Kind::as_str);
        let kinds: Vec<&str> = self.kinds.iter().map(Kind::as_str).collect();
        let (does, next) = match self.role {
            Role::Node => (
                format!("This node answers {}.", kinds.join(" and ")),
                format!(
                    "On the other side, in another terminal or on another machine, run\n\n  \
                     {egtp} ping '{ticket}'\n  \
                     {egtp} request '{ticket}' {example} hello"
                ),
            ),
            Role::Relay => (
                "This node passes packets on to those who register here.".to_owned(),
                format!(
                    "A node that cannot be called is reached through it if it was started with\n\n  \
                     {egtp} up --relay '{ticket}'"
                ),
            ),
        };
        let listening: Vec<String> = self.listening.iter().map(ToString::to_string).collect();
        let listening = if listening.is_empty() { "nowhere".into() } else { listening.join(" ") };
        let relay = self.ticket.strategies.iter().find(|one| one.is_relayed());
        let relay = relay.map_or_else(String::new, |by| format!("reached by  {by}\n"));
        let metrics = self.metrics.as_ref();
        let metrics = metrics.map_or_else(String::new, |url| format!("metrics     {url}\n"));
        format!(
            "Ready. {does}\n\n\
             node id     {id}\n\
             public key  {key}\n\
             listening   {listening}\n\
             {relay}\
             guarantee   {guarantee}\n\
             {metrics}\n\
             {next}\n\n\
             Ctrl-C stops it.",
            guarantee = self.guarantee,
            id = self.key.node_id(),
            key = self.key,
        )
    }
}
