//! Kills one of two nodes again and again and measures how long the other is without an answer.
//!
//! `restart_storm [--egtp PROGRAM]`. One node lives on in this process; the other is a process that
//! dies by SIGKILL and starts with the same key and port and nothing remembered. Four tables: the
//! long-lived one asks directly; it asks through somebody who keeps its connection open over the
//! restart and swallows every hint that the session is unknown; the restarted one asks the
//! long-lived one; and both are processes that die at once. Invariant: what is measured begins when the
//! restarted process says that it listens, and the first question is asked then.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use egtp::{Kind, Message, Node, PublicKey, RequestError, Router, Strategy, Ticket, respond};
use egtp_proto::wire::Header;
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::failure::{Failure, trying};
use egtp_sim::process::forgery::{Masks, Seen};
use egtp_sim::process::interposer::{Interposer, Meddling, OnLoss, Original};
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::scratch::{Scratch, free_address};
use egtp_sim::process::server::{BODY_END, Home, KIND, Memory, Program, serve_counter, start_node};
use egtp_sim::process::tally::status;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

fn main() -> ExitCode {
    run(|| async {
        let arguments = Arguments::read(&["--egtp"])?;
        match arguments.words()[..] {
            [] => storm(&arguments).await,
            ["server", folder, port, memory] => {
                let folder: &Path = folder.as_ref();
                // With the ticket of somebody to ask, the process asks; else it serves.
                match std::fs::read_to_string(folder.join(TICKET)) {
                    Ok(ticket) => ask_for_ever(folder, port, &ticket).await?,
                    Err(_) => serve_counter(folder, port, Memory::from_word(memory)?).await?,
                }
                Ok(Checks::new())
            }
            _ => Err(Failure::Usage("restart_storm [--egtp FILE]".into())),
        }
    })
}

async fn storm(arguments: &Arguments) -> Result<Checks, Failure> {
    let program = arguments.path("--egtp").map_or(Program::Own, Program::Egtp);
    let mut checks = Checks::new();
    directly(&program, &mut checks).await?;
    without_hints(&program, &mut checks).await?;
    the_other_way(&mut checks).await?;
    both_at_once(&mut checks).await?;
    Ok(checks)
}

/// The long-lived node asks the restarted one, which tells it by a hint that the session is gone.
async fn directly(program: &Program, checks: &mut Checks) -> Result<(), Failure> {
    say("the server restarts; its port is closed meanwhile");
    let scratch = Scratch::new("restart-storm")?;
    let home = home(program, &scratch)?;
    let mut server = home.start().await?;
    let asker = Node::builder().start().await?;
    let ticket = ticket(server.key(), home.address);
    until_answered((&asker, &ticket), ("direct", 0), DIRECT_MAX, checks).await?;
    for round in 1..=DIRECT_ROUNDS {
        server.kill()?;
        server = home.start().await?;
        until_answered((&asker, &ticket), ("direct", round), DIRECT_MAX, checks).await?;
    }
    all_counted_once(&home, checks)?;
    handshakes(&asker, DIRECT_ROUNDS, checks).await
}

/// The same through somebody who hides the restart.
async fn without_hints(program: &Program, checks: &mut Checks) -> Result<(), Failure> {
    say("the server restarts behind somebody who keeps the connection and swallows UNK");
    let scratch = Scratch::new("restart-storm")?;
    let home = home(program, &scratch)?;
    let mut server = home.start().await?;
    let asker = Node::builder().start().await?;
    let wire = Interposer::start(home.address, &server.key(), OnLoss::Hide).await?;
    let masks = Masks::new(&server.key(), &asker.key());
    let (tell, mut swallowed) = tokio::sync::watch::channel(0_u64);
    wire.set_meddler(Box::new(move |_, packet| match masks.look(packet) {
        Seen::FromServer(Header::Unknown { .. }) => {
            tell.send_modify(|count| *count += 1);
            Meddling { original: Original::Swallowed, ..Meddling::default() }
        }
        _ => Meddling::default(),
    }));
    let ticket = ticket(server.key(), wire.address());
    until_answered((&asker, &ticket), ("without hints", 0), HIDDEN_MAX, checks).await?;
    for round in 1..=HIDDEN_ROUNDS {
        server.kill()?;
        server = home.start().await?;
        until_answered((&asker, &ticket), ("without hints", round), HIDDEN_MAX, checks).await?;
    }
    checks.at_least("hints swallowed", &*swallowed.borrow_and_update(), &HIDDEN_ROUNDS);
    all_counted_once(&home, checks)?;
    handshakes(&asker, HIDDEN_ROUNDS, checks).await
}

/// The restarted one asks: the long-lived one still has sessions that the other has forgotten.
async fn the_other_way(checks: &mut Checks) -> Result<(), Failure> {
    say("the asker restarts");
    let scratch = Scratch::new("restart-storm")?;
    let home = home(&Program::Own, &scratch)?;
    let node = Node::builder().listen(free_address()?).start().await?;
    make_asker(&scratch, &node.ticket())?;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let answer = respond(move |_, body: bytes::Bytes| {
        // The receiver lives as long as this function's caller waits.
        let _ = tell.send(body.clone());
        std::future::ready(body)
    });
    let router = Router::new().route(Kind::new(KIND)?, answer);
    let serving = node.clone();
    tokio::spawn(async move { serving.serve(router).await });
    for round in 1..=DIRECT_ROUNDS {
        let asker = home.start().await?;
        let ready = Instant::now();
        let own = question_of(asker.process_id());
        // The second question shows that the first was answered. Those of its earlier lives that
        // were still under way when it died do not count.
        let mut questions = 0;
        while questions < 2 {
            match timeout(DIRECT_MAX * 2, told.recv()).await {
                Ok(Some(body)) => questions += u8::from(body == own),
                _ => break,
            }
        }
        if questions < 2 {
            let what = format!("the second question of the asker's life {round}");
            return Err(Failure::Waited { seconds: (DIRECT_MAX * 2).as_secs(), what });
        }
        checks.at_most(
            &format!("asker, life {round}: seconds until its first reply"),
            &ready.elapsed().as_secs_f64(),
            &DIRECT_MAX.as_secs_f64(),
        );
        asker.kill()?;
    }
    node.close().await;
    Ok(())
}

/// Neither remembers anything: the asker knows the server's ticket, and the server nobody.
async fn both_at_once(checks: &mut Checks) -> Result<(), Failure> {
    say("both restart at once");
    let scratches = (Scratch::new("restart-storm")?, Scratch::new("restart-storm")?);
    let (serving, asking) =
        (home(&Program::Own, &scratches.0)?, home(&Program::Own, &scratches.1)?);
    let mut server = serving.start().await?;
    make_asker(&scratches.1, &ticket(server.key(), serving.address))?;
    for round in 1..=DIRECT_ROUNDS {
        let asker = asking.start().await?;
        let (ready, own) = (Instant::now(), question_of(asker.process_id()));
        // It asks the second time when it has the first reply.
        let mut look = tokio::time::interval(LOOK);
        while serving.counted()?.get(&own).is_none_or(|count| *count < 2) {
            look.tick().await;
            if ready.elapsed() > DIRECT_MAX * 2 {
                break;
            }
        }
        checks.at_most(
            &format!("both restarted, round {round}: seconds until the asker's first reply"),
            &ready.elapsed().as_secs_f64(),
            &DIRECT_MAX.as_secs_f64(),
        );
        server.kill()?;
        asker.kill()?;
        server = serving.start().await?;
    }
    Ok(())
}

/// From now on a process in this folder asks whom the ticket names.
fn make_asker(scratch: &Scratch, whom: &Ticket) -> Result<(), Failure> {
    let path = scratch.path().join(TICKET);
    trying(format!("write {}", path.display()), std::fs::write(&path, whom.to_string()))
}

/// What the process does when it is to ask: one question after the other, until it is killed.
async fn ask_for_ever(folder: &Path, port: &str, ticket: &str) -> Result<(), Failure> {
    let ticket: Ticket =
        ticket.parse().map_err(|error| Failure::Usage(format!("no ticket: {error}")))?;
    let node = start_node(folder, port, Router::new()).await?;
    say(format_args!("ready {}", node.key()));
    loop {
        if let Err(error) = ask(&node, &ticket, question_of(std::process::id())).await {
            let what = format!("a reply: {error}");
            return Err(Failure::Waited { seconds: PATIENCE.as_secs(), what });
        }
    }
}

async fn ask(node: &Node, ticket: &Ticket, body: String) -> Result<(), RequestError> {
    let Ok(kind) = Kind::new(KIND) else { return Err(RequestError::Closing) };
    let asked = node.request(ticket, Message::new(kind, body));
    asked.hard_timeout(PATIENCE).await.map(drop)
}

/// Asks again and again, a new question each time, until one is answered; prints one line of a table
/// and claims that it was quick enough. A question that was sent to the dead life's session may
/// rightly end as unknown: nobody can tell that it was not taken.
async fn until_answered(
    (node, ticket): (&Node, &Ticket),
    (table, round): (&str, u64),
    limit: Duration,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let (mut open, mut asked) = (JoinSet::new(), 0);
    let mut others = Vec::new();
    let took = loop {
        if begun.elapsed() > limit * 2 {
            break begun.elapsed();
        }
        asked += 1;
        let (node, ticket, body) =
            (node.clone(), ticket.clone(), format!("{table} {round} question {asked}{BODY_END}"));
        open.spawn(async move { ask(&node, &ticket, body).await });
        let ended = timeout(BETWEEN_QUESTIONS, open.join_next()).await;
        match ended {
            Ok(Some(Ok(Ok(())))) => break begun.elapsed(),
            Ok(Some(Ok(Err(error)))) => others.push(error.to_string()),
            Ok(_) => return Err(Failure::Gone),
            Err(_) => {}
        }
    };
    let claim = format!("{table}, restart {round}: seconds until the first reply");
    checks.at_most(&claim, &took.as_secs_f64(), &limit.as_secs_f64());
    // The others end as well, each once: what is left open when the round is over would blur the next.
    let mut answered = 1;
    while let Some(ended) = open.join_next().await {
        match ended {
            Ok(Ok(())) => answered += 1,
            Ok(Err(error)) => others.push(error.to_string()),
            Err(_) => return Err(Failure::Gone),
        }
    }
    say(format_args!("         of {asked} questions {answered} answered, others: {others:?}"));
    Ok(())
}

fn all_counted_once(home: &Home, checks: &mut Checks) -> Result<(), Failure> {
    let counted = home.counted()?;
    let twice = counted.iter().filter(|(_, count)| **count != 1);
    let twice = twice.map(|(body, count)| format!("{body} counted {count} times"));
    checks.none("questions are counted once", &twice.collect::<Vec<_>>());
    Ok(())
}

/// A restart costs one new session, not one for each hint or try.
async fn handshakes(asker: &Node, rounds: u64, checks: &mut Checks) -> Result<(), Failure> {
    let made = status(asker).await?.counters.handshakes_finished;
    checks.at_most(
        "handshakes of the asker, one for each life of the server",
        &made,
        &(rounds + 1),
    );
    Ok(())
}

/// What an asker asks that is this process.
fn question_of(process: u32) -> String {
    format!("a question of process {process}{BODY_END}")
}

fn home(program: &Program, scratch: &Scratch) -> Result<Home, Failure> {
    let (program, folder) = (program.clone(), scratch.path().to_owned());
    Ok(Home { program, folder, address: free_address()?, memory: Memory::Lost })
}

fn ticket(key: PublicKey, address: std::net::SocketAddr) -> Ticket {
    Ticket { key, strategies: vec![Strategy::Tcp(address.into())] }
}

/// The file that makes the process an asker.
const TICKET: &str = "ask";
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(500);
/// How often the server's file is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// The hard timeout of each question.
const PATIENCE: Duration = Duration::from_secs(30);
const DIRECT_ROUNDS: u64 = 10;
const HIDDEN_ROUNDS: u64 = 5;
/// What is promised.
const DIRECT_MAX: Duration = Duration::from_secs(10);
const HIDDEN_MAX: Duration = Duration::from_secs(40);
