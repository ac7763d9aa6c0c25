//! Kills an asker and a server with disks again and again, also while they start, and counts afterwards.
//!
//! `durable_storm [--rounds 150] [--counts durable] [--seed N]`. In each round the asker, the server, or both
//! die by SIGKILL after a random time and start again with the same key, port and disk. The asker writes down
//! which requests its node has promised to keep, and each outcome before it lets go of it. `--counts ledger`
//! has a server that counts in its store, in the transaction that takes the request: then each request that is
//! kept ends by its reply. `--counts beside` is a control, which must be caught. Invariant: the counts are
//! compared only when nothing is open any more and both are dead.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use egtp::store::SqliteStore;
use egtp::{Kind, Message, Node, StartError, Ticket};
use egtp_sim::process::actor::{end, folder, start, word};
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::diary::{self, Diary};
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
    let (asking, serving) = (folder(&scratch, "asker")?, folder(&scratch, "server")?);
    let address = free_address()?;
    let home = Home { program: Program::Own, folder: serving, address, memory };
    let first = home.start().await?;
    let strategies = vec![egtp::Strategy::Tcp(address.into())];
    let ticket = Ticket { key: first.key(), strategies }.to_string();
    first.kill()?;

    let port = address.port().to_string();
    let serve = ["server", word(&home.folder)?, &port, memory.word()];
    let mut server = Some(start(&serve)?);
    let mut asker = Some(start(&["asker", word(&asking)?, &ticket])?);
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
            asker = Some(start(&["asker", word(&asking)?, &ticket])?);
        }
    }
    end(asker.take())?;
    // The last asker begins nothing new and ends by itself.
    let mut last = start(&["asker", word(&asking)?, &ticket, "rest"])?;
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
    let told = Diary::read(asking)?;
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
    // Some were ended by an asker that died between the promise and writing it down.
    let unnamed = told.ended.keys().filter(|id| !told.kept.contains_key(*id)).count();
    let others = told.ended.len() - replied.len() - unknown.len() - unnamed;
    checks.equal("requests that ended neither by a reply nor as unknown", &others, &0);
    let strange = counted.keys().filter(|body| !told.begun.contains_key(*body)).cloned();
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
        under_way.spawn(diary::follow(folder.to_owned(), pending, None));
    }
    let (kind, life, mut number) = (Kind::new(KIND)?, Dice::fresh_seed(), 0_u64);
    loop {
        while work == Work::New && under_way.len() < IN_FLIGHT {
            number += 1;
            let body = format!("{}-{life:x}-{number}{BODY_END}", std::process::id());
            diary::begun(folder, &body)?;
            let message = Message::new(kind.clone(), body.clone());
            let request = node.request(&ticket, message).durable().hard_timeout(HARD_TIMEOUT);
            under_way.spawn(diary::follow(folder.to_owned(), request.start(), Some(body)));
        }
        let Some(ended) = under_way.join_next().await else { break };
        ended.map_err(|_| Failure::Gone)??;
    }
    node.close().await;
    Ok(Checks::new())
}

/// Requests that an asker has under way.
const IN_FLIGHT: usize = 8;
/// Longer than the whole run.
const HARD_TIMEOUT: Duration = Duration::from_hours(2);
/// How long the last asker may take.
const REST_MAX: Duration = Duration::from_mins(2);
