//! Honest traffic: a server that counts payments, and an asker that goes on paying whatever happens.
//!
//! Knows no attack. Each payment has a body of its own; between payments goes a question whose body
//! is always the same and whose answer never is, so that an old answer cannot pass for a new one.
//! Invariant: whatever was counted and answered is remembered over restarts of the server.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use egtp::{Kind, Message, Node, PublicKey, Router, SecretKey, Strategy, Ticket, respond};
use tokio::sync::watch;
use tokio::time::sleep;

use super::failure::Failure;
use super::report::{Checks, say};

/// What the server has counted: it outlives every server.
#[derive(Clone, Debug, Default)]
pub struct Till(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    payments: HashMap<Bytes, u64>,
    answers: u64,
}

impl Till {
    /// Starts a server with this key and address, and nothing remembered but the till.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn open(&self, key: SecretKey, address: SocketAddr) -> Result<Node, Failure> {
        let (till, other) = (self.clone(), self.clone());
        let pay = respond(move |_, body: Bytes| {
            *till.lock().payments.entry(body.clone()).or_default() += 1;
            std::future::ready(body)
        });
        let next = respond(move |_, _| {
            let mut counted = other.lock();
            counted.answers += 1;
            std::future::ready(counted.answers.to_string())
        });
        let router = Router::new().route(Kind::new(PAY)?, pay).route(Kind::new(NEXT)?, next);
        Ok(Node::builder().key(key).listen(address).serve(router).start().await?)
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the asker asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Asks,
    Pauses,
    Stops,
}

/// An asker that goes on in the background of the present local task set.
#[derive(Debug)]
pub struct Asker {
    node: Node,
    mode: watch::Sender<Mode>,
    told: Rc<RefCell<Told>>,
    lanes: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Told {
    begun: u64,
    paid: HashSet<Bytes>,
    answers: HashSet<Bytes>,
    /// Lanes that wait for a reply.
    under_way: u64,
    slowest: Duration,
    complaints: Vec<String>,
}

impl Asker {
    /// Begins to ask the server of this key at this address, with a few requests under way at a
    /// time.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn start(key: PublicKey, at: SocketAddr) -> Result<Self, Failure> {
        let node = Node::builder().start().await?;
        let (mode, _) = watch::channel(Mode::Asks);
        let told = Rc::new(RefCell::new(Told::default()));
        let mut lanes = Vec::new();
        for _ in 0..LANES {
            let lane = Lane {
                node: node.clone(),
                ticket: Ticket { key, strategies: vec![Strategy::Tcp(at.into())] },
                told: Rc::clone(&told),
                mode: mode.subscribe(),
                kinds: [Kind::new(PAY)?, Kind::new(NEXT)?],
            };
            lanes.push(tokio::task::spawn_local(lane.run()));
        }
        Ok(Self { node, mode, told, lanes })
    }

    /// Its node.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// Asks nothing more for the moment; returns when nothing is under way.
    pub async fn pause(&self) {
        self.mode.send_replace(Mode::Pauses);
        while self.told.borrow().under_way > 0 {
            sleep(PACE).await;
        }
    }

    /// Asks again.
    pub fn resume(&self) {
        self.mode.send_replace(Mode::Asks);
    }

    /// How many requests were begun.
    pub fn begun(&self) -> u64 {
        self.told.borrow().begun
    }

    /// Stops, and claims that every request was answered in time and every payment counted once.
    ///
    /// # Errors
    /// [`Failure::Gone`] if it has stopped by itself.
    pub async fn judge(self, till: &Till, checks: &mut Checks) -> Result<(), Failure> {
        self.mode.send_replace(Mode::Stops);
        for lane in self.lanes {
            lane.await.map_err(|_| Failure::Gone)?;
        }
        self.told.borrow().judge(&till.lock(), checks);
        self.node.close().await;
        Ok(())
    }
}

impl Told {
    fn judge(&self, counted: &Counted, checks: &mut Checks) {
        let payments: u64 = counted.payments.values().sum();
        say(format_args!(
            "  honest: {} requests, {} of them payments; slowest reply after {:?}",
            self.begun,
            self.paid.len(),
            self.slowest,
        ));
        checks.none("honest requests all have their own reply within 10 s", &self.complaints);
        let twice = counted.payments.iter().filter(|(_, count)| **count != 1);
        let twice = twice.map(|(body, count)| format!("{body:?} counted {count} times"));
        checks.none("payments are counted once", &twice.collect::<Vec<_>>());
        let paid = u64::try_from(self.paid.len()).unwrap_or(u64::MAX);
        checks.equal("payments counted, for as many real ones", &payments, &paid);
    }
}

/// One request after another.
struct Lane {
    node: Node,
    ticket: Ticket,
    told: Rc<RefCell<Told>>,
    mode: watch::Receiver<Mode>,
    kinds: [Kind; 2],
}

impl Lane {
    async fn run(mut self) {
        loop {
            // The asker outlives its lanes; were it gone, there would be nothing more to ask.
            let Ok(mode) = self.mode.wait_for(|mode| *mode != Mode::Pauses).await.map(|mode| *mode)
            else {
                return;
            };
            if mode == Mode::Stops {
                return;
            }
            // Both in one go: a pause waits for the lane, not for one request.
            self.told.borrow_mut().under_way += 1;
            let [pay, next] = self.kinds.clone();
            self.ask(pay).await;
            self.ask(next).await;
            self.told.borrow_mut().under_way -= 1;
            sleep(PACE).await;
        }
    }

    async fn ask(&self, kind: Kind) {
        let is_payment = kind.as_str() == PAY;
        let body = {
            let mut told = self.told.borrow_mut();
            told.begun += 1;
            if is_payment {
                Bytes::from(format!("payment {}", told.begun))
            } else {
                Bytes::from_static(b"the same question")
            }
        };
        let message = Message::new(kind, body.clone());
        let asked = self.node.request(&self.ticket, message).hard_timeout(HARD_TIMEOUT).await;
        let mut told = self.told.borrow_mut();
        if is_payment {
            told.paid.insert(body.clone());
        }
        match asked {
            Ok(reply) => {
                told.slowest = told.slowest.max(reply.took);
                let is_fresh = if is_payment {
                    reply.body == body
                } else {
                    told.answers.insert(reply.body.clone())
                };
                if !is_fresh {
                    told.complaints.push(format!("{body:?} was answered with {:?}", reply.body));
                }
            }
            Err(error) => told.complaints.push(format!("{body:?}: {error}")),
        }
    }
}

const PAY: &str = "pay/1";
const NEXT: &str = "next/1";
const LANES: usize = 4;
const PACE: Duration = Duration::from_millis(10);
const HARD_TIMEOUT: Duration = Duration::from_secs(10);
