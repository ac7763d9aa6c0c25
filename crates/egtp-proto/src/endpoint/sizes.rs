//! How much an endpoint holds, as plain data for whoever wants to show or measure it. Nothing depends on it.

use super::Endpoint;
use crate::counters::sums;

/// How much an endpoint holds at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sizes {
    /// Sessions and handshakes under way.
    pub sessions: usize,
    /// Sessions at rest, with peers that have no entry.
    pub frozen: usize,
    /// Of the former, those that both sides have confirmed.
    pub confirmed: usize,
    /// Peers with any state.
    pub peers: usize,
    /// Requests and sends of ours without an outcome.
    pub open: usize,
    /// Requests of others that wait for a reply, or whose reply is not acknowledged.
    pub queries: usize,
    /// Other messages of others that the application has in hand: nobody awaits a reply.
    pub held: usize,
    /// Dialogs that are remembered so that nothing is taken twice.
    pub dialogs: usize,
}

sums!(Sizes: sessions frozen confirmed peers open queries held dialogs);

impl Endpoint {
    /// Sizes of the tables: sessions, peers, open messages, open queries, remembered dialogs.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            sessions: self.sessions.len(),
            frozen: self.freezer.len(),
            confirmed: self.peers.iter().map(|(_, peer)| peer.sessions.len()).sum(),
            peers: self.peers.len(),
            open: self.outgoing.len(),
            queries: self.peers.iter().map(|(_, peer)| peer.queries.len()).sum(),
            held: self.peers.iter().map(|(_, peer)| peer.held).sum(),
            dialogs: self.identities.iter().map(|identity| identity.stores.dialogs()).sum(),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("sizes", &self.sizes()).finish_non_exhaustive()
    }
}
