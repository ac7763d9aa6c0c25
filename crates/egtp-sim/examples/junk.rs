//! Sends a node six kinds of junk over real connections and looks at what comes back.
//!
//! `junk [--seed N]`. Before and after each kind an honest node asks and is answered. Junk that
//! cannot be told from noise gets no byte; a changed record header, check bytes right by luck and
//! replays get at most one small answer each. Invariant: what the node holds (sessions, peers,
//! queries, dialogs) is the same after each kind as before it.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use egtp::{Kind, Message, Node, SecretKey, Strategy, Ticket};
use egtp_proto::wire::Header;
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::dice::Dice;
use egtp_sim::process::failure::Failure;
use egtp_sim::process::forgery::{Masks, Seen, flipped_behind_head, truncated};
use egtp_sim::process::honest::Till;
use egtp_sim::process::interposer::{Interposer, OnLoss, Recording};
use egtp_sim::process::intruder::{Heard, Intruder};
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::scratch::free_address;
use egtp_sim::process::tally::{Growth, RETRIES, UNKNOWN, status};
use tokio::time::{Instant, sleep};

fn main() -> ExitCode {
    run(|| async {
        let arguments = Arguments::read(&["--seed"])?;
        attack(arguments.seed()?).await
    })
}

/// The attacked node and what is known of it.
struct Target {
    dice: Dice,
    till: Till,
    secret: [u8; 32],
    address: SocketAddr,
    node: Node,
    asker: Node,
    recorded: Recording,
    masks: Masks,
    intruder: Intruder,
    checks: Checks,
}

/// What may come back.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Answers {
    Silence,
    OneSmallOneEach,
}

async fn attack(seed: u64) -> Result<Checks, Failure> {
    say(format_args!("junk: seed {seed}"));
    let mut target = Target::set(Dice::from_seed(seed)).await?;
    target.random_bytes().await?;
    target.random_packets().await?;
    target.truncated().await?;
    target.changed_behind_the_header().await?;
    target.changed_header().await?;
    target.of_another_node().await?;
    target.right_check_bytes().await?;
    target.replayed("recorded packets").await?;
    target.restart().await?;
    target.replayed("recorded packets, after a restart").await?;
    Ok(target.checks)
}

impl Target {
    async fn set(mut dice: Dice) -> Result<Self, Failure> {
        let (secret, address) = (dice.bytes(), free_address()?);
        let till = Till::default();
        let node = till.open(SecretKey::from_seed(secret), address).await?;
        let asker = Node::builder().start().await?;
        let recorded = record(&node, &asker, address).await?;
        let masks = Masks::new(&node.key(), &asker.key());
        let intruder = Intruder::new(address, &node.key());
        let checks = Checks::new();
        Ok(Self { dice, till, secret, address, node, asker, recorded, masks, intruder, checks })
    }

    /// The node forgets everything but its key and port.
    async fn restart(&mut self) -> Result<(), Failure> {
        // The goodbye needs a connection, and the last one may have been idle for too long. Whoever has
        // not heard it could send something that may have reached the old life.
        ask(&self.asker, &self.node, self.address).await?;
        self.node.clone().close().await;
        until(&self.asker, "the goodbye", |status| status.sizes.confirmed == 0).await?;
        self.node = self.till.open(SecretKey::from_seed(self.secret), self.address).await?;
        let first = ask(&self.asker, &self.node, self.address).await;
        let complaints: Vec<String> =
            first.err().map(|error| error.to_string()).into_iter().collect();
        self.checks
            .none("honest requests right after an orderly restart are answered", &complaints);
        Ok(())
    }

    /// Bytes that are not even a preamble: whoever does not know the key.
    async fn random_bytes(&mut self) -> Result<(), Failure> {
        let made: Vec<Vec<u8>> =
            (0..CONNECTIONS).map(|_| self.dice.vector(BYTES_PER_CONNECTION)).collect();
        let before = self.before().await?;
        let mut heard = Heard::default();
        for bytes in &made {
            let one = self.intruder.send_bytes(bytes, PATIENCE).await;
            heard.bytes += one.bytes;
            heard.refused += one.refused;
        }
        self.judge("random bytes", &before, &made, &heard, Answers::Silence).await
    }

    async fn random_packets(&mut self) -> Result<(), Failure> {
        let made = (0..PACKETS).map(|_| {
            let length = 33 + self.dice.index(1000);
            self.dice.vector(length)
        });
        let made = made.collect();
        self.send("random packets, framed", made, Answers::Silence).await
    }

    async fn truncated(&mut self) -> Result<(), Failure> {
        let made = (0..PACKETS).filter_map(|_| {
            let packet = self.dice.pick(&self.recorded.to_server)?.clone();
            truncated(&packet, &mut self.dice)
        });
        let made = made.collect();
        self.send("truncated", made, Answers::Silence).await
    }

    async fn changed_behind_the_header(&mut self) -> Result<(), Failure> {
        let made = (0..PACKETS).filter_map(|_| {
            let packet = self.dice.pick(&self.recorded.to_server)?.clone();
            Some(flipped_behind_head(&packet, &mut self.dice))
        });
        let made = made.collect();
        self.send("one bit changed behind the header", made, Answers::Silence).await
    }

    /// Records whose header names another session, and is masked as it should be.
    async fn changed_header(&mut self) -> Result<(), Failure> {
        let records = self.records();
        let made = (0..PACKETS).filter_map(|_| {
            let packet = self.dice.pick(&records)?.clone();
            let Seen::ForServer(Header::Record { lane, epoch, session, counter }) =
                self.masks.look(&packet)
            else {
                return None;
            };
            let session = session ^ (1 << self.dice.among(0..=31));
            let header = Header::Record { lane, epoch, session, counter };
            self.masks.with_header(&packet, &header)
        });
        let made = made.collect();
        self.send("record headers changed", made, Answers::OneSmallOneEach).await
    }

    /// Traffic between two others, sent here.
    async fn of_another_node(&mut self) -> Result<(), Failure> {
        let (address, asker) = (free_address()?, Node::builder().start().await?);
        let till = Till::default();
        let node = till.open(SecretKey::from_seed(self.dice.bytes()), address).await?;
        let foreign = record(&node, &asker, address).await?;
        let made = (0..PACKETS).filter_map(|_| self.dice.pick(&foreign.to_server).cloned());
        let made = made.collect();
        asker.close().await;
        node.close().await;
        self.send("another node's traffic", made, Answers::Silence).await
    }

    /// Random packets that pass the first check: one in four thousand million, or made by somebody
    /// who knows the key.
    async fn right_check_bytes(&mut self) -> Result<(), Failure> {
        let made = (0..PACKETS).filter_map(|_| {
            let length = 64 + self.dice.index(600);
            self.masks.lucky(&self.dice.vector(length), self.dice.bytes())
        });
        let made = made.collect();
        self.send("random, right check bytes", made, Answers::OneSmallOneEach).await
    }

    async fn replayed(&mut self, name: &str) -> Result<(), Failure> {
        let made = (0..PACKETS).filter_map(|_| self.dice.pick(&self.recorded.to_server).cloned());
        let made = made.collect();
        self.send(name, made, Answers::OneSmallOneEach).await
    }

    fn records(&self) -> Vec<Vec<u8>> {
        let all = self.recorded.to_server.iter();
        let is_record = |packet: &&Vec<u8>| {
            matches!(self.masks.look(packet), Seen::ForServer(Header::Record { .. }))
        };
        all.filter(is_record).cloned().collect()
    }

    async fn before(&self) -> Result<egtp::Status, Failure> {
        ask(&self.asker, &self.node, self.address).await?;
        // The honest question is over for the node when its reply was acknowledged.
        until(&self.node, "an acknowledgement", |status| status.sizes.queries == 0).await
    }

    async fn send(
        &mut self,
        name: &str,
        made: Vec<Vec<u8>>,
        answers: Answers,
    ) -> Result<(), Failure> {
        let before = self.before().await?;
        let heard = self.intruder.send(&made, PATIENCE).await;
        self.judge(name, &before, &made, &heard, answers).await
    }

    async fn judge(
        &mut self,
        name: &str,
        before: &egtp::Status,
        made: &[Vec<u8>],
        heard: &Heard,
        answers: Answers,
    ) -> Result<(), Failure> {
        let after = status(&self.node).await?;
        let growth = Growth::between(before, &after);
        let count = u64::try_from(made.len()).unwrap_or(u64::MAX);
        let bytes = u64::try_from(made.iter().map(Vec::len).sum::<usize>()).unwrap_or(u64::MAX);
        let answered = heard
            .packets
            .iter()
            .filter(|packet| matches!(self.masks.look(packet), Seen::ForAsker(Header::Rsp { .. })));
        let answered = answered.count();
        say(format_args!(
            "  {name}: {count} sent with {bytes} bytes; back came {} bytes: {} UNK, {} RETRY, \
             {answered} RSP",
            heard.bytes,
            growth.of(UNKNOWN),
            growth.of(RETRIES),
        ));
        say(format_args!("      {growth}"));
        self.checks.at_least(&format!("{name}: sent"), &count, &u64::from(CONNECTIONS));
        self.checks.equal(&format!("{name}: connections not taken"), &heard.refused, &0);
        let packets = u64::try_from(heard.packets.len()).unwrap_or(u64::MAX);
        match answers {
            Answers::Silence => {
                self.checks.equal(&format!("{name}: bytes that came back"), &heard.bytes, &0);
            }
            Answers::OneSmallOneEach => {
                self.checks.at_most(&format!("{name}: packets that came back"), &packets, &count);
                let largest = heard.packets.iter().map(Vec::len).max().unwrap_or(0);
                self.checks.at_most(
                    &format!("{name}: largest of them"),
                    &largest,
                    &ANSWER_BYTES_MAX,
                );
            }
        }
        let held = |status: &egtp::Status| {
            let sizes = &status.sizes;
            format!(
                "{} sessions, {} peers, {} queries, {} dialogs",
                sizes.sessions, sizes.peers, sizes.queries, sizes.dialogs
            )
        };
        self.checks.equal(&format!("{name}: the node holds"), &held(&after), &held(before));
        ask(&self.asker, &self.node, self.address).await
    }
}

/// Everything that an honest asker sends in a short life of a connection.
async fn record(node: &Node, asker: &Node, address: SocketAddr) -> Result<Recording, Failure> {
    let wire = Interposer::start(address, &node.key(), OnLoss::Close).await?;
    for _ in 0..QUESTIONS {
        ask(asker, node, wire.address()).await?;
    }
    wire.recordings().pop().ok_or(Failure::Gone)
}

/// Waits until what a node holds is so.
async fn until(
    node: &Node,
    what: &str,
    is_so: impl Fn(&egtp::Status) -> bool,
) -> Result<egtp::Status, Failure> {
    let deadline = Instant::now() + NOTICED_MAX;
    loop {
        let status = status(node).await?;
        if is_so(&status) {
            return Ok(status);
        }
        if Instant::now() > deadline {
            let (seconds, what) = (NOTICED_MAX.as_secs(), what.to_owned());
            return Err(Failure::Waited { seconds, what });
        }
        sleep(PATIENCE).await;
    }
}

async fn ask(asker: &Node, node: &Node, at: SocketAddr) -> Result<(), Failure> {
    let ticket = Ticket { key: node.key(), strategies: vec![Strategy::Tcp(at.into())] };
    let ended = asker.request(&ticket, Message::new(Kind::new("next/1")?, "junk")).await;
    let what = |error| Failure::Waited { seconds: 60, what: format!("an honest reply: {error}") };
    ended.map(drop).map_err(what)
}

const CONNECTIONS: u32 = 20;
const BYTES_PER_CONNECTION: usize = 1000;
const PACKETS: usize = 500;
const QUESTIONS: usize = 100;
/// How long to listen for an answer.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a node may take to notice what it was told.
const NOTICED_MAX: Duration = Duration::from_secs(5);
/// The largest thing that may come back: an answer to a first flight that is repeated, with a hybrid suite.
/// That flight had at least as many bytes.
const ANSWER_BYTES_MAX: usize = 1_400;
