//! Judges a trace of system calls: was everything on the disk before anything went out?
//!
//! `disk_order check TRACE --from SECONDS --requests N [--effects N]` ends with 0 if so. `disk_order node FOLDER hasty`
//! and `disk_order node FOLDER unsynced` are controls, nodes with stores that break the promise: one says
//! that rows are durable before it writes them, the other one never syncs. `disk_order rest STORE` opens a
//! store and closes it, all of it being in the file then. `disk_order relay FOLDER honest` keeps letters, and with
//! `early` it is a control; `disk_order letters TICKET N` leaves so many there, one at a time, and says from when on.
//! Invariant: the check is the same for a control as for the real node.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use egtp::clock::{Clock, SystemClock};
use egtp::store::{Ran, RunHandler, Saved, SqliteStore, Store, StoreError, Values, Write};
use egtp::{Builder, Kind, Node, PublicKey, Router, SecretKey, StartError, Ticket, respond};
use egtp_proto::{QueryEvent, RefusedWhy};
use egtp_services::mailbox::deposit;
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::dice::Dice;
use egtp_sim::process::disk_order::DiskOrder;
use egtp_sim::process::failure::{Failure, trying};
use egtp_sim::process::letter_census::letter;
use egtp_sim::process::mailbox_relay::{Mistake, keep_letters};
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::server::{KIND, counter};

fn main() -> ExitCode {
    run(|| async {
        let arguments = Arguments::read(&["--from", "--requests", "--effects"])?;
        match arguments.words()[..] {
            ["check", trace] => check(trace.as_ref(), &arguments),
            ["rest", store] => rest(store.as_ref()),
            ["node", folder, "hasty"] => node(folder.as_ref(), hasty(folder.as_ref())?).await,
            ["node", folder, "unsynced"] => node(folder.as_ref(), unsynced(folder.as_ref())?).await,
            ["relay", folder, mistake] => {
                keep_letters(folder.as_ref(), "0", Mistake::from_word(mistake)?).await?;
                Ok(Checks::new())
            }
            ["letters", ticket, count] => letters(ticket, count).await,
            _ => Err(Failure::Usage(
                "disk_order check TRACE | rest STORE | node FOLDER hasty | relay FOLDER honest | \
                 letters TICKET N"
                    .into(),
            )),
        }
    })
}

fn check(trace: &Path, arguments: &Arguments) -> Result<Checks, Failure> {
    let from = arguments.text("--from").and_then(|from| from.parse().ok());
    let from = from.ok_or_else(|| Failure::Usage("--from wants seconds since 1970".into()))?;
    let wanted = usize::try_from(arguments.number("--requests", 1)?).unwrap_or(usize::MAX);
    let effects = usize::try_from(arguments.number("--effects", 0)?).unwrap_or(usize::MAX);
    let bytes = trying(format!("read {}", trace.display()), std::fs::read(trace))?;
    let order = DiskOrder::read(&String::from_utf8_lossy(&bytes), from);
    say(format_args!(
        "  {} requests: {} times something was sent, {} times a handler acted, {} syncs of the log",
        order.requests, order.sent, order.effects, order.synced
    ));
    let mut checks = Checks::new();
    checks.equal("requests seen", &order.requests, &wanted);
    checks.equal("times that a handler acted", &order.effects, &effects);
    checks.none("everything goes out when the log is on the disk", &order.early);
    Ok(checks)
}

fn rest(path: &Path) -> Result<Checks, Failure> {
    let mut store = SqliteStore::open(path).map_err(StartError::from)?;
    // What is only looked at is left as it is.
    store.commit(&[], &mut no_handler).map_err(StartError::from)?;
    Ok(Checks::new())
}

/// Leaves letters with a relay for somebody who never comes.
async fn letters(ticket: &str, count: &str) -> Result<Checks, Failure> {
    let unread = |text: &str| Failure::Usage(format!("{text}?"));
    let relay: Ticket = ticket.parse().map_err(|_| unread(ticket))?;
    let count: usize = count.parse().map_err(|_| unread(count))?;
    let node = Node::builder().only_instance().start().await?;
    let recipient = SecretKey::from_seed(Dice::from_seed(Dice::fresh_seed()).bytes()).public();
    let mut checks = Checks::new();
    let mut stored = 0_usize;
    // The first one makes the session.
    for number in 0..=count {
        stored += usize::from(deposit(&node, &relay, &recipient, &letter(number)).await.is_ok());
        tokio::time::sleep(BETWEEN).await;
        if number == 0 {
            say(format_args!("from {:.6}", SystemClock.wall().as_secs_f64()));
        }
    }
    checks.equal("letters stored", &stored, &(count + 1));
    Ok(checks)
}

/// A node that appends each body to a file and replies with it, until it is killed.
async fn node(folder: &Path, store: Box<dyn Store>) -> Result<Checks, Failure> {
    let router = Router::new().route(Kind::new(KIND)?, respond(counter(folder)?));
    let builder = Node::builder().key_file(folder.join("key")).serve(router);
    let builder: Builder = builder.listen((Ipv4Addr::LOCALHOST, 0).into());
    let node = builder.store(Planted(store)).start().await?;
    say(format_args!("ready {}", node.ticket()));
    node.closed().await;
    Err(Failure::Gone)
}

#[derive(Debug)]
struct Planted(Box<dyn Store>);

impl Store for Planted {
    fn load(&mut self, identity: &PublicKey) -> Result<Saved, StoreError> {
        self.0.load(identity)
    }

    fn commit(
        &mut self,
        rows: &[(PublicKey, Write)],
        run: &mut RunHandler<'_>,
    ) -> Result<Vec<Ran>, StoreError> {
        self.0.commit(rows, run)
    }
}

/// Says that rows are durable, and writes them afterwards.
#[derive(Debug)]
struct Hasty {
    loading: Option<SqliteStore>,
    rows: Option<Sender<Vec<(PublicKey, Write)>>>,
}

fn hasty(folder: &Path) -> Result<Box<dyn Store>, Failure> {
    let store = SqliteStore::open(folder.join("store.db")).map_err(StartError::from)?;
    Ok(Box::new(Hasty { loading: Some(store), rows: None }))
}

impl Store for Hasty {
    fn load(&mut self, identity: &PublicKey) -> Result<Saved, StoreError> {
        self.loading.as_mut().map_or_else(|| unreachable!("loaded first"), |one| one.load(identity))
    }

    fn commit(
        &mut self,
        rows: &[(PublicKey, Write)],
        _: &mut RunHandler<'_>,
    ) -> Result<Vec<Ran>, StoreError> {
        if let Some(mut store) = self.loading.take() {
            let (sender, batches) = channel::<Vec<(PublicKey, Write)>>();
            self.rows = Some(sender);
            std::thread::spawn(move || {
                for rows in batches {
                    std::thread::sleep(LATE);
                    store.commit(&rows, &mut no_handler).expect("a disk that works");
                }
            });
        }
        let sender = self.rows.as_ref().expect("begun above");
        sender.send(rows.to_vec()).expect("the thread runs as long as we do");
        Ok(Vec::new())
    }
}

/// Writes rows at once, and leaves it to the kernel when they reach the disk.
#[derive(Debug)]
struct Unsynced(File);

fn unsynced(folder: &Path) -> Result<Box<dyn Store>, Failure> {
    let path: PathBuf = folder.join("store.db-wal");
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    Ok(Box::new(Unsynced(trying(format!("open {}", path.display()), opened)?)))
}

impl Store for Unsynced {
    fn load(&mut self, _: &PublicKey) -> Result<Saved, StoreError> {
        Ok(Saved::new(Dice::fresh_seed()))
    }

    fn commit(
        &mut self,
        rows: &[(PublicKey, Write)],
        _: &mut RunHandler<'_>,
    ) -> Result<Vec<Ran>, StoreError> {
        self.0.write_all(format!("{rows:?}\n").as_bytes()).expect("a disk that works");
        Ok(Vec::new())
    }
}

/// These nodes have no handlers inside their store.
fn no_handler(_: &mut dyn Values, _: &QueryEvent) -> Result<Bytes, RefusedWhy> {
    Err(RefusedWhy::UnknownKind)
}

/// How long after it has promised the hasty store writes: less than a pause between two requests.
const LATE: Duration = Duration::from_millis(20);
/// Between two letters: longer than a trace's requests are apart.
const BETWEEN: Duration = Duration::from_millis(500);
