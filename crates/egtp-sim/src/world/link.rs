//! Paths between two parties, as each of them sees them.
//!
//! A *stream* keeps order and loses nothing while it is up, as a TCP connection; a *packet* link may
//! do anything to a packet. Knows no faults: the network applies them.

use egtp_proto::PathId;
use egtp_proto::wire::Lane;

use super::checker::Party;
use super::clock::Time;

/// Names a link.
pub(crate) type LinkId = u64;

/// Which end of a link: 0 dialed, 1 accepted.
pub(crate) type Side = usize;

/// What a link does to packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkKind {
    Stream,
    Packets,
}

/// One end.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub party: Party,
    /// The life of the party to which the end belongs.
    pub life: u64,
    /// Whether the party knows this path.
    pub is_open: bool,
    /// Bytes that were sent and have not left yet.
    pub queued: usize,
    /// When the last of them leaves.
    pub leaves: Time,
    /// When the newest packet from here arrives, on a stream.
    pub newest: Time,
    /// Whether packets from here are vanishing many at a time.
    pub bursts: bool,
    /// The last packet sent from here, for splices.
    pub last: Vec<u8>,
}

/// A link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub kind: LinkKind,
    pub lane: Lane,
    pub ends: [End; 2],
    /// How long a packet takes without any fault.
    pub latency: Time,
    /// Nothing gets through any more, and both ends will notice.
    pub is_broken: bool,
    /// Nothing gets through any more, and nobody notices.
    pub swallows: bool,
    /// Packets that wait for the link to go on: towards which end.
    pub clogged: Option<Vec<(Side, Vec<u8>)>>,
    /// It takes nothing until then.
    pub full_until: Time,
    /// Bytes a second; 0 without a bound.
    pub rate: u64,
    /// When something was last sent.
    pub used: Time,
    /// Whether the accepting end cannot be sure of the address.
    pub claimed: bool,
    /// Bytes that the accepting end received, and that it sent.
    pub unproven: (usize, usize),
}

impl Link {
    pub(crate) fn new(
        kind: LinkKind,
        dialer: (Party, u64),
        acceptor: (Party, u64),
        latency: Time,
        now: Time,
    ) -> Self {
        let end = |(party, life)| End {
            party,
            life,
            is_open: false,
            queued: 0,
            leaves: now,
            newest: now,
            bursts: false,
            last: Vec::new(),
        };
        Self {
            kind,
            lane: Lane::Direct,
            ends: [end(dialer), end(acceptor)],
            latency,
            is_broken: false,
            swallows: false,
            clogged: None,
            full_until: 0,
            rate: 0,
            used: now,
            claimed: false,
            unproven: (0, 0),
        }
    }

    pub(crate) fn end(&self, side: Side) -> Option<&End> {
        self.ends.get(side)
    }

    pub(crate) fn end_mut(&mut self, side: Side) -> Option<&mut End> {
        self.ends.get_mut(side)
    }

    pub(crate) fn other(&self, side: Side) -> Option<&End> {
        self.ends.get(opposite(side))
    }

    /// Bytes that an end takes now.
    pub(crate) fn room(&self, side: Side, now: Time) -> usize {
        match self.end(side) {
            Some(end) if end.is_open && self.full_until <= now => {
                BUFFER_BYTES.saturating_sub(end.queued)
            }
            _ => 0,
        }
    }

    /// Whether a party has an end here.
    pub(crate) fn touches(&self, party: Party) -> bool {
        self.ends.iter().any(|end| end.party == party)
    }
}

pub(crate) const fn opposite(side: Side) -> Side {
    1 - side
}

/// The path that an end of a link is for its party.
pub(crate) fn path_of(link: LinkId, side: Side) -> PathId {
    PathId(link * 2 + u64::from(side == 1))
}

/// The end that a path is.
pub(crate) fn end_of(path: PathId) -> (LinkId, Side) {
    (path.0 / 2, usize::from(path.0 % 2 == 1))
}

/// What a connection of the product buffers, about.
const BUFFER_BYTES: usize = 256 * 1024;
