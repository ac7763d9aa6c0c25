//! One direction of a connection on its way in: from bytes, as they come, to whole packets.
//!
//! Knows no socket; the reader fills its buffer. Keeps time of a frame that has begun, so that
//! nobody can hold memory by not finishing it. Invariant: a connection on which no frame has begun
//! keeps no buffer.

use std::time::Duration;

use bytes::BytesMut;
use egtp_proto::wire::Reader;
use egtp_proto::wire::stream::{
    Deframer, Direction, LengthMask, PREAMBLE_BYTES, StreamError, StreamKey,
};
use tokio::time::Instant;

use super::limits::TcpLimits;

/// Bytes that came and are not packets yet.
#[derive(Debug)]
pub(super) struct Inflow {
    pub(super) buffer: BytesMut,
    stage: Stage,
    read_bytes: usize,
    frame: Option<FrameTimes>,
}

#[derive(Debug)]
enum Stage {
    /// The acceptor's salt has not come yet.
    Salt(StreamKey),
    Frames(Deframer),
}

#[derive(Clone, Copy, Debug)]
struct FrameTimes {
    begun: Instant,
    last_byte: Instant,
}

impl Inflow {
    /// What comes from the acceptor, who begins with a salt.
    pub(super) fn from_acceptor(key: StreamKey) -> Self {
        Self::new(BytesMut::new(), Stage::Salt(key))
    }

    /// What comes from a dialer after its preamble; `buffer` holds what came along with that.
    pub(super) fn from_dialer(mask: LengthMask, buffer: BytesMut) -> Self {
        Self::new(buffer, Stage::Frames(Deframer::new(mask)))
    }

    fn new(buffer: BytesMut, stage: Stage) -> Self {
        Self { buffer, stage, read_bytes: READ_BYTES_MIN, frame: None }
    }

    /// Makes room for a read; the more the last ones brought, the more room.
    pub(super) fn prepare(&mut self) {
        let missing = match &self.stage {
            Stage::Salt(_) => PREAMBLE_BYTES,
            Stage::Frames(deframer) => deframer.missing(&self.buffer),
        };
        self.buffer.reserve(self.read_bytes.max(missing));
    }

    /// A read brought so many bytes.
    pub(super) fn note_read(&mut self, count: usize, now: Instant) {
        if count >= self.read_bytes {
            self.read_bytes = READ_BYTES_MAX.min(self.read_bytes * 2);
        } else if count < self.read_bytes / 4 {
            self.read_bytes = READ_BYTES_MIN.max(self.read_bytes / 2);
        }
        if let Some(frame) = &mut self.frame {
            frame.last_byte = now;
        }
    }

    /// The next whole packet; call until there is none.
    pub(super) fn next_packet(&mut self, now: Instant) -> Result<Option<BytesMut>, StreamError> {
        if let Stage::Salt(key) = &self.stage {
            let Ok(salt) = Reader::new(&self.buffer).array::<PREAMBLE_BYTES>() else {
                self.keep_time(now);
                return Ok(None);
            };
            let mask = LengthMask::new(key, &salt, Direction::FromAcceptor);
            drop(self.buffer.split_to(PREAMBLE_BYTES));
            self.stage = Stage::Frames(Deframer::new(mask));
        }
        let Stage::Frames(deframer) = &mut self.stage else { return Ok(None) };
        let packet = deframer.next(&mut self.buffer)?;
        if packet.is_some() {
            self.frame = None;
        } else {
            self.keep_time(now);
        }
        Ok(packet)
    }

    /// When the frame that has begun is given up, if one has.
    pub(super) fn frame_deadline(&self, limits: &TcpLimits) -> Option<Instant> {
        let frame = self.frame.as_ref()?;
        let silence = later(frame.last_byte, limits.frame_silence_max);
        Some(silence.min(later(frame.begun, limits.frame_time_max)))
    }

    /// We did not read for a while, for reasons of our own: that time is not held against a frame.
    pub(super) const fn excuse_pause(&mut self, now: Instant) {
        if let Some(frame) = &mut self.frame {
            *frame = FrameTimes { begun: now, last_byte: now };
        }
    }

    fn keep_time(&mut self, now: Instant) {
        let begun = match &self.stage {
            Stage::Salt(_) => !self.buffer.is_empty(),
            Stage::Frames(deframer) => deframer.is_within_frame(&self.buffer),
        };
        if !begun {
            self.frame = None;
            self.buffer = BytesMut::new();
        } else if self.frame.is_none() {
            self.frame = Some(FrameTimes { begun: now, last_byte: now });
        }
    }
}

fn later(start: Instant, by: Duration) -> Instant {
    start.checked_add(by).unwrap_or(start)
}

/// The smallest read: a few small packets.
pub(super) const READ_BYTES_MIN: usize = 4 * 1024;

/// The largest read.
const READ_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use egtp_proto::wire::stream::Framer;

    use super::*;

    #[test]
    fn between_frames_no_buffer_is_kept() {
        let mask = || LengthMask::new(&StreamKey::new(&[1; 32]), &[2; 16], Direction::FromDialer);
        let mut framer = Framer::new(mask());
        let mut inflow = Inflow::from_dialer(mask(), BytesMut::new());
        let now = Instant::now();
        for size in [32, 5000] {
            inflow.prepare();
            inflow.buffer.put_slice(&framer.header(size).unwrap());
            inflow.buffer.put_bytes(0, size - 1);
            assert_eq!(inflow.next_packet(now).unwrap(), None);
            assert!(inflow.buffer.capacity() > 0 && inflow.frame.is_some(), "a part of one stays");
            inflow.buffer.put_u8(0);
            assert_eq!(inflow.next_packet(now).unwrap().unwrap().len(), size);
            assert_eq!(inflow.next_packet(now).unwrap(), None);
            assert_eq!(inflow.buffer.capacity(), 0);
        }
    }
}
