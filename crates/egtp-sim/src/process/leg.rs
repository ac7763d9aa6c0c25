//! One TCP connection in the published framing, from either end, for whoever knows the public key.
//!
//! Knows frames and nothing of what is in them. Invariant: what is written is framed in order, each
//! frame whole.

use std::net::SocketAddr;

use bytes::BytesMut;
use egtp_proto::wire::Reader;
use egtp_proto::wire::stream::{
    Deframer, Direction, Framer, LengthMask, PREAMBLE_BYTES, Preamble, StreamKey,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::dice::Dice;

/// The connection has ended, or does not speak the format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the connection has ended")]
pub struct Ended;

/// One connection.
#[derive(Debug)]
pub struct Leg {
    stream: TcpStream,
    framer: Framer,
    incoming: Incoming,
    unread: BytesMut,
    /// Bytes that the other end has written in all.
    heard: u64,
}

#[derive(Debug)]
enum Incoming {
    /// The acceptor's first bytes have not all arrived.
    Salt(StreamKey),
    Frames(Deframer),
}

impl Leg {
    /// Dials the identity of `key`.
    ///
    /// # Errors
    /// [`Ended`] if nobody is there.
    pub async fn dial(address: SocketAddr, key: &StreamKey) -> Result<Self, Ended> {
        let preamble = Preamble::new(key, Dice::from_seed(Dice::fresh_seed()).bytes());
        let mut stream = TcpStream::connect(address).await.map_err(|_| Ended)?;
        stream.set_nodelay(true).map_err(|_| Ended)?;
        stream.write_all(preamble.as_bytes()).await.map_err(|_| Ended)?;
        let mask = LengthMask::new(key, preamble.as_bytes(), Direction::FromDialer);
        Ok(Self {
            stream,
            framer: Framer::new(mask),
            incoming: Incoming::Salt(key.clone()),
            unread: BytesMut::new(),
            heard: 0,
        })
    }

    /// Answers a dialer as the identity of `key` would; the dialer's first bytes go to `first`.
    ///
    /// # Errors
    /// [`Ended`] if it dials somebody else, or goes.
    pub async fn accept(
        mut stream: TcpStream,
        key: &StreamKey,
        first: &mut BytesMut,
    ) -> Result<Self, Ended> {
        let mut preamble = [0; PREAMBLE_BYTES];
        stream.set_nodelay(true).map_err(|_| Ended)?;
        stream.read_exact(&mut preamble).await.map_err(|_| Ended)?;
        first.extend_from_slice(&preamble);
        let preamble = Preamble::decode(&mut Reader::new(&preamble)).map_err(|_| Ended)?;
        if !preamble.names(key) {
            return Err(Ended);
        }
        let salt: [u8; PREAMBLE_BYTES] = Dice::from_seed(Dice::fresh_seed()).bytes();
        stream.write_all(&salt).await.map_err(|_| Ended)?;
        let incoming = LengthMask::new(key, preamble.as_bytes(), Direction::FromDialer);
        let outgoing = LengthMask::new(key, &salt, Direction::FromAcceptor);
        Ok(Self {
            stream,
            framer: Framer::new(outgoing),
            incoming: Incoming::Frames(Deframer::new(incoming)),
            unread: BytesMut::new(),
            heard: 0,
        })
    }

    /// Waits for more bytes and gives back a copy of them. Cancel safe.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn read(&mut self) -> Result<BytesMut, Ended> {
        let before = self.unread.len();
        match self.stream.read_buf(&mut self.unread).await {
            Ok(count @ 1..) => {
                self.heard += u64::try_from(count).unwrap_or(0);
                Ok(self.unread.get(before..).map(BytesMut::from).unwrap_or_default())
            }
            _ => Err(Ended),
        }
    }

    /// The next whole packet of those that were read.
    ///
    /// # Errors
    /// [`Ended`] if the other end does not keep to the format.
    pub fn next_packet(&mut self) -> Result<Option<BytesMut>, Ended> {
        if let Incoming::Salt(key) = &self.incoming {
            let Ok(salt) = Reader::new(&self.unread).array::<PREAMBLE_BYTES>() else {
                return Ok(None);
            };
            drop(self.unread.split_to(PREAMBLE_BYTES));
            let mask = LengthMask::new(key, &salt, Direction::FromAcceptor);
            self.incoming = Incoming::Frames(Deframer::new(mask));
        }
        match &mut self.incoming {
            Incoming::Frames(deframer) => deframer.next(&mut self.unread).map_err(|_| Ended),
            Incoming::Salt(_) => Ok(None),
        }
    }

    /// Frames and writes packets.
    ///
    /// # Errors
    /// [`Ended`]; also for a packet of a length that cannot be framed.
    pub async fn write(&mut self, packets: &[Vec<u8>]) -> Result<(), Ended> {
        let mut out = BytesMut::new();
        for packet in packets {
            self.framer.append(packet, &mut out).map_err(|_| Ended)?;
        }
        self.stream.write_all(&out).await.map_err(|_| Ended)
    }

    /// Says that nothing more is written; the other end may still write.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn finish_writing(&mut self) -> Result<(), Ended> {
        self.stream.shutdown().await.map_err(|_| Ended)
    }

    /// How many bytes the other end has written.
    pub const fn heard(&self) -> u64 {
        self.heard
    }
}
