//! The yardstick: length-prefixed frames over plain TCP, one task for each request, writes batched.
//!
//! What a careful person would write without encryption, retries or deduplication: an eight-byte id
//! and a four-byte length in front of each body, a table of waiting tasks, one write for all that is
//! queued.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::Figures;

type Order = (Bytes, oneshot::Sender<Bytes>);

/// An echo server; prints its address.
pub async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    println!("{}", listener.local_addr().expect("its address"));
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (mut input, mut output) = (BytesMut::with_capacity(1 << 16), BytesMut::new());
    loop {
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some((id, body)) = next(&mut input) {
            put(&mut output, id, &body);
        }
        if stream.write_all_buf(&mut output).await.is_err() {
            return;
        }
    }
}

fn put(output: &mut BytesMut, id: u64, body: &[u8]) {
    output.put_u64_le(id);
    output.put_u32_le(u32::try_from(body.len()).expect("a short body"));
    output.put_slice(body);
}

fn next(input: &mut BytesMut) -> Option<(u64, Bytes)> {
    let length = usize::try_from(u32::from_le_bytes(input.get(8..12)?.try_into().ok()?)).ok()?;
    if input.len() < 12 + length {
        input.reserve(12 + length);
        return None;
    }
    let id = input.get_u64_le();
    input.advance(4);
    Some((id, input.split_to(length).freeze()))
}

async fn connect(address: SocketAddr) -> mpsc::UnboundedSender<Order> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let (mut reader, mut writer) = stream.into_split();
    let (orders, mut queue) = mpsc::unbounded_channel::<Order>();
    tokio::spawn(async move {
        let (mut waiting, mut next_id) = (HashMap::new(), 0_u64);
        let (mut input, mut output) = (BytesMut::with_capacity(1 << 16), BytesMut::new());
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = queue.recv_many(&mut batch, 1024) => {
                    if count == 0 {
                        return;
                    }
                    for (body, answer) in batch.drain(..) {
                        put(&mut output, next_id, &body);
                        waiting.insert(next_id, answer);
                        next_id += 1;
                    }
                }
                Ok(()) = writer.writable(), if !output.is_empty() => {
                    let _ = writer.write_buf(&mut output).await;
                }
                Ok(count) = reader.read_buf(&mut input) => {
                    if count == 0 {
                        return;
                    }
                    while let Some((id, body)) = next(&mut input) {
                        if let Some(answer) = waiting.remove(&id) {
                            let _: Result<(), Bytes> = oneshot::Sender::send(answer, body);
                        }
                    }
                }
            }
        }
    });
    orders
}

async fn ask(orders: &mpsc::UnboundedSender<Order>, body: Bytes) {
    let (answer, reply) = oneshot::channel();
    let length = body.len();
    orders.send((body, answer)).expect("a connection");
    assert_eq!(reply.await.expect("a reply").len(), length);
}

pub async fn measure(address: String, span: Duration) -> Figures {
    let orders = connect(address.parse().expect("an address")).await;
    let many = throughput(&orders, 1000, 128, span).await;
    let alone = latency(&orders, span).await;
    let bulk = throughput(&orders, 16, 100 * 1024, span).await * 102_400.0 / 1e6;
    Figures { many, alone, bulk }
}

async fn throughput(
    orders: &mpsc::UnboundedSender<Order>,
    tasks: usize,
    bytes: usize,
    span: Duration,
) -> f64 {
    let body = Bytes::from(vec![7; bytes]);
    let warm = Instant::now() + span / 4;
    let end = warm + span;
    let mut running = Vec::new();
    for _ in 0..tasks {
        let (orders, body) = (orders.clone(), body.clone());
        running.push(tokio::spawn(async move {
            let mut count = 0_u64;
            loop {
                ask(&orders, body.clone()).await;
                let now = Instant::now();
                if now > end {
                    return count;
                }
                count += u64::from(now > warm);
            }
        }));
    }
    let mut count = 0;
    for task in running {
        count += task.await.expect("a task");
    }
    count as f64 / span.as_secs_f64()
}

async fn latency(orders: &mpsc::UnboundedSender<Order>, span: Duration) -> f64 {
    let body = Bytes::from(vec![7; 128]);
    let (mut times, end) = (Vec::new(), Instant::now() + span);
    while Instant::now() < end {
        let start = Instant::now();
        ask(orders, body.clone()).await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
