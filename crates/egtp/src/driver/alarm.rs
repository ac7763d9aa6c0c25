//! When the driver is woken though nothing has happened.
//!
//! Invariant: never later than the endpoint's next deadline.

use std::task::{Context, Poll};
use std::time::Duration;

use egtp_proto::time::Instant;

use super::Driver;

impl Driver {
    /// Whether to look once more instead of sleeping.
    pub(super) fn spins(&self, boot: Duration) -> bool {
        boot.saturating_sub(self.busy_at) < self.spin
    }

    /// Sleeps until the endpoint's next deadline, or nearly for ever.
    pub(super) fn set_alarm(&mut self, boot: Duration, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.endpoint.deadline().map(Instant::since_start);
        let mut wait = deadline.map_or(IDLE, |deadline| deadline.saturating_sub(boot));
        if self.closing_since.is_some() {
            wait = wait.min(Duration::from_millis(100));
        }
        if !self.connections.is_empty() {
            wait = wait.min(self.hints_due.saturating_sub(boot));
        }
        if let Some(look) = self.ringer.deadline() {
            wait = wait.min(look.saturating_sub(boot));
        }
        let due = boot + wait;
        // Too early does no harm, and setting it anew for each packet would.
        if due < self.alarm || self.alarm <= boot || self.sleep.is_elapsed() {
            self.alarm = due;
            self.sleep.as_mut().reset(tokio::time::Instant::now() + wait);
        }
        self.sleep.as_mut().poll(context)
    }
}

/// How long the driver sleeps when nothing at all is to come.
const IDLE: Duration = Duration::from_hours(1);
