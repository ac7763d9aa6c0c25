//! The yardstick: length-prefixed frames over plain TCP, without encryption, numbers or tasks.
//!
//! Both sides handle everything that one read returned and answer it with one write; the client
//! keeps its window with one loop. A careful program for one connection, and nothing else.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::Side;
use crate::bodies::{self, Bodies};
use crate::outcome::Outcome;
use crate::server::announce;
use crate::tally::Tally;

pub struct Tcp;

/// The stream and what has been read ahead. Only one task at a time uses it.
pub struct Connection {
    stream: TcpStream,
    input: BytesMut,
}

const HEADER: usize = 4;
/// What one read may return.
const READ: usize = 1 << 16;
/// Longer bodies are sent from where they lie.
const COPIED_MAX: usize = 4096;

impl Side for Tcp {
    type Local = ();
    type Link = Arc<Mutex<Connection>>;

    async fn serve(_: bool) -> Outcome<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(Connection::new(stream)?.echo());
        }
    }

    async fn local(_: bool) -> Outcome<()> {
        Ok(())
    }

    async fn connect((): &(), address: &str) -> Outcome<Self::Link> {
        let connection = Connection::new(TcpStream::connect(address).await?)?;
        Ok(Arc::new(Mutex::new(connection)))
    }

    async fn ask(link: &Self::Link, body: Bytes) -> Outcome<Bytes> {
        let connection = &mut *link.lock().await;
        connection.send(body).await?;
        loop {
            if let Some(reply) = frame(&mut connection.input)? {
                return Ok(reply);
            }
            connection.read().await?;
        }
    }

    async fn close((): &(), link: Self::Link) {
        drop(link);
    }

    async fn pump(
        link: Self::Link,
        (many, bytes): (usize, usize),
        tally: Arc<Tally>,
    ) -> Outcome<()> {
        let connection = &mut *link.lock().await;
        if bytes <= COPIED_MAX {
            connection.pump_short(many, bytes, &tally).await
        } else {
            connection.pump_long(many, bytes, &tally).await
        }
    }
}

impl Connection {
    fn new(stream: TcpStream) -> Outcome<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: BytesMut::with_capacity(READ) })
    }

    async fn read(&mut self) -> Outcome<()> {
        self.input.reserve(READ);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err("the other side has closed".into()),
            _ => Ok(()),
        }
    }

    /// Sends one body at once.
    async fn send(&mut self, body: Bytes) -> Outcome<()> {
        let header = Bytes::copy_from_slice(&u32::try_from(body.len())?.to_le_bytes());
        Ok(self.stream.write_all_buf(&mut header.chain(body)).await?)
    }

    async fn echo(mut self) -> Outcome<()> {
        let mut output = BytesMut::new();
        loop {
            while let Some(body) = frame(&mut self.input)? {
                let answer = bodies::answer(body);
                output.put_u32_le(u32::try_from(answer.len())?);
                output.put_slice(&answer);
            }
            self.stream.write_all_buf(&mut output).await?;
            self.read().await?;
        }
    }

    /// A window of bodies that are gathered: as many new ones as have come back, with one write.
    async fn pump_short(&mut self, many: usize, bytes: usize, tally: &Tally) -> Outcome<()> {
        let (mut bodies, mut output) = (Bodies::new(0, bytes), BytesMut::new());
        let (mut expected, mut free) = (0_u64, many);
        while !tally.is_over() {
            for _ in 0..free {
                output.put_u32_le(u32::try_from(bytes)?);
                bodies.put_next(&mut output);
            }
            self.stream.write_all_buf(&mut output).await?;
            self.read().await?;
            free = 0;
            while let Some(reply) = frame(&mut self.input)? {
                if bodies.number(&reply) != Some(expected) {
                    return Err("a wrong reply".into());
                }
                expected += 1;
                free += 1;
            }
            tally.add(0, free as u64);
        }
        Ok(())
    }

    /// A window of bodies that are large enough for a write each.
    async fn pump_long(&mut self, many: usize, bytes: usize, tally: &Tally) -> Outcome<()> {
        let mut bodies: Vec<Bodies> = (0..many).map(|slot| Bodies::new(slot, bytes)).collect();
        for body in &mut bodies {
            self.send(body.next()).await?;
        }
        for slot in (0..many).cycle() {
            let reply = loop {
                if let Some(reply) = frame(&mut self.input)? {
                    break reply;
                }
                self.read().await?;
            };
            let body = bodies[slot].next();
            if !bodies::is_answer(&body, &reply) {
                return Err("a wrong reply".into());
            }
            tally.add(0, 1);
            if tally.is_over() {
                break;
            }
            self.send(body).await?;
        }
        Ok(())
    }
}

/// The next whole body, if it is there; makes room for it if it is not.
fn frame(input: &mut BytesMut) -> Outcome<Option<Bytes>> {
    let Some(header) = input.first_chunk::<HEADER>() else { return Ok(None) };
    let whole = HEADER + usize::try_from(u32::from_le_bytes(*header))?;
    if input.len() < whole {
        input.reserve(whole - input.len());
        return Ok(None);
    }
    let mut body = input.split_to(whole);
    body.advance(HEADER);
    Ok(Some(body.freeze()))
}
