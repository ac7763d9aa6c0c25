//! A desk at which an endpoint sits: it does the duties of a driver and hands over what comes out.
//!
//! Knows no keys and no frames. Invariant: time moves only when a test says so.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use egtp_proto::crypto::Suites;
use egtp_proto::limits::Limits;
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::Lane;
use egtp_proto::{
    Config, Endpoint, Event, IdentityId, Kind, MessageClass, PathId, PublicKey, SecretKey, Sink,
    Source, Submission,
};

use super::{DIALED, PATH, SUITE, secs};

/// The endpoint under test, with its driver's duties.
pub(crate) struct Desk {
    pub(crate) endpoint: Endpoint,
    pub(crate) key: PublicKey,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
    pub(crate) answers: bool,
    pub(crate) peer: PublicKey,
    /// Where the last packet went.
    pub(crate) last_path: Option<PathId>,
}

#[derive(Default)]
struct Out(Vec<(PathId, Vec<u8>)>);

impl Sink for Out {
    fn room(&self, _: PathId) -> usize {
        1 << 20
    }

    fn send(&mut self, path: PathId, packet: Vec<u8>) {
        self.0.push((path, packet));
    }
}

impl Desk {
    pub(crate) fn new(source: Source, adjust: impl FnOnce(&mut Config)) -> Self {
        let secret = SecretKey::from_seed([1; 32]);
        let (key, now) = (secret.public(), Instant::new(secs(1000)));
        let limits = Limits::default();
        let (identities, suites) = (vec![secret.into()], Suites::classical(SUITE.cipher()));
        let mut config = Config {
            identities,
            limits,
            seed: [9; 32],
            suites,
            reachable: true,
            exclusive: true,
            part: egtp_proto::Part::WHOLE,
        };
        adjust(&mut config);
        let peer = SecretKey::from_seed([2; 32]).public();
        let mut endpoint = Endpoint::new(config, clocks(now)).unwrap();
        endpoint.path_up(PATH, IdentityId(0), None, source, Lane::Direct);
        Self { endpoint, key, now, events: Vec::new(), answers: true, peer, last_path: None }
    }

    pub(crate) fn plain() -> Self {
        Self::new(Source::Verified, |_| {})
    }

    /// What it sends on receiving a packet on the path that it accepted.
    pub(crate) fn take(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.take_on(PATH, packet)
    }

    /// What it sends on receiving a packet on any path.
    pub(crate) fn take_on(&mut self, path: PathId, packet: &[u8]) -> Vec<Vec<u8>> {
        self.endpoint.receive(clocks(self.now), path, BytesMut::from(packet));
        self.settle()
    }

    pub(crate) fn settle(&mut self) -> Vec<Vec<u8>> {
        let (mut out, now) = (Out::default(), clocks(self.now));
        loop {
            while let Some(event) = self.endpoint.next_event() {
                match &event {
                    Event::Query(query) if self.answers => {
                        self.endpoint.reply(now, query.query, Ok(query.message.body.clone()));
                    }
                    Event::Connect { .. } => {
                        let (id, peer) = (IdentityId(0), Some(self.peer));
                        let (source, lane) = (Source::Verified, Lane::Direct);
                        self.endpoint.path_up(DIALED, id, peer, source, lane);
                    }
                    _ => {}
                }
                self.events.push(event);
            }
            self.endpoint.transmit(now, &mut out);
            if !self.endpoint.has_events() {
                self.last_path = out.0.last().map(|sent| sent.0).or(self.last_path);
                return out.0.into_iter().map(|sent| sent.1).collect();
            }
        }
    }

    /// Its application replies to the first query that it was given.
    pub(crate) fn reply(&mut self, body: Bytes) -> Vec<Vec<u8>> {
        let query = self.events.iter().find_map(|event| match event {
            Event::Query(query) => Some(query.query),
            _ => None,
        });
        self.endpoint.reply(clocks(self.now), query.unwrap(), Ok(body));
        self.settle()
    }

    /// What it sends while so much time passes.
    pub(crate) fn wait(&mut self, span: Duration) -> Vec<Vec<u8>> {
        let end = self.now.after(span);
        let mut sent = self.settle();
        while let Some(next) = self.endpoint.deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.endpoint.tick(clocks(self.now));
            sent.extend(self.settle());
        }
        self.now = end;
        sent
    }

    pub(crate) fn ask(&mut self, body: &[u8]) -> Vec<Vec<u8>> {
        let submission = Submission {
            token: 1,
            identity: IdentityId(0),
            to: self.peer,
            class: MessageClass::Request,
            kind: Kind::new("test/1").unwrap(),
            body: Bytes::copy_from_slice(body),
            room: None,
            soft: None,
            hard: secs(60),
            hard_max: Duration::ZERO,
            wants: egtp_proto::StoreKind::Ram,
            keep: None,
            post_quantum: false,
        };
        self.endpoint.submit(clocks(self.now), submission).unwrap();
        self.settle()
    }

    pub(crate) fn queries(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Query(_))).count()
    }
}

pub(crate) fn clocks(now: Instant) -> Now {
    Now { boot: now, wall: secs(1_700_000_000) + now.since_start() }
}
