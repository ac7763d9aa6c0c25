//! Somebody who connects to a server and sends it what others have sent, or what he made up.
//!
//! Knows the address, and the public key where he frames packets. Invariant: a connection is over,
//! and everything in it taken in by the server, before the next one begins, so that the server's
//! bound on strangers is never what protects it here.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use egtp_proto::PublicKey;
use egtp_proto::wire::stream::StreamKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::leg::Leg;

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Bytes.
    pub bytes: u64,
    /// The packets in them, where they were framed.
    pub packets: Vec<Vec<u8>>,
    /// Connections that could not be made, or ended before everything was written.
    pub refused: u64,
}

/// An intruder to one server.
#[derive(Clone, Debug)]
pub struct Intruder {
    address: SocketAddr,
    key: StreamKey,
}

impl Intruder {
    /// Will connect to the server of this key at this address.
    pub fn new(address: SocketAddr, key: &PublicKey) -> Self {
        Self { address, key: StreamKey::new(key.as_bytes()) }
    }

    /// Sends packets in connections of their own, some in each; listens for answers for a while.
    pub async fn send(&self, packets: &[Vec<u8>], patience: Duration) -> Heard {
        let mut heard = Heard::default();
        for some in packets.chunks(PACKETS_PER_CONNECTION) {
            if self.send_some(some, patience, &mut heard).await.is_none() {
                heard.refused += 1;
            }
        }
        heard
    }

    /// Sends bytes as they are, in a connection of their own.
    pub async fn send_bytes(&self, bytes: &[u8], patience: Duration) -> Heard {
        let mut heard = Heard::default();
        if self.send_raw(bytes, patience, &mut heard).await.is_none() {
            heard.refused += 1;
        }
        heard
    }

    async fn send_some(
        &self,
        packets: &[Vec<u8>],
        patience: Duration,
        heard: &mut Heard,
    ) -> Option<()> {
        let mut leg = Leg::dial(self.address, &self.key).await.ok()?;
        leg.write(packets).await.ok()?;
        // First the answers, then the end: a server may stop answering to who has stopped sending.
        listen(&mut leg, patience, heard).await;
        // It may have closed already, which is as good.
        let _ = leg.finish_writing().await;
        listen(&mut leg, CLOSING_MAX, heard).await;
        heard.bytes += leg.heard();
        Some(())
    }

    async fn send_raw(&self, bytes: &[u8], patience: Duration, heard: &mut Heard) -> Option<()> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.write_all(bytes).await.ok()?;
        let mut back = BytesMut::new();
        while let Ok(Ok(1..)) = timeout(patience, stream.read_buf(&mut back)).await {}
        // It may have closed already, which is as good.
        let _ = stream.shutdown().await;
        while let Ok(Ok(1..)) = timeout(CLOSING_MAX, stream.read_buf(&mut back)).await {}
        heard.bytes += u64::try_from(back.len()).unwrap_or(u64::MAX);
        Some(())
    }
}

/// Takes in packets until nothing comes for a while.
async fn listen(leg: &mut Leg, patience: Duration, heard: &mut Heard) {
    while let Ok(Ok(_)) = timeout(patience, leg.read()).await {
        while let Ok(Some(packet)) = leg.next_packet() {
            heard.packets.push(packet.to_vec());
        }
    }
}

/// Few enough that a stranger's connection takes them all.
const PACKETS_PER_CONNECTION: usize = 50;
/// How long a server may take to close after we did.
const CLOSING_MAX: Duration = Duration::from_secs(2);
