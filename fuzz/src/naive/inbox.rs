//! What a store has taken, said with lists of all that ever happened to it.
//!
//! A dialog is a set of serials and a list of ranges that its sender closed. Which dialog is
//! forgotten is the product's choice among those that may go; the model is told, and checks it.

use std::collections::BTreeSet;
use std::time::Duration;

/// What must become of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// It is new.
    Take,
    /// It was taken or closed before.
    Known,
    /// It is bound to what this store does not answer for.
    Stale,
    /// It lies above the window.
    Window,
    /// Every dialog that could make room has open queries, and is another peer's.
    Busy,
}

/// What the sender says of a message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Which sender.
    pub peer: usize,
    /// Its dialog.
    pub dialog: u64,
    /// Whether it is bound to the store's life.
    pub is_our_life: bool,
    /// The generation that it is bound to.
    pub generation: u32,
    /// All below is closed.
    pub low_water: u64,
    /// Its number.
    pub serial: u64,
}

/// A store.
#[derive(Clone, Debug)]
pub struct Store {
    /// The newest generation that it issued.
    pub generation: u32,
    floor: u32,
    dialogs_max: usize,
    dialogs_per_peer: usize,
    /// The one that was used longest ago first.
    pub dialogs: Vec<Dialog>,
    /// Everything that was ever handed over, with its binding.
    handed: BTreeSet<(usize, u64, u64, u32)>,
}

/// A dialog that is remembered.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Whose.
    pub peer: usize,
    /// Its id.
    pub id: u64,
    /// What the product calls it.
    pub code: u32,
    /// Queries without an answer.
    pub open: u32,
    /// How many serials beyond the base are welcome.
    pub window: u64,
    floor: u32,
    highest: u32,
    taken: BTreeSet<u64>,
    closed: Vec<(u64, u64)>,
    /// All below is taken or closed, and not listed any more.
    base: u64,
    /// When the base was where.
    passed: Vec<(Duration, u64)>,
}

impl Store {
    /// A new life.
    pub const fn new(dialogs_max: usize, dialogs_per_peer: usize) -> Self {
        Self {
            generation: 1,
            floor: 0,
            dialogs_max,
            dialogs_per_peer,
            dialogs: Vec::new(),
            handed: BTreeSet::new(),
        }
    }

    /// The place of a dialog in the list.
    pub fn find(&self, peer: usize, dialog: u64) -> Option<usize> {
        self.dialogs.iter().position(|one| one.peer == peer && one.id == dialog)
    }

    /// A dialog frame arrives. Returns whether messages behind it are looked at.
    pub fn enter(&mut self, message: &Message) -> bool {
        let found = self.find(message.peer, message.dialog);
        let floor = found.map_or(self.floor, |index| self.dialogs[index].floor);
        let generation = message.generation;
        if !message.is_our_life || generation > self.generation || generation <= floor {
            return false;
        }
        if let Some(index) = found {
            self.dialogs[index].close(0, message.low_water);
        }
        true
    }

    /// What must become of a message whose dialog frame was accepted.
    pub fn expect(&self, message: &Message) -> Expected {
        let Some(index) = self.find(message.peer, message.dialog) else {
            let Some(above) = message.serial.checked_sub(message.low_water) else {
                return Expected::Stale;
            };
            return match above {
                WINDOW_FIRST.. => Expected::Window,
                _ if self.is_stuck(message.peer) => Expected::Busy,
                _ => Expected::Take,
            };
        };
        let dialog = &self.dialogs[index];
        if dialog.contains(message.serial) {
            return Expected::Known;
        }
        // There are no more ranges than things that make them.
        let may_be_full = dialog.taken.len() + dialog.closed.len() >= GAPS_MAX;
        let gap = message.serial > dialog.base && may_be_full && dialog.ranges() >= GAPS_MAX;
        if message.serial >= dialog.limit() || gap { Expected::Window } else { Expected::Take }
    }

    /// A message was taken into the dialog that the product calls `code`; `lives` tells which codes
    /// it still remembers.
    ///
    /// # Panics
    /// When a promise is broken.
    pub fn took(
        &mut self,
        now: Duration,
        message: &Message,
        code: u32,
        lives: impl Fn(u32) -> bool,
    ) {
        let Message { peer, dialog: id, generation, serial, .. } = *message;
        // The last serial of all cannot be told from "everything": it has no successor.
        let is_new = self.handed.insert((peer, id, serial, generation)) || serial == u64::MAX;
        assert!(is_new, "handed over twice: {message:?}");
        let index = match self.find(peer, id) {
            Some(index) => index,
            None => self.begin(now, message, code, lives),
        };
        let mut dialog = self.dialogs.remove(index);
        assert_eq!(dialog.code, code);
        dialog.highest = dialog.highest.max(generation);
        dialog.taken.insert(serial);
        dialog.settle();
        dialog.passed.push((now, dialog.base));
        self.dialogs.push(dialog);
    }

    /// Makes room as the product did, and checks that it was allowed to.
    fn begin(
        &mut self,
        now: Duration,
        message: &Message,
        code: u32,
        lives: impl Fn(u32) -> bool,
    ) -> usize {
        let floor = self.floor;
        let own = self.dialogs.iter().filter(|one| one.peer == message.peer);
        let is_full = own.clone().count() >= self.dialogs_per_peer;
        // Those without open queries first, and of each the one that was used least lately.
        let idle = own.clone().find(|one| one.open == 0);
        let oldest = idle.or_else(|| own.clone().next()).map(|one| one.code);
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.dialogs).into_iter().partition(|one| lives(one.code));
        self.dialogs = kept;
        let may_go = |one: &Dialog| one.open == 0 || (is_full && Some(one.code) == oldest);
        assert!(gone.iter().all(may_go), "open queries are forgotten for their own peer alone");
        if is_full {
            assert!(gone.iter().any(|one| Some(one.code) == oldest), "its own oldest goes first");
        }
        let needed = usize::from(is_full || self.dialogs.len() + gone.len() >= self.dialogs_max);
        assert_eq!(gone.len(), needed, "no more is forgotten than must be");
        for one in gone {
            self.floor = self.floor.max(one.highest);
            if self.generation <= self.floor {
                self.generation = self.floor + 1;
            }
        }
        let mut dialog = Dialog {
            peer: message.peer,
            id: message.dialog,
            code,
            open: 0,
            window: WINDOW_START,
            floor,
            highest: 0,
            taken: BTreeSet::new(),
            closed: Vec::new(),
            base: 0,
            passed: Vec::new(),
        };
        dialog.close(0, message.low_water);
        dialog.passed.push((now, dialog.base));
        self.dialogs.push(dialog);
        self.dialogs.len() - 1
    }

    fn is_stuck(&self, peer: usize) -> bool {
        // Who has as many as he may have makes room himself.
        let own = self.dialogs.iter().filter(|one| one.peer == peer).count();
        own < self.dialogs_per_peer
            && self.dialogs.len() >= self.dialogs_max
            && self.dialogs.iter().all(|one| one.open > 0)
    }
}

impl Dialog {
    /// The sender wants nothing more about serials from `start` to before `end`.
    pub fn close(&mut self, start: u64, end: u64) {
        if start < end {
            self.closed.push((start, end));
            self.settle();
        }
    }

    /// Whether a serial was taken or closed.
    pub fn contains(&self, serial: u64) -> bool {
        serial < self.base
            || self.taken.contains(&serial)
            || self.closed.iter().any(|(start, end)| (*start..*end).contains(&serial))
    }

    /// The first serial that is not welcome.
    pub const fn limit(&self) -> u64 {
        self.base.saturating_add(self.window)
    }

    /// How many gapless runs there are above the base.
    pub fn ranges(&self) -> usize {
        let taken = self.taken.range(self.base..).map(|serial| (*serial, serial.saturating_add(1)));
        let closed = self.closed.iter().copied().filter(|(_, end)| *end > self.base);
        let mut runs: Vec<_> = taken.chain(closed).filter(|(start, end)| start < end).collect();
        runs.sort_unstable();
        let (mut count, mut reached) = (0, 0);
        for (start, end) in runs {
            count += usize::from(count == 0 || start > reached);
            reached = reached.max(end);
        }
        count
    }

    /// The product's window after a message was taken: the same, or twice as large if a whole one has
    /// passed within two seconds.
    ///
    /// # Panics
    /// When it is another one.
    pub fn widened(&mut self, now: Duration, limit: u64) {
        let window = limit.saturating_sub(self.base);
        if window != self.window && limit != u64::MAX {
            assert_eq!(window, (self.window * 2).min(WINDOW_MAX));
            let lately =
                self.passed.iter().find(|(at, _)| now.saturating_sub(*at) <= WIDENED_WITHIN);
            let passed = lately.map_or(0, |(_, base)| self.base - base);
            assert!(passed >= self.window, "{passed} of {} within two seconds", self.window);
            self.window = window;
        }
    }

    fn settle(&mut self) {
        loop {
            let inside = |(start, end): &&(u64, u64)| *start <= self.base && self.base < *end;
            if let Some((_, end)) = self.closed.iter().find(inside) {
                self.base = *end;
            } else if self.taken.contains(&self.base) && self.base < u64::MAX {
                self.base += 1;
            } else {
                break;
            }
        }
        self.taken = self.taken.split_off(&self.base);
        self.closed.retain(|(_, end)| *end > self.base);
    }
}

/// how far above the low water a first message may lie, and how windows begin and end.
const WINDOW_FIRST: u64 = 64;
const WINDOW_START: u64 = 1_024;
const WINDOW_MAX: u64 = 65_536;
const WIDENED_WITHIN: Duration = Duration::from_secs(2);
/// ranges above the base.
const GAPS_MAX: usize = 1_024;
