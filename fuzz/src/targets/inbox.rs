//! A store of taken messages under everything that senders can say: messages in any order and under
//! any binding, closed serials, more dialogs than it remembers, queries that stay open. Compared with a
//! naive model of what must be taken, known or refused; nothing is handed over twice under one
//! binding, and a refusal changes nothing.
//!
//! The input is a script (see `script`).
//
// Reaches: Serials::decode.

use std::time::Duration;

use egtp_proto::crypto::Random;
use egtp_proto::exchange::inbox::{Inbox, Place, Verdict};
use egtp_proto::limits::Limits;
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::frame::{DialogHead, Refusal};
use egtp_proto::wire::{Reader, Serials};
use egtp_proto::{PublicKey, SecretKey, StoreKind};

use super::Seed;
use crate::naive::inbox::{Expected, Message, Store};
use crate::script::{Draft, Script, Step};

/// See the head of this file.
pub fn run(data: &[u8]) {
    play(data);
}

fn play(data: &[u8]) -> Bench {
    let mut bench = Bench::new();
    for step in Script::new(data).take(STEPS_MAX) {
        bench.step(step);
    }
    bench
}

/// The store and its model.
struct Bench {
    inbox: Inbox,
    model: Store,
    now: Duration,
    peers: [PublicKey; PEERS],
    /// Messages that may still arrive.
    left: usize,
    /// Times that the whole store may still be looked at, which is slow.
    looks: usize,
    /// How often each verdict was given, in the order of [`Expected`].
    verdicts: [usize; 5],
}

impl Bench {
    fn new() -> Self {
        let mut limits = Limits::default();
        (limits.dialogs_max, limits.dialogs_per_peer) = (DIALOGS_MAX, DIALOGS_PER_PEER);
        let now = Duration::from_secs(50);
        let mut random = Random::from_seed([5; 32]);
        Self {
            inbox: Inbox::new(StoreKind::Ram, &mut random, &limits, clocks(now), true),
            model: Store::new(DIALOGS_MAX, DIALOGS_PER_PEER),
            now,
            peers: [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]).public()),
            left: MESSAGES_MAX,
            looks: LOOKS_MAX,
            verdicts: [0; 5],
        }
    }

    fn step(&mut self, mut step: Step<'_>) {
        match step.operation % OPERATIONS {
            TAKE => {
                let mut message = self.message(&mut step);
                let (count, stride) = (step.small() + 1, step.of(&STRIDES));
                self.enter(&mut message, count, stride);
            }
            CLOSE => {
                let message = self.message(&mut step);
                self.close(&message, step.small(), step.of(&STRIDES));
            }
            WAIT => self.now += step.of(&SPANS),
            OPEN => self.count(step.small(), 1),
            _ => self.count(step.small(), 0),
        }
        assert_eq!(self.inbox.len(), self.model.dialogs.len());
        assert_eq!(self.inbox.generation(), self.model.generation);
    }

    fn message(&self, step: &mut Step<'_>) -> Message {
        let (peer, dialog) = (step.choice(PEERS), step.choice(4));
        let (binding, start) = (step.small(), step.large());
        let start = u64::try_from(start).unwrap_or(0);
        let start = step.of(&STARTS).wrapping_add(start);
        let behind = u32::try_from(binding >> 2).unwrap_or(0);
        Message {
            peer,
            dialog: u64::try_from(dialog).unwrap_or(0),
            is_our_life: binding & 3 != 3,
            generation: match binding & 3 {
                1 => self.model.generation.saturating_add(1),
                2 => self.model.generation.saturating_sub(behind),
                _ => self.model.generation,
            },
            // Mostly nothing is closed; otherwise up to just below the message, or beyond it.
            low_water: match u64::try_from(step.small()).unwrap_or(0) {
                0 => 0,
                near => start.saturating_add(near).saturating_sub(100),
            },
            serial: start,
        }
    }

    /// A dialog frame and `count` messages, as a record brings them.
    fn enter(&mut self, message: &mut Message, count: usize, stride: u64) {
        let card = self.inbox.card(&clocks(self.now));
        let head = DialogHead {
            kind: StoreKind::Ram,
            dialog: message.dialog,
            store: if message.is_our_life { card.id } else { !card.id },
            generation: message.generation,
            low_water: message.low_water,
        };
        let peer = self.peers[message.peer];
        let is_welcome = self.model.enter(message);
        let place = self.inbox.place(&peer, &head);
        assert_eq!(place.is_ok(), is_welcome, "{message:?}");
        let Ok(mut place) = place else { return };
        for _ in 0..count.min(self.left) {
            self.left -= 1;
            self.message_arrives(&head, &mut place, message);
            message.serial = message.serial.saturating_add(stride);
        }
    }

    fn message_arrives(&mut self, head: &DialogHead, place: &mut Place, message: &Message) {
        let (now, peer) = (clocks(self.now), self.peers[message.peer]);
        let expected = self.model.expect(message);
        let is_looked_at = expected != Expected::Take && self.looks > 0;
        let before = is_looked_at.then(|| self.described());
        let would = self.inbox.would_take(*place, head.low_water, message.serial);
        let verdict = self.inbox.take(&now, &peer, head, *place, message.serial);
        let found = match verdict {
            Verdict::Take(_) => Expected::Take,
            Verdict::Known(_) => Expected::Known,
            Verdict::Refuse(Refusal::Stale) => Expected::Stale,
            Verdict::Refuse(Refusal::Window) => Expected::Window,
            Verdict::Refuse(Refusal::Busy) => Expected::Busy,
            Verdict::Refuse(Refusal::TooLarge | Refusal::OtherStore) => {
                panic!("a store knows neither sizes nor kinds")
            }
        };
        assert_eq!(found, expected, "{message:?}");
        self.verdicts[found as usize] += 1;
        // For a part, whose message may still be refused later, whether there is room is not asked.
        match (*place, verdict) {
            (Place::Known(_), _) => assert_eq!(would, verdict),
            (Place::New, Verdict::Take(_)) => assert!(matches!(would, Verdict::Take(_))),
            (Place::New, _) => {}
        }
        if let Some(before) = before {
            self.looks -= 1;
            assert_eq!(self.described(), before, "a refused message changes nothing");
        }
        let Verdict::Take(code) = verdict else { return };
        *place = Place::Known(code);
        let inbox = &self.inbox;
        self.model.took(self.now, message, code, |code| inbox.dialog(code).is_some());
        let dialog = self.inbox.dialog(code).expect("it was just used");
        let model = self.model.dialogs.last_mut().expect("it was just used");
        model.widened(self.now, dialog.limit());
        assert_eq!(dialog.limit(), model.limit());
        // The last serial of all lies in no range.
        assert!(dialog.acknowledged().contains(message.serial) || message.serial == u64::MAX);
    }

    /// The sender closes some serials, as its frame says it.
    fn close(&mut self, message: &Message, count: usize, stride: u64) {
        let mut serials = Serials::below(message.low_water);
        for step in 0..u64::try_from(count).unwrap_or(0) {
            let start = message.serial.saturating_add(step.saturating_mul(stride));
            serials.insert_range(start, start.saturating_add(1 + step % 3));
        }
        let mut frame = Vec::new();
        serials.encode(&mut frame);
        let Ok(serials) = Serials::decode(&mut Reader::new(&frame)) else {
            panic!("it is what we encoded: {serials:?}");
        };
        self.inbox.close(&self.peers[message.peer], message.dialog, &serials);
        let Some(index) = self.model.find(message.peer, message.dialog) else { return };
        let dialog = &mut self.model.dialogs[index];
        if dialog.ranges() + serials.ranges().len() <= GAPS_MAX {
            dialog.close(0, serials.base());
            for (start, end) in serials.ranges() {
                dialog.close(*start, *end);
            }
        }
        let found = self.inbox.dialog(dialog.code).expect("it is remembered");
        for serial in (0..8).map(|step| message.serial.saturating_add(step)) {
            assert_eq!(found.acknowledged().contains(serial), dialog.contains(serial), "{serial}");
        }
        assert_eq!(found.limit(), dialog.limit());
    }

    /// Sets the number of open queries of a dialog.
    fn count(&mut self, index: usize, open: u32) {
        let count = self.model.dialogs.len().max(1);
        let Some(dialog) = self.model.dialogs.get_mut(index % count) else { return };
        dialog.open = open;
        if let Some(found) = self.inbox.dialog_mut(dialog.code) {
            found.open = open;
        }
    }

    /// All but the order in which dialogs are looked at when one must go: to look renews it.
    fn described(&self) -> String {
        let text = format!("{:?}", self.inbox);
        text.split("by_use:").next().map(str::to_owned).unwrap_or_default()
    }
}

const fn clocks(now: Duration) -> Now {
    Now { boot: Instant::new(now), wall: now }
}

/// Order, repetition, windows, gaps, eviction, stale bindings and the end of all numbers.
pub fn seeds() -> Vec<Seed> {
    let begin = Draft::default().then(TAKE, &[0, 0, 0, 0, 0, 0, 0, 7]);
    let again = begin.clone().repeat(&begin, 1).then(TAKE, &[0, 0, 0, 40, 0, 0, 0, 100]);
    let closed = begin.clone().then(CLOSE, &[0, 0, 0, 9, 0, 0, 0, 20, 1]);
    let closed = closed.then(TAKE, &[0, 0, 0, 0, 0, 0, 0, 120]);
    let others = (0..3).flat_map(|peer| (0..4).map(move |dialog| (peer, dialog)));
    let crowd = others.fold(Draft::default(), |draft, (peer, dialog)| {
        draft.then(TAKE, &[peer, dialog, 0, 0, 0, 0, 0, 3]).then(OPEN, &[dialog * 3])
    });
    let evicted = crowd.clone().repeat(&crowd, 1).then(TAKE, &[0, 0, 2, 0, 0, 0, 0, 3]);
    let evicted =
        evicted.then(TAKE, &[0, 1, 6, 0, 0, 0, 0, 3]).then(TAKE, &[1, 1, 1]).repeat(&crowd, 2);
    let many = (0..10).fold(Draft::default(), |draft, _| draft.then(OPEN, &[0]).then(OPEN, &[1]));
    let busy = crowd.clone().repeat(&many, 1).then(OPEN, &[2]).then(OPEN, &[3]).repeat(&crowd, 1);
    let fill = |low: u8, high: u8, stride| [0, 0, 0, low, high, 0, 0, 127, stride];
    let wide = (0..20).fold(Draft::default(), |draft, n| draft.then(TAKE, &fill(0, n, 0)));
    let wide = wide.then(WAIT, &[2]).then(TAKE, &fill(0, 60, 0));
    let passed = (0..9).fold(Draft::default(), |draft, n| draft.then(TAKE, &fill(0, n, 0)));
    let gaps = (0..9).fold(passed, |draft, n| draft.then(TAKE, &fill(1, 9 + n * 2, 1)));
    let gaps = gaps.then(TAKE, &[0, 0, 0, 2, 9]);
    let gaps = gaps.then(CLOSE, &[0, 0, 0, 4, 20, 0, 0, 9, 1]);
    let last =
        Draft::default().then(TAKE, &[1, 1, 0, 0, 0, 2, 90, 9]).then(TAKE, &[1, 1, 0, 0, 0, 2, 90]);
    let last = last.then(TAKE, &[2, 1, 0, 9, 0, 0, 120]).then(TAKE, &[0, 0, 0, 0, 0, 1, 80, 9]);
    [("again", again), ("busy", busy), ("closed", closed), ("evicted", evicted), ("gaps", gaps)]
        .into_iter()
        .chain([("last", last), ("wide", wide)])
        .map(|(name, draft)| (name, draft.0))
        .collect()
}

const TAKE: u8 = 0;
const CLOSE: u8 = 1;
const WAIT: u8 = 2;
const OPEN: u8 = 3;
const OPERATIONS: u8 = 5;

const PEERS: usize = 3;
/// Fewer than the senders want.
const DIALOGS_MAX: usize = 5;
const DIALOGS_PER_PEER: usize = 3;
/// Ranges above a base that are remembered.
const GAPS_MAX: usize = 1_024;
/// Serials that a start is counted from: the first, some above a first window, and the last of all.
const STARTS: [u64; 4] = [0, 64, u64::MAX - 8, 1 << 40];
const STRIDES: [u64; 4] = [1, 2, 3, 70];
const SPANS: [Duration; 4] = [
    Duration::from_millis(1),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_millis(2_001),
];
const STEPS_MAX: usize = 100;
/// In all: a script may ask for far more.
const MESSAGES_MAX: usize = 2_600;
const LOOKS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_reach_every_verdict() {
        let mut verdicts = [0; 5];
        for (name, script) in seeds() {
            let bench = play(&script);
            assert!(bench.verdicts[Expected::Take as usize] > 0, "{name}");
            for (sum, count) in verdicts.iter_mut().zip(bench.verdicts) {
                *sum += count;
            }
            if name == "wide" {
                assert!(bench.model.dialogs[0].window > 1_024);
            }
            if name == "gaps" {
                assert_eq!(bench.model.dialogs[0].ranges(), GAPS_MAX);
            }
        }
        assert!(verdicts.iter().all(|count| *count > 0), "{verdicts:?}");
    }
}
