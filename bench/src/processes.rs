//! Child processes: this program again, in another role.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::plan::Cell;
use crate::server::FAILED;
use crate::{relay, system};

fn this(role: &str, cell: &Cell) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).args(cell.words()).stdout(Stdio::piped());
    Ok(command)
}

/// A server process, or a relay. It ends when its standard input closes, so also when we are killed.
pub struct Server {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub address: String,
    /// What stands between it and us, if something does.
    relay: Option<Box<Server>>,
}

impl Server {
    /// Starts it, and before it the relay that it is reached by.
    pub fn start(cell: &Cell) -> Outcome<Self> {
        if !cell.row.side.is_relayed() {
            return Self::begin("server", cell, "");
        }
        let relay = Self::relay(cell)?;
        let mut server = Self::begin("server", cell, &relay.address)?;
        server.relay = Some(Box::new(relay));
        Ok(server)
    }

    /// Starts a relay alone.
    pub fn relay(cell: &Cell) -> Outcome<Self> {
        Self::begin("relay", cell, "")
    }

    fn begin(role: &str, cell: &Cell, relay: &str) -> Outcome<Self> {
        let mut command = this(role, cell)?;
        // What it leaves there, the next one of ours begins with.
        command.env(system::FOLDER, system::place()).env(relay::TICKET, relay);
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("its output was asked for"));
        let mut server = Self { child, orders, answers, address: String::new(), relay: None };
        let line = server.line()?;
        if let Some(why) = line.strip_prefix(FAILED) {
            return Err(why.into());
        }
        server.address = line;
        Ok(server)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its processor time so far.
    pub fn used(&mut self) -> Outcome<Duration> {
        Ok(Duration::from_micros(self.told("used")?))
    }

    /// That of the relay between it and us.
    pub fn used_by_relay(&mut self) -> Outcome<Option<Duration>> {
        self.relay.as_mut().map(|relay| relay.used()).transpose()
    }

    /// How many requests it has answered, if its side counts them.
    pub fn served(&mut self) -> Outcome<u64> {
        self.told("served")
    }

    fn told(&mut self, order: &str) -> Outcome<u64> {
        let orders = self.orders.as_mut().expect("it is there until it ends");
        writeln!(orders, "{order}")?;
        Ok(self.line()?.parse()?)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err("the server has ended".into());
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends what it has started itself, and is not told to finish anything.
        self.orders = None;
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < ENDING {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a server may take to end.
const ENDING: Duration = Duration::from_secs(2);

/// Runs a client to its end, or kills it after `limit`; returns what it printed. What it had on the disk is gone then.
pub fn run_client(cell: &Cell, limit: Duration) -> Outcome<String> {
    let child = this("client", cell)?.stderr(Stdio::piped()).spawn()?;
    let folder = system::scratch(child.id());
    let printed = printed(child, limit);
    // Only some have one.
    let _ = std::fs::remove_dir_all(folder);
    printed
}

fn printed(mut child: Child, limit: Duration) -> Outcome<String> {
    let mut output = child.stdout.take().expect("its output was asked for");
    let mut errors = child.stderr.take().expect("its errors were asked for");
    // Read while it runs: a full pipe would hold it up.
    let output = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    let errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        errors.read_to_end(&mut bytes).map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(format!("not done after {:.0} s", limit.as_secs_f64()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let errors = errors.join().expect("a reading thread")?;
    let output = output.join().expect("a reading thread")?;
    if status.success() { Ok(output) } else { Err(reason(&errors).into()) }
}

/// The line of an error output that says most: the last one that is not advice.
fn reason(errors: &str) -> String {
    let line = errors.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("note:"));
    line.unwrap_or("failed without a word").to_owned()
}
