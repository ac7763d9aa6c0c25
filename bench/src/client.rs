//! The client's process: starts its server, makes the load of one cell, prints its figures as JSON.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bodies::Bodies;
use crate::outcome::Outcome;
use crate::plan::{Cell, IDLE_CONNECTIONS, IDLE_MANY, IDLE_SECONDS, PEERS, Work, warm_up};
use crate::processes::Server;
use crate::registered;
use crate::requests;
use crate::sides::{Side, Visitor};
use crate::system;
use crate::tally::Tally;

/// By name, as they stand in the result file.
pub type Figures = BTreeMap<String, f64>;

pub fn run(cell: &Cell) -> Outcome<()> {
    if cell.work == Work::Registered {
        return print(&registered::measure(cell)?);
    }
    if cell.work.is_stored() {
        system::must_be_on_disk()?;
    }
    let server = Server::start(cell)?;
    // After the server's start, which would inherit it.
    if let Some((core, _)) = cell.work.cores() {
        system::pin(core)?;
    }
    print(&cell.row.side.visit(Measure(*cell, server))?)
}

fn print(figures: &Figures) -> Outcome<()> {
    println!("{}", serde_json::to_string(figures)?);
    // Nothing that a side left running is waited for.
    std::process::exit(0);
}

struct Measure(Cell, Server);

impl Visitor for Measure {
    type Output = Outcome<Figures>;

    fn visit<S: Side>(self) -> Outcome<Figures> {
        let Self(cell, server) = self;
        let runtime = cell.row.runtime.build()?;
        runtime.block_on(measure::<S>(cell, server))
    }
}

async fn measure<S: Side>(cell: Cell, mut server: Server) -> Outcome<Figures> {
    let (warm, span) = (warm_up(cell.seconds), Duration::from_secs_f64(cell.seconds));
    let address = server.address.clone();
    let (many, bytes) = cell.work.load();
    match cell.work {
        Work::Many
        | Work::Bulk100K
        | Work::Bulk2M
        | Work::InFlight1
        | Work::InFlight10
        | Work::InFlight100
        | Work::InFlight1k
        | Work::InFlight10k
        | Work::OnDisk
        | Work::Forward
        | Work::Forward100K
        | Work::Stored64
        | Work::Stored512 => {
            let link = first_link::<S>(&address).await?;
            let tally = Arc::new(Tally::new(many));
            let load = S::pump(link, (many, bytes), Arc::clone(&tally));
            let mut figures = window(&mut server, &tally, load, warm, span).await?;
            if S::COUNTS {
                // With the one that was asked first.
                hold_against(&figures, tally.total() + 1, &mut server)?;
            }
            if S::STORES {
                must_hold::<S>(&figures, tally.total() + 1, (&cell, server)).await?;
            }
            let megabytes = figures["per_second"] * bytes as f64 / 1e6;
            figures.insert("mb_per_second".into(), megabytes);
            Ok(figures)
        }
        Work::ManyPeers => {
            let mut links = Vec::new();
            for _ in 0..PEERS {
                let local = S::local(false).await?;
                let link = S::connect(&local, &address).await?;
                requests::ask::<S>(&link, Bodies::new(0, bytes).next()).await?;
                links.push(link);
                // The end of a local end may be the end of its connections.
                std::mem::forget(local);
            }
            let tally = Arc::new(Tally::new(many));
            let load = requests::pump_all::<S>(links, (many, bytes), Arc::clone(&tally));
            let mut figures = window(&mut server, &tally, load, warm, span).await?;
            if S::COUNTS {
                hold_against(&figures, tally.total() + PEERS as u64, &mut server)?;
            }
            // What it could serve if it had that many cores for itself.
            let capacity = f64::from(S::LOOPS) * 1e6 / figures["server_cpu_per_million"];
            figures.insert("capacity".into(), capacity);
            Ok(figures)
        }
        Work::Connect64 | Work::Connect1 => {
            // EGTP's live card is of use to others when its server is a second old.
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            let tally = Arc::new(Tally::new(many));
            let load = requests::connect::<S>(address, many, Arc::clone(&tally));
            window(&mut server, &tally, load, warm, span).await
        }
        Work::SameCore | Work::TwoCores => {
            let link = first_link::<S>(&address).await?;
            // Spawned, so that it is a worker's work on the runtime that has workers.
            let before = Reading::take(&mut server, 0)?;
            let times = tokio::spawn(requests::one_by_one::<S>(link, warm, span)).await??;
            let after = Reading::take(&mut server, times.total)?;
            let mut figures = after.since(&before)?;
            figures.extend(latencies(times.measured));
            Ok(figures)
        }
        Work::Idle => idle::<S>(&mut server, &address, IDLE_CONNECTIONS).await,
        Work::IdleCpu => idle::<S>(&mut server, &address, IDLE_MANY).await,
        Work::Registered => Err("its clients are not made here".into()),
    }
}

/// How late a reply may be after the end.
const LATE: Duration = Duration::from_secs(5);
/// What is said where one is later, and how many there are matters.
const MISSING: &str = "some replies were missing five seconds after the end";

/// A server has served as many as were asked of it.
fn hold_against(figures: &Figures, asked: u64, server: &mut Server) -> Outcome<()> {
    if figures["drained"] == 0.0 {
        return Err(MISSING.into());
    }
    let served = server.served()?;
    if asked == served {
        Ok(())
    } else {
        Err(format!("{asked} requests asked, {served} served").into())
    }
}

/// A server has stored as many as it has said, and another one that begins with what the first has left when it was
/// killed finds as many.
async fn must_hold<S: Side>(
    figures: &Figures,
    said: u64,
    (cell, server): (&Cell, Server),
) -> Outcome<()> {
    if figures["drained"] == 0.0 {
        return Err(MISSING.into());
    }
    let held = S::stored(&server.address).await?;
    drop(server);
    let again = Server::start(cell)?;
    let found = S::stored(&again.address).await?;
    if [held, found] == [said; 2] {
        Ok(())
    } else {
        Err(format!("{said} said to be stored, {held} held, {found} after a restart").into())
    }
}

/// A connection that has been used once.
async fn first_link<S: Side>(address: &str) -> Outcome<S::Link> {
    let local = S::local(true).await?;
    let link = S::connect(&local, address).await?;
    requests::ask::<S>(&link, Bodies::new(0, 128).next()).await?;
    // The end of a local end may be the end of its connections.
    std::mem::forget(local);
    Ok(link)
}

/// Runs a load, and measures what it does between `warm` and `warm + span`.
async fn window(
    server: &mut Server,
    tally: &Tally,
    load: impl Future<Output = Outcome<()>> + Send + 'static,
    warm: Duration,
    span: Duration,
) -> Outcome<Figures> {
    let mut load = tokio::spawn(load);
    tokio::select! {
        () = tokio::time::sleep(warm) => {}
        ended = &mut load => return Err(ended?.err().unwrap_or("the load ended early".into())),
    }
    let before = Reading::take(server, tally.total())?;
    tokio::select! {
        () = tokio::time::sleep(span) => {}
        ended = &mut load => return Err(ended?.err().unwrap_or("the load ended early".into())),
    }
    let after = Reading::take(server, tally.total())?;
    tally.stop();
    // What comes late may still be wrong; what never comes is not worth a wait.
    let mut figures = after.since(&before)?;
    let ended = tokio::time::timeout(LATE, load).await;
    figures.insert("drained".into(), f64::from(u8::from(ended.is_ok())));
    if let Ok(ended) = ended {
        ended??;
    }
    Ok(figures)
}

/// What the clocks say at one moment.
struct Reading {
    at: Instant,
    count: u64,
    client: Duration,
    server: Duration,
    relay: Option<Duration>,
    machine: Duration,
}

impl Reading {
    fn take(server: &mut Server, count: u64) -> Outcome<Self> {
        let at = Instant::now();
        let (client, machine) = (system::used()?, system::busy()?);
        let (relay, server) = (server.used_by_relay()?, server.used()?);
        Ok(Self { at, count, client, server, relay, machine })
    }

    fn since(&self, before: &Self) -> Outcome<Figures> {
        let seconds = (self.at - before.at).as_secs_f64();
        let count = (self.count - before.count) as f64;
        if count == 0.0 {
            return Err("not one reply in the measured window".into());
        }
        let client = (self.client - before.client).as_secs_f64();
        let server = (self.server - before.server).as_secs_f64();
        let relay = self.relay.zip(before.relay);
        let relay = relay.map(|(now, before)| (now - before).as_secs_f64());
        let all = client + server + relay.unwrap_or_default();
        let machine = self.machine.saturating_sub(before.machine).as_secs_f64();
        let mut figures = Figures::from([
            ("per_second".into(), count / seconds),
            ("client_cpu_per_million".into(), client * 1e6 / count),
            ("server_cpu_per_million".into(), server * 1e6 / count),
            ("cpu_per_million".into(), all * 1e6 / count),
            ("cores_used".into(), all / seconds),
            // What the machine did beside these processes: other people's work, mostly.
            ("cores_of_others".into(), ((machine - all) / seconds).max(0.0)),
            // What a process of the two ends takes for a request, to hold a relay's against.
            ("end_cpu_per_million".into(), (client + server) * 1e6 / count / 2.0),
        ]);
        if let Some(relay) = relay {
            figures.insert("relay_cpu_per_million".into(), relay * 1e6 / count);
        }
        Ok(figures)
    }
}

fn latencies(mut times: Vec<Duration>) -> Figures {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Figures::from([
        ("p50_us".into(), at(0.5)),
        ("p99_us".into(), at(0.99)),
        ("measured".into(), times.len() as f64),
    ])
}

/// Growth of both processes for each connection that asked once and stays, and what the server does while nobody
/// asks.
async fn idle<S: Side>(server: &mut Server, address: &str, many: u32) -> Outcome<Figures> {
    // The first connection pays for what all share.
    let first = S::local(false).await?;
    let mut kept = vec![(S::connect(&first, address).await?, first)];
    requests::ask::<S>(&kept[0].0, Bodies::new(0, 128).next()).await?;
    let ours = std::process::id();
    let (server_before, client_before) = (system::resident(server.id())?, system::resident(ours)?);
    for number in 0..many {
        let local = S::local(false).await?;
        let link = S::connect(&local, address).await?;
        requests::ask::<S>(&link, Bodies::new(number as usize, 128).next()).await?;
        kept.push((link, local));
    }
    // The first moments are still those of the last connections.
    tokio::time::sleep(Duration::from_secs_f64(IDLE_SECONDS / 4.0)).await;
    let (begun, before) = (Instant::now(), server.used()?);
    tokio::time::sleep(Duration::from_secs_f64(IDLE_SECONDS * 0.75)).await;
    let busy = (server.used()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    let each = |before: f64, after: f64| (after - before) / 1024.0 / f64::from(many);
    let figures = Figures::from([
        ("server_busy_percent".into(), busy * 100.0),
        ("server_kib".into(), each(server_before, system::resident(server.id())?)),
        ("client_kib".into(), each(client_before, system::resident(ours)?)),
    ]);
    // All must still be there, or what was weighed was less.
    for (number, (link, _)) in kept.iter().enumerate().step_by(97) {
        requests::ask::<S>(link, Bodies::new(number, 128).next()).await?;
    }
    Ok(figures)
}
