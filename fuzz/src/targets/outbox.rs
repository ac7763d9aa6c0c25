//! Our side of a dialog: numbering, closing, credit, and whatever a peer may acknowledge. Compared with
//! a naive model: no serial and no id twice, an acknowledgement names a message once, credit is kept,
//! and every closed serial is told sooner or later, in frames that hold no more than they may.
//!
//! The input is a script (see `script`).
//
// Reaches: Frame::decode, Serials::decode.

use std::collections::BTreeSet;

use egtp_proto::exchange::outbox::Outbox;
use egtp_proto::limits::{RANGES_MAX, WINDOW_FIRST};
use egtp_proto::wire::frame::{Ack, Frame};
use egtp_proto::wire::{Reader, Serials};
use egtp_proto::{MessageClass, SecretKey, StoreKind};

use super::Seed;
use crate::naive::outbox::{Dialog, Message, number};
use crate::script::{Draft, Script, Step};

/// See the head of this file.
pub fn run(data: &[u8]) {
    play(data);
}

fn play(data: &[u8]) -> Bench {
    let mut bench = Bench::new();
    for step in Script::new(data).take(STEPS_MAX) {
        bench.step(step);
        bench.check();
    }
    bench.tell_everything();
    bench.check();
    bench
}

/// The outbox and its model.
struct Bench {
    outbox: Outbox,
    model: Dialog,
    ids: BTreeSet<[u8; 32]>,
    /// How many messages were acknowledged.
    acknowledged: usize,
}

impl Bench {
    fn new() -> Self {
        let [us, them] = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]).public());
        let outbox = Outbox::new(StoreKind::Ram, DIALOG, &us, &them);
        Self { outbox, model: Dialog::new(), ids: BTreeSet::new(), acknowledged: 0 }
    }

    fn step(&mut self, mut step: Step<'_>) {
        match step.operation % OPERATIONS {
            OPEN => {
                let (count, bytes) = (step.small() + 1, step.of(&SIZES));
                (0..count).for_each(|_| self.open(bytes));
            }
            CLOSE => {
                let (start, count, stride) = (step.large(), step.small() + 1, step.small() + 1);
                (0..count).for_each(|step| self.close(start + step * stride));
            }
            ACKNOWLEDGE => self.acknowledge(&mut step),
            SENT => {
                let bytes = number(step.of(&SIZES));
                self.outbox.sent(bytes);
                self.model.under_way += bytes;
            }
            LANDED => {
                let bytes = number(step.of(&SIZES));
                self.outbox.landed(bytes);
                self.model.under_way = self.model.under_way.saturating_sub(bytes);
            }
            CONFIRMED => {
                self.outbox.confirmed();
                self.model.limit = self.model.limit.max(self.model.window());
            }
            RESTARTED => {
                self.outbox.restart_credit();
                self.model.limit = self.model.window();
            }
            ASKED => {
                let serial = number(step.large());
                self.outbox.tell_again(serial);
                if self.model.is_closed(serial) {
                    self.model.untold.insert(serial);
                }
            }
            MARK => {
                self.outbox.told_low_water();
                self.model.told_low_water();
            }
            _ => self.tell(),
        }
    }

    fn open(&mut self, bytes: usize) {
        if self.model.messages.len() >= MESSAGES_MAX {
            return;
        }
        let index = self.model.messages.len();
        let class =
            if index.is_multiple_of(3) { MessageClass::Send } else { MessageClass::Request };
        let (serial, id) = self.outbox.number(class, "test/1", &[7; 5]);
        assert_eq!(serial, number(index), "numbered from 0, none twice");
        assert!(self.ids.insert(*id.as_bytes()), "the same body has another id each time");
        let code = u32::try_from(index).unwrap_or(0) + 500;
        self.outbox.open(serial, code, bytes);
        let (is_closed, is_acknowledged) = (false, false);
        self.model.messages.push(Message { code, bytes, is_closed, is_acknowledged });
    }

    fn close(&mut self, index: usize) {
        let bytes = self.model.messages.get(index).map_or(9, |message| message.bytes);
        self.outbox.close(number(index), bytes);
        let Some(message) = self.model.messages.get_mut(index) else { return };
        if !std::mem::replace(&mut message.is_closed, true) {
            self.model.untold.insert(number(index));
        }
    }

    /// Whatever the peer may say, true or not.
    fn acknowledge(&mut self, step: &mut Step<'_>) {
        let base = step.of(&[0, 0, 0, u64::MAX - 300]).saturating_add(number(step.large()));
        let mut serials = Serials::below(base);
        for _ in 0..step.choice(RANGES_MAX + 1) {
            let start = serials.ranges().last().map_or(base, |range| range.1);
            let start = start.saturating_add(1 + number(step.small()));
            serials.insert_range(start, start.saturating_add(1 + number(step.small())));
        }
        let limit = step.of(&[0, 64, 2_000, u64::MAX]) / (1 + number(step.small()));
        let ack = Ack { dialog: DIALOG, serials, limit, bytes: number(step.of(&SIZES)) };
        // As it comes from the wire.
        let mut frame = Vec::new();
        Frame::Ack(ack.clone()).encode(&mut frame);
        assert_eq!(Frame::decode(&mut Reader::new(&frame)), Ok(Frame::Ack(ack.clone())));

        let named = |serial| {
            let inside = |range: &(u64, u64)| (range.0..range.1).contains(&serial);
            serial < ack.serials.base() || ack.serials.ranges().iter().any(inside)
        };
        let expected = self.model.acknowledge(named);
        let found = self.outbox.acknowledge(&ack);
        assert_eq!(found.len(), expected.len(), "each once");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
        self.acknowledged += expected.len();
        self.model.limit = self.model.limit.max(limit);
        self.model.credit = ack.bytes;
        let missed = ack.serials.base();
        if missed < self.model.low_water() {
            assert!(self.outbox.has_news(), "what the peer misses is told again");
        } else if self.model.is_closed(missed) {
            self.model.untold.insert(missed);
        }
    }

    /// Tells what fits one frame.
    fn tell(&mut self) {
        let news = self.outbox.take_news();
        let mut frame = Vec::new();
        Frame::Closed { dialog: DIALOG, serials: news }.encode(&mut frame);
        let decoded = Frame::decode(&mut Reader::new(&frame));
        let Ok(Frame::Closed { serials, .. }) = decoded else {
            panic!("not what we wrote: {decoded:?}");
        };
        assert!(serials.ranges().len() <= RANGES_MAX);
        assert_eq!(serials.base(), self.model.low_water());
        for (start, end) in serials.ranges() {
            assert!((*start..*end).all(|serial| self.model.is_closed(serial)), "only what is so");
        }
        self.model.untold.retain(|serial| !serials.contains(*serial));
    }

    /// Whoever goes on telling has told everything.
    fn tell_everything(&mut self) {
        for _ in 0..=MESSAGES_MAX {
            if !self.outbox.has_news() {
                assert_eq!(self.model.untold, BTreeSet::new(), "never told");
                return;
            }
            self.tell();
        }
        panic!("there is always more to tell");
    }

    fn check(&self) {
        let (outbox, model) = (&self.outbox, &self.model);
        assert_eq!(outbox.len(), model.open().count());
        assert_eq!(outbox.is_empty(), model.open().next().is_none());
        assert_eq!(outbox.bytes_open, model.open().map(|message| message.bytes).sum::<usize>());
        assert_eq!(outbox.closed().base(), model.low_water());
        let codes = outbox.codes().collect::<BTreeSet<_>>();
        assert_eq!(codes, model.open().map(|message| message.code).collect());
        let ends = [0, model.low_water(), number(model.messages.len()), model.limit];
        for serial in ends.into_iter().flat_map(|end| [end.saturating_sub(1), end]) {
            let code = model.get(serial).filter(|message| !message.is_closed);
            assert_eq!(outbox.code(serial), code.map(|message| message.code));
            assert_eq!(outbox.closed().contains(serial), model.is_closed(serial));
            let fits = serial < model.low_water() + WINDOW_FIRST;
            assert_eq!(outbox.fits_first_flight(serial), fits);
            for bytes in SIZES.map(number) {
                assert_eq!(outbox.may_send(serial, bytes), model.may_send(serial, bytes));
            }
        }
        // A wake-up too many does no harm; one too few leaves the peer without knowledge.
        assert!(outbox.has_news() || model.untold.is_empty(), "{:?}", model.untold);
    }
}

/// Ordinary use, gaps that do not fit one frame, lies, and credit that runs out.
pub fn seeds() -> Vec<Seed> {
    let open = Draft::default().then(OPEN, &[9, 1]);
    let usual = open.clone().then(ACKNOWLEDGE, &[0, 3, 0, 1, 0, 2, 1, 3, 5]);
    let usual =
        usual.then(CLOSE, &[0, 0, 4]).then(TELL, &[]).then(CLOSE, &[7, 0, 0]).then(MARK, &[]);
    let usual = usual.then(CONFIRMED, &[]).then(ASKED, &[2]).then(ASKED, &[7]);
    let gaps = Draft::default().then(OPEN, &[127, 0]).then(OPEN, &[127, 0]);
    let gaps = gaps.then(CLOSE, &[1, 0, 100, 1]).then(TELL, &[]).then(CLOSE, &[0, 0, 0]);
    let gaps = gaps.then(ACKNOWLEDGE, &[0, 0, 0, 32]).then(RESTARTED, &[]);
    let lies = open.clone().then(ACKNOWLEDGE, &[3, 127, 1, 2, 9, 9, 9, 9, 3, 0, 3]);
    let lies = lies.then(CLOSE, &[50, 0, 9]).then(ASKED, &[99]).repeat(&open, 1);
    let credit = open.then(ACKNOWLEDGE, &[0, 0, 0, 0, 2, 0, 2]).then(SENT, &[1]).then(SENT, &[2]);
    let credit = credit.then(LANDED, &[2]).then(LANDED, &[3]).then(SENT, &[3]).then(RESTARTED, &[]);
    [("credit", credit), ("gaps", gaps), ("lies", lies), ("usual", usual)]
        .map(|(name, draft)| (name, draft.0))
        .into()
}

const OPEN: u8 = 0;
const CLOSE: u8 = 1;
const ACKNOWLEDGE: u8 = 2;
const SENT: u8 = 3;
const LANDED: u8 = 4;
const CONFIRMED: u8 = 5;
const RESTARTED: u8 = 6;
const ASKED: u8 = 7;
const MARK: u8 = 8;
const TELL: u8 = 9;
const OPERATIONS: u8 = 10;

const DIALOG: u64 = 0x0102_0304;
const SIZES: [usize; 4] = [0, 100, 5_000, 3 << 20];
const STEPS_MAX: usize = 100;
const MESSAGES_MAX: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_reach_what_they_are_for() {
        for (name, script) in seeds() {
            let bench = play(&script);
            match name {
                "usual" => assert_eq!(bench.acknowledged, 6),
                "gaps" => assert_eq!(bench.model.messages.len() - bench.outbox.len(), 102),
                "lies" => assert_eq!(bench.acknowledged, 10),
                _ => assert!(bench.model.credit < 8 << 20),
            }
        }
    }
}
