//! Child processes: this program again, in another role.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::plan::Cell;
use crate::system;

fn this(role: &str, cell: &Cell) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).args(cell.words()).stdout(Stdio::piped());
    Ok(command)
}

/// A server process. It ends when its standard input closes, so also when we are killed.
pub struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub address: String,
}

impl Server {
    pub fn start(cell: &Cell) -> Outcome<Self> {
        let mut child = this("server", cell)?.stdin(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().expect("its input was asked for");
        let answers = BufReader::new(child.stdout.take().expect("its output was asked for"));
        let mut server = Self { child, orders, answers, address: String::new() };
        server.address = server.line()?;
        Ok(server)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its processor time so far.
    pub fn used(&mut self) -> Outcome<Duration> {
        self.orders.write_all(b"used\n")?;
        Ok(Duration::from_micros(self.line()?.parse()?))
    }

    /// How many requests it has answered, if its side counts them.
    pub fn served(&mut self) -> Outcome<u64> {
        self.orders.write_all(b"served\n")?;
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
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Only some have one.
        let _ = std::fs::remove_dir_all(system::scratch(self.child.id()));
    }
}

/// Runs a client to its end, or kills it after `limit`; returns what it printed.
pub fn run_client(cell: &Cell, limit: Duration) -> Outcome<String> {
    let mut child = this("client", cell)?.stderr(Stdio::piped()).spawn()?;
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
