//! Kills an asker and a server with disks again and again, also while they start, and counts afterwards.
//!
//! `durable_storm [--rounds 150] [--counts durable] [--seed N]`. In each round the asker, the server, or both
//! die by SIGKILL after a random time and start again with the same key, port and disk. The asker writes down
//! which requests its node has promised to keep, and each outcome before it lets go of it. `--counts ledger`
//! has a server that counts in its store, in the transaction that takes the request: then each request that is
//! kept ends by its reply. `--counts beside` is a control, which must be caught. Invariant: the counts are
//! compared only when nothing is open any more and both are dead.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use egtp::store::SqliteStore;
use egtp::{Kind, Message, Node, Pending, Progress, RequestError, StartError, Ticket};
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::dice::Dice;
use egtp_sim::process::failure::{Failure, trying};
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::scratch::{Scratch, free_address};
use egtp_sim::process::server::{BODY_END, Home, KIND, Memory, Program, serve_counter};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

fn main() -> ExitCode {
    run(|| async {
        let arguments = Arguments::read(&["--rounds", "--counts", "--seed"])?;
        match arguments.words()[..] {
            [] => storm(&arguments).await,
            ["server", folder, port, memory] => {
                serve_counter(folder.as_ref(), port, Memory::from_word(memory)?).await?;
                Ok(Checks::new())
            }
            ["asker", folder, ticket] => ask(folder.as_ref(), ticket, Work::New).await,
            ["asker", folder, ticket, "rest"] => ask(folder.as_ref(), ticket, Work::Rest).await,
            _ => Err(Failure::Usage(
                "durable_storm [--rounds N] [--counts durable|ledger|beside] [--seed N]".into(),
            )),
        }
    })
}

/// The whole run.
async fn storm(arguments: &Arguments) -> Result<Checks, Failure> {
    let (seed, rounds) = (arguments.seed()?, arguments.number("--rounds", 150)?);
    let memory = arguments.text("--counts");
    let memory = memory.map_or(Ok(Memory::Durable), |word| Memory::from_word(&word))?;
    say(format_args!(
        "durable_storm: seed {seed}, {rounds} rounds, server's memory {}",
        memory.word()
    ));
    let mut dice = Dice::from_seed(seed);
    let scratch = Scratch::new("durable-storm")?;
    let folder = |name: &str| {
        let folder = scratch.path().join(name);
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        trying(format!("make {}", folder.display()), builder.create(&folder))?;
        Ok::<_, Failure>(folder)
    };
    let (asking, serving) = (folder("asker")?, folder("server")?);
    let address = free_address()?;
    let home = Home { program: Program::Own, folder: serving, address, memory };
    let first = home.start().await?;
    let strategies = vec![egtp::Strategy::Tcp(address.into())];
    let ticket = Ticket { key: first.key(), strategies }.to_string();
    first.kill()?;

    let port = address.port().to_string();
    let serve = ["server", path(&home.folder)?, &port, memory.word()];
    let mut server = Some(start(&serve)?);
    let mut asker = Some(start(&["asker", path(&asking)?, &ticket])?);
    let (mut killed_asker, mut killed_server, mut early) = (0_u64, 0_u64, 0_u64);
    for _ in 0..rounds {
        // A third of the deaths come while a process starts.
        let starting = dice.among(1..=3) == 1;
        sleep(dice.millis(if starting { 0..=60 } else { 60..=500 })).await;
        early += u64::from(starting);
        let which = dice.among(1..=4);
        if which != 1 {
            end(asker.take())?;
            killed_asker += 1;
        }
        if which <= 2 {
            end(server.take())?;
            killed_server += 1;
        }
        if server.is_none() {
            server = Some(start(&serve)?);
        }
        if asker.is_none() {
            asker = Some(start(&["asker", path(&asking)?, &ticket])?);
        }
    }
    end(asker.take())?;
    // The last asker begins nothing new and ends by itself.
    let mut last = start(&["asker", path(&asking)?, &ticket, "rest"])?;
    let since = Instant::now();
    while trying("look after the last asker", last.try_wait())?.is_none() {
        if since.elapsed() > REST_MAX {
            end(Some(last))?;
            return Err(Failure::Process {
                what: "did not come to its end".into(),
                arguments: ticket,
            });
        }
        sleep(Duration::from_millis(50)).await;
    }
    end(server.take())?;
    say(format_args!(
        "  {rounds} rounds: {killed_asker} askers and {killed_server} servers killed, {early} times while \
         starting"
    ));
    judge(&asking, &home, rounds)
}

/// Holds what the asker was told against what the server has counted.
fn judge(asking: &Path, home: &Home, rounds: u64) -> Result<Checks, Failure> {
    let told = Told::read(&asking.join("told"))?;
    let counted = home.counted()?;
    let mut checks = Checks::new();
    let twice = counted.iter().filter(|(_, count)| **count > 1);
    let twice: Vec<String> = twice.map(|(body, count)| format!("{body} {count} times")).collect();
    checks.none("no request is counted twice", &twice);
    let lost = told.kept.keys().filter(|id| !told.ended.contains_key(*id)).cloned();
    checks.none("each request that was promised to be kept has ended", &lost.collect::<Vec<_>>());
    let changed = told.ended.iter().filter(|(_, outcomes)| outcomes.len() > 1);
    let changed: Vec<String> = changed.map(|(id, all)| format!("{id}: {all:?}")).collect();
    checks.none("no request has ended in two ways", &changed);
    let of = |wanted: &str| {
        let ended = told.ended.iter().filter(|(_, outcomes)| outcomes.contains(wanted));
        ended.filter_map(|(id, _)| told.kept.get(id)).collect::<Vec<_>>()
    };
    let (replied, unknown) = (of("reply"), of("unknown"));
    let uncounted = replied.iter().filter(|body| counted.get(**body) != Some(&1));
    let uncounted: Vec<String> = uncounted.map(ToString::to_string).collect();
    checks.none("each reply is of a request that was counted once", &uncounted);
    let others = told.ended.len() - replied.len() - unknown.len() - told.unnamed();
    checks.equal("requests that ended neither by a reply nor as unknown", &others, &0);
    let known: BTreeSet<&String> = told.begun.iter().collect();
    let strange = counted.keys().filter(|body| !known.contains(body)).cloned();
    checks.none("nothing is counted that nobody asked", &strange.collect::<Vec<_>>());
    if home.memory == Memory::Ledger {
        let unknown = told.ended.values().filter(|outcomes| outcomes.contains("unknown")).count();
        checks.equal("requests that ended as unknown", &unknown, &0);
        let kept = told.kept.values().filter(|body| counted.get(*body) != Some(&1)).cloned();
        checks.none(
            "each request that was promised to be kept is booked once",
            &kept.collect::<Vec<_>>(),
        );
    }
    say(format_args!(
        "  {} begun, {} kept, {} replies, {} unknown, {} outcomes told again after a crash",
        told.begun.len(),
        told.kept.len(),
        replied.len(),
        unknown.len(),
        told.again,
    ));
    let answered = u64::try_from(replied.len()).unwrap_or(0);
    checks.at_least("replies", &answered, &rounds);
    Ok(checks)
}

/// What the askers have written down.
#[derive(Default)]
struct Told {
    begun: Vec<String>,
    /// Ids with their bodies.
    kept: BTreeMap<String, String>,
    /// Ids with their outcomes.
    ended: BTreeMap<String, BTreeSet<String>>,
    again: usize,
}

impl Told {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = trying(format!("read {}", path.display()), std::fs::read_to_string(path))?;
        let mut told = Self::default();
        for line in text.lines() {
            // What a kill has cut off was never told to anybody.
            let Some(line) = line.strip_suffix(LINE_END) else { continue };
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["begun", body] => told.begun.push(body.to_owned()),
                ["kept", id, body] => {
                    told.kept.insert(id.to_owned(), body.to_owned());
                }
                ["ended", id, outcome] => {
                    let all = told.ended.entry(id.to_owned()).or_default();
                    told.again += usize::from(!all.insert(outcome.to_owned()));
                }
                _ => return Err(Failure::Usage(format!("{line:?} was never written"))),
            }
        }
        Ok(told)
    }

    /// Ended ones whose asker died between the promise and writing it down.
    fn unnamed(&self) -> usize {
        self.ended.keys().filter(|id| !self.kept.contains_key(*id)).count()
    }
}

/// Whether an asker begins new requests.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Work {
    New,
    Rest,
}

/// What the process called with `asker FOLDER TICKET [rest]` does.
async fn ask(folder: &Path, ticket: &str, work: Work) -> Result<Checks, Failure> {
    let ticket: Ticket = ticket.parse().map_err(|_| Failure::Usage(format!("{ticket}?")))?;
    let store = SqliteStore::open(folder.join("store.db")).map_err(StartError::from)?;
    let node = Node::builder().key_file(folder.join("key")).store(store).start().await?;
    let mut under_way = JoinSet::new();
    for id in node.kept().await {
        let Some(pending) = node.attach(id).await else { continue };
        under_way.spawn(watch(folder.to_owned(), pending, None));
    }
    let (kind, life, mut number) = (Kind::new(KIND)?, Dice::fresh_seed(), 0_u64);
    loop {
        while work == Work::New && under_way.len() < IN_FLIGHT {
            number += 1;
            let body = format!("{}-{life:x}-{number}{BODY_END}", std::process::id());
            note(folder, &format!("begun {body}"))?;
            let message = Message::new(kind.clone(), body.clone());
            let request = node.request(&ticket, message).durable().hard_timeout(HARD_TIMEOUT);
            under_way.spawn(watch(folder.to_owned(), request.start(), Some(body)));
        }
        let Some(ended) = under_way.join_next().await else { break };
        ended.map_err(|_| Failure::Gone)??;
    }
    node.close().await;
    Ok(Checks::new())
}

/// Writes down what is promised and what comes of it, before the handle is let go.
async fn watch(
    folder: std::path::PathBuf,
    mut pending: Pending,
    body: Option<String>,
) -> Result<(), Failure> {
    loop {
        let progress = pending.progress().await;
        let id = pending.id().map(|id| id.to_string()).unwrap_or_default();
        let outcome = match progress {
            Ok(Progress::Kept) => {
                if let Some(body) = &body {
                    note(&folder, &format!("kept {id} {body}"))?;
                }
                continue;
            }
            Ok(Progress::Replied(_)) => "reply",
            Ok(_) => continue,
            Err(RequestError::Unknown { .. }) => "unknown",
            Err(RequestError::TimedOut { .. }) => "timed_out",
            Err(_) => "other",
        };
        note(&folder, &format!("ended {id} {outcome}"))?;
        return Ok(());
    }
}

/// One line in the asker's file, which outlives its process. A kill can cut a write off where a page of the file
/// ends, so a line shows that it is whole, and begins a new one whatever is before it.
fn note(folder: &Path, line: &str) -> Result<(), Failure> {
    let path = folder.join("told");
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    let mut file = trying(format!("open {}", path.display()), opened)?;
    trying("write a line", file.write_all(format!("\n{line}{LINE_END}\n").as_bytes()))
}

fn start(arguments: &[&str]) -> Result<Child, Failure> {
    let mut command = Command::new(trying("find this program", std::env::current_exe())?);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    trying(format!("start {command:?}"), command.spawn())
}

/// Kills a process and waits until it is gone.
fn end(child: Option<Child>) -> Result<(), Failure> {
    let Some(mut child) = child else { return Ok(()) };
    trying("kill a process", child.kill())?;
    trying("wait for a killed process", child.wait())?;
    Ok(())
}

fn path(folder: &Path) -> Result<&str, Failure> {
    folder.to_str().ok_or_else(|| Failure::Usage(format!("{} is no text", folder.display())))
}

/// What a whole line ends with.
const LINE_END: &str = " .";
/// Requests that an asker has under way.
const IN_FLIGHT: usize = 8;
/// Longer than the whole run.
const HARD_TIMEOUT: Duration = Duration::from_hours(2);
/// How long the last asker may take.
const REST_MAX: Duration = Duration::from_mins(2);
