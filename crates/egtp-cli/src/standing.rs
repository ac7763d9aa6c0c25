//! A node that stays: how `up` and `serve` start, what they print when they are ready, how they end.
//!
//! Knows the directory and the signals, not what is served. Invariant: the ready line is printed
//! when the node accepts connections, and never before.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use egtp::path::Attempts;
use egtp::store::SqliteStore;
use egtp::{Builder, HostPort, Kind, Node, Router, Strategy, Ticket};
use egtp_services::mailbox::Mail;

use crate::asker::OwnNode;
use crate::context::Context;
use crate::control::{Control, Host};
use crate::directory::{Directory, Identity, Ownership};
use crate::failure::{Code, Failure};
use crate::guarantee::{IN_MEMORY, ON_DISK};
use crate::inbox::Inbox;
use crate::json::Object;
use crate::keeper::Keeper;
use crate::listening::Listening;
use crate::monitor::{self, Monitor};
use crate::output::Output;
use crate::posted::Posted;
use crate::ready::{Ready, Role};
use crate::relayed::Relayed;
use crate::signals::{Signals, Told};
use crate::{here, peer};

/// What a node that stays is to do.
#[derive(Debug)]
pub(crate) struct Duty {
    /// What answers.
    pub(crate) routers: Vec<Router>,
    /// The kinds that they answer, the one of interest first.
    pub(crate) kinds: Vec<Kind>,
    /// What others can do with it.
    pub(crate) risk: Risk,
    /// What it is to others.
    pub(crate) role: Role,
    /// What a relay does besides.
    pub(crate) keeper: Option<Keeper>,
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
    ready: Ready,
    signals: Signals,
    output: Output,
    risk: Risk,
    kept: Option<(Control, Ownership)>,
    relayed: Option<Relayed>,
    posted: Option<Posted>,
    keeper: Option<Keeper>,
    monitor: Option<Monitor>,
}

impl Standing {
    /// Starts a node, with an identity that is kept unless told otherwise. `owned` if its directory
    /// belongs to this process already.
    ///
    /// # Errors
    /// When the directory or an address cannot be had.
    pub(crate) async fn start(
        context: &Context,
        command: &str,
        listening: &Listening,
        duty: Duty,
        owned: Option<Ownership>,
    ) -> Result<Self, Failure> {
        // First of all, so that no signal finds us unprepared.
        let signals = Signals::catch()?;
        let output = context.output;
        let Duty { routers, kinds, risk, role, keeper } = duty;
        let mail = Mail::new();
        let attempts = Attempts::default();
        let mut builder = routers.into_iter().fold(Node::builder(), Builder::serve);
        let inbox = Inbox::default();
        builder = builder.serve(inbox.router());
        if role == Role::Node {
            let router = mail.router().map_err(|error| Failure::new(Code::Internal, error))?;
            builder = builder.serve(router);
        }
        builder = builder.attempts(attempts.clone());
        let directory = context.directory_if_kept()?;
        let relays = match role {
            Role::Node => listening.relays(context.names().as_ref(), directory.as_ref())?,
            Role::Relay => Vec::new(),
        };
        let (mut ownership, mut kept_port) = (None, None);
        if let Some(directory) = &directory {
            ownership = Some(match owned {
                Some(ownership) => ownership,
                None => directory.own(command)?,
            });
            let key = settle_in(directory, output)?;
            kept_port = directory.port()?;
            let store = SqliteStore::open(directory.store())?;
            builder = builder.key(key).only_instance().lookup(peer::lookup_in(directory));
            builder = builder.store(store);
        }
        let usual = SocketAddr::from((Ipv4Addr::UNSPECIFIED, kept_port.unwrap_or(0)));
        for address in listening.addresses(usual)? {
            builder = builder.listen(address);
        }
        let opened = match listening.metrics() {
            Some(at) => Some(monitor::Opened::at(at).await?),
            None => None,
        };
        let node = builder.start().await?;
        let relayed = Relayed::begin(&node, relays.clone(), output).await;
        let strategies = reached(node.listening(), relayed.as_ref());
        if let Some(directory) = &directory {
            directory.keep_listening(&strategies)?;
            if kept_port.is_none() && listening.is_usual() {
                let port = node.listening().iter().find_map(Strategy::host_port);
                port.map_or(Ok(()), |at| directory.keep_port(at.port))?;
            }
        }
        let posted = match &directory {
            Some(directory) => {
                let inward = (&*relays, &mail);
                Some(Posted::begin(&node, directory.clone(), inward, &strategies, output).await?)
            }
            None => None,
        };
        let guarantee = if directory.is_some() { ON_DISK } else { IN_MEMORY };
        let ready = Ready {
            key: node.key(),
            ticket: Ticket { key: node.key(), strategies },
            listening: node.listening().to_vec(),
            kinds,
            guarantee: guarantee.to_owned(),
            role,
            metrics: opened.as_ref().map(monitor::Opened::url),
            callable: relayed.as_ref().and_then(Relayed::is_callable),
        };
        let monitor = opened.map(|opened| opened.of(node.clone(), keeper.clone()));
        let mut kept = None;
        if let Some((directory, ownership)) = directory.zip(ownership) {
            let own = OwnNode::new(node.clone(), attempts, context.names());
            let own = if relayed.is_some() { own.reached_by_relays() } else { own };
            let host = Host::staying(own, command, ready.clone(), inbox);
            kept = Some((Control::listen(&directory, host)?, ownership));
        }
        Ok(Self { node, ready, signals, output, risk, kept, relayed, posted, keeper, monitor })
    }

    /// The node.
    pub(crate) fn node(&self) -> Node {
        self.node.clone()
    }

    /// Says that the node is ready, and stays until a signal asks it to go.
    ///
    /// # Errors
    /// When the node ends without being asked to.
    pub(crate) async fn stay(mut self) -> Result<(), Failure> {
        self.warn();
        self.ready.announce(self.output)?;
        loop {
            let moved = async {
                match &mut self.relayed {
                    Some(relayed) => relayed.tell_next().await,
                    None => std::future::pending().await,
                }
            };
            let listed = async {
                match &mut self.posted {
                    Some(posted) => posted.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.node.closed() => return Err(ended_early()),
                told = self.signals.told() => match (told, &self.keeper) {
                    (Told::Reload, Some(keeper)) => self.reload(keeper)?,
                    _ => break,
                },
                told = moved => told?,
                () = listed => {}
            }
            self.sign()?;
        }
        self.end().await
    }

    /// Stops within five seconds.
    async fn end(self) -> Result<(), Failure> {
        let begun = Instant::now();
        self.signals.give_up_on_next();
        // Whoever read the events may have gone; the node still says goodbye to its peers.
        let _ = self.output.event(&Object::new().with("event", "closing"));
        self.output.say("Stopping.");
        self.monitor.iter().for_each(Monitor::say_closing);
        if self.keeper.as_ref().is_some_and(Keeper::drain) {
            tokio::time::sleep(DRAINING_TIME).await;
        }
        let mut kept = self.kept;
        if let Some((control, _)) = &mut kept {
            control.take_no_more().await;
            control.say_closing();
        }
        // What is not said goodbye to by then learns it the hard way.
        let left = CLOSING_TIME.saturating_sub(begun.elapsed());
        if tokio::time::timeout(left, self.node.close()).await.is_err() {
            tracing::warn!("some peers could not be told goodbye in time");
        }
        if let Some((control, ownership)) = kept {
            control.finish().await;
            drop(ownership);
        }
        Ok(())
    }

    /// Reads again who may use it. If that cannot be read, all stays as it was, and that is said.
    fn reload(&self, keeper: &Keeper) -> Result<(), Failure> {
        match keeper.reload() {
            Ok(()) => {
                self.output.say("The lists were read again.");
                self.output.event(&Object::new().with("event", "reloaded"))
            }
            Err(failure) => {
                self.output.say(format_args!(
                    "The lists were not read again, and all stays as it was: {}; {}.",
                    failure.message, failure.next
                ));
                let event = Object::new().with("event", "not_reloaded");
                self.output.event(&event.object("error", failure.object()))
            }
        }
    }

    /// Its contact says how it is reached now.
    fn sign(&self) -> Result<(), Failure> {
        let Some(posted) = &self.posted else { return Ok(()) };
        posted.sign(reached(self.node.listening(), self.relayed.as_ref()))
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
}

/// Takes the key of a directory that this process owns, or makes one.
fn settle_in(directory: &Directory, output: Output) -> Result<egtp::SecretKey, Failure> {
    let (key, identity) = directory.key_or_new()?;
    if identity == Identity::Made {
        let path = directory.path().display();
        output.say(format_args!("A new identity was made in {path}; keep a copy of {path}/key."));
    }
    Ok(key)
}

/// How a node is reached: at its own addresses, then by its relays.
fn reached(listening: &[Strategy], relayed: Option<&Relayed>) -> Vec<Strategy> {
    let own = here::advertised(listening);
    let (mut strategies, by_relays) = match relayed {
        Some(relayed) => relayed.strategies(own),
        None => (own, Vec::new()),
    };
    strategies.truncate(Ticket::STRATEGIES_MAX - by_relays.len().min(RELAYS_TOLD));
    strategies.extend(by_relays.into_iter().take(RELAYS_TOLD));
    strategies
}

fn is_loopback(at: &Strategy) -> bool {
    let address = at.host_port().and_then(HostPort::socket_addr);
    address.is_some_and(|address| address.ip().is_loopback())
}

fn ended_early() -> Failure {
    Failure::new(Code::Internal, "the node ended by itself")
}

/// Relays that a ticket names: the present one, and those that come next.
const RELAYS_TOLD: usize = 4;
/// How long those who are registered have to find their next relay, before this one says goodbye.
const DRAINING_TIME: Duration = Duration::from_secs(1);
/// Less than the five seconds within which the process has gone.
const CLOSING_TIME: Duration = Duration::from_secs(4);
