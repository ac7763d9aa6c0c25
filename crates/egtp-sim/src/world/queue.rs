//! What is to happen, in the order in which it will.
//!
//! Invariant: two things at one moment happen in the order in which they were planned.

use std::collections::BTreeMap;

use egtp_proto::QueryId;

use super::checker::Party;
use super::clock::Time;
use super::fault::Fault;
use super::link::{LinkId, Side};
use super::rebirth::Trial;
use super::relays::Errand;

/// Where a packet that arrives comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// From the other end, perhaps late or again.
    Genuine,
    /// Bytes that no honest node ever made, or not so.
    Mangled,
    /// The same, ahead of the genuine packet of a handshake.
    Forerun,
}

/// One thing that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A node's deadline; an outdated number means that it was called for an earlier one.
    Wake(Party, u64),
    /// A packet reaches an end of a link.
    Arrive(LinkId, Side, Vec<u8>, Origin),
    /// Bytes have left the buffer of a link's end.
    Drained(LinkId, Side, usize),
    /// A link takes packets again.
    Writable(LinkId, Side),
    /// A dial of (node, life) to a party succeeds or not.
    Dialed { from: Party, life: u64, to: Party, succeeds: bool },
    /// The accepting end learns of a link.
    Accepted(LinkId),
    /// An end notices that its link is broken.
    Broken(LinkId, Side),
    /// The idle schedule of a link.
    IdleLook(LinkId),
    /// A link that stopped goes on.
    Unclog(LinkId),
    /// The request with this number begins.
    Ask(u64),
    /// A handler of (node, life) answers.
    Answer(Party, u64, QueryId),
    /// The asker gives up.
    Cancel(u64),
    /// The hard timeout of a request has come.
    Due(u64),
    /// A fault strikes.
    Strike(Fault),
    /// Two nodes ask each other more than a window holds, at once.
    Rush(Party, Party),
    /// A node sends something to the crowded one.
    Throng(Party, Party),
    /// A node is about to die at the worst moment for another one.
    Trial(Trial),
    /// It dies now.
    Death(Trial),
    /// Its new life is asked.
    AskReborn,
    /// The disk of (node, life) has written a batch.
    Written(Party, u64, u64),
    /// A node begins a new life.
    Restart(Party),
    /// A node that stopped goes on.
    Thaw(Party),
    /// A boot clock goes on.
    ClockGoesOn(Party),
    /// Something between a node and a relay.
    Errand(Errand),
    /// The hostile peer does something.
    HostileActs,
    /// The faults end.
    Calm,
    /// A pair is tried again after the faults.
    Probe(Party, Party),
    /// The pair should have exchanged a request by now.
    ProbeDue(Party, Party),
    /// Nothing may be left by now.
    End,
}

impl Happening {
    /// Its kind, for counts.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Wake(..) => "wake",
            Self::Arrive(..) => "arrive",
            Self::Drained(..) => "drained",
            Self::Writable(..) => "writable",
            Self::Dialed { .. } => "dialed",
            Self::Accepted(..) => "accepted",
            Self::Broken(..) => "broken",
            Self::IdleLook(..) => "idle look",
            Self::Unclog(..) => "unclog",
            Self::Ask(..) => "ask",
            Self::Answer(..) => "answer",
            Self::Cancel(..) => "cancel",
            Self::Due(..) => "due",
            Self::Strike(..) => "strike",
            Self::Rush(..) => "rush",
            Self::Throng(..) => "throng",
            Self::Trial(..) => "trial",
            Self::Death(..) => "death",
            Self::AskReborn => "ask reborn",
            Self::Written(..) => "written",
            Self::Restart(..) => "restart",
            Self::Thaw(..) => "thaw",
            Self::ClockGoesOn(..) => "clock goes on",
            Self::Errand(..) => "errand",
            Self::HostileActs => "hostile acts",
            Self::Calm => "calm",
            Self::Probe(..) => "probe",
            Self::ProbeDue(..) => "probe due",
            Self::End => "end",
        }
    }
}

/// See the head of this file.
#[derive(Default)]
pub(crate) struct Queue {
    planned: BTreeMap<(Time, u64), Happening>,
    count: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Time, happening: Happening) {
        self.planned.insert((at, self.count), happening);
        self.count += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, Happening)> {
        self.planned.pop_first().map(|((at, _), happening)| (at, happening))
    }
}
