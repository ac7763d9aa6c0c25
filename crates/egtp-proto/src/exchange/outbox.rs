//! Our dialog with one peer: numbering, what is closed, what the peer lets us send.
//!
//! Knows serials and codes, not messages' contents. Invariant: a serial is used once, and once it is
//! closed nothing is ever sent under it again.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use crate::card::StoreKind;
use crate::codes::OurOwn;
use crate::key::PublicKey;
use crate::limits::{RANGES_MAX, WINDOW_FIRST, WINDOW_START};
use crate::message::{Canonical, MessageClass, MessageId};
use crate::wire::Serials;
use crate::wire::frame::Ack;

/// Numbers and credit of one dialog.
#[derive(Debug)]
pub struct Outbox {
    /// The store by which its messages want to be remembered.
    wants: StoreKind,
    dialog: u64,
    requests: Canonical,
    sends: Canonical,
    next_serial: u64,
    closed: Serials,
    acknowledged: Serials,
    open: HashMap<u64, u32, BuildHasherDefault<OurOwn>>,
    /// Serials and codes of messages that wait to be sent, the lowest serial first: what the window
    /// covers is never behind what it does not.
    queue: VecDeque<(u64, u32)>,
    /// Serials below this may be sent.
    limit: u64,
    /// Bytes of bodies that may be under way at once.
    bytes_limit: u64,
    /// Bytes of bodies under way.
    bytes_sent: u64,
    /// Bytes of bodies of open messages.
    pub bytes_open: usize,
    /// Closed serials that the peer has not been told of.
    untold: Vec<u64>,
    /// Whether the peer lags behind what is closed from the start on.
    base_untold: bool,
}

impl Outbox {
    /// A dialog that nobody has seen yet.
    pub fn new(wants: StoreKind, dialog: u64, sender: &PublicKey, recipient: &PublicKey) -> Self {
        Self {
            wants,
            dialog,
            requests: Canonical::new(sender, recipient, MessageClass::Request, dialog),
            sends: Canonical::new(sender, recipient, MessageClass::Send, dialog),
            next_serial: 0,
            closed: Serials::default(),
            acknowledged: Serials::default(),
            open: HashMap::default(),
            queue: VecDeque::new(),
            limit: WINDOW_FIRST,
            bytes_limit: BYTES_START,
            bytes_sent: 0,
            bytes_open: 0,
            untold: Vec::new(),
            base_untold: false,
        }
    }

    /// A dialog of an earlier run: all serials below `next_serial` are closed but these, which are
    /// sorted.
    #[must_use]
    pub fn resumed(self, next_serial: u64, open: impl IntoIterator<Item = u64>) -> Self {
        let mut closed = Serials::default();
        let mut from = 0;
        for serial in open.into_iter().chain([next_serial]) {
            closed.insert_range(from, serial);
            from = serial.saturating_add(1);
        }
        let limit = closed.base().saturating_add(WINDOW_FIRST);
        let acknowledged = closed.clone();
        Self { next_serial, closed, acknowledged, limit, base_untold: true, ..self }
    }

    /// The serial that the next message gets.
    pub const fn next_serial(&self) -> u64 {
        self.next_serial
    }

    /// The store by which its messages want to be remembered.
    pub const fn wants(&self) -> StoreKind {
        self.wants
    }

    /// The dialog's id.
    pub const fn dialog(&self) -> u64 {
        self.dialog
    }

    /// The next serial and the id of the message that gets it.
    pub fn number(&mut self, class: MessageClass, kind: &str, body: &[u8]) -> (u64, MessageId) {
        let serial = self.next_serial;
        self.next_serial += 1;
        let canonical = match class {
            MessageClass::Send => &self.sends,
            MessageClass::Request | MessageClass::Reply => &self.requests,
        };
        (serial, canonical.id(serial, 0, None, kind, body))
    }

    /// Opens a serial for the message of `code` and queues it.
    pub fn open(&mut self, serial: u64, code: u32, bytes: usize) {
        self.open.insert(serial, code);
        self.enqueue(serial, code);
        self.bytes_open += bytes;
    }

    /// The message is to be sent, for the first time or again.
    pub fn enqueue(&mut self, serial: u64, code: u32) {
        let is_last = self.queue.back().is_none_or(|(last, _)| *last < serial);
        let index = if is_last {
            self.queue.len()
        } else {
            self.queue.partition_point(|(other, _)| *other < serial)
        };
        if self.queue.get(index).is_none_or(|(other, _)| *other != serial) {
            self.queue.insert(index, (serial, code));
        }
    }

    /// Takes out the message that is to be sent next.
    pub fn dequeue(&mut self) -> Option<u32> {
        self.queue.pop_front().map(|(_, code)| code)
    }

    /// How many messages wait to be sent.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The code of an open serial.
    pub fn code(&self, serial: u64) -> Option<u32> {
        self.open.get(&serial).copied()
    }

    /// The codes of all open messages.
    pub fn codes(&self) -> impl Iterator<Item = u32> {
        self.open.values().copied()
    }

    /// How many messages are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Nothing more will be sent under `serial`; the peer is to be told.
    pub fn close(&mut self, serial: u64, bytes: usize) {
        if self.open.remove(&serial).is_some() {
            self.bytes_open = self.bytes_open.saturating_sub(bytes);
            self.enter_closed(serial);
        }
    }

    /// The peer has taken these messages and has forgotten that: it is told that nothing more is sent of them.
    /// They stay open here, and end as what they are.
    pub fn void(&mut self, is_forgotten: impl Fn(u32) -> bool) {
        let open = self.open.iter();
        let forgotten = open.filter(|(_, code)| is_forgotten(**code)).map(|(serial, _)| *serial);
        let mut forgotten: Vec<u64> = forgotten.collect();
        forgotten.sort_unstable();
        for serial in forgotten {
            self.enter_closed(serial);
        }
    }

    fn enter_closed(&mut self, serial: u64) {
        if !self.closed.insert(serial) {
            return;
        }
        let base = self.closed.base();
        if serial < base {
            // The low-water mark tells it, and all that it has passed.
            self.base_untold = true;
            self.untold.retain(|serial| *serial >= base);
        } else if self.untold.len() < UNTOLD_MAX {
            self.untold.push(serial);
        }
    }

    /// The peer asked about a serial that is closed: it has not heard so.
    pub fn tell_again(&mut self, serial: u64) {
        if self.closed.contains(serial) && self.untold.len() < UNTOLD_MAX {
            self.untold.push(serial);
        }
    }

    /// Whether there is something to tell about closed serials.
    pub const fn has_news(&self) -> bool {
        self.base_untold || !self.untold.is_empty()
    }

    /// The dialog frame of a record carries the low-water mark: what it covers is told by that.
    pub fn told_low_water(&mut self) {
        let base = self.closed.base();
        self.base_untold = false;
        self.untold.retain(|serial| *serial >= base);
    }

    /// What to tell: all below the low-water mark, and what was closed above it since the last time,
    /// as far as it fits one frame.
    pub fn take_news(&mut self) -> Serials {
        self.told_low_water();
        self.untold.sort_unstable();
        self.untold.dedup();
        let mut told = Serials::below(self.closed.base());
        let mut count = 0;
        for serial in &self.untold {
            told.insert(*serial);
            if told.ranges().len() > RANGES_MAX {
                break;
            }
            count += 1;
        }
        self.untold.drain(..count);
        told
    }

    /// What is closed.
    pub const fn closed(&self) -> &Serials {
        &self.closed
    }

    /// Whether the peer's credit covers a message.
    pub const fn may_send(&self, serial: u64, bytes: u64) -> bool {
        (serial < self.limit || self.fits_first_flight(serial))
            && (self.bytes_sent == 0 || self.bytes_sent.saturating_add(bytes) <= self.bytes_limit)
    }

    /// Whether a first flight has room for a serial.
    pub const fn fits_first_flight(&self, serial: u64) -> bool {
        serial < self.closed.base().saturating_add(WINDOW_FIRST)
    }

    /// Bytes of a body are under way.
    pub const fn sent(&mut self, bytes: u64) {
        self.bytes_sent = self.bytes_sent.saturating_add(bytes);
    }

    /// Bytes of a body are no longer under way: taken, refused or given up.
    pub const fn landed(&mut self, bytes: u64) {
        self.bytes_sent = self.bytes_sent.saturating_sub(bytes);
    }

    /// The session is confirmed: the larger window holds.
    pub fn confirmed(&mut self) {
        self.limit = self.limit.max(self.closed.base().saturating_add(WINDOW_START));
    }

    /// The receiver has lost its memory of this dialog: it will look at it as new, and so does the
    /// credit.
    pub fn restart_credit(&mut self) {
        self.limit = self.closed.base().saturating_add(WINDOW_START);
    }

    /// Takes in an acknowledgement and returns the codes that are acknowledged for the first time.
    /// Serials that were never used are ignored.
    pub fn acknowledge(&mut self, ack: &Ack) -> Vec<u32> {
        let mut codes = Vec::new();
        let known = self.next_serial;
        let base = self.acknowledged.base();
        for serial in base..ack.serials.base().min(known) {
            self.acknowledge_one(serial, &mut codes);
        }
        self.acknowledged.raise(ack.serials.base().min(known));
        for &(start, end) in ack.serials.ranges() {
            for serial in start.max(base)..end.min(known) {
                self.acknowledge_one(serial, &mut codes);
            }
        }
        if ack.limit > self.limit {
            self.limit = ack.limit;
        }
        self.bytes_limit = ack.bytes;
        self.tell_what_is_missed(&ack.serials);
        codes
    }

    /// The peer may have missed what closed the gap that it showed last: it is told again.
    pub fn tell_gap(&mut self) {
        let known = std::mem::take(&mut self.acknowledged);
        self.tell_what_is_missed(&known);
        self.acknowledged = known;
    }

    /// What the receiver misses first, although it is closed here, keeps its window back: it is told again.
    /// What it knew before does not count, because it may have lost its memory since.
    fn tell_what_is_missed(&mut self, known: &Serials) {
        let gap = known.base();
        if gap < self.closed.base() {
            self.base_untold = true;
            return;
        }
        let is_missed = |serial: &u64| self.closed.contains(*serial) && !known.contains(*serial);
        if self.untold.len() < UNTOLD_MAX {
            self.untold.extend((gap..gap.saturating_add(GAP_MAX)).take_while(is_missed));
        }
    }

    fn acknowledge_one(&mut self, serial: u64, codes: &mut Vec<u32>) {
        if self.acknowledged.insert(serial) {
            codes.extend(self.open.get(&serial));
        }
    }
}

/// Bytes of bodies under way before the peer has said how many it takes.
const BYTES_START: u64 = 8 * 1024 * 1024;
/// Serials of a gap that are told at a time.
const GAP_MAX: u64 = 64;
/// Closed serials above the low-water mark that wait to be told; more are told when it passes them, or
/// asked about again.
const UNTOLD_MAX: usize = 65_536;
