//! quinn's datagrams with what requests need on top of them: an id of eight bytes, a table of those
//! that wait, a one-shot channel for each, and a timer that sends again what was lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::Connection;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Side, quinn_ends};
use crate::bodies;
use crate::outcome::Outcome;
use crate::requests::TIMEOUT;
use crate::server::announce;

pub struct QuinnDgram;

pub struct Link {
    connection: Connection,
    next: AtomicU64,
    waiting: Waiting,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Bytes>>>>;

const ID: usize = 8;
/// After this long a datagram counts as lost.
const AGAIN: Duration = Duration::from_secs(1);

impl Side for QuinnDgram {
    /// The timer is here: another one around it would be one too many.
    const TIMES_OUT: bool = true;
    type Local = quinn_ends::Local;
    type Link = Arc<Link>;

    async fn serve(raise_limits: bool) -> Outcome<()> {
        let (endpoint, address) = quinn_ends::server(raise_limits)?;
        announce(address);
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(async move { echo(&incoming.await?).await });
        }
        Err("the endpoint has closed".into())
    }

    async fn local(raise_limits: bool) -> Outcome<quinn_ends::Local> {
        quinn_ends::local(raise_limits)
    }

    async fn connect(local: &quinn_ends::Local, address: &str) -> Outcome<Arc<Link>> {
        let connection = quinn_ends::connect(local, address).await?;
        let waiting = Waiting::default();
        tokio::spawn(hand_out(connection.clone(), Arc::clone(&waiting)));
        Ok(Arc::new(Link { connection, next: AtomicU64::new(0), waiting }))
    }

    async fn ask(link: &Arc<Link>, body: Bytes) -> Outcome<Bytes> {
        let id = link.next.fetch_add(1, Relaxed);
        let (sender, mut reply) = oneshot::channel();
        link.waiting.lock().expect("the table").insert(id, sender);
        let datagram = numbered(id, &body);
        for _ in 0..TIMEOUT.as_secs() / AGAIN.as_secs() {
            link.connection.send_datagram(datagram.clone())?;
            if let Ok(reply) = timeout(AGAIN, &mut reply).await {
                return Ok(reply?);
            }
        }
        link.waiting.lock().expect("the table").remove(&id);
        Err("no reply in time".into())
    }

    async fn close(_: &quinn_ends::Local, link: Arc<Link>) {
        quinn_ends::close(&link.connection);
    }
}

fn numbered(id: u64, body: &[u8]) -> Bytes {
    let mut datagram = BytesMut::with_capacity(ID + body.len());
    datagram.put_u64_le(id);
    datagram.put_slice(body);
    datagram.freeze()
}

async fn echo(connection: &Connection) -> Outcome<()> {
    loop {
        let datagram = connection.read_datagram().await?;
        let body = datagram.slice(ID.min(datagram.len())..);
        let answer = bodies::answer(body.clone());
        // What is echoed needs no copy: the id is in front of it already.
        let is_same = answer.len() == body.len();
        let id = datagram.clone().try_get_u64_le()?;
        connection.send_datagram(if is_same { datagram } else { numbered(id, &answer) })?;
    }
}

async fn hand_out(connection: Connection, waiting: Waiting) -> Outcome<()> {
    loop {
        let mut datagram = connection.read_datagram().await?;
        let id = datagram.try_get_u64_le()?;
        // A reply that came twice finds nobody.
        let sender = waiting.lock().expect("the table").remove(&id);
        if let Some(sender) = sender {
            let _ = sender.send(datagram);
        }
    }
}
