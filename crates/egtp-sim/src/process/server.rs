//! A server in a process of its own, which can be killed.
//!
//! Either this very program again, called with `server FOLDER PORT MEMORY`, or the program `egtp serve
//! --exec`. Both count alike: one line with the body is appended to a file before the reply is given; only
//! where it is said so the line goes into the store itself. Invariant: killing is SIGKILL; the process gets
//! no chance to tidy up, and its key and port stay.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use egtp::store::SqliteStore;
use egtp::{Builder, Kind, Node, PublicKey, Refusal, Router, StartError, respond};
use tokio::sync::oneshot;

use super::book;
use super::failure::{Failure, trying};
use super::report::say;

/// The kind that the server counts.
pub const KIND: &str = "count/1";

/// What a server remembers when it was killed, and where it counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Memory {
    /// Nothing. It counts in a file.
    Lost,
    /// It has a durable store in its folder, and counts in a file beside it.
    Durable,
    /// It has a durable store, and counts in it, in the transaction that takes the request: see [`book`].
    Ledger,
    /// It has a durable store, counts in a file beside it, takes its time for the reply, and wants to be given
    /// again what a crash cut off: what nobody should do who counts. A control of those that must not fail.
    Beside,
}

impl Memory {
    /// The word for it behind the port of a server of this program.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Durable => "durable",
            Self::Ledger => "ledger",
            Self::Beside => "beside",
        }
    }

    /// What this word says.
    ///
    /// # Errors
    /// [`Failure::Usage`] if it says nothing.
    pub fn from_word(word: &str) -> Result<Self, Failure> {
        let all = [Self::Lost, Self::Durable, Self::Ledger, Self::Beside];
        let found = all.into_iter().find(|memory| memory.word() == word);
        found.ok_or_else(|| Failure::Usage(format!("{word:?} is no memory of a server")))
    }
}

/// What every body ends with, so that one that was cut off is known. A counter refuses others.
pub const BODY_END: &str = ".";

/// Which program serves.
#[derive(Clone, Debug)]
pub enum Program {
    /// The running one, called again with `server FOLDER PORT MEMORY`: it must then call
    /// [`serve_counter`].
    Own,
    /// The program `egtp`, at this path.
    Egtp(PathBuf),
}

/// Where a server lives: what stays when its process is killed.
#[derive(Clone, Debug)]
pub struct Home {
    /// Which program serves.
    pub program: Program,
    /// The folder with the key and the file of counted bodies.
    pub folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// What else stays.
    pub memory: Memory,
}

/// A running server process; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    key: PublicKey,
}

impl Home {
    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// [`Failure::Process`] if it ends or says nothing; [`Failure::System`].
    pub async fn start(&self) -> Result<Server, Failure> {
        let mut command = self.command()?;
        let arguments = format!("{command:?}");
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = trying(format!("start {arguments}"), spawned)?;
        let (tell, told) = oneshot::channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || read_first_line(BufReader::new(output), tell));
        }
        let line = tokio::time::timeout(READY_MAX, told).await;
        let key = match &line {
            Ok(Ok(line)) => key_in(line),
            _ => None,
        };
        let Some(key) = key else {
            // It may have ended already; that it is gone is all that is wanted here.
            let _ = (child.kill(), child.wait());
            let what = format!("did not say that it is ready with its key, but {line:?}");
            return Err(Failure::Process { what, arguments });
        };
        Ok(Server { child, key })
    }

    /// The counted bodies and how often each was counted. The server must be dead if it counts in its store.
    ///
    /// # Errors
    /// [`Failure`] if the file or the store cannot be read.
    pub fn counted(&self) -> Result<HashMap<String, u64>, Failure> {
        let bodies: Vec<String> = if self.memory == Memory::Ledger {
            book::read(&self.folder)?.into_iter().map(|line| line.body).collect()
        } else {
            let path = counted_file(&self.folder);
            let text = trying(format!("read {}", path.display()), std::fs::read_to_string(&path))?;
            whole_lines(&text)
        };
        let mut counted = HashMap::new();
        for body in bodies {
            *counted.entry(body).or_default() += 1;
        }
        Ok(counted)
    }

    fn command(&self) -> Result<Command, Failure> {
        let port = self.address.port().to_string();
        let mut command;
        match &self.program {
            Program::Own => {
                command = Command::new(trying("find this program", std::env::current_exe())?);
                command.arg("server").arg(&self.folder).arg(port).arg(self.memory.word());
            }
            Program::Egtp(path) => {
                command = Command::new(path);
                command.arg("--json").arg("--data").arg(self.folder.join("data"));
                command.args(["serve", KIND, "--allow-any", "--exec", COUNT]);
                command.args(["--listen", &format!("tcp/{}", self.address)]);
                command.env("COUNTED", counted_file(&self.folder));
            }
        }
        Ok(command)
    }
}

impl Server {
    /// Whose server it is.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    /// [`Failure::System`] if it had ended by itself or cannot be killed.
    pub fn kill(mut self) -> Result<(), Failure> {
        self.kill_and_wait()
    }

    /// The same, for whoever puts another in its place.
    ///
    /// # Errors
    /// [`Failure::System`] if it had ended by itself or cannot be killed.
    pub fn kill_and_wait(&mut self) -> Result<(), Failure> {
        if let Some(code) = trying("look after the server", self.child.try_wait())? {
            let what = format!("ended by itself ({code})");
            return Err(Failure::Process { what, arguments: "see above".into() });
        }
        trying("kill the server", self.child.kill())?;
        trying("wait for the killed server", self.child.wait())?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// What the process called with `server FOLDER PORT MEMORY` does, until it is killed: counts each query and
/// replies with its body.
///
/// # Errors
/// [`Failure`] if it cannot begin, or if the node closes.
pub async fn serve_counter(folder: &Path, port: &str, memory: Memory) -> Result<(), Failure> {
    let kind = Kind::new(KIND)?;
    let router = match memory {
        Memory::Ledger => Router::new().transact(kind, book::book),
        Memory::Lost | Memory::Durable => Router::new().route(kind, respond(counter(folder)?)),
        Memory::Beside => {
            let count = counter(folder)?;
            let slowly = move |asker, body| {
                let counted = count(asker, body);
                async move {
                    tokio::time::sleep(LINGERING).await;
                    counted.await
                }
            };
            Router::new().route(kind.clone(), respond(slowly)).redeliver(kind)
        }
    };
    let node = if memory == Memory::Lost {
        start_node(folder, port, router).await?
    } else {
        let store = SqliteStore::open(folder.join("store.db")).map_err(StartError::from)?;
        node_in(folder, port, router)?.store(store).start().await?
    };
    say(format_args!("ready {}", node.key()));
    node.closed().await;
    Err(Failure::Gone)
}

/// The node of a server process: its key stays in the folder, everything else is forgotten.
///
/// # Errors
/// [`Failure`].
pub async fn start_node(folder: &Path, port: &str, router: Router) -> Result<Node, Failure> {
    Ok(node_in(folder, port, router)?.start().await?)
}

pub(super) fn node_in(folder: &Path, port: &str, router: Router) -> Result<Builder, Failure> {
    let port: u16 =
        port.parse().map_err(|_| Failure::Usage(format!("{port} is no port number")))?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let key = folder.join("key");
    Ok(Node::builder().key_file(key).listen(listen).serve(router))
}

type Counted = Result<bytes::Bytes, Refusal>;

/// A handler that appends the body to the file before it answers with it.
///
/// # Errors
/// [`Failure::System`] if the file cannot be opened.
pub fn counter(
    folder: &Path,
) -> Result<impl Fn(PublicKey, bytes::Bytes) -> std::future::Ready<Counted> + use<>, Failure> {
    let path = counted_file(folder);
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    let file = Arc::new(trying(format!("open {}", path.display()), opened)?);
    Ok(move |_, body: bytes::Bytes| std::future::ready(count(&file, body)))
}

fn count(mut file: &File, body: bytes::Bytes) -> Counted {
    if !body.ends_with(BODY_END.as_bytes()) {
        return Err(Refusal::Failed);
    }
    // One write for one line: what a killed process has not written, it has not counted. A kill can cut that off
    // where a page of the file ends, so a line begins a new one whatever is before it.
    let line = [b"\n", &body[..], b"\n"].concat();
    file.write_all(&line).map_err(|_| Refusal::Failed)?;
    Ok(body)
}

/// The lines of a file of counts, without what was begun and not finished.
fn whole_lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| line.ends_with(BODY_END)).map(str::to_owned).collect()
}

fn counted_file(folder: &Path) -> PathBuf {
    folder.join("counted")
}

/// Tells the first line and reads on, so that the process never waits for its reader.
fn read_first_line(output: impl BufRead, tell: oneshot::Sender<String>) {
    let mut lines = output.lines();
    if let Some(Ok(line)) = lines.next() {
        // Who waited may have given up.
        let _ = tell.send(line);
    }
    for _ in lines {}
}

/// The public key in a ready line, whatever else stands there.
fn key_in(line: &str) -> Option<PublicKey> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.starts_with("egtp1")).find_map(|word| word.parse().ok())
}

/// How long [`Memory::Beside`] takes between counting and replying: long enough to be killed in between.
const LINGERING: Duration = Duration::from_secs(5);
/// How long a server may take until it listens.
const READY_MAX: Duration = Duration::from_secs(10);

/// The counter as a shell command: one line is appended before the reply is written. A body without
/// [`BODY_END`] was cut short because the program that was writing it has been killed.
const COUNT: &str = r#"body=$(cat) && case "$body" in *.) ;; *) exit 1 ;; esac &&
printf '\n%s\n' "$body" >>"$COUNTED" && printf '%s' "$body""#;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server was killed while it wrote the second line, and the next one went on behind it.
    #[test]
    fn a_line_that_a_kill_cut_off_is_not_counted_and_spoils_none() {
        let text = "\na-1327.\n\na-13\na-1328.\n";
        assert_eq!(whole_lines(text), ["a-1327.", "a-1328."]);
        assert_eq!(whole_lines(""), Vec::<String>::new());
    }
}
