//! How many bytes of parts may be on their way to one peer.
//!
//! Knows byte counts and times, not records or paths. A part that waits in buffers between the two ends
//! holds up what is small and comes later, and no order of packing can help that. So the sender asks the
//! peer how far it has come, some times in each window, and keeps no more under way than the way itself
//! holds: little while small messages go there too, more while there is nobody to hold up. Invariant: at
//! least 32 KiB may be under way, and a question that is lost ends after [`Flight::lost_at`].

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// Bytes of parts on their way to one peer.
#[derive(Clone, Debug)]
pub struct Flight {
    window: u64,
    /// Bytes that were sent, and those of which it is known that they have arrived: since ever.
    sent: u64,
    arrived: u64,
    /// After which bytes the open questions were sent, and when.
    asked: VecDeque<(u64, Instant)>,
    /// Whether the window has been full since it was last changed: only then more would have gone.
    was_full: bool,
    /// What was sent before this was sent into a larger window than the present one.
    narrowed_at: u64,
    /// The shortest trip of a question, and since when that is believed.
    shortest: Option<(Duration, Instant)>,
    /// When something small went there last.
    small: Option<Instant>,
    /// How often what was under way has counted as lost since the last answer.
    losses: u32,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            window: WINDOW_START,
            sent: 0,
            arrived: 0,
            asked: VecDeque::new(),
            was_full: false,
            narrowed_at: 0,
            shortest: None,
            small: None,
            losses: 0,
        }
    }
}

impl Flight {
    /// Whether another record of parts may go.
    pub const fn may_send(&self) -> bool {
        self.sent.saturating_sub(self.arrived) < self.window
    }

    /// So many bytes of parts are in the record that is being made; `is_last` if no more wait. Returns a
    /// question to put behind them, if it is time for one, and the byte that it is about.
    pub fn sent(&mut self, now: Instant, bytes: usize, is_last: bool) -> Option<u64> {
        self.sent = self.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let is_full = !self.may_send();
        self.was_full |= is_full;
        let asked = self.asked.back().map_or(self.arrived, |(asked, _)| *asked);
        let unasked = self.sent.saturating_sub(asked);
        let is_time = is_full || is_last || unasked >= self.window / QUESTIONS;
        if unasked == 0 || !is_time || self.asked.len() >= ASKED_MAX {
            return None;
        }
        self.asked.push_back((self.sent, now));
        Some(self.sent)
    }

    /// Something small goes to the peer.
    pub const fn sent_small(&mut self, now: Instant) {
        self.small = Some(now);
    }

    /// The peer has answered the question about this byte. Returns whether it was open.
    pub fn answered(&mut self, now: Instant, mark: u64) -> bool {
        let Some(index) = self.asked.iter().position(|(asked, _)| *asked == mark) else {
            return false;
        };
        // Whatever was asked before has been overtaken.
        let at = self.asked.drain(..=index).next_back().map_or(now, |(_, at)| at);
        let newly = mark.saturating_sub(self.arrived);
        self.arrived = self.arrived.max(mark);
        self.losses = 0;
        let trip = now.since(at);
        let Some((shortest, since)) = self.shortest else {
            self.shortest = Some((trip, now));
            return true;
        };
        if now.since(since) >= SHORTEST_BELIEVED {
            // The way may be another one by now: it is measured with little on it.
            self.shortest = None;
            self.narrow();
            return true;
        }
        if trip < shortest {
            self.shortest = Some((trip, now));
        }
        if trip.saturating_sub(shortest) > self.queue_max(now, shortest) {
            if mark > self.narrowed_at {
                self.narrow();
            }
        } else if self.was_full {
            self.window = self.window.saturating_add(newly).min(WINDOW_MAX);
            self.was_full = !self.may_send();
        }
        true
    }

    fn narrow(&mut self) {
        self.window = (self.window / 2).max(WINDOW_MIN);
        self.narrowed_at = self.sent;
    }

    /// The longest delay that parts may cause on a way whose trip takes at least so long.
    fn queue_max(&self, now: Instant, shortest: Duration) -> Duration {
        let is_shared = self.small.is_some_and(|at| now.since(at) < SMALL_LATELY);
        if is_shared { QUEUE_SHARED.max(shortest / 2) } else { QUEUE_ALONE.max(shortest) }
    }

    /// Nothing is under way any more: the way is gone, and what was on it is sent again on another.
    pub fn begin_anew(&mut self) {
        *self = Self { sent: self.sent, arrived: self.sent, small: self.small, ..Self::default() };
    }

    /// The oldest open question counts as lost, and so does all that is under way: more may go. An answer
    /// that was only slow still tells how long the way is.
    pub fn lose(&mut self) {
        self.arrived = self.sent;
        self.losses = self.losses.saturating_add(1);
        if self.losses > LOSSES_MAX {
            self.asked.clear();
            self.losses = 0;
        }
        self.narrow();
    }

    /// When the oldest open question counts as lost, with what was under way: not before any answer that is
    /// only slow.
    pub fn lost_at(&self) -> Option<Instant> {
        let (_, asked) = self.asked.front()?;
        let trip = self.shortest.map_or(Duration::ZERO, |(shortest, _)| shortest);
        let patience = LOST_AFTER.max(trip * 8);
        Some(asked.after(patience * 2_u32.saturating_pow(self.losses)))
    }
}

/// Questions to a window.
const QUESTIONS: u64 = 4;
/// Open questions at most.
const ASKED_MAX: usize = 16;
/// What may be under way before anything is known: as much as a first window of TCP, and again.
const WINDOW_START: u64 = 64 * 1024;
/// Two full records.
const WINDOW_MIN: u64 = 32 * 1024;
/// A hundred milliseconds of 1.2 Gbit/s.
const WINDOW_MAX: u64 = 16 * 1024 * 1024;
/// Delay by parts under way that is let be while small messages go there too; on a longer way half as much as
/// the way itself takes.
const QUEUE_SHARED: Duration = Duration::from_micros(50);
/// The same while there is nobody to hold up; on a longer way as much as that takes.
const QUEUE_ALONE: Duration = Duration::from_millis(10);
/// How long small messages are reckoned with.
const SMALL_LATELY: Duration = Duration::from_secs(1);
/// How long a shortest trip is believed.
const SHORTEST_BELIEVED: Duration = Duration::from_secs(10);
/// How often the patience is doubled before nothing is asked any more.
const LOSSES_MAX: u32 = 8;
/// How long an answer is waited for at least.
const LOST_AFTER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: usize = 16 * 1024;

    /// A way that takes `delay` and carries so many bytes a second, with a sender that always has more. Returns
    /// what was sent, and for how long the second half of it waited on the way at most.
    fn transfer(delay: Duration, per_second: u64, small: bool, span: Duration) -> (u64, Duration) {
        let mut flight = Flight::default();
        let (mut now, end) = (Instant::default(), Instant::default().after(span));
        let mut free_at = now;
        let mut answers = VecDeque::new();
        let (mut total, mut worst) = (0, Duration::ZERO);
        let record = u64::try_from(RECORD).unwrap();
        while now < end {
            while flight.may_send() {
                free_at = free_at
                    .max(now)
                    .after(Duration::from_secs(record) / u32::try_from(per_second).unwrap());
                total += record;
                if now.since_start() > span / 2 {
                    worst = worst.max(free_at.since(now));
                }
                if let Some(question) = flight.sent(now, RECORD, false) {
                    answers.push_back((free_at.after(delay), question));
                }
            }
            let (at, question) = answers.pop_front().unwrap();
            now = at;
            if small {
                flight.sent_small(now);
            }
            assert!(flight.answered(now, question));
        }
        (total, worst)
    }

    #[test]
    fn a_long_way_is_filled() {
        // 100 ms, 100 Mbit/s.
        let second = Duration::from_secs(1);
        let (total, worst) = transfer(second / 10, 12_500_000, false, second * 10);
        assert!(total > 100_000_000, "{total} bytes of 125,000,000");
        assert!(worst < second / 2, "{worst:?}");
    }

    #[test]
    fn a_short_way_is_filled_and_small_messages_wait_little() {
        // 50 µs, 1 GB/s.
        let second = Duration::from_secs(1);
        let (total, worst) = transfer(second / 20_000, 1_000_000_000, true, second);
        assert!(total > 700_000_000, "{total} bytes of 1,000,000,000");
        assert!(worst < second / 1000, "{worst:?}");
    }

    #[test]
    fn what_is_lost_holds_up_nothing_for_ever() {
        let mut flight = Flight::default();
        let now = Instant::default();
        let question = flight.sent(now, RECORD * 8, false).unwrap();
        assert!(!flight.may_send());
        assert_eq!(flight.lost_at(), Some(now.after(LOST_AFTER)));
        flight.lose();
        assert!(flight.may_send());
        assert_eq!(flight.lost_at(), Some(now.after(LOST_AFTER * 2)));
        assert!(flight.answered(now.after(LOST_AFTER), question), "it was only slow");
        assert!(flight.may_send() && flight.lost_at().is_none());
        flight.sent(now, RECORD * 8, false).unwrap();
        flight.begin_anew();
        assert!(flight.may_send() && flight.lost_at().is_none());
    }

    /// Whoever never answers is asked less and less, and in the end nothing more until parts go again.
    #[test]
    fn a_peer_that_never_answers_is_asked_no_more() {
        let (mut flight, now) = (Flight::default(), Instant::default());
        assert!(flight.sent(now, RECORD, true).is_some());
        let mut waits = Vec::new();
        while let Some(at) = flight.lost_at() {
            waits.push(at.since(now));
            flight.lose();
            assert!(flight.may_send());
        }
        let doubled: Vec<Duration> = (0..=LOSSES_MAX).map(|n| LOST_AFTER * 2_u32.pow(n)).collect();
        assert_eq!(waits, doubled);
    }

    #[test]
    fn an_answer_speaks_for_all_that_was_sent_before() {
        let mut flight = Flight::default();
        let now = Instant::default();
        let asked: Vec<u64> = (0..4).filter_map(|_| flight.sent(now, RECORD, false)).collect();
        assert_eq!(asked.len(), 4);
        assert!(!flight.may_send() && !flight.answered(now, 9));
        assert!(flight.answered(now, asked[2]) && flight.may_send());
        assert!(!flight.answered(now, asked[0]) && flight.answered(now, asked[3]));
        assert_eq!(flight.lost_at(), None);
    }
}
