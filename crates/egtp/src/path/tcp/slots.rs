//! Who may come in: how many connections, strangers and lingerers there are at a time.
//!
//! Knows addresses as sources to be counted, nothing else. A slot is given back by dropping it.
//! Invariant: the table of sources has no entry without a stranger that holds it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::TcpLimits;

/// The slots of one path.
#[derive(Debug)]
pub(super) struct Slots {
    connections: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    lingerers: Arc<Semaphore>,
    sources: Arc<Sources>,
}

/// One of a bounded number of places.
pub(super) type Slot = OwnedSemaphorePermit;

/// The place of an accepted connection that has proved nothing yet.
#[derive(Debug)]
pub(super) struct StrangerSlot {
    sources: Arc<Sources>,
    source: IpAddr,
    _slot: Slot,
}

#[derive(Debug)]
struct Sources {
    strangers: Mutex<HashMap<IpAddr, usize>>,
    per_source_max: usize,
}

impl Slots {
    pub(super) fn new(limits: &TcpLimits) -> Self {
        Self {
            connections: semaphore(limits.connections_max),
            strangers: semaphore(limits.strangers_max),
            lingerers: semaphore(limits.lingerers_max),
            sources: Arc::new(Sources {
                strangers: Mutex::default(),
                per_source_max: limits.strangers_per_source_max,
            }),
        }
    }

    /// A place for a connection, if there is one.
    pub(super) fn connection(&self) -> Option<Slot> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// A place for someone who only reads silence, if there is one.
    pub(super) fn lingerer(&self) -> Option<Slot> {
        Arc::clone(&self.lingerers).try_acquire_owned().ok()
    }

    /// A place for a stranger from this address, if there is one.
    pub(super) fn stranger(&self, from: IpAddr) -> Option<StrangerSlot> {
        let slot = Arc::clone(&self.strangers).try_acquire_owned().ok()?;
        let source = source_of(from);
        self.sources.enter(source)?;
        Some(StrangerSlot { sources: Arc::clone(&self.sources), source, _slot: slot })
    }
}

impl Sources {
    fn enter(&self, source: IpAddr) -> Option<()> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = strangers.get(&source).copied().unwrap_or_default();
        if count >= self.per_source_max {
            return None;
        }
        strangers.insert(source, count + 1);
        Some(())
    }

    fn leave(&self, source: IpAddr) {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        match strangers.get_mut(&source) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(strangers.remove(&source)),
        }
    }
}

impl Drop for StrangerSlot {
    fn drop(&mut self) {
        self.sources.leave(self.source);
    }
}

/// An IPv6 host has a whole /64 to choose addresses from, so that is one source.
fn source_of(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

fn semaphore(places: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_cannot_take_the_places_of_others_and_gives_back_what_it_leaves() {
        let limits =
            TcpLimits { strangers_per_source_max: 2, strangers_max: 3, ..TcpLimits::default() };
        let slots = Slots::new(&limits);
        let stranger = |text: &str| slots.stranger(text.parse().unwrap());
        let first = stranger("2001:db8::1").unwrap();
        let _second = stranger("2001:db8::2:2").unwrap();
        assert!(stranger("2001:db8::3").is_none(), "the same /64");
        let _third = stranger("192.0.2.1").unwrap();
        assert!(stranger("192.0.2.2").is_none(), "no more strangers at all");
        drop(first);
        assert!(stranger("::ffff:192.0.2.1").is_some());
        assert_eq!(slots.sources.strangers.lock().unwrap().len(), 2);
    }
}
