//! That a node that stays is reached through relays: where it is registered, and what it tells of that.
//!
//! Invariant: what is advertised is a relay that the node is registered at, or wants to be.

use std::time::Duration;

use egtp::{Node, PublicKey, Strategy, Ticket};
use egtp_services::relay::{Client, Standing};

use crate::failure::Failure;
use crate::json::Object;
use crate::output::Output;

/// A node's place at its relays.
#[derive(Debug)]
pub(crate) struct Relayed {
    client: Client,
    relays: Vec<Ticket>,
    output: Output,
}

impl Relayed {
    /// Registers the node at the first relay that answers. `None` if it is to be reached through none.
    pub(crate) async fn begin(node: &Node, relays: Vec<Ticket>, output: Output) -> Option<Self> {
        if relays.is_empty() {
            return None;
        }
        let mut client = Client::start(node.clone(), relays.clone());
        let registered = tokio::time::timeout(PATIENCE, client.registered()).await;
        if !matches!(registered, Ok(Some(_))) {
            let keys: Vec<String> =
                relays.iter().map(|relay| format!("{}...", relay.key.short())).collect();
            output.say(format_args!(
                "No relay answers yet ({}); the node starts, and keeps trying. egtp ping RELAY shows whether one is \
                 there.",
                keys.join(", ")
            ));
        }
        Some(Self { client, relays, output })
    }

    /// How others reach the node by its relays: first the one that it is at, then those that it may move to.
    pub(crate) fn strategies(&self) -> Vec<Strategy> {
        let is_elsewhere = |relay: &&Ticket| self.client.standing() != Standing::At(relay.key);
        let mut relays: Vec<&Ticket> = self.relays.iter().collect();
        relays.sort_by_key(is_elsewhere);
        let strategy = |relay: &Ticket| {
            let at = relay.strategies.iter().find_map(|strategy| match strategy {
                Strategy::Tcp(at) => Some(at.clone()),
                _ => None,
            });
            Strategy::Relay { relay: relay.key, at }
        };
        relays.into_iter().map(strategy).collect()
    }

    /// Waits until the node is registered elsewhere, or nowhere, and tells.
    ///
    /// # Errors
    /// When nobody reads.
    pub(crate) async fn tell_next(&mut self) -> Result<(), Failure> {
        let Some(standing) = self.client.changed().await else { std::future::pending().await };
        let relay: Option<PublicKey> = match standing {
            Standing::At(relay) => Some(relay),
            Standing::Nowhere => None,
        };
        match relay {
            Some(relay) => self.output.say(format_args!("Registered at the relay {relay}.")),
            None => self.output.say("The relay does not answer; the next one is asked."),
        }
        self.output.event(&Object::new().with("event", "relay").maybe("relay", relay))
    }
}

/// How long the ready line waits for a relay.
const PATIENCE: Duration = Duration::from_secs(5);
