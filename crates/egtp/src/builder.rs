//! Every choice about a node, with defaults that work.

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::limits::Limits;
use egtp_proto::time::{Instant, Now};
use egtp_proto::{Config, Endpoint, IdentityId, Kind, Part, Policy, PublicKey, SecretKey};
use tokio::sync::oneshot;

use crate::clock::{Clock, SystemClock};
use crate::driver::{Driver, Restored};
use crate::error::{ServeError, StartError};
use crate::keyfile;
use crate::lines::Lines;
use crate::lookup::Lookup;
use crate::loops::{self, Built, Other, runtime, thread};
use crate::node::Node;
use crate::path::tcp::{Seat, TcpLimits, TcpPath};
use crate::path::{Attempts, Path, watched};
use crate::reach::Reach;
use crate::serve::{Router, Routes, Serving};
use crate::store::{Saved, Store, Writer};

/// How a node is to be. Made by [`Node::builder`].
#[must_use = "a builder does nothing until it is started"]
#[derive(Debug)]
pub struct Builder {
    key: Option<SecretKey>,
    key_file: Option<PathBuf>,
    also: Vec<SecretKey>,
    listen: Vec<SocketAddr>,
    lookups: Vec<Arc<dyn Lookup>>,
    limits: Limits,
    suites: Suites,
    clock: Arc<dyn Clock>,
    network: Option<Box<dyn Path>>,
    around: Option<Around>,
    attempts: Option<Attempts>,
    seed: Option<[u8; 32]>,
    only_instance: bool,
    routers: Vec<Router>,
    store: Option<Box<dyn Store>>,
    spin: Duration,
    loops: u16,
}

/// Makes a path out of another one.
struct Around(Box<MakePath>);

type MakePath = dyn FnOnce(Box<dyn Path>) -> Box<dyn Path> + Send;

impl fmt::Debug for Around {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Around")
    }
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            key: None,
            key_file: None,
            also: Vec::new(),
            listen: Vec::new(),
            lookups: Vec::new(),
            limits: Limits::default(),
            suites: Suites::all(fast_cipher()),
            clock: Arc::new(SystemClock),
            network: None,
            around: None,
            attempts: None,
            seed: None,
            only_instance: false,
            routers: Vec::new(),
            store: None,
            spin: Duration::ZERO,
            loops: 1,
        }
    }

    /// The identity. Default: a fresh one, in memory only.
    pub fn key(mut self, key: SecretKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The identity from this key file, which is made if it is missing and never replaced.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_file = Some(path.into());
        self
    }

    /// Promises that no other process runs this identity now: a lock is held, or the key is nowhere
    /// else. Then peers that were cut off by a restart can be told for certain what this node never
    /// got, and send it again; without the promise they hear `Unknown` instead. A fresh identity and
    /// a key file that this node could lock need no promise. A false one can make a message run twice.
    pub fn only_instance(mut self) -> Self {
        self.only_instance = true;
        self
    }

    /// A further identity behind the same ports. What only one of them may do, the other cannot; but
    /// who talks to both can guess that they live together.
    pub fn also(mut self, key: SecretKey) -> Self {
        self.also.push(key);
        self
    }

    /// Accepts connections at this address. May be called several times; port 0 lets the system
    /// choose. Without any, the node is a *client*: it can ask, and answer whom it has asked.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Answers queries from the first packet on: the handlers are there before the node can be reached,
    /// and run as tasks of the runtime that starts it. May be called several times. [`Node::serve`] is
    /// for handlers that come later.
    pub fn serve(mut self, router: Router) -> Self {
        self.routers.push(router);
        self
    }

    /// Where to look for peers. May be called several times; all are asked at once.
    pub fn lookup(mut self, lookup: impl Lookup) -> Self {
        self.lookups.push(Arc::new(lookup));
        self
    }

    /// Remembers there what is to outlive crashes: messages that their senders want to be durable are
    /// then taken at most once over all restarts of this node. Default: nothing does.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// Bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The cipher suites that this node lists and takes, best first; it picks the first of them that a peer
    /// lists. Default: all, the hybrid ones first. Those that every node implements are always listed.
    pub fn suites(mut self, suites: Suites) -> Self {
        self.suites = suites;
        self
    }

    /// How long the driver looks for more after something has happened, before it sleeps. Default: not at all.
    ///
    /// While it looks, it need not be woken, and a processor is busy. It needs one that nothing else wants: with
    /// `start` a core beside the program's own, with `start_inline` the one that the program runs on. Where there is
    /// none it makes everything slower.
    pub const fn spin(mut self, before_sleep: Duration) -> Self {
        self.spin = before_sleep;
        self
    }

    /// On how many loops the node runs, from one to 256 (what is beyond counts as that), each on a thread and with an
    /// endpoint of its own, for a node that many peers talk to at once. Default: one.
    ///
    /// A peer is served by one of them for as long as the node runs, which its key decides; a connection that came to
    /// another one is handed over when the peer has shown itself, so that nothing but that is ever shared. Bounds hold
    /// for each loop, those of connections for all together. A node with a durable store, a path of the program's own
    /// or an inline driver can have one loop only, and so can a relay; it does not start with more. Handlers that run on the
    /// driver may be called by several loops at once.
    pub const fn loops(mut self, count: u16) -> Self {
        self.loops = if count > LOOPS_MAX { LOOPS_MAX } else { count };
        self
    }

    /// Another source of time, such as one that a test steps.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another network instead of TCP, such as one in memory.
    pub fn path(mut self, path: impl Path) -> Self {
        self.network = Some(Box::new(path));
        self
    }

    /// Puts something around the network, such as [`testing::copies`](crate::testing::copies). It is made where the
    /// driver runs, with the path that it is put around. The last one counts.
    pub fn around_path(
        mut self,
        make: impl FnOnce(Box<dyn Path>) -> Box<dyn Path> + Send + 'static,
    ) -> Self {
        self.around = Some(Around(Box::new(make)));
        self
    }

    /// Remembers there what becomes of each address that is tried, for a program that wants to say why
    /// a peer could not be reached. Default: nothing is remembered.
    pub fn attempts(mut self, attempts: Attempts) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Fixed randomness, for tests that must be repeatable. Never in a real node: whoever knows the
    /// seed knows every key of its sessions.
    pub fn insecure_seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the node on a thread of its own.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(self) -> Result<Node, StartError> {
        let (answer, started) = oneshot::channel();
        let run = move || {
            let built = runtime().and_then(|runtime| {
                let built = {
                    let _within = runtime.enter();
                    self.build()?
                };
                Ok((runtime, built.start_others()?))
            });
            // Who started it may have lost interest; then the node closes at once.
            match built {
                Ok((runtime, Built { node, driver, serving, lines, .. })) => {
                    let _ = answer.send(Ok((node, serving)));
                    runtime.block_on(loops::run(driver, lines));
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            }
        };
        thread("egtp".into(), run)?;
        match started.await {
            Ok(Ok((node, serving))) => {
                run_handlers(serving);
                Ok(node)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Driver(std::io::Error::other("the thread ended early"))),
        }
    }

    /// Prepares the node inline: its driver is a future that the caller runs, best on a single-threaded runtime, and
    /// that ends when the node has closed. Until it runs, nothing happens, timeouts included.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without time and I/O (`enable_all`).
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start_inline(
        self,
    ) -> Result<(Node, impl Future<Output = ()> + Send + 'static), StartError> {
        if self.loops > 1 {
            return Err(StartError::Loops { what: "an inline driver" });
        }
        let Built { node, driver, serving, .. } = self.build()?;
        run_handlers(serving);
        Ok((node, driver))
    }

    /// What was asked for that several loops cannot share.
    fn for_one_loop(&self) -> Option<&'static str> {
        let (store, network, around) =
            (self.store.is_some(), self.network.is_some(), self.around.is_some());
        [
            (store, "a durable store"),
            (network, "a path of its own"),
            (around, "a path around its own"),
        ]
        .into_iter()
        .find_map(|(is_there, what)| is_there.then_some(what))
    }

    fn build(self) -> Result<Built, StartError> {
        if let Some(what) = self.for_one_loop().filter(|_| self.loops > 1) {
            return Err(StartError::Loops { what });
        }
        let (first, is_ours, hold) = own_key(self.key, self.key_file)?;
        let exclusive = self.only_instance || (is_ours && self.also.is_empty());
        let mut identities = vec![Arc::new(first)];
        identities.extend(self.also.into_iter().map(Arc::new));
        let keys: Vec<PublicKey> = identities.iter().map(|secret| secret.public()).collect();
        let (first_part, other_parts) = parts_of(self.loops, self.seed)?;
        let count = other_parts.len() + 1;
        let lines = Lines::new(first_part.clone(), count);
        let routes = Routes::of_loops(count);
        let policies: Vec<(Kind, Policy)> =
            self.routers.iter().flat_map(Router::policies).collect();
        let keeps_sends = self.store.is_some() && self.routers.iter().any(Router::takes_sends);
        if let Some((kind, _)) = policies.first().filter(|_| self.store.is_none()) {
            return Err(ServeError::NeedsStore { kind: kind.clone() }.into());
        }
        let is_shared = count > 1 || keys.len() > 1;
        if is_shared && self.routers.iter().any(Router::is_relay) {
            return Err(ServeError::RelayIsShared.into());
        }
        let serving = self.routers.into_iter().map(|router| router.register(&routes));
        let serving = serving.collect::<Result<Vec<Serving>, ServeError>>()?;
        let clock = Arc::clone(&self.clock);
        let (seat, seats) = Seat::of_loops(count, keys.clone(), clock, TcpLimits::default());
        let network = match self.network {
            Some(network) => network,
            None => tcp(seat, &self.listen)?,
        };
        let network = watched(network, self.attempts.clone());
        let network = match self.around {
            Some(Around(make)) => make(network),
            None => network,
        };
        let listening = network.listening();
        let now = Now { boot: Instant::new(self.clock.boot()), wall: self.clock.wall() };
        let make = |part: Part| {
            let config = Config {
                identities: identities.clone(),
                limits: self.limits.clone(),
                seed: seed_of(&part, self.seed)?,
                suites: self.suites.clone(),
                reachable: !listening.is_empty(),
                exclusive,
                part,
            };
            let mut endpoint = Endpoint::new(config, now).ok_or(StartError::Cryptography)?;
            for (kind, policy) in &policies {
                endpoint.set_policy(kind.clone(), *policy);
            }
            if keeps_sends {
                endpoint.set_policy_of_sends(Policy::Redeliver);
            }
            Ok::<_, StartError>(endpoint)
        };
        let mut endpoint = make(first_part)?;
        let mut others = Vec::new();
        for ((part, commands), seat) in other_parts.into_iter().zip(lines.iter().skip(1)).zip(seats)
        {
            let reach = Reach::new(self.lookups.clone(), part.index());
            others.push(Other {
                endpoint: make(part)?,
                clock: Arc::clone(&self.clock),
                shared: (commands.clone(), routes.clone()),
                seat,
                attempts: self.attempts.clone(),
                reach,
                hold: hold.clone(),
                spin: self.spin,
                lines: lines.clone(),
            });
        }
        let has_store = self.store.is_some();
        let shared = (lines.first().clone(), routes.clone());
        let mut restored = Restored::new();
        let mut reach = Reach::new(self.lookups, 0);
        let writer = match self.store {
            Some(mut store) => {
                for (index, key) in (0..).zip(&keys) {
                    let saved = store.load(key)?;
                    restore(
                        IdentityId(index),
                        saved,
                        &mut endpoint,
                        now,
                        (&mut restored, &mut reach),
                    );
                }
                let writer = Writer::start(store, keys.clone(), shared.clone());
                Some(writer.map_err(StartError::Driver)?)
            }
            None => None,
        };
        let kept = (writer, restored);
        let driver = Driver::new(endpoint, self.clock, shared, vec![network], reach, kept, hold)
            .spinning(self.spin)
            .watched(self.attempts);
        let node = Node::new(keys, listening, (lines.clone(), routes), has_store);
        Ok(Built { node, driver, serving, others, lines })
    }
}

/// The first identity; whether nobody else can be it now; and what keeps others from being it.
fn own_key(
    key: Option<SecretKey>,
    file: Option<PathBuf>,
) -> Result<(SecretKey, bool, Option<Arc<File>>), StartError> {
    match (key, file) {
        (Some(key), _) => Ok((key, false, None)),
        (None, Some(path)) => {
            let key = keyfile::load_or_create(&path)?;
            let hold = keyfile::hold(&path);
            if hold.is_none() {
                tracing::warn!(path = %path.display(), "another process uses this key file");
            }
            Ok((key, hold.is_some(), hold.map(Arc::new)))
        }
        (None, None) => Ok((SecretKey::from_seed(random()?), true, None)),
    }
}

/// Goes on with what the durable store of an identity holds.
fn restore(
    identity: IdentityId,
    mut saved: Saved,
    endpoint: &mut Endpoint,
    now: Now,
    (restored, reach): (&mut Restored, &mut Reach),
) {
    for outcome in std::mem::take(&mut saved.outcomes) {
        restored.outcome(identity, outcome);
    }
    let mut asks = Vec::new();
    for ask in &saved.asks {
        reach.hint(ask.name.peer, &ask.hints);
    }
    let left_out = endpoint.add_store(now, identity, saved, |ask| {
        let token = restored.ask(now, identity, ask);
        asks.push((ask.name.peer, token, ask.id));
        token
    });
    restored.find_codes(endpoint, &asks);
    if left_out > 0 {
        tracing::warn!(left_out, "no room for requests of an earlier run; they stay in the store");
    }
}

/// Runs handlers as tasks of the present runtime.
fn run_handlers(serving: Vec<Serving>) {
    for one in serving {
        tokio::spawn(one.run());
    }
}

fn tcp(seat: Seat, listen: &[SocketAddr]) -> Result<Box<dyn Path>, StartError> {
    let path = TcpPath::of_first_loop(seat, listen).map_err(|source| {
        let addresses: Vec<String> = listen.iter().map(ToString::to_string).collect();
        StartError::Listen { addresses: addresses.join(", "), source }
    })?;
    Ok(Box::new(path))
}

/// Threads of a node. The names of its connections have room for so many loops.
const LOOPS_MAX: u16 = 256;

/// The first endpoint's part, and those of the others.
fn parts_of(loops: u16, fixed: Option<[u8; 32]>) -> Result<(Part, Vec<Part>), StartError> {
    if loops < 2 {
        return Ok((Part::WHOLE, Vec::new()));
    }
    let life = fixed.map_or_else(random, Ok)?;
    let mut parts = Part::split(loops, life);
    Ok((parts.next().unwrap_or(Part::WHOLE), parts.collect()))
}

/// What an endpoint draws from: no two parts of a node may draw the same.
fn seed_of(part: &Part, fixed: Option<[u8; 32]>) -> Result<[u8; 32], StartError> {
    let Some(mut seed) = fixed else { return random() };
    for (byte, index) in seed.iter_mut().zip(part.index().to_le_bytes()) {
        *byte ^= index;
    }
    Ok(seed)
}

fn random() -> Result<[u8; 32], StartError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| StartError::Randomness)?;
    Ok(bytes)
}

/// AES-256-GCM where the processor has instructions for it, ChaCha20-Poly1305 elsewhere.
fn fast_cipher() -> Cipher {
    #[cfg(target_arch = "x86_64")]
    let fast = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let fast = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let fast = false;
    if fast { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 }
}
