//! A page for whoever watches over a node: is it well, and what has it counted.
//!
//! `http` is the server, `metrics` what it says of numbers. Off unless it is asked for, and never beyond this machine,
//! since it is for everybody who reaches it. Invariant: looking changes nothing, and no key and no address is shown.

mod http;
mod metrics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use egtp::{Node, Strategy};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::failure::{Code, Failure};
use crate::keeper::Keeper;

use self::metrics::Snapshot;

/// An address that is listened at, before there is a node.
#[derive(Debug)]
pub(crate) struct Opened {
    listener: TcpListener,
    at: SocketAddr,
}

/// A page that is served.
#[derive(Debug)]
pub(crate) struct Monitor {
    is_closing: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// What the page is about.
#[derive(Clone, Debug)]
struct Watched {
    node: Node,
    keeper: Option<Keeper>,
    is_closing: Arc<AtomicBool>,
}

/// How a node is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Health {
    Well,
    Closing,
    Silent,
}

impl Opened {
    /// Listens there.
    ///
    /// # Errors
    /// [`Code::Listen`] if it cannot.
    pub(crate) async fn at(at: SocketAddr) -> Result<Self, Failure> {
        let failed = |error| {
            Failure::with_next(
                Code::Listen,
                format_args!("--metrics: cannot listen at tcp/{at}: {error}"),
                "name a port that is free on this machine; port 0 lets the system choose",
            )
        };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, at })
    }

    /// Where it is found.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.at)
    }

    /// Serves the page of a node, until the monitor is dropped.
    pub(crate) fn of(self, node: Node, keeper: Option<Keeper>) -> Monitor {
        let is_closing = Arc::new(AtomicBool::new(false));
        let watched = Watched { node, keeper, is_closing: Arc::clone(&is_closing) };
        Monitor { is_closing, task: tokio::spawn(http::serve(self.listener, watched)) }
    }
}

impl Monitor {
    /// Says from now on that the node is about to go.
    pub(crate) fn say_closing(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watched {
    async fn health(&self) -> Health {
        if self.is_closing.load(Ordering::Relaxed) {
            return Health::Closing;
        }
        match self.node.status().await {
            Some(_) => Health::Well,
            None => Health::Closing,
        }
    }

    /// All numbers. `None` when the node has closed.
    async fn numbers(&self) -> Option<String> {
        let status = self.node.status().await?;
        let relay = self.keeper.as_ref().map(Keeper::relayed);
        let mail = self.keeper.as_ref().and_then(Keeper::mail);
        Some(Snapshot { status, relay, mail }.text())
    }
}

/// An address of `--metrics`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let hint = "it is written tcp/127.0.0.1:9300 or tcp/[::1]:9300";
    let at = match text.parse::<Strategy>() {
        Ok(Strategy::Tcp(at)) => at.socket_addr().ok_or_else(|| hint.to_owned())?,
        Ok(_) => return Err(format!("metrics are served over tcp; {hint}")),
        Err(error) => return Err(format!("{error}; {hint}")),
    };
    if at.ip().is_loopback() {
        return Ok(at);
    }
    Err(format!(
        "metrics are for this machine only, since everybody who reaches them may read them; {hint}. To read them from \
         elsewhere, use ssh -L, or a proxy that asks who it is"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_served_on_this_machine_alone() {
        for here in ["tcp/127.0.0.1:9300", "tcp/[::1]:0", "tcp/127.3.2.1:1"] {
            assert!(parse_address(here).is_ok(), "{here}");
        }
        for elsewhere in ["tcp/0.0.0.0:9300", "tcp/[::]:9300", "tcp/192.0.2.1:9300", "9300", ""] {
            assert!(parse_address(elsewhere).is_err(), "{elsewhere}");
        }
    }
}
