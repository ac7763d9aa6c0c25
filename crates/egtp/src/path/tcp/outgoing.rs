//! What waits to be written to one connection.
//!
//! Small packets are gathered into one piece of memory and large ones are left where they are, so
//! bulk is never copied here, and one call to the system writes all of it. Knows no socket: writing
//! is an argument. Invariant: the bytes come out in the order in which their masks were drawn, and
//! nothing comes out before the first packet, not even the salt.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use egtp_proto::wire::stream::{Framer, PREAMBLE_BYTES, StreamError};

/// The queue of one direction of one connection.
#[derive(Debug)]
pub(super) struct Outgoing {
    framer: Framer,
    /// What the direction begins with, until the first packet takes it along.
    head: Option<[u8; PREAMBLE_BYTES]>,
    pieces: VecDeque<Bytes>,
    /// The end of the queue: small packets, still growing.
    growing: BytesMut,
    queued: usize,
}

/// How far a write came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Written {
    /// Nothing waits any more.
    All,
    /// The network takes no more for now.
    Some,
}

impl Outgoing {
    /// Starts with `head`, whose masks are those of `framer`.
    pub(super) fn new(head: [u8; PREAMBLE_BYTES], framer: Framer) -> Self {
        let (pieces, growing) = (VecDeque::new(), BytesMut::new());
        Self { framer, head: Some(head), pieces, growing, queued: 0 }
    }

    /// How many bytes wait.
    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// Appends a packet.
    ///
    /// # Errors
    /// [`StreamError::Length`]; nothing changed.
    pub(super) fn push(&mut self, packet: Bytes) -> Result<(), StreamError> {
        let header = self.framer.header(packet.len())?;
        if self.growing.capacity() == 0 {
            self.growing.reserve(GATHERED_BYTES);
        }
        if let Some(head) = self.head.take() {
            self.growing.put_slice(&head);
            self.queued += head.len();
        }
        self.growing.put_slice(&header);
        self.queued += header.len() + packet.len();
        if packet.len() < COPIED_BELOW {
            self.growing.put_slice(&packet);
        } else {
            self.finish_growing();
            self.pieces.push_back(packet);
        }
        Ok(())
    }

    /// Writes as much as `write` takes: it is given pieces, and says how many bytes it took, as
    /// `write_vectored` of a socket that does not wait.
    ///
    /// # Errors
    /// Those of `write`, except for the one that means that the network is full.
    pub(super) fn write(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Written> {
        self.finish_growing();
        while !self.pieces.is_empty() {
            match self.write_once(&mut write) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.forget(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Written::Some),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // No memory stays behind on a connection that may be idle from now on: most of them are.
        self.growing = BytesMut::new();
        Ok(Written::All)
    }

    fn write_once(
        &self,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        write(slices.get(..count).unwrap_or_default())
    }

    fn forget(&mut self, mut count: usize) {
        self.queued = self.queued.saturating_sub(count);
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }

    fn finish_growing(&mut self) {
        if !self.growing.is_empty() {
            self.pieces.push_back(self.growing.split().freeze());
        }
    }
}

/// Below this size, copying a packet is cheaper than another piece in the call to the system.
const COPIED_BELOW: usize = 4096;

/// How many pieces one call to the system gets; large packets come with a small piece between them.
const PIECES_PER_WRITE: usize = 32;

/// Room for small packets that are gathered, to begin with.
const GATHERED_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use egtp_proto::wire::stream::{Deframer, Direction, LengthMask, StreamKey};
    use proptest::prelude::*;

    use super::*;

    fn mask() -> LengthMask {
        LengthMask::new(&StreamKey::new(&[1; 32]), &[2; 16], Direction::FromAcceptor)
    }

    /// Proves P-8.
    #[test]
    fn nothing_is_written_before_the_first_packet() {
        let mut outgoing = Outgoing::new([2; 16], Framer::new(mask()));
        let written = outgoing.write(|_| unreachable!("there is nothing to write"));
        assert_eq!((written.unwrap(), outgoing.queued()), (Written::All, 0));
        assert!(outgoing.push(Bytes::from_static(&[0; 31])).is_err());
        assert_eq!(outgoing.queued(), 0);
    }

    #[test]
    fn what_is_written_leaves_no_memory_behind() {
        let mut outgoing = Outgoing::new([2; 16], Framer::new(mask()));
        for size in [32, 200, 5000] {
            outgoing.push(Bytes::from(vec![0; size])).unwrap();
            let all = |slices: &[IoSlice<'_>]| Ok(slices.iter().map(|slice| slice.len()).sum());
            assert_eq!(outgoing.write(all).unwrap(), Written::All);
            assert_eq!(outgoing.growing.capacity(), 0);
        }
    }

    /// Sizes around every limit: the smallest, where copying ends, the largest.
    fn sizes() -> impl Strategy<Value = Vec<usize>> {
        let size = prop_oneof![32..200_usize, 4000..6000_usize, Just(36_864)];
        prop::collection::vec(size, 1..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_packet_comes_out_whole_however_little_the_network_takes(
            sizes in sizes(),
            takes in prop::collection::vec(0..5000_usize, 1..20),
        ) {
            let mut outgoing = Outgoing::new([2; 16], Framer::new(mask()));
            let packets: Vec<Vec<u8>> =
                sizes.iter().map(|&size| vec![size.to_le_bytes()[0]; size]).collect();
            let (mut wire, mut takes) = (BytesMut::new(), takes.iter().cycle());
            let mut write = |slices: &[IoSlice<'_>]| {
                let take = *takes.next().unwrap();
                if take == 0 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                let taken = take.min(all.len());
                wire.extend_from_slice(&all[..taken]);
                Ok(taken)
            };
            for packet in &packets {
                outgoing.push(Bytes::from(packet.clone())).unwrap();
                outgoing.write(&mut write).unwrap();
            }
            for _ in 0..10_000 {
                if outgoing.write(&mut write).unwrap() == Written::All {
                    break;
                }
            }
            prop_assume!(outgoing.queued() == 0);
            prop_assert_eq!(&wire.split_to(16)[..], &[2; 16]);
            let mut deframer = Deframer::new(mask());
            for packet in &packets {
                let found = deframer.next(&mut wire).unwrap().unwrap();
                prop_assert_eq!(&found[..], &packet[..]);
            }
            prop_assert!(wire.is_empty());
        }
    }
}
