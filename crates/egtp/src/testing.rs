//! A network in memory, for tests of programs that use this library.
//!
//! Nodes on one [`Network`] reach each other by key, without sockets; packets can be lost, delayed and
//! cut off, and time can be moved: on a runtime with paused time (`tokio::time::pause`) hours pass at
//! once. Only what a real network does is offered; nothing inside a node is faked.
//!
//! ```
//! use std::time::Duration;
//! use egtp::testing::Network;
//! use egtp::{Kind, Message, Router, respond};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let network = Network::new(7).delay(Duration::from_millis(20)).loss(0.2);
//! let (alice, driver) = network.node().start_inline()?;
//! tokio::spawn(driver);
//! let (bob, driver) = network.node().start_inline()?;
//! tokio::spawn(driver);
//!
//! let kind = Kind::new("double/1")?;
//! let double = respond(|_, body| async move { [&body[..], &body].concat() });
//! let (serving, router) = (bob.clone(), Router::new().route(kind.clone(), double));
//! tokio::spawn(async move { serving.serve(router).await });
//!
//! let reply = alice.request(bob.key(), Message::new(kind, "ha")).await?;
//! assert_eq!(reply.body, "haha");
//! # Ok(())
//! # })
//! # }
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use egtp_proto::crypto::{Cipher, Random, Suites};
use egtp_proto::limits::PACKET_BYTES_MAX;
use egtp_proto::{Contact, ContactDraft, HostPort, PathId, PublicKey, SecretKey, Strategy};
use tokio::time::{Instant, Sleep};

use crate::builder::Builder;
use crate::clock::TokioClock;
use crate::error::StartError;
use crate::lookup::MemoryLookup;
use crate::node::Node;
use crate::path::{Closed, Copies, DialError, DialId, Hint, NotSent, Path, PathEvent};

/// Puts something around a path, through which each packet leaves as often as `copies` says of it: 0 loses it, 2
/// doubles it, where there is room. For [`Builder::around_path`], above all over real sockets; a [`Network`] loses
/// packets by itself.
pub fn copies(
    path: Box<dyn Path>,
    copies: impl FnMut(&[u8]) -> usize + Send + 'static,
) -> Box<dyn Path> {
    Box::new(Copies::new(path, copies))
}

/// A network in memory. Clones are the same network.
#[derive(Clone, Debug)]
pub struct Network {
    world: Arc<Mutex<World>>,
    clock: Arc<TokioClock>,
    /// Where every node finds every other.
    contacts: MemoryLookup,
}

#[derive(Debug)]
struct World {
    random: Random,
    loss: f64,
    delay: Duration,
    next_path: u64,
    nodes: BTreeMap<u64, Mailbox>,
    /// Which node serves a key.
    by_key: HashMap<PublicKey, u64>,
    /// Each end of a connection: whose it is, and the other end.
    ends: HashMap<PathId, (u64, PathId)>,
}

#[derive(Debug, Default)]
struct Mailbox {
    /// In order of their time, because all delays are alike.
    due: VecDeque<(Instant, PathEvent)>,
    waker: Option<Waker>,
    is_cut: bool,
}

impl Network {
    /// A network without loss or delay. The seed decides which packets are lost.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(seed.to_le_bytes()) {
            *to = from;
        }
        let world = World {
            random: Random::from_seed(bytes),
            loss: 0.0,
            delay: Duration::ZERO,
            next_path: 1,
            nodes: BTreeMap::new(),
            by_key: HashMap::new(),
            ends: HashMap::new(),
        };
        // Any present day will do for the wall clock.
        let clock = TokioClock::new(Duration::from_hours(500_000));
        let world = Arc::new(Mutex::new(world));
        Self { world, clock: Arc::new(clock), contacts: MemoryLookup::new() }
    }

    /// Loses this share of all packets (0 to 1) from now on.
    #[must_use]
    pub fn loss(self, share: f64) -> Self {
        self.lock().loss = share;
        self
    }

    /// Delays every packet by this much from now on.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.lock().delay = delay;
        self
    }

    /// Begins a node on this network, with a fresh identity. Start it with
    /// [`Builder::start_inline`], on the runtime whose time the test moves.
    pub fn node(&self) -> Builder {
        let seed = self.lock().random.bytes();
        self.node_with_key(SecretKey::from_seed(seed))
    }

    /// Begins a node with a certain identity, such as one that was on the network before: a restart.
    pub fn node_with_key(&self, key: SecretKey) -> Builder {
        let mut world = self.lock();
        let name = world.nodes.last_key_value().map_or(1, |(last, _)| last + 1);
        world.nodes.insert(name, Mailbox::default());
        world.by_key.insert(key.public(), name);
        drop(world);
        // A later node of the same key has a later name, and so a newer contact.
        if let Some(contact) = contact(&key, name) {
            // A full table would only mean that this node is not found.
            let _ = self.contacts.keep(contact);
        }
        let path = MemoryPath { network: self.clone(), name, alarm: None };
        let clock: Arc<TokioClock> = Arc::clone(&self.clock);
        let builder = Node::builder().key(key).only_instance().clock(clock).path(path);
        builder.lookup(self.contacts.clone())
    }

    /// Cuts a node off: its connections break, and no new one succeeds until [`Network::join`].
    pub fn cut(&self, key: &PublicKey) {
        let mut world = self.lock();
        let Some(&name) = world.by_key.get(key) else { return };
        if let Some(mailbox) = world.nodes.get_mut(&name) {
            mailbox.is_cut = true;
        }
        world.hang_up(name);
    }

    /// Lets a node that was cut off back in.
    pub fn join(&self, key: &PublicKey) {
        let mut world = self.lock();
        if let Some(name) = world.by_key.get(key).copied()
            && let Some(mailbox) = world.nodes.get_mut(&name)
        {
            mailbox.is_cut = false;
        }
    }

    /// Sets every node's wall clock forward, or back, by so many seconds.
    pub fn shift_wall(&self, seconds: i64) {
        self.clock.shift_wall(seconds);
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn tell(&mut self, name: u64, event: PathEvent) {
        let at = Instant::now() + self.delay;
        if let Some(mailbox) = self.nodes.get_mut(&name) {
            mailbox.due.push_back((at, event));
            if let Some(waker) = mailbox.waker.take() {
                waker.wake();
            }
        }
    }

    fn reachable(&self, name: u64) -> bool {
        self.nodes.get(&name).is_some_and(|mailbox| !mailbox.is_cut)
    }

    fn dial(&mut self, from: u64, dial: DialId, peer: PublicKey, strategy: &Strategy) {
        let to = self.by_key.get(&peer).copied();
        let Some(to) = to.filter(|to| self.reachable(*to) && self.reachable(from)) else {
            return self.tell(from, PathEvent::DialFailed { dial, error: DialError::Refused });
        };
        let (here, there) = (PathId(self.next_path), PathId(self.next_path + 1));
        self.next_path += 2;
        self.ends.insert(here, (from, there));
        self.ends.insert(there, (to, here));
        self.tell(from, PathEvent::Opened { dial, path: here, strategy: strategy.clone() });
        let accepted =
            address(from).map(|from| PathEvent::Accepted { path: there, identity: peer, from });
        if let Some(accepted) = accepted {
            self.tell(to, accepted);
        }
    }

    fn is_lost(&mut self) -> bool {
        // 53 bits are as many as such a fraction can tell apart.
        let drawn = u32::try_from(self.random.u64() >> 33).unwrap_or(0);
        f64::from(drawn) / f64::from(1_u32 << 31) < self.loss
    }

    fn hang_up(&mut self, name: u64) {
        let mine: Vec<PathId> = self
            .ends
            .iter()
            .filter(|(_, (owner, _))| *owner == name)
            .map(|(path, _)| *path)
            .collect();
        for path in mine {
            self.close(path);
        }
    }

    /// Breaks a connection at both ends.
    fn close(&mut self, path: PathId) {
        let Some((owner, other)) = self.ends.remove(&path) else { return };
        self.tell(owner, PathEvent::Closed { path, why: Closed::Error });
        if let Some((peer, _)) = self.ends.remove(&other) {
            self.tell(peer, PathEvent::Closed { path: other, why: Closed::ByPeer });
        }
    }
}

/// One node's place on the network.
#[derive(Debug)]
struct MemoryPath {
    network: Network,
    name: u64,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Path for MemoryPath {
    fn reaches(&self, strategy: &Strategy) -> bool {
        matches!(strategy, Strategy::Tcp(_))
    }

    fn dial(&mut self, dial: DialId, peer: PublicKey, strategy: &Strategy) {
        self.network.lock().dial(self.name, dial, peer, strategy);
    }

    fn send(&mut self, path: PathId, packet: Bytes) -> Result<(), NotSent> {
        let mut world = self.network.lock();
        let (_, other) = *world.ends.get(&path).ok_or(NotSent::Closed)?;
        let (owner, _) = *world.ends.get(&other).ok_or(NotSent::Closed)?;
        if !world.is_lost() {
            let packet = BytesMut::from(&packet[..]);
            world.tell(owner, PathEvent::Received { path: other, packet });
        }
        Ok(())
    }

    fn flush(&mut self) {}

    fn room(&self, path: PathId) -> usize {
        if self.network.lock().ends.contains_key(&path) { PACKET_BYTES_MAX } else { 0 }
    }

    fn hint(&mut self, _path: PathId, _hint: Hint) {}

    fn accept_peer(&mut self, _path: PathId) {}

    fn close(&mut self, path: PathId) {
        self.network.lock().close(path);
    }

    fn poll(&mut self, context: &mut Context<'_>, events: &mut Vec<PathEvent>) -> Poll<()> {
        loop {
            let mut world = self.network.lock();
            let Some(mailbox) = world.nodes.get_mut(&self.name) else { return Poll::Pending };
            let now = Instant::now();
            let before = events.len();
            while mailbox.due.front().is_some_and(|(at, _)| *at <= now) {
                events.extend(mailbox.due.pop_front().map(|(_, event)| event));
            }
            mailbox.waker = Some(context.waker().clone());
            let next = mailbox.due.front().map(|(at, _)| *at);
            drop(world);
            if events.len() > before {
                return Poll::Ready(());
            }
            let Some(next) = next else { return Poll::Pending };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
            alarm.as_mut().reset(next);
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn listening(&self) -> Vec<Strategy> {
        address(self.name).into_iter().collect()
    }
}

impl Drop for MemoryPath {
    fn drop(&mut self) {
        let mut world = self.network.lock();
        world.hang_up(self.name);
        world.nodes.remove(&self.name);
        let name = self.name;
        world.by_key.retain(|_, owner| *owner != name);
    }
}

/// An address that means something only here.
fn address(name: u64) -> Option<Strategy> {
    let text = format!("node-{name}.test:1");
    text.parse::<HostPort>().ok().map(Strategy::Tcp)
}

fn contact(key: &SecretKey, name: u64) -> Option<Contact> {
    let draft = ContactDraft {
        sequence: name,
        strategies: address(name).into_iter().collect(),
        suites: Suites::all(Cipher::Aes256Gcm).ids(),
        mailbox_prekey: None,
        letter_store: None,
        instance: name,
        message_bytes_max: 2 * 1024 * 1024,
        idle_out_seconds: 3600,
        expiry_day: 1,
        parent: None,
    };
    draft.sign(key, 0).ok()
}

/// Starts a node of this network on the present runtime.
///
/// # Errors
/// [`StartError`].
pub fn spawn(builder: Builder) -> Result<Node, StartError> {
    let (node, driver) = builder.start_inline()?;
    tokio::spawn(driver);
    Ok(node)
}
