//! Relay: packets between two nodes that both have a session with a third.
//!
//! [`Relay`] is the third one's side: it asks its [`table`] who is there, and who talks to whom. [`Client`] keeps a node
//! registered where its [`choice`] says. What is said is in [`egtp::relay`]. A relay sees who talks to whom and how much,
//! never what; it can delay and drop, and nothing else. Invariant: it passes packets only between two of which one has
//! asked for the other, and the other is registered; it remembers no packet.

pub mod choice;
mod client;
mod counts;
mod dial_back;
mod rates;
pub mod table;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use egtp::relay::{self, GONE, OPEN, PASS, REGISTER};
use egtp::{
    Allowed, Hints, Kind, KindError, MessageEvent, NotSent, PublicKey, Query, QueryEvent, Refusal,
    Router,
};
use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::client::{Client, Standing};
pub use self::counts::Counts;
pub use self::dial_back::{DialBack, ask_back, dial_back};
pub use self::table::Limits;
use self::table::{Entered, Registration, Table, Verdict};

/// The relay's side. Clones are the same relay.
#[derive(Clone, Debug)]
pub struct Relay {
    here: Arc<Mutex<Here>>,
}

#[derive(Debug)]
struct Here {
    table: Table,
    /// Who waits for the end of a lease, and is told when it is over before its time.
    waiting: HashMap<Registration, Arc<Notify>>,
    /// What the time in the table is counted from.
    since: Instant,
}

impl Relay {
    /// A relay that nobody is registered at.
    pub fn new(limits: Limits) -> Self {
        let table = Table::new(limits, Duration::ZERO);
        let here = Here { table, waiting: HashMap::new(), since: Instant::now() };
        Self { here: Arc::new(Mutex::new(here)) }
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
        let at_once = self.lock().table.limits().registered_max.saturating_add(SPARE);
        let register = Router::new()
            .concurrency(at_once)
            .route(Kind::new(REGISTER)?, move |query| here.clone().register(query))
            .allow(registering);
        let others = Router::new()
            .route_sync(Kind::new(OPEN)?, move |query| there.open(query))
            .route_hint(pass.clone(), move |hint, hints| between.pass(hint, hints, (&pass, &gone)));
        Ok([register, others])
    }

    /// What it holds and has done.
    pub fn counts(&self) -> Counts {
        self.lock().table.counts()
    }

    /// Registers nobody any more, and ends all leases: whoever has another relay goes there. Those who talk go on until
    /// the node closes.
    pub fn drain(&self) {
        let mut here = self.lock();
        let ended = here.table.drain();
        here.tell(&ended);
    }

    /// Ends the leases of all who may not register, and the talks of those who may not talk, or of whom neither may
    /// register. What may be asked of it from then on is for the routers to say: give them an
    /// [`AllowList`](egtp::AllowList).
    pub fn keep(&self, registering: &Allowed, talking: &Allowed) {
        let mut here = self.lock();
        let ended = here.table.keep(|who| registering.admits(who), |who| talking.admits(who));
        here.tell(&ended);
    }

    /// Somebody is there until its lease is over, or it is gone.
    async fn register(self, query: Query) {
        let from = query.from();
        let Some(lease) = relay::decode_lease(query.body()) else {
            return query.refuse(Refusal::Failed);
        };
        let Some((entered, replaced)) = self.lock().register(from, lease) else {
            return query.refuse(Refusal::Busy { retry_after: Duration::from_secs(1) });
        };
        tokio::select! {
            () = tokio::time::sleep(entered.lease) => {}
            () = query.withdrawn() => {}
            () = replaced.notified() => {}
        }
        self.lock().leave(&from, entered.registration);
        query.reply(Bytes::copy_from_slice(&relay::encode_lease(entered.lease)));
    }

    fn open(&self, query: &QueryEvent) -> Result<Bytes, Refusal> {
        let peer = relay::decode_peer(&query.message.body).ok_or(Refusal::Failed)?;
        let presence = {
            let mut here = self.lock();
            let now = here.now();
            here.table.open(query.message.from, peer, now)
        };
        Ok(Bytes::copy_from_slice(&presence.encode()))
    }

    fn pass(&self, hint: &MessageEvent, hints: &mut dyn Hints, (pass, gone): (&Kind, &Kind)) {
        let Some((to, packet)) = relay::decode_pass(&hint.body) else { return };
        let verdict = {
            let mut here = self.lock();
            let now = here.now();
            here.table.judge(hint.from, to, packet.len(), now)
        };
        let is_passed = match verdict {
            Verdict::TooMuch => return,
            Verdict::Strangers => false,
            Verdict::Passes => {
                let body = relay::encode_pass(&hint.from, &packet);
                let passed = hints.hint(&to, pass.clone(), body);
                match passed {
                    Err(NotSent::Unreachable) => self.lock().table.lost(&to),
                    Err(_) => self.lock().table.overtaxed(),
                    Ok(()) => {}
                }
                passed != Err(NotSent::Unreachable)
            }
        };
        if !is_passed {
            // Also to whom we know nothing of, since a relay may have been restarted: he would send for ever, and wait.
            // If that cannot be said either, nobody is left who talks.
            let _ = hints.hint(&hint.from, gone.clone(), Bytes::copy_from_slice(to.as_bytes()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// Enters a node, for as long as is returned. It is told when another registration takes the place of this one.
    fn register(&mut self, who: PublicKey, lease: Duration) -> Option<(Entered, Arc<Notify>)> {
        let entered = self.table.register(who, lease)?;
        self.tell(entered.replaced.as_slice());
        let replaced = Arc::new(Notify::new());
        self.waiting.insert(entered.registration, Arc::clone(&replaced));
        Some((entered, replaced))
    }

    /// Their leases are over.
    fn tell(&self, ended: &[Registration]) {
        for over in ended.iter().filter_map(|ended| self.waiting.get(ended)) {
            over.notify_one();
        }
    }

    fn leave(&mut self, who: &PublicKey, registration: Registration) {
        self.waiting.remove(&registration);
        self.table.leave(who, registration);
    }
}

/// Registrations that are about to end, beside those that count.
const SPARE: usize = 1_024;
