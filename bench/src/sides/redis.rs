//! Streams of Redis, `XADD` with `appendfsync always`: what is answered is in its log, and that on the disk.
//!
//! A Redis of our own for each figure, if there is one on this machine, with its folder where the others have theirs. The
//! same letters as the mailboxes get, in as many streams as there are recipients, and as many commands in flight: each on
//! a connection of its own, or all on one.

use std::marker::PhantomData;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Side;
use super::mailbox::{RECIPIENTS, letter_around, letter_of, recipient_of};
use crate::bodies::Bodies;
use crate::outcome::Outcome;
use crate::server::{announce, owns};
use crate::system;
use crate::tally::Tally;

/// How many connections share what is in flight.
pub trait How: Send + Sync + 'static {
    fn connections(in_flight: usize) -> usize;
}

/// A connection for each.
pub struct Each;
/// One for all.
pub struct Pipelined;

impl How for Each {
    fn connections(in_flight: usize) -> usize {
        in_flight
    }
}
impl How for Pipelined {
    fn connections(_: usize) -> usize {
        1
    }
}

pub struct Redis<H>(PhantomData<H>);

#[derive(Clone)]
pub struct Link {
    address: Arc<str>,
    around: Bytes,
}

/// How long it may take until a new one answers, which has read its log by then.
const STARTING: Duration = Duration::from_secs(20);

/// A connection that knows the protocol as far as it is needed here.
struct Connection {
    stream: TcpStream,
    read: BytesMut,
    written: BytesMut,
}

enum Reply {
    Text(Bytes),
    Number(u64),
}

impl Connection {
    async fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: BytesMut::new(), written: BytesMut::new() })
    }

    fn put(&mut self, words: &[&[u8]]) {
        self.written.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.written.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.written.extend_from_slice(word);
            self.written.extend_from_slice(b"\r\n");
        }
    }

    fn put_letter(&mut self, around: &Bytes, body: &[u8]) {
        let stream = format!("mailbox:{}", recipient_of(body));
        self.put(&[b"XADD", stream.as_bytes(), b"*", b"letter", &letter_of(around, body)]);
    }

    async fn send(&mut self) -> Outcome<()> {
        self.stream.write_all(&self.written).await?;
        self.written.clear();
        Ok(())
    }

    /// The next reply.
    async fn reply(&mut self) -> Outcome<Reply> {
        loop {
            if let Some(reply) = self.next()? {
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("Redis has closed the connection".into());
            }
        }
    }

    /// The next reply that is here already.
    fn next(&mut self) -> Outcome<Option<Reply>> {
        let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = std::str::from_utf8(&self.read[1..end])?.to_owned();
        let sort = self.read[0];
        let length = if sort == b'$' { line.parse::<usize>()? + 2 } else { 0 };
        if self.read.len() < end + 2 + length {
            return Ok(None);
        }
        self.read.advance(end + 2);
        let text = self.read.split_to(length).freeze();
        match sort {
            b'$' => Ok(Some(Reply::Text(text.slice(..length - 2)))),
            b'+' => Ok(Some(Reply::Text(line.into()))),
            b':' => Ok(Some(Reply::Number(line.parse()?))),
            _ => Err(format!("Redis says {line}").into()),
        }
    }

    /// Waits for the word that a letter is stored: the name of its entry.
    async fn stored(&mut self) -> Outcome<()> {
        match self.reply().await? {
            Reply::Text(name) if name.contains(&b'-') => Ok(()),
            _ => Err("a wrong reply to XADD".into()),
        }
    }
}

/// Keeps so many in flight on one connection.
async fn pipeline(
    link: Link,
    (slot, many, bytes): (usize, usize, usize),
    tally: Arc<Tally>,
) -> Outcome<()> {
    let mut connection = Connection::open(&link.address).await?;
    let mut bodies = Bodies::new(slot, bytes);
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
        connection.stored().await?;
        free = 1;
        // What came with it.
        while connection.next()?.is_some() {
            free += 1;
        }
        under_way -= free;
        tally.add(slot, free as u64);
    }
}

/// Starts one, and waits until it answers.
async fn begin() -> Outcome<String> {
    let folder = system::folder()?;
    let address = super::free_address()?;
    let (_, port) = address.rsplit_once(':').ok_or("no port")?;
    let child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", port, "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"])
        // Its log is not rewritten while it is measured.
        .args(["--auto-aof-rewrite-percentage", "0", "--loglevel", "warning", "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    owns(child.map_err(|why| format!("could not run: redis-server ({why})"))?);
    let begun = Instant::now();
    loop {
        if let Ok(mut connection) = Connection::open(&address).await {
            connection.put(&[b"PING"]);
            connection.send().await?;
            // It says LOADING until it has read its log.
            if let Ok(Reply::Text(pong)) = connection.reply().await
                && pong == "PONG"
            {
                return Ok(address);
            }
        }
        if begun.elapsed() > STARTING {
            return Err("could not run: redis-server does not answer".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl<H: How> Side for Redis<H> {
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
        connection.send().await?;
        connection.stored().await?;
        Ok(body)
    }

    async fn close((): &(), link: Link) {
        drop(link);
    }

    async fn pump(link: Link, (many, bytes): (usize, usize), tally: Arc<Tally>) -> Outcome<()> {
        let connections = H::connections(many);
        let mut tasks = JoinSet::new();
        for slot in 0..connections {
            let load = (slot, many / connections, bytes);
            tasks.spawn(pipeline(link.clone(), load, Arc::clone(&tally)));
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Ok(())
    }

    async fn stored(address: &str) -> Outcome<u64> {
        let mut connection = Connection::open(address).await?;
        let mut all = 0;
        for recipient in 0..RECIPIENTS {
            connection.put(&[b"XLEN", format!("mailbox:{recipient}").as_bytes()]);
        }
        connection.send().await?;
        for _ in 0..RECIPIENTS {
            let Reply::Number(held) = connection.reply().await? else {
                return Err("a wrong reply to XLEN".into());
            };
            all += held;
        }
        Ok(all)
    }
}
