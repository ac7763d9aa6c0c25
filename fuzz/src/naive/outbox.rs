//! Our side of a dialog, as a list of all messages that ever were.

use std::collections::BTreeSet;

/// A dialog of ours.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// By serial.
    pub messages: Vec<Message>,
    /// Serials from this one on may not be sent.
    pub limit: u64,
    /// Bytes that may be under way at once.
    pub credit: u64,
    /// Bytes that are.
    pub under_way: u64,
    /// Closed serials that the peer was not told of, as far as we know.
    pub untold: BTreeSet<u64>,
}

/// A message of ours.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// What the application's side calls it.
    pub code: u32,
    /// Bytes of its body.
    pub bytes: usize,
    /// Whether nothing more will be sent of it.
    pub is_closed: bool,
    /// Whether the peer has acknowledged it.
    pub is_acknowledged: bool,
}

impl Dialog {
    /// Nobody has seen it yet.
    pub const fn new() -> Self {
        Self {
            messages: Vec::new(),
            limit: WINDOW_FIRST,
            credit: CREDIT_START,
            under_way: 0,
            untold: BTreeSet::new(),
        }
    }

    /// The first serial that is not closed.
    pub fn low_water(&self) -> u64 {
        number(self.messages.iter().take_while(|message| message.is_closed).count())
    }

    /// Whether a serial is closed.
    pub fn is_closed(&self, serial: u64) -> bool {
        self.get(serial).is_some_and(|message| message.is_closed)
    }

    /// The messages that are not.
    pub fn open(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| !message.is_closed)
    }

    /// Whether the peer lets us send this message.
    pub fn may_send(&self, serial: u64, bytes: u64) -> bool {
        let fits = self.under_way.saturating_add(bytes) <= self.credit;
        // A receiver applies the low water before it looks at its window.
        let granted = serial < self.limit || serial < self.low_water() + WINDOW_FIRST;
        granted && (self.under_way == 0 || fits)
    }

    /// The session is confirmed, or the peer has lost its memory.
    pub fn window(&self) -> u64 {
        self.low_water() + WINDOW_START
    }

    /// The peer says which serials it has; returns the codes that it says so of for the first time.
    pub fn acknowledge(&mut self, has: impl Fn(u64) -> bool) -> BTreeSet<u32> {
        let mut codes = BTreeSet::new();
        for (serial, message) in self.messages.iter_mut().enumerate() {
            if has(number(serial)) && !message.is_acknowledged {
                message.is_acknowledged = true;
                if !message.is_closed {
                    codes.insert(message.code);
                }
            }
        }
        codes
    }

    /// A message.
    pub fn get(&self, serial: u64) -> Option<&Message> {
        self.messages.get(usize::try_from(serial).ok()?)
    }

    /// The low-water mark was told.
    pub fn told_low_water(&mut self) {
        let low = self.low_water();
        self.untold.retain(|serial| *serial >= low);
    }
}

impl Default for Dialog {
    fn default() -> Self {
        Self::new()
    }
}

/// A count as a serial.
pub fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// messages that may be open before an acknowledgement, and on a confirmed session.
const WINDOW_FIRST: u64 = 64;
const WINDOW_START: u64 = 1_024;
/// bytes of bodies under way before an acknowledgement.
const CREDIT_START: u64 = 8 * 1024 * 1024;
