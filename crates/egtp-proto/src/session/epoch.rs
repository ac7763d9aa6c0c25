//! The keys of a session over time: a one-way chain of epochs.
//!
//! From the root of an epoch come its two keys and the next root; the old root is erased at once.
//! Knows nothing of packets or peers. Invariant: a (key, lane, counter) is used for sealing once.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use super::replay::Window;
use crate::crypto::{AeadKey, Role, Suite, TAG_BYTES, derive};
use crate::limits::{EPOCH_KEPT, EPOCH_KEPT_RELAY, EPOCH_RECORDS, EPOCH_RESTS, EPOCH_USED};
use crate::planted::{Bug, is};
use crate::time::Instant;
use crate::wire::Lane;

/// Epochs ahead of ours that a record may announce.
const AHEAD_MAX: u8 = 3;
/// Epochs whose keys are kept, the newest included.
const KEPT_MAX: usize = 4;

/// All keys of one session.
pub struct Epochs {
    role: Role,
    suite: Suite,
    /// Of the epoch after the newest.
    root: Zeroizing<[u8; 32]>,
    /// The number of the newest epoch, also when its keys are erased.
    newest: u8,
    /// The newest last. None while the session rests.
    kept: VecDeque<Epoch>,
}

struct Epoch {
    number: u8,
    send: AeadKey,
    receive: AeadKey,
    counters: [u64; Lane::COUNT],
    windows: [Window; Lane::COUNT],
    since: Instant,
    left: Option<Instant>,
}

/// Why a record was not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The epoch's keys are erased or were never made.
    #[error("the record's key epoch is not known")]
    UnknownEpoch,
    /// A record with this counter was opened before, or it is too far behind.
    #[error("the record was seen before")]
    Replayed,
    /// The tag does not fit: altered, or made for something else.
    #[error("the record does not authenticate")]
    Forged,
}

impl Epochs {
    /// Starts at epoch 0 from a handshake's root. `None` only if the library refuses a key.
    pub fn new(role: Role, suite: Suite, root: &[u8; 32], now: Instant) -> Option<Self> {
        let mut epochs = Self::resting(role, suite, root, 0);
        let first = epochs.make(&epochs.root, 0, now)?;
        epochs.commit(first);
        Some(epochs)
    }

    /// Those of a session at rest, from what [`Epochs::rested`] gave.
    pub fn resting(role: Role, suite: Suite, root: &[u8; 32], newest: u8) -> Self {
        Self { role, suite, root: Zeroizing::new(*root), newest, kept: VecDeque::new() }
    }

    /// Erases all keys if the newest epoch is so old that the peer has left it, too: what either side
    /// seals next is of a later one. Whoever wrote under it all the same is told that the epoch is
    /// unknown.
    pub fn rest(&mut self, now: Instant) {
        let is_past = |epoch: &Epoch| {
            let rests = EPOCH_RESTS.max(EPOCH_USED + kept_for(epoch));
            now.since(epoch.since) >= rests
        };
        if self.kept.back().is_some_and(is_past) {
            if is(Bug::RestStartsAnew) {
                for epoch in &mut self.kept {
                    (epoch.counters, epoch.windows) = Default::default();
                    epoch.since = now;
                }
                return;
            }
            self.kept.clear();
        }
    }

    /// All that is left of a session at rest: the root of the next epoch and the number of the last.
    pub fn rested(&self) -> Option<(&[u8; 32], u8)> {
        self.kept.is_empty().then_some((&*self.root, self.newest))
    }

    /// Seals the bytes after the prefix in place for the newest epoch and returns the header and the
    /// tag. `header` makes the 12 header bytes from epoch and counter.
    pub fn seal(
        &mut self,
        now: Instant,
        lane: Lane,
        bytes: &mut [u8],
        header: impl FnOnce(u8, u64) -> [u8; 12],
    ) -> Option<([u8; 12], [u8; TAG_BYTES])> {
        self.erase_past(now);
        let is_worn = |newest: &Epoch| {
            let counter = newest.counters.get(usize::from(lane.id()));
            counter.is_none_or(|counter| *counter >= EPOCH_RECORDS)
                || now.since(newest.since) >= EPOCH_USED
        };
        if self.kept.back().is_none_or(is_worn) {
            self.advance(now)?;
        }
        let newest = self.kept.back_mut()?;
        let counter = newest.counters.get_mut(usize::from(lane.id()))?;
        let header = header(newest.number, *counter);
        let nonce = nonce(lane, *counter);
        if !(is(Bug::CounterReused) && *counter % 16 == 15 && newest.since != now) {
            *counter += 1;
        }
        let tag = newest.send.seal(nonce, &header, bytes).ok()?;
        Some((header, tag))
    }

    /// Whether a record with this header is worth an opening. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError::UnknownEpoch`] or [`OpenError::Replayed`].
    pub fn precheck(
        &self,
        now: Instant,
        lane: Lane,
        epoch: u8,
        counter: u64,
    ) -> Result<(), OpenError> {
        match self.find(now, epoch) {
            Some(known) => match known.windows.get(usize::from(lane.id())) {
                Some(window) if window.is_fresh(counter) || is(Bug::ReplayWindowOff) => Ok(()),
                _ => Err(OpenError::Replayed),
            },
            None if self.steps_ahead(epoch).is_some() => Ok(()),
            None => Err(OpenError::UnknownEpoch),
        }
    }

    /// Opens the bytes after the prefix in place. Returns whether it is the newest record of its
    /// lane. Nothing changes unless the record authenticates.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        now: Instant,
        (lane, epoch, counter): (Lane, u8, u64),
        header: &[u8; 12],
        bytes: &mut [u8],
    ) -> Result<bool, OpenError> {
        self.precheck(now, lane, epoch, counter)?;
        if is(Bug::WindowBeforeAuthentication)
            && let Some(known) = self.kept.iter_mut().find(|known| known.number == epoch)
            && let Some(window) = known.windows.get_mut(usize::from(lane.id()))
        {
            window.mark(counter);
        }
        let nonce = nonce(lane, counter);
        if self.find(now, epoch).is_none() {
            self.open_ahead(now, epoch, nonce, header, bytes)?;
        } else if let Some(known) = self.find(now, epoch) {
            known.receive.open(nonce, header, bytes).map_err(|_| OpenError::Forged)?;
        }
        let index = usize::from(lane.id());
        let is_newest_epoch = self.newest == epoch;
        let known = self.kept.iter_mut().find(|known| known.number == epoch);
        let window = known.and_then(|known| known.windows.get_mut(index));
        let Some(window) = window else { return Err(OpenError::UnknownEpoch) };
        let newest = is_newest_epoch && window.is_newest(counter);
        window.mark(counter);
        self.erase_past(now);
        Ok(newest)
    }

    /// The peer has moved on: derive tentatively, and keep the keys only if the record opens.
    fn open_ahead(
        &mut self,
        now: Instant,
        epoch: u8,
        nonce: [u8; 12],
        header: &[u8; 12],
        bytes: &mut [u8],
    ) -> Result<(), OpenError> {
        let steps = self.steps_ahead(epoch).ok_or(OpenError::UnknownEpoch)?;
        let mut root = self.root.clone();
        let mut made = Vec::with_capacity(usize::from(steps));
        for step in (0..steps).rev() {
            let next = self.make(&root, epoch.wrapping_sub(step), now).ok_or(OpenError::Forged)?;
            root.clone_from(&next.1);
            made.push(next);
        }
        let (last, _) = made.last().ok_or(OpenError::UnknownEpoch)?;
        last.receive.open(nonce, header, bytes).map_err(|_| OpenError::Forged)?;
        for epoch in made {
            self.commit(epoch);
        }
        Ok(())
    }

    /// Forgets the keys of epochs whose time is over.
    fn erase_past(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|oldest| is_over(oldest, now)) {
            self.kept.pop_front();
        }
    }

    /// Everything that an opened or sealed record changes: for tests that nothing has.
    pub(super) fn progress(&self) -> impl Iterator<Item = (u8, [u64; Lane::COUNT], &[Window])> {
        self.kept.iter().map(|epoch| (epoch.number, epoch.counters, &epoch.windows[..]))
    }

    fn advance(&mut self, now: Instant) -> Option<()> {
        let number = self.newest.wrapping_add(1);
        let next = self.make(&self.root, number, now)?;
        self.commit(next);
        Some(())
    }

    /// Derives an epoch and the root after it. Changes nothing.
    fn make(
        &self,
        root: &[u8; 32],
        number: u8,
        now: Instant,
    ) -> Option<(Epoch, Zeroizing<[u8; 32]>)> {
        let forth = AeadKey::new(self.suite, &derive("initiator to responder", &[root]))?;
        let back = AeadKey::new(self.suite, &derive("responder to initiator", &[root]))?;
        let (send, receive) = match self.role {
            Role::Initiator => (forth, back),
            Role::Responder => (back, forth),
        };
        let epoch = Epoch {
            number,
            send,
            receive,
            counters: [0; Lane::COUNT],
            windows: Default::default(),
            since: now,
            left: None,
        };
        Some((epoch, derive("next root", &[root])))
    }

    fn commit(&mut self, (epoch, root): (Epoch, Zeroizing<[u8; 32]>)) {
        if let Some(previous) = self.kept.back_mut() {
            previous.left = Some(epoch.since);
        }
        self.root = root;
        self.newest = epoch.number;
        self.kept.push_back(epoch);
        let now = self.kept.back().map(|epoch| epoch.since).unwrap_or_default();
        self.kept.retain(|epoch| !is_over(epoch, now));
        while self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
        }
    }

    fn find(&self, now: Instant, number: u8) -> Option<&Epoch> {
        self.kept.iter().find(|epoch| epoch.number == number && !is_over(epoch, now))
    }

    fn steps_ahead(&self, number: u8) -> Option<u8> {
        Some(number.wrapping_sub(self.newest)).filter(|steps| (1..=AHEAD_MAX).contains(steps))
    }
}

impl std::fmt::Debug for Epochs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Epochs")
    }
}

fn is_over(epoch: &Epoch, now: Instant) -> bool {
    epoch.left.is_some_and(|left| now.since(left) > kept_for(epoch))
}

/// How long an epoch that was left still opens what is on its way: longer once a relay brought some of it.
fn kept_for(epoch: &Epoch) -> Duration {
    let by_relay = epoch.windows.get(1).is_some_and(|relay| !relay.is_newest(0));
    if by_relay { EPOCH_KEPT_RELAY } else { EPOCH_KEPT }
}

/// Four zero bytes, then lane (two high bits) and counter.
fn nonce(lane: Lane, counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    let number = (u64::from(lane.id()) << 62) | counter;
    for (to, from) in nonce.iter_mut().skip(4).zip(number.to_le_bytes()) {
        *to = from;
    }
    nonce
}
