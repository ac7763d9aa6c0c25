//! Kills a counting server again and again while four nodes ask it, and counts afterwards.
//!
//! `kill_storm [durable] [--seconds 30] [--seed N] [--egtp PROGRAM]`. The server process appends one line for
//! each query before it replies; it dies by SIGKILL at random moments and starts at once with the
//! same key and port and nothing remembered, or with
//! `durable` what its store on the disk remembers. Three askers reach it through a wire that is cut at
//! other random moments, so that requests are transmitted again within one life of the server; the
//! fourth reaches its port directly and sees it closed. At times the wire also holds up the answers
//! for longer than a sender waits, so that what the server has is sent to it a second time. Invariant: the counts are compared only
//! after every request has ended and the last server is dead.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use egtp::{Kind, Message, Node, PublicKey, Strategy, Ticket};
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::census::{Census, Ending};
use egtp_sim::process::dice::Dice;
use egtp_sim::process::failure::Failure;
use egtp_sim::process::forwarder::{Forwarder, WayBack};
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::scratch::{Scratch, free_address};
use egtp_sim::process::server::{BODY_END, Home, KIND, Memory, Program, serve_counter};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

fn main() -> ExitCode {
    run(|| async {
        if let Some(bug) = egtp_sim::planted::from_environment()? {
            // To stderr: the first line of a server's output is its key.
            eprintln!("planted: {bug}");
        }
        let arguments = Arguments::read(&["--seconds", "--seed", "--egtp"])?;
        match arguments.words()[..] {
            [] => LocalSet::new().run_until(storm(&arguments, Memory::Lost)).await,
            ["server", folder, port, memory] => {
                serve_counter(folder.as_ref(), port, Memory::from_word(memory)?).await?;
                Ok(Checks::new())
            }
            ["durable"] => LocalSet::new().run_until(storm(&arguments, Memory::Durable)).await,
            _ => Err(Failure::Usage(
                "kill_storm [durable] [--seconds N] [--seed N] [--egtp FILE]".into(),
            )),
        }
    })
}

/// The whole run.
async fn storm(arguments: &Arguments, memory: Memory) -> Result<Checks, Failure> {
    let seed = arguments.seed()?;
    let lasting = Duration::from_secs(arguments.number("--seconds", 30)?);
    let program = arguments.path("--egtp").map_or(Program::Own, Program::Egtp);
    let scratch = Scratch::new("kill-storm")?;
    let address = free_address()?;
    let home = Home { program, folder: scratch.path().to_owned(), address, memory };
    say(format_args!(
        "kill_storm: seed {seed}, {lasting:?}, server {:?}, memory {}",
        home.program,
        memory.word()
    ));
    let mut dice = Dice::from_seed(seed);
    let end = Instant::now() + lasting;

    let server = home.start().await?;
    let key = server.key();
    let wire = Rc::new(Forwarder::start(home.address).await?);
    let census = Rc::new(RefCell::new(Census::new()));
    let mut askers = Vec::new();
    for (number, address) in
        [wire.address(), wire.address(), wire.address(), home.address].into_iter().enumerate()
    {
        let asker = Asker {
            name: format!("asker{number}"),
            node: Node::builder().start().await?,
            ticket: ticket(key, address),
            dice: dice.branch(),
            census: Rc::clone(&census),
            durable: memory != Memory::Lost,
        };
        askers.push(tokio::task::spawn_local(asker.ask_until(end)));
    }
    let hurting = tokio::task::spawn_local(hurt_until(Rc::clone(&wire), dice.branch(), end));
    let (last, kills) = kill_until(&home, server, dice.branch(), end).await?;
    let mut nodes = Vec::new();
    for asker in askers {
        nodes.push(asker.await.map_err(|_| Failure::Gone)??);
    }
    let (cuts, holds) = hurting.await.map_err(|_| Failure::Gone)?;
    last.kill()?;
    say(format_args!(
        "  {kills} kills; {cuts} cuts, of {} connections in all; answers held up {holds} times",
        wire.connections_cut(),
    ));
    let mut checks = Checks::new();
    report_transmissions(nodes, &mut checks).await?;
    census.borrow().judge(&home.counted()?, &mut checks);
    checks.at_least("kills", &kills, &(lasting.as_secs() / 10));
    checks.at_least("connections cut", &wire.connections_cut(), &(lasting.as_secs() / 10));
    Ok(checks)
}

/// Kills and restarts the server at random moments; gives back the last one and how many died.
async fn kill_until(
    home: &Home,
    first: egtp_sim::process::server::Server,
    mut dice: Dice,
    end: Instant,
) -> Result<(egtp_sim::process::server::Server, u64), Failure> {
    let (mut server, mut kills) = (first, 0);
    loop {
        let life = dice.millis(LIFE);
        if Instant::now() + life >= end {
            return Ok((server, kills));
        }
        sleep(life).await;
        server.kill()?;
        kills += 1;
        server = home.start().await?;
    }
}

/// Cuts the wire and holds up its way back at random moments; gives back how often.
async fn hurt_until(wire: Rc<Forwarder>, mut dice: Dice, end: Instant) -> (u64, u64) {
    let (mut cuts, mut holds) = (0, 0);
    while Instant::now() < end {
        sleep(dice.millis(BETWEEN_CUTS)).await;
        let held = dice.among(1..=4) == 1;
        if held {
            wire.set_way_back(WayBack::Held);
            sleep(dice.millis(HELD)).await;
            holds += 1;
        }
        // What was held up is lost half of the time, and late otherwise.
        if !held || dice.among(1..=2) == 1 {
            wire.cut();
            cuts += 1;
        }
        wire.set_way_back(WayBack::Flows);
    }
    (cuts, holds)
}

/// An asking node whose requests have all ended.
struct Asked {
    name: String,
    node: Node,
    /// Replies to requests that were transmitted more than once.
    repeated: u64,
}

/// One asking node with its requests under way.
struct Asker {
    name: String,
    node: Node,
    ticket: Ticket,
    dice: Dice,
    census: Rc<RefCell<Census>>,
    durable: bool,
}

impl Asker {
    /// Keeps a changing number of requests under way until `end`, then waits for all of them.
    async fn ask_until(mut self, end: Instant) -> Result<Asked, Failure> {
        let kind = Kind::new(KIND)?;
        let mut under_way = JoinSet::new();
        let (mut number, mut level, mut repeated) = (0_u64, 1, 0);
        loop {
            while Instant::now() < end && under_way.len() < level {
                number += 1;
                let body = format!("{}-{number}{BODY_END}", self.name);
                self.census.borrow_mut().begun(&body);
                let message = Message::new(kind.clone(), body.clone());
                let request = self.node.request(&self.ticket, message).hard_timeout(HARD_TIMEOUT);
                let request = if self.durable { request.durable() } else { request };
                let pending = request.start();
                under_way.spawn_local(async move {
                    let ended = timeout(HARD_TIMEOUT + GRACE, pending).await;
                    let ending = match &ended {
                        Ok(result) => Ending::of(result, body.as_bytes()),
                        Err(_) => Ending::Never,
                    };
                    let again = matches!(&ended, Ok(Ok(reply)) if reply.attempts > 1);
                    (body, ending, u64::from(again))
                });
            }
            let Some(ended) = under_way.join_next().await else {
                return Ok(Asked { name: self.name, node: self.node, repeated });
            };
            let (body, ending, again) = ended.map_err(|_| Failure::Gone)?;
            self.census.borrow_mut().ended(&body, ending);
            repeated += again;
            if self.dice.among(1..=20) == 1 {
                level = self.dice.index(IN_FLIGHT_MAX) + 1;
            }
            if ending == Ending::NotSent {
                // The port is closed this instant; asking again at once would only burn the time.
                sleep(AFTER_NOT_SENT).await;
            }
        }
    }
}

/// Shows that requests were transmitted more than once, without which nothing was proved.
async fn report_transmissions(asked: Vec<Asked>, checks: &mut Checks) -> Result<(), Failure> {
    let mut repeated = 0;
    for Asked { name, node, repeated: again } in asked {
        let status = node.status().await.ok_or(Failure::Gone)?;
        let counters = status.counters;
        say(format_args!(
            "  {name}: {} messages, {} transmissions, {again} replies after more than one; {} \
             handshakes, {} late or repeated replies dropped",
            counters.submitted,
            counters.transmissions,
            counters.handshakes_finished,
            counters.late_dropped,
        ));
        repeated += again;
        node.close().await;
    }
    checks.at_least("replies to requests that were transmitted more than once", &repeated, &1);
    Ok(())
}

fn ticket(key: PublicKey, address: SocketAddr) -> Ticket {
    Ticket { key, strategies: vec![Strategy::Tcp(address.into())] }
}

/// How long a server lives, in milliseconds.
const LIFE: std::ops::RangeInclusive<u64> = 500..=6000;
const BETWEEN_CUTS: std::ops::RangeInclusive<u64> = 20..=300;
/// How long answers are held up: longer than a sender waits before it sends again.
const HELD: std::ops::RangeInclusive<u64> = 300..=1200;
const IN_FLIGHT_MAX: usize = 20;
const HARD_TIMEOUT: Duration = Duration::from_secs(10);
/// How much later than its hard timeout a request may end on a busy machine.
const GRACE: Duration = Duration::from_secs(5);
const AFTER_NOT_SENT: Duration = Duration::from_millis(5);
