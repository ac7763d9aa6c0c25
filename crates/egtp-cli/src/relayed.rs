//! That a node that stays is reached through relays: where it is registered, and what it tells of that.
//!
//! Its relay also says whether the node can be called directly. Invariant: what is advertised is a relay that the node is
//! registered at, or wants to be, and addresses at which it can be called, as far as that relay can tell.

use std::time::Duration;

use egtp::relay::DialedBack;
use egtp::{Node, PublicKey, Strategy, Ticket};
use egtp_services::relay::{Client, Standing, ask_back};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::callable;
use crate::failure::Failure;
use crate::json::Object;
use crate::output::Output;

/// A node's place at its relays.
#[derive(Debug)]
pub(crate) struct Relayed {
    node: Node,
    client: Client,
    relays: Vec<Ticket>,
    output: Output,
    /// What the present relay has found by calling the node back.
    found: watch::Sender<Option<DialedBack>>,
    finds: watch::Receiver<Option<DialedBack>>,
}

impl Relayed {
    /// Registers the node at the first relay that answers. `None` if it is to be reached through none.
    pub(crate) async fn begin(node: &Node, relays: Vec<Ticket>, output: Output) -> Option<Self> {
        if relays.is_empty() {
            return None;
        }
        let client = Client::start(node.clone(), relays.clone());
        let (found, finds) = watch::channel(None);
        let mut relayed = Self { node: node.clone(), client, relays, output, found, finds };
        match timeout(PATIENCE, relayed.client.registered()).await {
            Ok(Some(relay)) => {
                if let Some(asked) = relayed.find_out(relay) {
                    // So that the first ticket has it right, if that does not take long.
                    let _ = timeout(PATIENCE, asked).await;
                    relayed.finds.mark_unchanged();
                    relayed.say_callable();
                }
            }
            Ok(None) | Err(_) => relayed.say_nobody_answers(),
        }
        Some(relayed)
    }

    fn say_nobody_answers(&self) {
        let keys: Vec<String> =
            self.relays.iter().map(|relay| format!("{}...", relay.key.short())).collect();
        self.output.say(format_args!(
            "No relay answers yet ({}); the node starts, and keeps trying. egtp ping RELAY shows whether one is there.",
            keys.join(", ")
        ));
    }

    /// Asks a relay to call the node back, if it listens anywhere; what comes of it is told later. If nothing does, what
    /// was found before stands.
    fn find_out(&self, relay: PublicKey) -> Option<JoinHandle<()>> {
        let ports = callable::ports(self.node.listening());
        let ticket = self.relays.iter().find(|one| one.key == relay)?.clone();
        if ports.is_empty() {
            return None;
        }
        let (node, found) = (self.node.clone(), self.found.clone());
        Some(tokio::spawn(async move {
            match ask_back(&node, ticket, &ports).await {
                Ok(Some(back)) => {
                    found.send_replace(Some(back));
                }
                Ok(None) => tracing::info!("the relay's answer is not understood"),
                Err(error) => tracing::info!(%error, "the relay does not call back"),
            }
        }))
    }

    /// How others reach the node: at those of its own addresses at which it can be called, as far as its relay knows, and
    /// by its relays: first the one that it is at, then those that it may move to.
    pub(crate) fn strategies(&self, own: Vec<Strategy>) -> (Vec<Strategy>, Vec<Strategy>) {
        let own = match &*self.finds.borrow() {
            Some(found) => callable::confirmed(own, found),
            None => own,
        };
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
        (own, relays.into_iter().map(strategy).collect())
    }

    /// Whether others can call the node, if that is known.
    pub(crate) fn is_callable(&self) -> Option<bool> {
        self.finds.borrow().as_ref().map(|found| !found.open.is_empty())
    }

    /// Waits until the node is registered elsewhere, or nowhere, or it is known whether it can be called, and tells.
    ///
    /// # Errors
    /// When nobody reads.
    pub(crate) async fn tell_next(&mut self) -> Result<(), Failure> {
        tokio::select! {
            changed = self.finds.changed() => match changed {
                Ok(()) => self.tell_callable(),
                Err(_) => std::future::pending().await,
            },
            standing = self.client.changed() => match standing {
                Some(standing) => self.tell_standing(standing),
                None => std::future::pending().await,
            },
        }
    }

    fn tell_callable(&self) -> Result<(), Failure> {
        self.say_callable();
        self.output
            .event(&Object::new().with("event", "callable").with("callable", self.is_callable()))
    }

    fn say_callable(&self) {
        match self.is_callable() {
            Some(true) => self.output.say("Others can call this node: its relay has tried."),
            Some(false) => self.output.say(
                "Others cannot call this node, as its relay has found, and reach it through the relay.",
            ),
            None => {}
        }
    }

    fn tell_standing(&self, standing: Standing) -> Result<(), Failure> {
        let relay: Option<PublicKey> = match standing {
            Standing::At(relay) => Some(relay),
            Standing::Nowhere => None,
        };
        match relay {
            Some(relay) => {
                self.output.say(format_args!("Registered at the relay {relay}."));
                self.find_out(relay);
            }
            None => self.output.say("The relay does not answer; the next one is asked."),
        }
        self.output.event(&Object::new().with("event", "relay").maybe("relay", relay))
    }
}

/// How long the ready line waits for a relay, and then for what that finds.
const PATIENCE: Duration = Duration::from_secs(5);
