//! A node that stays: how `up` and `serve` start, what they print when they are ready, how they end.
//!
//! Knows the directory and the signals, not what is served. Invariant: the ready line is printed
//! when the node accepts connections, and never before.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use egtp::store::SqliteStore;
use egtp::{Builder, HostPort, Kind, Node, Router, Strategy, Ticket};

use crate::context::Context;
use crate::directory::{Directory, Identity, Ownership};
use crate::failure::{Code, Failure};
use crate::guarantee::{IN_MEMORY, ON_DISK};
use crate::json::Object;
use crate::output::Output;
use crate::signals::Signals;
use crate::{here, invocation, peer};

/// Where a node listens.
#[derive(Args, Debug)]
pub(crate) struct Listening {
    /// Accept connections here, as in tcp/127.0.0.1:7700; port 0 lets the system choose
    ///
    /// May be given several times. Without it: all interfaces, at a port that is chosen at the first
    /// start and kept.
    #[arg(long = "listen", value_name = "ADDRESS", value_parser = parse_address)]
    addresses: Vec<SocketAddr>,
}

/// What somebody who reaches the node can do with it, unless only this machine reaches it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Risk {
    /// Ask, and be answered with what was sent, or refused.
    Ask,
    /// Run a command of this machine.
    RunCommand,
}

/// A running node, its signals, and its directory while it has one.
#[derive(Debug)]
pub(crate) struct Standing {
    node: Node,
    ticket: Ticket,
    signals: Signals,
    output: Output,
    risk: Risk,
    ownership: Option<Ownership>,
}

impl Standing {
    /// Starts a node, with an identity that is kept unless told otherwise.
    ///
    /// # Errors
    /// When the directory or an address cannot be had.
    pub(crate) async fn start(
        context: &Context,
        command: &str,
        listening: &Listening,
        (routers, risk): (Vec<Router>, Risk),
    ) -> Result<Self, Failure> {
        // First of all, so that no signal finds us unprepared.
        let signals = Signals::catch()?;
        let output = context.output;
        let mut builder = routers.into_iter().fold(Node::builder(), Builder::serve);
        let directory = context.directory_if_kept()?;
        let (mut ownership, mut kept_port) = (None, None);
        if let Some(directory) = &directory {
            let (owned, key) = settle_in(directory, command, output)?;
            ownership = Some(owned);
            kept_port = directory.port()?;
            let store = SqliteStore::open(directory.store())?;
            builder = builder.key(key).only_instance().lookup(peer::lookup_in(directory));
            builder = builder.store(store);
        }
        let usual = SocketAddr::from((Ipv4Addr::UNSPECIFIED, kept_port.unwrap_or(0)));
        let chosen = &listening.addresses;
        let chosen = if chosen.is_empty() { std::slice::from_ref(&usual) } else { chosen };
        for address in chosen {
            builder = builder.listen(*address);
        }
        let node = builder.start().await?;
        let strategies = here::advertised(node.listening());
        if let Some(directory) = &directory {
            directory.keep_listening(&strategies)?;
            if kept_port.is_none() && listening.addresses.is_empty() {
                let port = node.listening().iter().find_map(Strategy::host_port);
                port.map_or(Ok(()), |at| directory.keep_port(at.port))?;
            }
        }
        let strategies = strategies.into_iter().take(Ticket::STRATEGIES_MAX).collect();
        let ticket = Ticket { key: node.key(), strategies };
        Ok(Self { node, ticket, signals, output, risk, ownership })
    }

    /// Serves these routers, says that the node is ready, and stays until a signal asks it to go.
    ///
    /// # Errors
    /// When the node ends without being asked to.
    pub(crate) async fn stay(mut self, kinds: &[&Kind]) -> Result<(), Failure> {
        self.warn();
        self.announce(kinds)?;
        tokio::select! {
            () = self.node.closed() => return Err(ended_early()),
            () = self.signals.next() => {}
        }
        self.signals.give_up_on_next();
        // Whoever read the events may have gone; the node still says goodbye to its peers.
        let _ = self.output.event(&Object::new().with("event", "closing"));
        self.output.say("Stopping.");
        // What is not said goodbye to by then learns it the hard way.
        if tokio::time::timeout(CLOSING_TIME, self.node.close()).await.is_err() {
            tracing::warn!("some peers could not be told goodbye in time");
        }
        Ok(())
    }

    /// Says who can reach the node, if it is more than this machine.
    fn warn(&self) {
        let is_beyond = |at: &&Strategy| !is_loopback(at);
        let listening: Vec<String> =
            self.node.listening().iter().filter(is_beyond).map(ToString::to_string).collect();
        if listening.is_empty() {
            return;
        }
        let at = listening.join(" and ");
        self.output.say(match self.risk {
            Risk::Ask => format!(
                "Listening beyond this machine, at {at}: whoever reaches that and knows the key can \
                 ask. For this machine only: --listen tcp/127.0.0.1:0"
            ),
            Risk::RunCommand => format!(
                "Warning: whoever reaches {at} and knows the key can run this command here. For this \
                 machine only: --listen tcp/127.0.0.1:0; for some only: --allow KEY instead of \
                 --allow-any"
            ),
        });
    }

    fn announce(&self, kinds: &[&Kind]) -> Result<(), Failure> {
        let key = self.node.key();
        let object = Object::new()
            .with("event", "ready")
            .text("public_key", key)
            .text("node_id", key.node_id())
            .text("ticket", &self.ticket)
            .list("listen", self.node.listening())
            .list("kinds", kinds)
            .with("guarantee", self.guarantee());
        self.output.data(&object, self.greeting(kinds))
    }

    /// What the node promises: it has a store where it has a directory.
    const fn guarantee(&self) -> &'static str {
        if self.ownership.is_some() { ON_DISK } else { IN_MEMORY }
    }

    fn greeting(&self, kinds: &[&Kind]) -> String {
        let (key, egtp, ticket) = (self.node.key(), invocation::egtp(), &self.ticket);
        let example = kinds.first().map_or("echo/1", |kind| kind.as_str());
        let listening: Vec<String> =
            self.node.listening().iter().map(ToString::to_string).collect();
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
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
            guarantee = self.guarantee(),
            kinds = kinds.join(" and "),
            id = key.node_id(),
            listening = listening.join(" "),
        )
    }
}

/// Owns the directory and takes its key, or makes one.
fn settle_in(
    directory: &Directory,
    command: &str,
    output: Output,
) -> Result<(Ownership, egtp::SecretKey), Failure> {
    let owned = directory.own(command)?;
    let (key, identity) = directory.key_or_new()?;
    if identity == Identity::Made {
        let path = directory.path().display();
        output.say(format_args!("A new identity was made in {path}; keep a copy of {path}/key."));
    }
    Ok((owned, key))
}

fn is_loopback(at: &Strategy) -> bool {
    let address = at.host_port().and_then(HostPort::socket_addr);
    address.is_some_and(|address| address.ip().is_loopback())
}

fn ended_early() -> Failure {
    Failure::new(Code::Internal, "the node ended by itself")
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let hint = "an address to listen at is written tcp/127.0.0.1:7700 or tcp/[::1]:7700";
    match text.parse::<Strategy>() {
        Ok(Strategy::Tcp(at)) => at.socket_addr().ok_or_else(|| hint.to_owned()),
        Ok(_) => Err(format!("this version listens at tcp only; {hint}")),
        Err(error) => Err(format!("{error}; {hint}")),
    }
}

/// Less than the five seconds within which the process has gone.
const CLOSING_TIME: Duration = Duration::from_secs(4);
