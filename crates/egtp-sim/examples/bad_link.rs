//! Numbered durable requests over a link that is slow, loses, doubles and is cut, to a server that dies.
//!
//! `bad_link kernel|wire [--requests 500] [--cut-seconds 20] [--kill-every N] [--counts ledger] [--seed N]`. A
//! node with a disk asks the numbers from 1 on, many at a time; the server books each in the transaction that
//! takes it, and dies by SIGKILL after each third of them, or after every so many. At the end the book must
//! hold every number once, and each request must have ended by its reply. `kernel` wants a network namespace of
//! its own (see `process/bad_link.rs`); `probe` ends with 0 if the kernel can do it. `--counts beside` is a
//! control: a server that books beside its store must be caught. Invariant: the book is read only when nothing
//! is open any more and the server is dead.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use egtp::clock::{Clock, SystemClock};
use egtp::store::SqliteStore;
use egtp::{Kind, Message, Node, StartError, Strategy, Ticket};
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::bad_link::BadLink;
use egtp_sim::process::book::{self, Line};
use egtp_sim::process::dice::Dice;
use egtp_sim::process::failure::{Failure, trying};
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::scratch::{Scratch, free_address};
use egtp_sim::process::server::{BODY_END, Home, KIND, Memory, Program, Server, serve_counter};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

fn main() -> ExitCode {
    run(|| async {
        if let Some(bug) = egtp_sim::planted::from_environment()? {
            // To stderr: the first line of a server's output is its key.
            eprintln!("planted: {bug}");
        }
        let names = ["--requests", "--cut-seconds", "--kill-every", "--counts", "--seed"];
        let arguments = Arguments::read(&names)?;
        match arguments.words()[..] {
            ["server", folder, port, memory] => {
                serve_counter(folder.as_ref(), port, Memory::from_word(memory)?).await?;
                Ok(Checks::new())
            }
            ["probe"] => {
                let link = BadLink::kernel(([127, 0, 0, 1], 1).into())?;
                // Without the tool that cuts there is no link that is cut.
                link.cut(&mut Dice::from_seed(0))?;
                Ok(Checks::new())
            }
            [link @ ("kernel" | "wire")] => Trial::prepare(link, &arguments).await?.run().await,
            _ => {
                Err(Failure::Usage(format!("bad_link kernel|wire|probe [{}]", names.join(" N] ["))))
            }
        }
    })
}

/// Everything that is there while requests are asked.
struct Trial {
    plan: Plan,
    dice: Dice,
    link: BadLink,
    home: Home,
    server: Server,
    asker: Node,
    ticket: Ticket,
    broken: Broken,
    ended: BTreeMap<u64, Ended>,
    scratch: Scratch,
}

/// What is to happen.
struct Plan {
    requests: u64,
    cut_every: Duration,
    kill_every: u64,
}

/// What has been done to connections.
#[derive(Default)]
struct Broken {
    /// From when to when, in boot time, connections were ended.
    moments: Vec<(Duration, Duration)>,
    cuts: u64,
    ends_closed: u64,
    kills: u64,
}

/// How a request has ended, and when in boot time.
struct Ended {
    at: Duration,
    /// How, if not by its reply.
    otherwise: Option<String>,
}

impl Trial {
    async fn prepare(link: &str, arguments: &Arguments) -> Result<Self, Failure> {
        let seed = arguments.seed()?;
        let requests = arguments.number("--requests", 500)?;
        let third = (requests / 3).max(1);
        let plan = Plan {
            requests,
            cut_every: Duration::from_secs(arguments.number("--cut-seconds", 20)?.max(1)),
            kill_every: arguments.number("--kill-every", third)?.max(1),
        };
        let memory = arguments
            .text("--counts")
            .map_or(Ok(Memory::Ledger), |word| Memory::from_word(&word))?;
        let mut dice = Dice::from_seed(seed);
        let scratch = Scratch::new("bad-link")?;
        let (address, link) = if link == "kernel" {
            // Nobody else is in this namespace.
            let address = ([127, 0, 0, 1], PORT).into();
            (address, BadLink::kernel(address)?)
        } else {
            let address = free_address()?;
            (address, BadLink::wire(address, dice.branch()).await?)
        };
        say(format_args!("bad_link: seed {seed}, {requests} requests, {IN_FLIGHT} at a time"));
        say(format_args!("  by {link}; cut every {:?}", plan.cut_every));
        let (serving, asking) = (folder(&scratch, "server")?, folder(&scratch, "asker")?);
        let home = Home { program: Program::Own, folder: serving, address, memory };
        let server = home.start().await?;
        let store = SqliteStore::open(asking.join("store.db")).map_err(StartError::from)?;
        let asker = Node::builder().key_file(asking.join("key")).store(store).start().await?;
        let strategies = vec![Strategy::Tcp(link.address().into())];
        let ticket = Ticket { key: server.key(), strategies };
        let (broken, ended) = (Broken::default(), BTreeMap::new());
        Ok(Self { plan, dice, link, home, server, asker, ticket, broken, ended, scratch })
    }

    /// Asks until all is asked and everything has ended, while connections are cut and the server dies.
    async fn run(mut self) -> Result<Checks, Failure> {
        let kind = Kind::new(KIND)?;
        let begun = Instant::now();
        let mut cuts = every(self.plan.cut_every);
        let mut under_way = JoinSet::new();
        let (mut asked, mut next_kill) = (0_u64, self.plan.kill_every);
        let mut latest = Instant::now();
        loop {
            while under_way.len() < IN_FLIGHT && asked < self.plan.requests {
                asked += 1;
                // A number, and as much behind it as another request would carry.
                let padding = usize::try_from(self.dice.among(PADDING)).unwrap_or(0);
                let body = format!("{asked} {}{BODY_END}", "x".repeat(padding));
                let message = Message::new(kind.clone(), body.clone());
                let request = self.asker.request(&self.ticket, message).durable();
                under_way.spawn(ask(asked, body, request.hard_timeout(HARD_TIMEOUT)));
            }
            tokio::select! {
                ended = under_way.join_next() => {
                    let Some(ended) = ended else { break };
                    let (number, ended) = ended.map_err(|_| Failure::Gone)?;
                    self.ended.insert(number, ended);
                    latest = Instant::now();
                }
                _ = cuts.tick() => self.cut()?,
            }
            // Not after the last ones: who dies then is not missed.
            if count(self.ended.len()) >= next_kill
                && next_kill + self.plan.kill_every <= self.plan.requests
            {
                next_kill += self.plan.kill_every;
                self.kill().await?;
            }
            if latest.elapsed() > STUCK_MAX {
                return Err(Failure::Waited {
                    seconds: STUCK_MAX.as_secs(),
                    what: format!("any of {} requests to end", under_way.len()),
                });
            }
        }
        let took = begun.elapsed();
        self.judge(took).await
    }

    fn cut(&mut self) -> Result<(), Failure> {
        let from = SystemClock.boot();
        let closed = self.link.cut(&mut self.dice)?;
        if closed > 0 {
            self.broken.moments.push((from, SystemClock.boot()));
            self.broken.cuts += 1;
            self.broken.ends_closed += closed;
        }
        Ok(())
    }

    /// Kills the server and starts it again at once.
    async fn kill(&mut self) -> Result<(), Failure> {
        sleep(self.dice.millis(BEFORE_KILL)).await;
        let from = SystemClock.boot();
        self.server.kill_and_wait()?;
        self.broken.moments.push((from, SystemClock.boot()));
        self.broken.kills += 1;
        self.server = self.home.start().await?;
        Ok(())
    }

    async fn judge(mut self, took: Duration) -> Result<Checks, Failure> {
        let asked = self.plan.requests;
        self.server.kill_and_wait()?;
        let toll = self.link.toll()?;
        let counters = self.asker.status().await.ok_or(Failure::Gone)?.counters;
        self.asker.clone().close().await;
        let rate = u128::from(asked) * 60_000 / took.as_millis().max(1);
        let Broken { cuts, ends_closed, kills, .. } = &self.broken;
        say(format_args!("  {asked} requests in {} s, {rate} a minute", took.as_secs()));
        say(format_args!(
            "  {cuts} cuts closed {ends_closed} ends of connections, {kills} kills; the asker made \
             {} handshakes and {} transmissions",
            counters.handshakes_finished, counters.transmissions
        ));
        say(format_args!(
            "  of {} packets the kernel dropped {} by chance and {} for want of room, and doubled {}",
            toll.packets, toll.dropped, toll.overflowed, toll.doubled
        ));
        let mut checks = Checks::new();
        let counted = self.home.counted()?;
        let numbers: HashMap<u64, u64> =
            counted.iter().map(|(body, count)| (number_in(body), *count)).collect();
        let named = |numbers: Vec<u64>| numbers.iter().map(u64::to_string).collect::<Vec<_>>();
        let missing = (1..=asked).filter(|number| !numbers.contains_key(number)).collect();
        checks.none("each number is booked", &named(missing));
        let twice = counted.iter().filter(|(_, count)| **count > 1);
        let twice = twice.map(|(body, count)| format!("{} {count} times", number_in(body)));
        checks.none("no number is booked twice", &twice.collect::<Vec<_>>());
        let strange = numbers.keys().filter(|number| !(1..=asked).contains(*number)).copied();
        checks.none("nothing is booked that nobody asked", &named(strange.collect()));
        checks.none("each request ends by its reply", &self.without_reply(asked));
        if self.home.memory == Memory::Ledger {
            let moved = self.moved(&book::read(&self.home.folder)?);
            checks.at_least("replies over another connection than their query", &moved, &1);
        }
        checks.at_least("kills", kills, &KILLS_MIN);
        checks.at_least("cuts", cuts, &1);
        if matches!(self.link, BadLink::Kernel(_)) {
            // Of a link that is meant to lose a fifth: that it does, not how well it draws lots.
            checks.at_least(
                "packets dropped by chance",
                &toll.dropped,
                &(toll.packets / 10).max(1),
            );
            checks.at_least("packets doubled", &toll.doubled, &1);
        }
        drop(self.scratch);
        Ok(checks)
    }

    fn without_reply(&self, asked: u64) -> Vec<String> {
        let wrong = |number: u64| match self.ended.get(&number) {
            None => Some(format!("{number}: no outcome")),
            Some(ended) => ended.otherwise.as_ref().map(|how| format!("{number}: {how}")),
        };
        (1..=asked).filter_map(wrong).collect()
    }

    /// How many replies came over another connection than their query: that one was booked before its
    /// connection was broken, and its reply was told later than any disk takes.
    fn moved(&self, lines: &[Line]) -> u64 {
        let has_moved = |line: &&Line| {
            let told = self.ended.get(&number_in(&line.body)).map(|ended| ended.at);
            let mut moments = self.broken.moments.iter();
            told.is_some_and(|told| {
                moments.any(|(from, to)| line.at < *from && *to + DISK_MAX < told)
            })
        };
        count(lines.iter().filter(has_moved).count())
    }
}

async fn ask(number: u64, body: String, request: egtp::Request) -> (u64, Ended) {
    let result = request.await;
    let otherwise = match result {
        Ok(reply) if reply.body == body.as_bytes() => None,
        Ok(_) => Some("the reply to something else".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    (number, Ended { at: SystemClock.boot(), otherwise })
}

/// The number that a body begins with; 0, which nobody asks, if there is none.
fn number_in(body: &str) -> u64 {
    body.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn folder(scratch: &Scratch, name: &str) -> Result<PathBuf, Failure> {
    let folder: &Path = scratch.path();
    let folder = folder.join(name);
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    trying(format!("make {}", folder.display()), builder.create(&folder))?;
    Ok(folder)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Where the server listens in a namespace of its own.
const PORT: u16 = 7700;
/// Requests under way.
const IN_FLIGHT: usize = 64;
/// Bytes behind the number of a request.
const PADDING: std::ops::RangeInclusive<u64> = 0..=1000;
/// Longer than any run.
const HARD_TIMEOUT: Duration = Duration::from_hours(24);
/// Without any outcome for so long something is stuck: far above the longest silence of a handshake on
/// such a link.
const STUCK_MAX: Duration = Duration::from_mins(5);
/// What the outcome of a request waits for on the asker's disk, with much to spare.
const DISK_MAX: Duration = Duration::from_secs(1);
/// How long the server lives on when its time has come, in milliseconds: it dies at no particular moment.
const BEFORE_KILL: std::ops::RangeInclusive<u64> = 0..=2000;
/// Deaths without which nothing was proved.
const KILLS_MIN: u64 = 2;
