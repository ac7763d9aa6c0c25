//! How far large bodies have come, and the time that this earns them.
//!
//! Invariant: only bytes that were not there before count as progress, and nothing puts a hard timeout off
//! beyond what its sender allowed.

use super::Endpoint;
use super::timeouts::set_hard_timer;
use crate::exchange::outgoing::State;
use crate::output::{Event, Way};
use crate::time::Now;

impl Endpoint {
    /// The peer has answered a question about parts: what was sent before it is there.
    pub(super) fn parts_arrived(&mut self, now: Now, code: u32, answer: [u8; 8]) {
        let Some(peer) = self.peers.get_mut(code) else { return };
        let mark = u64::from_le_bytes(answer);
        if !peer.flight.answered(now.boot, mark) {
            return;
        }
        if let Some((_, offsets)) = peer.asked_about.take_if(|(asked, _)| *asked <= mark) {
            for (event, offset) in offsets {
                self.has_come(now, event, Way::Sending, offset);
            }
        }
        self.soil(code);
    }

    /// So many bytes of a message of ours are with the peer, or of its reply with us.
    pub(super) fn has_come(&mut self, now: Now, event: u32, way: Way, bytes: usize) {
        let Some(one) = self.outgoing.get_mut(event) else { return };
        let (told, total) = match way {
            Way::Sending if one.state == State::Sent => (&mut one.told_sent, one.body.len()),
            Way::Sending => return,
            Way::Receiving => {
                let total = one.reply.as_ref().map_or(0, |reply| reply.body.total());
                (&mut one.told_received, total)
            }
        };
        if bytes < told.saturating_add(PROGRESS_STEP) {
            return;
        }
        *told = bytes;
        let token = one.token;
        let due = now.boot.after(one.hard).min(one.hard_end);
        if due > one.hard_due && !matches!(one.state, State::Doubtful { .. } | State::Over) {
            one.hard_due = due;
            set_hard_timer(&mut self.timers, one, event, due);
        }
        self.events.push_back(Event::Progress { token, way, bytes, total });
    }
}

/// Bytes between two reports to the application.
pub(super) const PROGRESS_STEP: usize = 64 * 1024;
