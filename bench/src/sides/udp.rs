//! The floor: datagrams without encryption, numbers or runtime, as many per system call as the kernel
//! takes (GSO and GRO, through quinn-udp), blocking sockets, one thread at each end.
//!
//! Its window is kept by one loop. What is lost is counted as not answered and replaced.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::task::spawn_blocking;

use super::Side;
use crate::bodies::{self, Bodies};
use crate::outcome::Outcome;
use crate::server::announce;
use crate::tally::Tally;

pub struct Udp;

pub struct Socket {
    system: UdpSocket,
    state: UdpSocketState,
    peer: SocketAddr,
    buffer: Vec<u8>,
}

const SOCKET_BUFFER: usize = 4 << 20;
/// A call returns at most what one datagram may hold, gathered or not.
const READ: usize = 1 << 16;
/// Nothing came for so long: what is in flight counts as lost.
const LOST: Duration = Duration::from_millis(100);

impl Side for Udp {
    type Local = ();
    type Link = Arc<Mutex<Socket>>;

    async fn serve(_: bool) -> Outcome<()> {
        let mut socket = Socket::bind()?;
        announce(socket.system.local_addr()?);
        spawn_blocking(move || socket.echo()).await?
    }

    async fn local(_: bool) -> Outcome<()> {
        Ok(())
    }

    async fn connect((): &(), address: &str) -> Outcome<Self::Link> {
        let mut socket = Socket::bind()?;
        socket.peer = address.parse()?;
        socket.system.set_read_timeout(Some(LOST))?;
        Ok(Arc::new(Mutex::new(socket)))
    }

    // Blocks the runtime, which has nothing else to do here.
    async fn ask(link: &Self::Link, body: Bytes) -> Outcome<Bytes> {
        let socket = &mut *link.lock().expect("only one asks");
        socket.send(&body, body.len())?;
        let (length, _) = socket.receive()?;
        Ok(Bytes::copy_from_slice(&socket.buffer[..length]))
    }

    async fn close((): &(), link: Self::Link) {
        drop(link);
    }

    async fn pump(link: Self::Link, load: (usize, usize), tally: Arc<Tally>) -> Outcome<()> {
        spawn_blocking(move || link.lock().expect("only one asks").pump(load, &tally)).await?
    }
}

impl Socket {
    fn bind() -> Outcome<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER)?;
        setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // It was made for a runtime; here threads wait.
        socket.set_nonblocking(false)?;
        let peer = socket.local_addr()?;
        Ok(Self { system: socket, state, peer, buffer: vec![0; READ] })
    }

    /// Sends datagrams of `size` bytes, as many at once as one call takes.
    fn send(&self, bytes: &[u8], size: usize) -> io::Result<()> {
        let together = self.state.max_gso_segments().min(READ / size - 1) * size;
        for contents in bytes.chunks(together) {
            let segment_size = (contents.len() > size).then_some(size);
            let transmit = Transmit {
                destination: self.peer,
                ecn: None,
                contents,
                segment_size,
                src_ip: None,
            };
            self.state.try_send(UdpSockRef::from(&self.system), &transmit)?;
        }
        Ok(())
    }

    /// Fills the buffer: the bytes in it, and the size of each datagram.
    fn receive(&mut self) -> io::Result<(usize, usize)> {
        let mut meta = [RecvMeta::default()];
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        self.state.recv(UdpSockRef::from(&self.system), &mut slices, &mut meta)?;
        self.peer = meta[0].addr;
        Ok((meta[0].len, meta[0].stride.max(1)))
    }

    fn echo(&mut self) -> Outcome<()> {
        loop {
            let (length, size) = self.receive()?;
            // All of these are echoed as they are.
            debug_assert_eq!(bodies::answer(Bytes::from(vec![0; size])).len(), size);
            self.send(&self.buffer[..length], size)?;
        }
    }

    fn pump(&mut self, (many, bytes): (usize, usize), tally: &Tally) -> Outcome<()> {
        let (mut bodies, mut output) = (Bodies::new(0, bytes), BytesMut::new());
        let (mut expected, mut free) = (0_u64, many);
        while !tally.is_over() {
            output.clear();
            for _ in 0..free {
                bodies.put_next(&mut output);
            }
            self.send(&output, bytes)?;
            let sent = expected + many as u64;
            let (length, size) = match self.receive() {
                Ok(received) => received,
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    (expected, free) = (sent, many);
                    continue;
                }
                Err(why) => return Err(why.into()),
            };
            let before = expected;
            for reply in self.buffer[..length].chunks(size) {
                let number = bodies.number(reply).ok_or("a wrong reply")?;
                // Loopback keeps the order, so what is missing before this one is lost.
                if number < expected || number >= sent {
                    return Err("a reply that was not awaited".into());
                }
                expected = number + 1;
            }
            tally.add(0, (length / size) as u64);
            free = usize::try_from(expected - before)?;
        }
        Ok(())
    }
}
