//! Attacks honest traffic between two nodes in every way that needs no secret key.
//!
//! `mallory [--seed N]`. Mallory stands in the middle, has recorded everything, knows both public
//! keys and connects to the server as well. The attacks come one after the other, more than 1,000
//! packets each; what the attacked node counts in between tells which of its checks refused them.
//! Invariant: honest requests go on all the time, except while the server restarts.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use egtp::{Kind, Message, Node, PublicKey, SecretKey, Status, Strategy, Ticket};
use egtp_proto::wire::{Header, RetryKind};
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::dice::Dice;
use egtp_sim::process::failure::Failure;
use egtp_sim::process::forgery::{Masks, Seen, flipped, half_and_half, truncated};
use egtp_sim::process::honest::{Asker, Till};
use egtp_sim::process::interposer::{Interposer, Meddling, OnLoss, Toward};
use egtp_sim::process::intruder::Intruder;
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::scratch::free_address;
use egtp_sim::process::tally::{Growth, HANDSHAKES, RETRIES, status};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

fn main() -> ExitCode {
    run(|| async {
        let arguments = Arguments::read(&["--seed"])?;
        LocalSet::new().run_until(attack(arguments.seed()?)).await
    })
}

/// Everything that Mallory has, and the two whom he attacks.
struct Stage {
    dice: Dice,
    /// The server's secret, which Mallory never looks at.
    secret: [u8; 32],
    address: SocketAddr,
    till: Till,
    server: Node,
    asker: Asker,
    wire: Interposer,
    masks: Masks,
    intruder: Intruder,
    checks: Checks,
}

/// What both nodes had counted when an attack began.
struct Before {
    server: Status,
    asker: Status,
}

/// Packets made of one that passes, each with where it goes.
type Made = Vec<(Toward, Vec<u8>)>;

async fn attack(seed: u64) -> Result<Checks, Failure> {
    say(format_args!("mallory: seed {seed}"));
    let mut stage = Stage::set(Dice::from_seed(seed)).await?;
    stage.replay_streams("whole streams").await?;
    stage.restart().await?;
    stage.replay_streams("whole streams, after a restart").await?;
    stage.replay_packets().await?;
    stage.flip().await?;
    stage.truncate().await?;
    stage.splice().await?;
    stage.reflect().await?;
    stage.forge_unknown().await?;
    stage.forge_retry().await?;
    stage.echo_unknown().await?;
    stage.retarget().await?;
    let before = stage.asker.begun();
    sleep(AFTERWARDS).await;
    let after = stage.asker.begun();
    let Stage { asker, till, mut checks, .. } = stage;
    checks.at_least("honest requests after the last attack", &(after - before), &20);
    asker.judge(&till, &mut checks).await?;
    Ok(checks)
}

impl Stage {
    /// Starts everybody, and lets a few askers come and go so that whole streams are on record.
    async fn set(mut dice: Dice) -> Result<Self, Failure> {
        let (secret, address) = (dice.bytes(), free_address()?);
        let till = Till::default();
        let server = till.open(SecretKey::from_seed(secret), address).await?;
        let wire = Interposer::start(address, &server.key(), OnLoss::Close).await?;
        for _ in 0..VISITORS {
            visit(&wire, server.key(), VISITS).await?;
        }
        let asker = Asker::start(server.key(), wire.address()).await?;
        let masks = Masks::new(&server.key(), &asker.node().key());
        let intruder = Intruder::new(address, &server.key());
        sleep(WARM_UP).await;
        let checks = Checks::new();
        Ok(Self { dice, secret, address, till, server, asker, wire, masks, intruder, checks })
    }

    /// The server forgets everything but its key and port. Honest requests pause meanwhile, because
    /// what is under way then may rightly end as unknown.
    async fn restart(&mut self) -> Result<(), Failure> {
        self.asker.pause().await;
        self.server.clone().close().await;
        self.server = self.till.open(SecretKey::from_seed(self.secret), self.address).await?;
        self.asker.resume();
        sleep(WARM_UP).await;
        Ok(())
    }

    async fn replay_streams(&mut self, name: &str) -> Result<(), Failure> {
        let before = self.before().await?;
        let mut injected = 0;
        let recordings = self.wire.recordings();
        // What a stranger may send on one connection is bounded: longer streams would not be read.
        let short: Vec<_> =
            recordings.iter().filter(|one| one.asker_bytes.len() < STREAM_BYTES_MAX).collect();
        while injected <= GOAL && !short.is_empty() {
            for recording in &short {
                self.intruder.send_bytes(&recording.asker_bytes, PATIENCE).await;
                injected += count(&recording.to_server);
            }
        }
        self.judge(name, &before, injected, 0).await
    }

    async fn replay_packets(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let recorded = self.wire.recordings().pop().unwrap_or_default();
        let chosen: Vec<Vec<u8>> =
            (0..=GOAL).filter_map(|_| self.dice.pick(&recorded.to_server).cloned()).collect();
        self.intruder.send(&chosen, PATIENCE).await;
        let mut dice = self.dice.branch();
        // Old answers, on the very connection on which new ones are awaited.
        let (_, to_asker) = self
            .beside(0, GOAL, move |toward, _| match (toward, dice.pick(&recorded.to_asker)) {
                (Toward::Server, Some(old)) => vec![(Toward::Asker, old.clone()); 5],
                _ => Made::new(),
            })
            .await;
        self.judge("single packets again", &before, count(&chosen), to_asker).await
    }

    async fn flip(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let mut dice = self.dice.branch();
        let made = self.beside(GOAL, GOAL, move |toward, packet| {
            (0..5).map(|_| (toward, flipped(packet, &mut dice))).collect()
        });
        let (to_server, to_asker) = made.await;
        self.judge("one bit flipped, before the original", &before, to_server, to_asker).await
    }

    async fn truncate(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let mut dice = self.dice.branch();
        let made = self.beside(GOAL, GOAL, move |toward, packet| {
            let short = (0..5).filter_map(|_| truncated(packet, &mut dice));
            short.map(|short| (toward, short)).collect()
        });
        let (to_server, to_asker) = made.await;
        self.judge("truncated, before the original", &before, to_server, to_asker).await
    }

    /// New heads on old bodies: as they come, and with the mask put right.
    async fn splice(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let mut dice = self.dice.branch();
        let old = self.wire.recordings().pop().unwrap_or_default();
        let masks = self.masks.clone();
        let made = self.beside(GOAL, GOAL, move |toward, packet| {
            let old = match toward {
                Toward::Server => &old.to_server,
                Toward::Asker => &old.to_asker,
            };
            let mut made = Made::new();
            for _ in 0..3 {
                let Some(old) = dice.pick(old) else { break };
                made.extend(half_and_half(packet, old).map(|made| (toward, made)));
                made.extend(masks.spliced(packet, old).map(|made| (toward, made)));
            }
            made
        });
        let (to_server, to_asker) = made.await;
        self.judge("head of one, tail of another", &before, to_server, to_asker).await
    }

    async fn reflect(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let made = self.beside(GOAL, GOAL, |toward, packet| {
            let back = match toward {
                Toward::Server => Toward::Asker,
                Toward::Asker => Toward::Server,
            };
            vec![(back, packet.to_vec()); 3]
        });
        let (to_server, to_asker) = made.await;
        self.judge("reflected to its sender", &before, to_server, to_asker).await
    }

    async fn forge_unknown(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let (masks, mut dice) = (self.masks.clone(), self.dice.branch());
        let made = self.beside(0, GOAL, move |_, packet| {
            let forged = (0..5).filter_map(|_| masks.unknown(packet, Some(dice.bytes())));
            forged.map(|forged| (Toward::Asker, forged)).collect()
        });
        let (_, to_asker) = made.await;
        self.judge("UNK with a tag made up", &before, 0, to_asker).await
    }

    /// Forged advice, to the asker and to newcomers in the very middle of their handshakes.
    async fn forge_retry(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let (masks, mut dice) = (self.masks.clone(), self.dice.branch());
        let mut session = 0;
        // More than elsewhere: newcomers leave before they have read all that is theirs.
        let made = self.beside(0, GOAL + 300, move |_, packet| {
            if let Seen::ForServer(Header::Ini { initiator_session, .. }) = masks.look(packet) {
                session = initiator_session;
            }
            let kinds = [RetryKind::Prekey, RetryKind::Cookie];
            let forged = kinds.map(|kind| masks.retry(session, kind, &mut dice));
            forged.map(|forged| (Toward::Asker, forged)).into()
        });
        let mut refused_by_newcomers = 0;
        let newcomers = async {
            for _ in 0..NEWCOMERS {
                refused_by_newcomers += visit(&self.wire, self.server.key(), 1).await?;
            }
            Ok::<(), Failure>(())
        };
        let ((_, to_asker), came) = tokio::join!(made, newcomers);
        came?;
        say(format_args!("  {NEWCOMERS} newcomers refused {refused_by_newcomers} of the next"));
        self.checks.at_least("forged RETRY refused by newcomers", &refused_by_newcomers, &1);
        // Those on the newcomers' connections are theirs, and what they left unread nobody's.
        self.judge_at_least("RETRY sealed with nothing", &before, (0, to_asker), GOAL).await
    }

    /// Hints that repeat a true tag are believed as hints, but not more than one in a while.
    async fn echo_unknown(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let masks = self.masks.clone();
        let made = self.beside(0, GOAL, move |_, packet| {
            let forged = masks.unknown(packet, None);
            forged.map(|forged| vec![(Toward::Asker, forged); 5]).unwrap_or_default()
        });
        let (_, to_asker) = made.await;
        sleep(WARM_UP).await;
        let asker = Growth::between(&before.asker, &status(self.asker.node()).await?);
        say(format_args!("  UNK with a true tag: {to_asker} to the asker: {asker}"));
        let handshakes = asker.of(HANDSHAKES);
        self.checks.at_most(
            "handshakes because of more than 1,000 true-looking UNK",
            &handshakes,
            &2,
        );
        Ok(())
    }

    /// First flights that name an identity which does not live here.
    async fn retarget(&mut self) -> Result<(), Failure> {
        let before = self.before().await?;
        let recordings = self.wire.recordings();
        let flights: Vec<Vec<u8>> =
            recordings.iter().flat_map(|one| one.to_server.iter().take(2).cloned()).collect();
        let made: Vec<Vec<u8>> = (0..=2 * GOAL)
            .filter_map(|_| self.masks.retargeted(self.dice.pick(&flights)?, self.dice.bytes()))
            .collect();
        self.intruder.send(&made, PATIENCE).await;
        self.judge("first flights to another identity", &before, count(&made), 0).await
    }

    /// Sends what `make` makes of each honest packet ahead of it, on the same connection, until so
    /// many went each way or time is up. Gives back how many did.
    async fn beside(
        &self,
        server_goal: u64,
        asker_goal: u64,
        mut make: impl FnMut(Toward, &[u8]) -> Made + Send + 'static,
    ) -> (u64, u64) {
        let sent = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let counting = Arc::clone(&sent);
        self.wire.set_meddler(Box::new(move |toward, packet| {
            let mut meddling = Meddling::default();
            for (toward, made) in make(toward, packet) {
                let (list, count) = match toward {
                    Toward::Server => (&mut meddling.to_server, &counting.0),
                    Toward::Asker => (&mut meddling.to_asker, &counting.1),
                };
                list.push(made);
                count.fetch_add(1, Ordering::Relaxed);
            }
            meddling
        }));
        let deadline = Instant::now() + ATTACK_MAX;
        while Instant::now() < deadline
            && (sent.0.load(Ordering::Relaxed) <= server_goal && server_goal > 0
                || sent.1.load(Ordering::Relaxed) <= asker_goal && asker_goal > 0)
        {
            sleep(PATIENCE).await;
        }
        self.wire.clear_meddler();
        (sent.0.load(Ordering::Relaxed), sent.1.load(Ordering::Relaxed))
    }

    async fn before(&self) -> Result<Before, Failure> {
        let (server, asker) = (status(&self.server).await?, status(self.asker.node()).await?);
        Ok(Before { server, asker })
    }

    /// Claims that all that was sent has arrived and was refused by a check.
    async fn judge(
        &mut self,
        name: &str,
        before: &Before,
        to_server: u64,
        to_asker: u64,
    ) -> Result<(), Failure> {
        let all = to_server + to_asker;
        self.judge_at_least(name, before, (to_server, to_asker), all).await
    }

    async fn judge_at_least(
        &mut self,
        name: &str,
        before: &Before,
        (to_server, to_asker): (u64, u64),
        wanted: u64,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + SETTLING_MAX;
        let (server, asker, refused) = loop {
            let server = Growth::between(&before.server, &status(&self.server).await?);
            let asker = Growth::between(&before.asker, &status(self.asker.node()).await?);
            // Advice to a knock is an answer that keeps nothing; a knock is never accepted.
            let refused = server.refused() + server.of(RETRIES) + asker.refused();
            if refused >= wanted || Instant::now() > deadline {
                break (server, asker, refused);
            }
            sleep(PATIENCE).await;
        };
        say(format_args!("  {name}: {to_server} to the server, {to_asker} to the asker"));
        say(format_args!("      server: {server}"));
        say(format_args!("      asker:  {asker}"));
        let sent = to_server.max(to_asker);
        self.checks.at_least(&format!("{name}: sent to one side"), &sent, &GOAL);
        self.checks.at_least(&format!("{name}: refused by a check"), &refused, &wanted);
        Ok(())
    }
}

/// A node that comes, asks a few times through the wire, and goes. Gives back what it has refused.
async fn visit(wire: &Interposer, key: PublicKey, questions: u64) -> Result<u64, Failure> {
    let node = Node::builder().start().await?;
    let ticket = Ticket { key, strategies: vec![Strategy::Tcp(wire.address().into())] };
    for _ in 0..questions {
        let asked = node.request(&ticket, Message::new(Kind::new("next/1")?, "visit")).await;
        if let Err(error) = asked {
            return Err(Failure::Waited {
                seconds: 60,
                what: format!("a visitor's reply: {error}"),
            });
        }
    }
    let refused = status(&node).await?.counters.dropped.total();
    node.close().await;
    Ok(refused)
}

fn count(packets: &[Vec<u8>]) -> u64 {
    u64::try_from(packets.len()).unwrap_or(u64::MAX)
}

/// More than this many of each kind.
const GOAL: u64 = 1_000;
const VISITORS: usize = 5;
const VISITS: u64 = 40;
const NEWCOMERS: usize = 5;
const STREAM_BYTES_MAX: usize = 60 * 1024;
const WARM_UP: Duration = Duration::from_millis(500);
const AFTERWARDS: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_millis(10);
/// How long an attack may take to send what it wants.
const ATTACK_MAX: Duration = Duration::from_secs(10);
/// How long the attacked may take to look at everything.
const SETTLING_MAX: Duration = Duration::from_secs(3);
