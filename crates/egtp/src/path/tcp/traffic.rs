//! The task of one connection: it reads, and finishes what a write of the driver left over.
//!
//! Sends packets inward in batches; decides nothing about them. Ends with one word about why, and
//! what follows from that is the caller's. Invariant: it waits for one thing at a time that can
//! happen, and every wait has an end that somebody else brings about or a deadline.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{Interest, Ready};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::connection::{Connection, Flow, Order, Room};
use super::inbox::Inward;
use super::inflow::Inflow;
use super::shared::Shared;
use crate::path::{Closed, PathEvent};

/// A connection under way, as its task sees it.
#[derive(Debug)]
pub(super) struct Traffic {
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    inflow: Inflow,
    opened: Instant,
    /// What introduces the connection to the driver; goes before the first packet.
    introduction: Option<Inward>,
    batch: Vec<Inward>,
    delivered: usize,
    reading: Reading,
    direction_ended: bool,
    /// Whether the time that strangers have was taken off the timer.
    is_excused: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    Open,
    Paused,
}

/// Whether a socket may have more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    Nothing,
    Some,
}

/// How a connection ended, whether the driver has ever heard of it, and what is left of it.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) why: Closed,
    pub(super) is_known: bool,
    pub(super) served: Served,
}

/// How far a connection has come that loops serve one after another.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) inflow: Inflow,
    /// Bytes of all packets so far; bounded for strangers.
    pub(super) delivered: usize,
}

impl Traffic {
    pub(super) fn new(
        connection: Arc<Connection>,
        shared: Arc<Shared>,
        Served { inflow, delivered }: Served,
        opened: Instant,
        introduction: Option<Inward>,
    ) -> Self {
        Self {
            connection,
            shared,
            inflow,
            opened,
            introduction,
            batch: Vec::new(),
            delivered,
            reading: Reading::Open,
            direction_ended: false,
            is_excused: false,
        }
    }

    /// Serves the connection until it ends. What arrived before the end is delivered.
    pub(super) async fn run(mut self) -> Ending {
        let mut timer = Box::pin(sleep_until(self.opened));
        let mut result = self.take_packets();
        while result.is_ok() {
            self.deliver();
            result = self.step(timer.as_mut()).await;
        }
        self.deliver();
        let why = result.err().unwrap_or(Closed::Error);
        let served = Served { inflow: self.inflow, delivered: self.delivered };
        Ending { why, is_known: self.introduction.is_none(), served }
    }

    async fn step(&mut self, mut timer: Pin<&mut Sleep>) -> Result<(), Closed> {
        match self.connection.ordered() {
            Order::Close | Order::Leave => return Err(Closed::ByUs),
            Order::Finish => return Err(self.finish().await),
            Order::Serve | Order::Drain => {}
        }
        if self.connection.is_broken() {
            return Err(Closed::Error);
        }
        self.pause_or_resume();
        let deadline = self.deadline();
        if let Some((at, _)) = deadline
            && timer.deadline() != at
        {
            timer.as_mut().reset(at);
        }
        if deadline.is_none() && !self.is_excused && self.connection.is_trusted() {
            // The end of a stranger's time would still wake us, for nothing.
            self.is_excused = true;
            timer.as_mut().reset(Instant::now() + NEVER);
        }
        let ready = tokio::select! {
            biased;
            () = self.connection.wake.notified() => return Ok(()),
            ready = readiness(&self.connection, self.interest()) => ready,
            () = timer, if deadline.is_some() => return deadline.map_or(Ok(()), |(_, why)| Err(why)),
        };
        if ready.is_writable() || ready.is_write_closed() {
            self.write()?;
        }
        if self.reading == Reading::Open
            && (ready.is_readable() || ready.is_read_closed())
            && self.read()? == Left::Some
        {
            // Whoever sends without pause must not keep the others waiting.
            self.deliver();
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Reads what is there, up to a turn's share of it.
    fn read(&mut self) -> Result<Left, Closed> {
        for _ in 0..READS_PER_TURN {
            let read = self.read_once();
            let now = Instant::now();
            match read {
                Ok((0, _)) => return Err(Closed::ByPeer),
                Ok((count, left)) => {
                    self.connection.note_use(self.shared.clock.boot());
                    self.inflow.note_read(count, now);
                    self.take_packets()?;
                    self.pause_or_resume();
                    if left == Left::Nothing || self.reading == Reading::Paused {
                        return Ok(left);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Left::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Closed::Error),
            }
        }
        Ok(Left::Some)
    }

    /// One read. One that brings less than there was room for has emptied the socket: to ask it again would be
    /// a call to the system for nothing, so the runtime is told what that call would have said. What comes
    /// after the read makes the socket readable anew, with epoll and kqueue; a system with neither must ask.
    fn read_once(&mut self) -> io::Result<(usize, Left)> {
        self.inflow.prepare();
        let buffer = &mut self.inflow.buffer;
        let room = buffer.capacity().saturating_sub(buffer.len());
        let stream = &self.connection.stream;
        let mut last = 0;
        let read = stream.try_io(Interest::READABLE, || match stream.try_read_buf(buffer) {
            Ok(count) if count > 0 && count < room => {
                last = count;
                Err(ErrorKind::WouldBlock.into())
            }
            other => other,
        });
        if last > 0 { Ok((last, Left::Nothing)) } else { read.map(|count| (count, Left::Some)) }
    }

    fn take_packets(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        let path = self.connection.id;
        while let Some(packet) = self.inflow.next_packet(now).map_err(|_| Closed::Stranger)? {
            self.delivered = self.delivered.saturating_add(packet.len());
            self.connection.unread.fetch_add(packet.len(), Ordering::AcqRel);
            self.batch.push(Inward::Happened(PathEvent::Received { path, packet }));
        }
        Ok(())
    }

    fn deliver(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if let Some(introduction) = self.introduction.take() {
            self.batch.insert(0, introduction);
        }
        self.shared.inbox.push(&mut self.batch);
        // The other end sends on what we have given up. Tell it, so that it dials anew at once
        // instead of waiting for an answer that cannot come this way.
        let is_draining = self.connection.ordered() == Order::Drain;
        if is_draining && !self.direction_ended && !self.connection.has_queued() {
            self.direction_ended = true;
            // If this fails the connection is gone, and the next read says so.
            drop(self.connection.end_our_direction());
        }
    }

    fn write(&self) -> Result<(), Closed> {
        let (flow, room) = self.connection.write();
        if room == Room::Again {
            let path = self.connection.id;
            self.shared.inbox.push_one(Inward::Happened(PathEvent::Writable { path }));
        }
        match flow {
            Flow::Broken => Err(Closed::Error),
            Flow::Empty | Flow::Blocked => {
                self.connection.note_use(self.shared.clock.boot());
                Ok(())
            }
        }
    }

    /// Writes what is queued, for a short time.
    async fn finish(&self) -> Closed {
        let connection = &self.connection;
        let writing = async {
            while connection.write().0 == Flow::Blocked {
                if connection.stream.writable().await.is_err() {
                    break;
                }
            }
        };
        // Whether all went out or not, the connection closes now.
        drop(timeout(self.shared.limits.finish_time_max, writing).await);
        Closed::ByUs
    }

    fn pause_or_resume(&mut self) {
        let limits = &self.shared.limits;
        let full = self.connection.unread.load(Ordering::Acquire) >= limits.unread_bytes_max;
        let spent = !self.connection.is_trusted() && self.delivered >= limits.stranger_bytes_max;
        let reading = if full || spent { Reading::Paused } else { Reading::Open };
        if self.reading == Reading::Paused && reading == Reading::Open {
            self.inflow.excuse_pause(Instant::now());
        }
        self.reading = reading;
    }

    fn interest(&self) -> Option<Interest> {
        let writing = self.connection.has_queued().then_some(Interest::WRITABLE);
        match (self.reading, writing) {
            (Reading::Open, Some(writing)) => Some(Interest::READABLE | writing),
            (Reading::Open, None) => Some(Interest::READABLE),
            (Reading::Paused, writing) => writing,
        }
    }

    /// When this ends by itself, and as what.
    fn deadline(&self) -> Option<(Instant, Closed)> {
        let limits = &self.shared.limits;
        let frame = match self.reading {
            Reading::Open => self.inflow.frame_deadline(limits),
            Reading::Paused => None,
        };
        let stranger = if self.connection.is_trusted() {
            None
        } else {
            self.opened.checked_add(limits.stranger_time_max)
        };
        let frame = frame.map(|at| (at, Closed::Error));
        let stranger = stranger.map(|at| (at, Closed::Stranger));
        frame.into_iter().chain(stranger).min_by_key(|(at, _)| *at)
    }
}

async fn readiness(connection: &Connection, interest: Option<Interest>) -> Ready {
    match interest {
        // An error here is found again, and judged, by the read or write that follows.
        Some(interest) => connection.stream.ready(interest).await.unwrap_or(Ready::ALL),
        None => std::future::pending().await,
    }
}

/// Longer than any connection lives.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// How often one connection reads before the others have their turn.
const READS_PER_TURN: usize = 4;
