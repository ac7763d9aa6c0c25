//! What tests of the program share: running it, waiting for its ready line, a directory to work in.
//!
//! Every process that is started here ends with whoever holds it, and every wait has a limit.

#![allow(dead_code, unreachable_pub, reason = "a part of each test file, which uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

pub mod page;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far more than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The five seconds within which a node has ended, and one more.
const ENDING_TIME: Duration = Duration::from_secs(6);

/// A directory of its own for one test, which is also the home of what the test starts.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("egtp-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory for the test");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path below it, as text.
    pub fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), text).expect("a file can be written");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("the file can be read")
    }

    pub fn read_bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).expect("the file can be read")
    }

    /// The program with these arguments, at home here and with nothing else in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).env_clear().env("HOME", &self.0).env("PATH", "/usr/bin:/bin");
        command.current_dir(&self.0).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, b"")
    }

    /// Runs it to its end with something to read.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        let started = Instant::now();
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("its input");
        // It may end without reading.
        let _ = stdin.write_all(input);
        drop(stdin);
        Ran::new(&output_of(child), started.elapsed())
    }

    /// Starts `up` or `serve` with `--json`, and waits for the ready line.
    pub fn start(&self, arguments: &[&str]) -> Node {
        let mut node = self.start_quietly(arguments);
        node.ready = node.next_event().unwrap_or_else(|| panic!("no ready line: {}", node.talk()));
        assert_eq!(node.ready["event"], "ready", "{}", node.ready);
        node
    }

    /// Starts something that stays, with `--json`.
    pub fn start_quietly(&self, arguments: &[&str]) -> Node {
        let arguments: Vec<&str> = [&["--json"], arguments].concat();
        let mut child = self.command(&arguments).process_group(0).spawn().expect("a node starts");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut stderr = child.stderr.take().expect("its talk");
        let talk = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = std::io::Read::read_to_string(&mut stderr, &mut text);
            text
        });
        Node { child, lines, talk: Some(talk), ready: Value::Null }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub talk: String,
    pub took: Duration,
}

impl Ran {
    pub fn new(output: &Output, took: Duration) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            talk: text(&output.stderr),
            took,
        }
    }

    /// It succeeded.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// It failed with this code, said so, and said what to do.
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.talk.contains("next: "), "{self:?}");
        self
    }

    /// It said this on stderr.
    pub fn says(self, words: &str) -> Self {
        assert!(self.talk.contains(words), "{words:?} is not in {self:?}");
        self
    }

    /// The only object that it printed.
    pub fn object(&self) -> Value {
        let objects = self.objects();
        assert_eq!(objects.len(), 1, "{self:?}");
        objects[0].clone()
    }

    /// Everything that it printed.
    pub fn objects(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        self.out.lines().map(parse).collect()
    }
}

/// A running `up` or `serve`. Its whole process group ends with it.
#[derive(Debug)]
pub struct Node {
    child: Child,
    lines: Receiver<String>,
    talk: Option<std::thread::JoinHandle<String>>,
    pub ready: Value,
}

impl Node {
    pub fn ticket(&self) -> &str {
        self.ready["ticket"].as_str().expect("a ticket")
    }

    pub fn key(&self) -> &str {
        self.ready["public_key"].as_str().expect("a key")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its first address, as `127.0.0.1:1234`.
    pub fn address(&self) -> String {
        let first = self.ready["listen"][0].as_str().expect("an address");
        first.trim_start_matches("tcp/").to_owned()
    }

    /// The next line that it prints; `None` when it has ended.
    pub fn next_event(&mut self) -> Option<Value> {
        let line = self.lines.recv_timeout(LIMIT).ok()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}")))
    }

    /// A line that it has printed already.
    pub fn try_event(&mut self) -> Option<Value> {
        let line = self.lines.try_recv().ok()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}")))
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its end can be looked for").is_some()
    }

    /// Sends a signal, and waits for the end.
    pub fn stop(&mut self, signal: &str) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        kill(self.child.id(), signal);
        let status = self.wait();
        (status, asked.elapsed())
    }

    /// With which code it ended.
    pub fn code(&mut self) -> Option<i32> {
        self.wait().code()
    }

    /// What it said on stderr until its end.
    pub fn talk(&mut self) -> String {
        self.wait();
        self.talk.take().and_then(|talk| talk.join().ok()).unwrap_or_default()
    }

    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its end can be waited for") {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "it did not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Asked to end it ends its commands as well, which would outlive a killed one.
        if matches!(self.child.try_wait(), Ok(None)) {
            let id = self.child.id().to_string();
            let _ = Command::new("/bin/kill").args(["-TERM", &id]).status();
        }
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < ENDING_TIME {
            std::thread::yield_now();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program. Where these tests run under `nohup`, hangups are ignored by whatever they start; a
/// person at a terminal has it the other way round.
fn program() -> Command {
    let program = env!("CARGO_BIN_EXE_egtp");
    if !ignores_hangups() {
        return Command::new(program);
    }
    let mut command = Command::new("/usr/bin/env");
    command.args(["--default-signal=HUP", program]);
    command
}

/// The lowest bit of the ignored signals is that of the first signal, SIGHUP.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .is_some_and(|digits| digits.trim_end().ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']))
}

/// What a process has printed by its end, which must come within the limit.
pub fn output_of(child: Child) -> Output {
    let id = child.id();
    let (sender, ended) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(LIMIT) else {
        kill(id, "KILL");
        panic!("process {id} did not end within {LIMIT:?}");
    };
    output.expect("its output")
}

/// Sends a signal by name.
pub fn kill(id: u32, signal: &str) {
    let status = Command::new("/bin/kill").args([format!("-{signal}"), id.to_string()]).status();
    assert!(status.expect("kill can be run").success(), "{signal} to {id}");
}

/// Waits until something has become so; it is expected to within a moment.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

/// A port of this machine at which nobody listens.
pub fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// Every file below a directory, with its contents.
pub fn files_below(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.push((path.clone(), Vec::new()));
            found.extend(files_below(&path));
        } else {
            let contents = std::fs::read(&path).expect("a file");
            found.push((path, contents));
        }
    }
    found.sort();
    found
}

/// For this machine only, at a port that the system chooses.
pub const LOCAL: [&str; 2] = ["--listen", "tcp/127.0.0.1:0"];
