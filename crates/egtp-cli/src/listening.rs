//! How a node that stays is to be reached: where it listens, and through which relays.
//!
//! Knows the command line and the directory's file of relays, no node. Invariant: a node that nobody could reach is
//! not started.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::Args;
use egtp::{Recipient, Strategy, Ticket};

use crate::directory::Directory;
use crate::failure::{Code, Failure};
use crate::monitor;
use crate::peer::Peer;
use crate::text_file;

/// Where a node listens, and who passes on to it.
#[derive(Args, Debug, Default)]
pub(crate) struct Listening {
    /// Accept connections here, as in tcp/127.0.0.1:7700; port 0 lets the system choose; none for nowhere
    ///
    /// May be given several times. Without it: all interfaces, at a port that is chosen at the first
    /// start and kept.
    #[arg(long = "listen", value_name = "ADDRESS", value_parser = parse_place)]
    places: Vec<Place>,

    /// Be reached through this relay as well: a ticket, as egtp relay prints it, a key or @name
    ///
    /// May be given several times: the next one is used while the one before does not answer. Without it: those in
    /// the file `relays` of the data directory, one on each line, if there is one.
    #[arg(long = "relay", value_name = "TICKET")]
    relays: Vec<Peer>,

    /// Tell whoever asks on this machine how the node is: /healthz, and /metrics for Prometheus, at tcp/127.0.0.1:PORT
    #[arg(long, value_name = "ADDRESS", value_parser = monitor::parse_address)]
    metrics: Option<SocketAddr>,
}

/// A value of `--listen`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    At(SocketAddr),
    Nowhere,
}

impl Listening {
    /// Whether nothing was said about it.
    pub(crate) const fn is_unsaid(&self) -> bool {
        self.places.is_empty() && self.relays.is_empty() && self.metrics.is_none()
    }

    /// Where it is to tell how it is, if anywhere.
    pub(crate) const fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Whether it is to listen nowhere.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.places.contains(&Place::Nowhere)
    }

    /// Whether relays were named.
    pub(crate) const fn has_relays(&self) -> bool {
        !self.relays.is_empty()
    }

    /// Whether nothing was said about where it listens.
    pub(crate) const fn is_usual(&self) -> bool {
        self.places.is_empty()
    }

    /// The addresses to listen at: `usual` if nothing was said.
    ///
    /// # Errors
    /// [`Code::Usage`] when it is to listen somewhere and nowhere.
    pub(crate) fn addresses(&self, usual: SocketAddr) -> Result<Vec<SocketAddr>, Failure> {
        if self.places.is_empty() {
            return Ok(vec![usual]);
        }
        let at = |place: &Place| match place {
            Place::At(address) => Some(*address),
            Place::Nowhere => None,
        };
        let addresses: Vec<SocketAddr> = self.places.iter().filter_map(at).collect();
        if !addresses.is_empty() && addresses.len() < self.places.len() {
            let message = "--listen none says that it listens nowhere, and another --listen where";
            return Err(Failure::with_next(Code::Usage, message, "leave one of them out"));
        }
        Ok(addresses)
    }

    /// The relays that it is to be reached through, best first.
    ///
    /// # Errors
    /// When a name is unknown, or the file of relays cannot be read.
    pub(crate) fn relays(
        &self,
        names: Option<&Directory>,
        directory: Option<&Directory>,
    ) -> Result<Vec<Ticket>, Failure> {
        let mut peers = self.relays.clone();
        if peers.is_empty()
            && let Some(directory) = directory
        {
            peers = in_file(directory)?;
        }
        let mut relays: Vec<Ticket> = Vec::new();
        for peer in peers {
            let Recipient { key, hints } = peer.resolve(names)?;
            if !relays.iter().any(|known| known.key == key) {
                relays.push(Ticket { key, strategies: hints });
            }
        }
        if relays.is_empty() && self.is_nowhere() {
            return Err(Failure::with_next(
                Code::Usage,
                "with --listen none and without a relay nobody could reach this node",
                "add --relay TICKET: egtp relay prints one where it runs",
            ));
        }
        Ok(relays)
    }
}

fn in_file(directory: &Directory) -> Result<Vec<Peer>, Failure> {
    let path = directory.relays();
    let text = text_file::read(&path)?.unwrap_or_default();
    let read = text_file::lines(&text).map(|(number, line)| {
        let damaged = |error| text_file::damaged(&path, format_args!("line {number}: {error}"));
        Peer::from_str(line).map_err(damaged)
    });
    read.collect()
}

fn parse_place(text: &str) -> Result<Place, String> {
    if text == "none" {
        return Ok(Place::Nowhere);
    }
    let hint = "an address to listen at is written tcp/127.0.0.1:7700 or tcp/[::1]:7700; none listens nowhere";
    match text.parse::<Strategy>() {
        Ok(Strategy::Tcp(at)) => at.socket_addr().map(Place::At).ok_or_else(|| hint.to_owned()),
        Ok(Strategy::Relay { .. }) => {
            Err("nobody listens at a relay; to be reached through one, give --relay TICKET".into())
        }
        Ok(_) => Err(format!("this version listens at tcp only; {hint}")),
        Err(error) => Err(format!("{error}; {hint}")),
    }
}
