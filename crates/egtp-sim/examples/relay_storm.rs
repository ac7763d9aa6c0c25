//! Two nodes that nobody can call ask each other through a relay, while one of the three, or two, die again and again.
//!
//! `relay_storm [--rounds 20] [--memory lost] [--seed N]`. All are processes that die by SIGKILL and start again with the
//! same key. With `--memory durable` both have a store, and what they ask is kept; in some rounds the store of one of them
//! is spoilt first, which it must notice, and taken away. Each round waits until both have a reply to something that they
//! have begun after the last start. Afterwards what they were told is held against what was counted. Invariant: what is
//! measured begins when the last process of a round has been started, before it is ready.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::time::Duration;

use egtp::clock::{Clock, SystemClock};
use egtp::store::SqliteStore;
use egtp::{
    Allowed, Kind, Message, Node, PublicKey, Router, SecretKey, StartError, Strategy, Ticket,
    keyfile, respond,
};
use egtp_services::relay::{Client, Limits, Relay};
use egtp_sim::process::actor::{end, folder, start, word};
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::diary::{self, Diary};
use egtp_sim::process::dice::Dice;
use egtp_sim::process::failure::{Failure, trying};
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::scratch::{Scratch, free_address};
use egtp_sim::process::server::{BODY_END, Home, KIND, Memory, Program, counter, start_node};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

fn main() -> ExitCode {
    run(|| async {
        let arguments = Arguments::read(&["--rounds", "--memory", "--seed"])?;
        match arguments.words()[..] {
            [] => storm(&arguments).await,
            ["relay", folder, port] => relay(folder.as_ref(), port).await,
            ["party", folder, relay, peer, memory, work] => {
                let work = if work == "rest" { Work::Rest } else { Work::New };
                party(folder.as_ref(), (relay, peer), Memory::from_word(memory)?, work).await
            }
            _ => Err(Failure::Usage(
                "relay_storm [--rounds N] [--memory lost|durable] [--seed N]".into(),
            )),
        }
    })
}

/// Who dies in a round.
#[derive(Clone, Copy, Debug)]
enum Death {
    First,
    Second,
    Both,
    Relay,
    /// The second one, whose store is spoilt and then taken away.
    Spoilt,
}

async fn storm(arguments: &Arguments) -> Result<Checks, Failure> {
    let (seed, rounds) = (arguments.seed()?, arguments.number("--rounds", 20)?);
    let memory = arguments.text("--memory");
    let memory = memory.map_or(Ok(Memory::Lost), |word| Memory::from_word(&word))?;
    say(format_args!("relay_storm: seed {seed}, {rounds} rounds, memory {}", memory.word()));
    let mut dice = Dice::from_seed(seed);
    let mut scene = Scene::set(memory)?;
    scene.start_all()?;
    let mut checks = Checks::new();
    let mut slowest = scene.resumes("the beginning").await?;
    for round in 1..=rounds {
        sleep(dice.millis(50..=500)).await;
        let mut deaths = vec![Death::First, Death::Second, Death::Both, Death::Relay];
        if memory == Memory::Durable {
            deaths.push(Death::Spoilt);
        }
        let death = dice.pick(&deaths).copied().unwrap_or(Death::Both);
        scene.die(death, &mut dice, &mut checks).await?;
        let took = scene.resumes(&format!("round {round}, {death:?}")).await?;
        say(format_args!("  round {round}: {death:?}, both ask again after {took:?}"));
        slowest = slowest.max(took);
    }
    scene.come_to_rest().await?;
    say(format_args!("  {rounds} rounds, slowest {slowest:?}"));
    let limit = RESUME_MAX.as_secs_f64();
    checks.at_most("seconds until both were answered again", &slowest.as_secs_f64(), &limit);
    scene.judge(&mut checks)?;
    Ok(checks)
}

/// All of it, as the judge sees it.
struct Scene {
    _scratch: Scratch,
    memory: Memory,
    relay: (PathBuf, String, Option<Child>),
    relay_ticket: String,
    parties: [Party; 2],
}

/// One of those who ask.
struct Party {
    folder: PathBuf,
    key: PublicKey,
    child: Option<Child>,
    /// When its store was taken away last.
    wiped: Duration,
}

impl Scene {
    fn set(memory: Memory) -> Result<Self, Failure> {
        let scratch = Scratch::new("relay-storm")?;
        let folder = |name: &str| {
            let folder = folder(&scratch, name)?;
            let not_started = |error: keyfile::KeyFileError| Failure::Start(error.into());
            let key: SecretKey =
                keyfile::load_or_create(&folder.join("key")).map_err(not_started)?;
            Ok::<_, Failure>((folder, key.public()))
        };
        let party = |name| {
            let (folder, key) = folder(name)?;
            Ok::<_, Failure>(Party { folder, key, child: None, wiped: Duration::ZERO })
        };
        let parties = [party("first")?, party("second")?];
        let (relay, key) = folder("relay")?;
        let at = free_address()?;
        let ticket = Ticket { key, strategies: vec![Strategy::Tcp(at.into())] };
        let relay = (relay, at.port().to_string(), None);
        Ok(Self { _scratch: scratch, memory, relay, relay_ticket: ticket.to_string(), parties })
    }

    fn start_all(&mut self) -> Result<(), Failure> {
        self.start_relay()?;
        self.start_parties("new")
    }

    fn start_relay(&mut self) -> Result<(), Failure> {
        let (folder, port, child) = &mut self.relay;
        if child.is_none() {
            *child = Some(start(&["relay", word(folder)?, port])?);
        }
        Ok(())
    }

    /// Those that do not run.
    fn start_parties(&mut self, work: &str) -> Result<(), Failure> {
        let keys = [&self.parties[1], &self.parties[0]].map(|party| party.key.to_string());
        let (relay, memory) = (&self.relay_ticket, self.memory.word());
        for (party, peer) in self.parties.iter_mut().zip(keys) {
            if party.child.is_none() {
                let arguments = ["party", word(&party.folder)?, relay, &peer, memory, work];
                party.child = Some(start(&arguments)?);
            }
        }
        Ok(())
    }

    async fn die(
        &mut self,
        death: Death,
        dice: &mut Dice,
        checks: &mut Checks,
    ) -> Result<(), Failure> {
        let [first, second] = &mut self.parties;
        match death {
            Death::First => end(first.child.take())?,
            Death::Second => end(second.child.take())?,
            Death::Both => {
                end(first.child.take())?;
                end(second.child.take())?;
            }
            Death::Relay => {
                end(self.relay.2.take())?;
                // Long enough now and then that both find nobody there.
                sleep(dice.millis(0..=1_500)).await;
                self.start_relay()?;
            }
            Death::Spoilt => {
                end(second.child.take())?;
                let store = second.folder.join("store.db");
                let bytes = trying("read the store", std::fs::read(&store))?;
                let spoilt: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x55).collect();
                trying("spoil the store", std::fs::write(&store, spoilt))?;
                let opened = SqliteStore::open(&store);
                let claim = "stores that are spoilt and opened all the same";
                checks.equal(claim, &u8::from(opened.is_ok()), &0);
                for file in trying("list the folder", second.folder.read_dir())?.flatten() {
                    if file.file_name().as_encoded_bytes().starts_with(b"store.db") {
                        trying("take the store away", std::fs::remove_file(file.path()))?;
                    }
                }
                second.wiped = SystemClock.boot();
            }
        }
        self.start_parties("new")
    }

    /// Waits until both have a reply to something that they have begun from now on.
    async fn resumes(&self, when: &str) -> Result<Duration, Failure> {
        let (since, begun) = (SystemClock.boot(), Instant::now());
        loop {
            let mut silent = Vec::new();
            for (name, party) in ["first", "second"].into_iter().zip(&self.parties) {
                if !Diary::read(&party.folder)?.has_reply_since(since) {
                    silent.push(name);
                }
            }
            if silent.is_empty() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > RESUME_MAX * 3 {
                let what = format!("a reply for the {} one ({when})", silent.join(" and the "));
                return Err(Failure::Waited { seconds: (RESUME_MAX * 3).as_secs(), what });
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Nothing new is begun, and nothing is open any more; then all of them end.
    async fn come_to_rest(&mut self) -> Result<(), Failure> {
        for party in &mut self.parties {
            end(party.child.take())?;
        }
        self.start_parties("rest")?;
        let begun = Instant::now();
        while !self.parties.iter().all(|party| party.folder.join(AT_REST).exists()) {
            if begun.elapsed() > REST_MAX {
                let what = "the end of all that was kept".into();
                return Err(Failure::Waited { seconds: REST_MAX.as_secs(), what });
            }
            sleep(Duration::from_millis(20)).await;
        }
        for party in &mut self.parties {
            end(party.child.take())?;
        }
        end(self.relay.2.take())
    }

    fn judge(&self, checks: &mut Checks) -> Result<(), Failure> {
        let [first, second] = &self.parties;
        for (name, asker, server) in [("first", first, second), ("second", second, first)] {
            let told = Diary::read(&asker.folder)?;
            let home = Home {
                program: Program::Own,
                folder: server.folder.clone(),
                address: free_address()?,
                memory: self.memory,
            };
            let counted = home.counted()?;
            let twice = counted.iter().filter(|(_, count)| **count > 1);
            let twice: Vec<String> = twice.map(|(body, n)| format!("{body} {n} times")).collect();
            checks.none(&format!("{name}: no request is counted twice"), &twice);
            let strange = counted.keys().filter(|body| !told.begun.contains_key(*body)).cloned();
            let claim = format!("{name}: nothing is counted that it has not asked");
            checks.none(&claim, &strange.collect::<Vec<_>>());
            let uncounted = told.replied.iter().filter(|body| !counted.contains_key(*body));
            let claim = format!("{name}: each reply is of a request that was counted");
            checks.none(&claim, &uncounted.cloned().collect::<Vec<_>>());
            let changed = told.ended.iter().filter(|(_, outcomes)| outcomes.len() > 1);
            let changed: Vec<String> = changed.map(|(id, all)| format!("{id}: {all:?}")).collect();
            checks.none(&format!("{name}: no request has ended in two ways"), &changed);
            let open = told.kept.iter().filter(|(id, body)| {
                let begun = told.begun.get(*body).copied().unwrap_or_default();
                !told.ended.contains_key(*id) && begun > asker.wiped
            });
            let claim = format!("{name}: each request that was kept has ended");
            checks.none(&claim, &open.map(|(id, _)| id.clone()).collect::<Vec<_>>());
            let of = |wanted: &str| told.ended.values().filter(|all| all.contains(wanted)).count();
            say(format_args!(
                "  {name}: {} begun, {} kept, {} replies, {} unknown, {} not sent, {} timed out",
                told.begun.len(),
                told.kept.len(),
                of("reply"),
                of("unknown"),
                of("not_sent"),
                of("timed_out"),
            ));
            checks.at_least(&format!("{name}: replies"), &of("reply"), &50);
            checks.equal(&format!("{name}: other outcomes"), &of("other"), &0);
        }
        Ok(())
    }
}

/// What the process called with `relay FOLDER PORT` does.
async fn relay(folder: &Path, port: &str) -> Result<Checks, Failure> {
    let [register, others] = Relay::new(Limits::default()).routers(Allowed::Anybody)?;
    let node = start_node(folder, port, register).await?;
    node.serve(others).await.map_err(|_| Failure::Gone)?;
    Err(Failure::Gone)
}

/// Whether new requests are begun.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Work {
    New,
    Rest,
}

/// What the process called with `party FOLDER RELAY PEER MEMORY new|rest` does.
async fn party(
    folder: &Path,
    (relay, peer): (&str, &str),
    memory: Memory,
    work: Work,
) -> Result<Checks, Failure> {
    let unread = |text: &str| Failure::Usage(format!("{text}?"));
    let relay: Ticket = relay.parse().map_err(|_| unread(relay))?;
    let at = relay.strategies.first().and_then(Strategy::host_port).cloned();
    let by = Strategy::Relay { relay: relay.key, at };
    let peer = Ticket { key: peer.parse().map_err(|_| unread(peer))?, strategies: vec![by] };
    let kind = Kind::new(KIND)?;
    let router = Router::new().route(kind.clone(), respond(counter(folder)?));
    let mut builder = Node::builder().key_file(folder.join("key")).serve(router);
    if memory == Memory::Durable {
        let store = SqliteStore::open(folder.join("store.db")).map_err(StartError::from)?;
        builder = builder.store(store);
    }
    let node = builder.start().await?;
    let _registered = Client::start(node.clone(), vec![relay]);
    let (mut under_way, mut earlier) = (JoinSet::new(), JoinSet::new());
    for id in node.kept().await {
        let Some(pending) = node.attach(id).await else { continue };
        earlier.spawn(diary::follow(folder.to_owned(), pending, None));
    }
    let (life, mut number) = (Dice::fresh_seed(), 0_u64);
    loop {
        while work == Work::New && under_way.len() < IN_FLIGHT {
            number += 1;
            let body = format!("{}-{life:x}-{number}{BODY_END}", std::process::id());
            diary::begun(folder, &body)?;
            let message = Message::new(kind.clone(), body.clone());
            let request = node.request(&peer, message).hard_timeout(HARD_TIMEOUT);
            let request = if memory == Memory::Durable { request.durable() } else { request };
            under_way.spawn(diary::follow(folder.to_owned(), request.start(), Some(body)));
        }
        // Those of earlier lives take no room: what is begun now shows whether it goes on.
        let ended = match work {
            Work::New => under_way.join_next().await,
            Work::Rest => earlier.join_next().await,
        };
        match ended {
            Some(ended) => ended.map_err(|_| Failure::Gone)??,
            None => break,
        }
        sleep(PACE).await;
    }
    trying("say that nothing is open", std::fs::write(folder.join(AT_REST), ""))?;
    node.closed().await;
    Err(Failure::Gone)
}

/// Within which both are answered again.
const RESUME_MAX: Duration = Duration::from_secs(10);
/// How long the rest may take.
const REST_MAX: Duration = Duration::from_mins(2);
/// Requests that each has under way.
const IN_FLIGHT: usize = 4;
/// Between an end and the next beginning.
const PACE: Duration = Duration::from_millis(5);
const HARD_TIMEOUT: Duration = Duration::from_mins(10);
/// The file that says that nothing is open any more.
const AT_REST: &str = "at-rest";
