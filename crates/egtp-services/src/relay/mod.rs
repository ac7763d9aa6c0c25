//! Relay: packets between two nodes that both have a session with a third.
//!
//! [`Relay`] is the third one's side: who is there, and who talks to whom. [`Client`] keeps a node registered. What is
//! said is in [`egtp::relay`]. A relay sees who talks to whom and how much, never what; it can delay and drop, and nothing
//! else. Invariant: it passes packets only between two of which one has asked for the other, and the other is
//! registered; it remembers no packet.

mod client;
mod rates;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use egtp::relay::{self, GONE, OPEN, PASS, Presence, REGISTER};
use egtp::{
    Allowed, Hints, Kind, KindError, MessageEvent, PublicKey, Query, QueryEvent, Refusal, Router,
};
use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::client::{Client, Standing};
use self::rates::Rates;

/// What a relay does for whom.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nodes that are registered at a time. Above it a further one is refused as busy.
    pub registered_max: usize,
    /// The longest lease.
    pub lease_max: Duration,
    /// Pairs that talk at a time. Above it a further one hears that its peer is absent.
    pub circuits_max: usize,
    /// How long a pair that is silent is remembered.
    pub circuit_idle: Duration,
    /// Bytes that each sender may have passed on in a second, and a second of it in one go after silence. Above it packets
    /// are dropped, like those that a full network drops: the two ends send again, and more slowly.
    pub bytes_per_second: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            registered_max: 16_384,
            lease_max: Duration::from_mins(2),
            circuits_max: 65_536,
            circuit_idle: Duration::from_mins(10),
            bytes_per_second: 8 * 1024 * 1024,
        }
    }
}

/// The relay's side. Clones are the same relay.
#[derive(Clone, Debug)]
pub struct Relay {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug)]
struct Table {
    limits: Limits,
    /// With the registration that counts: a later one of the same node takes its place.
    registered: HashMap<PublicKey, Arc<Notify>>,
    /// By both ends in order.
    circuits: HashMap<Ends, Circuit>,
    /// When silent pairs were looked for last.
    swept: Instant,
    rates: Rates,
}

/// Two who talk, by what packets say, which need not be a key.
type Ends = ([u8; 32], [u8; 32]);

#[derive(Clone, Copy, Debug)]
struct Circuit {
    ends: [PublicKey; 2],
    /// When something was last passed between them.
    used: Instant,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// To this one.
    Passes(PublicKey),
    /// These two do not talk.
    Strangers,
    /// Its sender has sent more than its share.
    TooMuch,
}

impl Relay {
    /// A relay that nobody is registered at.
    pub fn new(limits: Limits) -> Self {
        // Both ends of each pair.
        let senders_max = limits.circuits_max.saturating_mul(2);
        let table = Table {
            rates: Rates::new(limits.bytes_per_second, senders_max),
            limits,
            registered: HashMap::new(),
            circuits: HashMap::new(),
            swept: Instant::now(),
        };
        Self { table: Arc::new(Mutex::new(table)) }
    }

    /// What a node serves to be a relay: for those who may register, and for everybody who wants to talk to them. The
    /// node has one identity and one loop; another refuses to serve this ([`egtp::ServeError::RelayIsShared`]).
    ///
    /// # Errors
    /// [`KindError`] if the kinds of [`egtp::relay`] were no kinds, which they are.
    pub fn routers(&self, registering: Allowed) -> Result<[Router; 2], KindError> {
        let (here, there, between) = (self.clone(), self.clone(), self.clone());
        let gone = Kind::new(GONE)?;
        let pass = Kind::new(PASS)?;
        // Each of them waits for the end of a lease, and nobody for another's.
        let at_once = self.lock().limits.registered_max.saturating_add(SPARE);
        let register = Router::new()
            .concurrency(at_once)
            .route(Kind::new(REGISTER)?, move |query| here.clone().register(query))
            .allow(registering);
        let others = Router::new()
            .route_sync(Kind::new(OPEN)?, move |query| there.open(query))
            .route_hint(pass.clone(), move |hint, hints| between.pass(hint, hints, (&pass, &gone)));
        Ok([register, others])
    }

    /// Somebody is there until its lease is over, or it is gone.
    async fn register(self, query: Query) {
        let from = query.from();
        let Some(lease) = relay::decode_lease(query.body()) else {
            return query.refuse(Refusal::Failed);
        };
        let Some((replaced, lease)) = self.lock().register(from, lease) else {
            return query.refuse(Refusal::Busy { retry_after: Duration::from_secs(1) });
        };
        tokio::select! {
            () = tokio::time::sleep(lease) => {}
            () = query.withdrawn() => {}
            () = replaced.notified() => {}
        }
        self.lock().leave(&from, &replaced);
        query.reply(Bytes::copy_from_slice(&relay::encode_lease(lease)));
    }

    fn open(&self, query: &QueryEvent) -> Result<Bytes, Refusal> {
        let peer = relay::decode_peer(&query.message.body).ok_or(Refusal::Failed)?;
        let presence = self.lock().open(query.message.from, peer);
        Ok(Bytes::copy_from_slice(&presence.encode()))
    }

    fn pass(&self, hint: &MessageEvent, hints: &mut dyn Hints, (pass, gone): (&Kind, &Kind)) {
        let Some((to, packet)) = relay::split_pass(&hint.body) else { return };
        let verdict = self.lock().judge(hint.from, &to, packet.len());
        let is_passed = match verdict {
            Verdict::TooMuch => return,
            Verdict::Strangers if PublicKey::from_bytes(to).is_err() => return,
            Verdict::Strangers => false,
            Verdict::Passes(to) => {
                let body = relay::encode_pass(&hint.from, &packet);
                let passed = hints.hint(&to, pass.clone(), body);
                let is_there = passed != Err(egtp::NotSent::Unreachable);
                if !is_there {
                    self.lock().lost(&to);
                }
                is_there
            }
        };
        if !is_passed {
            // Also to whom we know nothing of, since a relay may have been restarted: he would send for ever, and wait.
            // If that cannot be said either, nobody is left who talks.
            let _ = hints.hint(&hint.from, gone.clone(), Bytes::copy_from_slice(&to));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Enters a node. It is told when another registration takes the place of this one.
    fn register(&mut self, who: PublicKey, lease: Duration) -> Option<(Arc<Notify>, Duration)> {
        let is_full = self.registered.len() >= self.limits.registered_max;
        if is_full && !self.registered.contains_key(&who) {
            return None;
        }
        let replaced = Arc::new(Notify::new());
        if let Some(earlier) = self.registered.insert(who, Arc::clone(&replaced)) {
            earlier.notify_one();
        }
        Some((replaced, lease.min(self.limits.lease_max)))
    }

    /// A registration is over; a later one of the same node may count.
    fn leave(&mut self, who: &PublicKey, registration: &Arc<Notify>) {
        if self.registered.get(who).is_some_and(|counts| Arc::ptr_eq(counts, registration)) {
            self.registered.remove(who);
        }
    }

    fn open(&mut self, from: PublicKey, peer: PublicKey) -> Presence {
        if !self.registered.contains_key(&peer) {
            return Presence::Absent;
        }
        if from == peer {
            // It wants to know whether its registration still counts.
            return Presence::Live;
        }
        let pair = ends(from.as_bytes(), peer.as_bytes());
        if self.circuits.len() >= self.limits.circuits_max && !self.circuits.contains_key(&pair) {
            if self.swept.elapsed() > SWEEP_EVERY {
                let idle = self.limits.circuit_idle;
                self.circuits.retain(|_, circuit| circuit.used.elapsed() < idle);
                self.swept = Instant::now();
            }
            if self.circuits.len() >= self.limits.circuits_max {
                return Presence::Absent;
            }
        }
        self.circuits.insert(pair, Circuit { ends: [from, peer], used: Instant::now() });
        Presence::Live
    }

    /// What becomes of a packet.
    fn judge(&mut self, from: PublicKey, to: &[u8; 32], bytes: usize) -> Verdict {
        match self.using(from, to) {
            None => Verdict::Strangers,
            Some(to) if self.rates.take(from, bytes) => Verdict::Passes(to),
            Some(_) => Verdict::TooMuch,
        }
    }

    /// The other one, if these two talk. Then they do so now.
    fn using(&mut self, one: PublicKey, other: &[u8; 32]) -> Option<PublicKey> {
        let idle = self.limits.circuit_idle;
        let circuit = self.circuits.get_mut(&ends(one.as_bytes(), other))?;
        if circuit.used.elapsed() >= idle {
            return None;
        }
        circuit.used = Instant::now();
        circuit.ends.into_iter().find(|end| end.as_bytes() == other)
    }

    /// A node was registered, and is not reached any more. It registers again when it is back.
    fn lost(&mut self, who: &PublicKey) {
        self.registered.remove(who);
    }
}

fn ends(one: &[u8; 32], other: &[u8; 32]) -> Ends {
    if one < other { (*one, *other) } else { (*other, *one) }
}

/// Registrations that are about to end, beside those that count.
const SPARE: usize = 1_024;
/// How often a full table is searched for pairs that are silent.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
