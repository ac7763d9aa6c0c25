//! JetStream of NATS with `sync_interval: always`: what is acknowledged is in its files, and those on the disk.
//!
//! A server of our own for each figure, if there is one on this machine that knows this setting. The same letters as the
//! mailboxes get, in one stream with a subject for each recipient; all that is in flight shares a connection.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Side;
use super::mailbox::{letter_around, letter_of, recipient_of};
use crate::bodies::Bodies;
use crate::outcome::Outcome;
use crate::server::{announce, owns};
use crate::system;
use crate::tally::Tally;

pub struct JetStream;

#[derive(Clone)]
pub struct Link {
    address: Arc<str>,
    around: Bytes,
}

/// The first version that syncs whatever it acknowledges.
const VERSION_MIN: (u32, u32) = (2, 10);
/// How long it may take until a new one answers.
const STARTING: Duration = Duration::from_secs(20);
/// Where answers go.
const INBOX: &str = "_INBOX.bench";

/// A connection that knows the protocol as far as it is needed here.
struct Connection {
    stream: TcpStream,
    read: BytesMut,
    written: BytesMut,
}

impl Connection {
    async fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, read: BytesMut::new(), written: BytesMut::new() };
        let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {INBOX} 1\r\n");
        connection.written.extend_from_slice(hello.as_bytes());
        Ok(connection)
    }

    fn put(&mut self, subject: &str, body: &[u8]) {
        let head = format!("PUB {subject} {INBOX} {}\r\n", body.len());
        self.written.extend_from_slice(head.as_bytes());
        self.written.extend_from_slice(body);
        self.written.extend_from_slice(b"\r\n");
    }

    fn put_letter(&mut self, around: &Bytes, body: &[u8]) {
        self.put(&format!("mailbox.{}", recipient_of(body)), &letter_of(around, body));
    }

    async fn send(&mut self) -> Outcome<()> {
        self.stream.write_all(&self.written).await?;
        self.written.clear();
        Ok(())
    }

    /// The next message.
    async fn answer(&mut self) -> Outcome<Bytes> {
        loop {
            if let Some(answer) = self.next()? {
                return Ok(answer);
            }
            // What it wants to hear of us goes before we wait.
            self.send().await?;
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the NATS server has closed the connection".into());
            }
        }
    }

    /// The next message that is here already.
    fn next(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") else {
                return Ok(None);
            };
            let line = std::str::from_utf8(&self.read[..end])?.to_owned();
            let mut words = line.split(' ');
            match words.next() {
                Some("MSG") => {
                    let length: usize = words.next_back().ok_or("no length")?.parse()?;
                    if self.read.len() < end + 2 + length + 2 {
                        return Ok(None);
                    }
                    self.read.advance(end + 2);
                    let answer = self.read.split_to(length).freeze();
                    self.read.advance(2);
                    return Ok(Some(answer));
                }
                Some("PING") => self.written.extend_from_slice(b"PONG\r\n"),
                Some("-ERR") => return Err(line.into()),
                _ => {}
            }
            self.read.advance(end + 2);
        }
    }

    async fn asked(&mut self, subject: &str, body: &str) -> Outcome<serde_json::Value> {
        self.put(subject, body.as_bytes());
        self.send().await?;
        Ok(serde_json::from_slice(&self.answer().await?)?)
    }
}

/// An acknowledgement names the place of what is stored; whatever else comes is none.
fn stored(answer: &Bytes) -> Outcome<()> {
    let said: serde_json::Value = serde_json::from_slice(answer)?;
    if said["seq"].is_u64() && said["error"].is_null() {
        Ok(())
    } else {
        Err(format!("not stored: {said}").into())
    }
}

/// Such as 2.10.
fn version() -> Outcome<(u32, u32)> {
    let said = Command::new("nats-server").arg("--version").output();
    let said = said.map_err(|why| format!("could not run: nats-server ({why})"))?;
    let said = String::from_utf8(said.stdout)?;
    let numbers = said.trim().rsplit_once('v').map_or("", |(_, version)| version);
    let mut numbers = numbers.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(format!("could not run: nats-server of an unknown version ({said})").into()),
    }
}

/// Starts one, and waits until it has the stream.
async fn begin() -> Outcome<String> {
    let (major, minor) = version()?;
    if (major, minor) < VERSION_MIN {
        let why = format!("nats-server {major}.{minor} has no `sync_interval: always`; 2.10 has");
        return Err(format!("could not run: {why}").into());
    }
    let folder = system::folder()?;
    let address = super::free_address()?;
    let settings = format!(
        "listen: \"{address}\"\njetstream {{ store_dir: {folder:?}, sync_interval: always }}\n"
    );
    let file = folder.join("nats.conf");
    std::fs::write(&file, settings)?;
    let mut command = Command::new("nats-server");
    let child = command.arg("--config").arg(file).stdin(Stdio::null());
    let child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    owns(child.map_err(|why| format!("could not run: nats-server ({why})"))?);
    let begun = Instant::now();
    loop {
        if let Ok(mut connection) = Connection::open(&address).await {
            let wanted = r#"{"name":"letters","subjects":["mailbox.*"],"storage":"file"}"#;
            let said = connection.asked("$JS.API.STREAM.CREATE.letters", wanted).await;
            if said.is_ok_and(|said| said["error"].is_null()) {
                return Ok(address);
            }
        }
        if begun.elapsed() > STARTING {
            return Err("could not run: nats-server does not answer".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl Side for JetStream {
    const STORES: bool = true;
    type Local = ();
    type Link = Link;

    async fn serve(_: bool) -> Outcome<()> {
        announce(begin().await?);
        std::future::pending().await
    }

    async fn local(_: bool) -> Outcome<()> {
        Ok(())
    }

    async fn connect((): &(), address: &str) -> Outcome<Link> {
        Ok(Link { address: address.into(), around: letter_around()? })
    }

    async fn ask(link: &Link, body: Bytes) -> Outcome<Bytes> {
        let mut connection = Connection::open(&link.address).await?;
        connection.put_letter(&link.around, &body);
        stored(&connection.answer().await?)?;
        Ok(body)
    }

    async fn close((): &(), link: Link) {
        drop(link);
    }

    async fn pump(link: Link, (many, bytes): (usize, usize), tally: Arc<Tally>) -> Outcome<()> {
        let mut connection = Connection::open(&link.address).await?;
        let mut bodies = Bodies::new(0, bytes);
        let (mut free, mut under_way) = (many, 0);
        loop {
            if tally.is_over() {
                free = 0;
            }
            for _ in 0..free {
                connection.put_letter(&link.around, &bodies.next());
            }
            under_way += free;
            if under_way == 0 {
                return Ok(());
            }
            connection.send().await?;
            stored(&connection.answer().await?)?;
            free = 1;
            // What came with it.
            while let Some(answer) = connection.next()? {
                stored(&answer)?;
                free += 1;
            }
            under_way -= free;
            tally.add(0, free as u64);
        }
    }

    async fn stored(address: &str) -> Outcome<u64> {
        let mut connection = Connection::open(address).await?;
        let said = connection.asked("$JS.API.STREAM.INFO.letters", "").await?;
        Ok(said["state"]["messages"].as_u64().ok_or("no number of messages")?)
    }
}
