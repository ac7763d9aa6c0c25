//! An endpoint with small limits, two strangers, and a driver that checks after every step what an
//! endpoint promises.
//!
//! Knows the endpoint's public calls only. Invariant: the same steps give the same packets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::limits::{
    ATTEMPTS_PER_PEER, Limits, PACKET_BYTES_MAX, PROVISIONAL_PER_PEER, SESSIONS_PER_PEER,
};
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::shroud::{HEADER_BYTES, Shroud};
use egtp_proto::wire::{Header, Lane};
use egtp_proto::{
    Config, Counters, Endpoint, Event, EventCode, IdentityId, Kind, Lost, MessageClass, NotSent,
    Outcome, PathId, PublicKey, QueryId, RefusedWhy, SecretKey, Sizes, Source, Submission,
};

use crate::outbound::Outbound;
use crate::stranger::Stranger;

/// See the head of this file.
pub struct Machine {
    endpoint: Endpoint,
    key: PublicKey,
    now: Now,
    /// Bytes that all paths together take in one transmission.
    pub room: usize,
    strangers: [Stranger; 2],
    /// Each stranger's paths and their lanes, the newest last: on that one it sends.
    paths: [Vec<(PathId, Lane)>; 2],
    paths_made: u64,
    waiting: VecDeque<QueryId>,
    open: BTreeMap<u64, EventCode>,
    ended: BTreeSet<u64>,
    tokens: u64,
    replies: usize,
    /// What the endpoint sent, for reflections.
    sent: Vec<Vec<u8>>,
}

impl Machine {
    /// An endpoint that has just started, without any path.
    ///
    /// # Panics
    /// When the library refuses a key, which it does not.
    pub fn new() -> Self {
        let secret = SecretKey::from_seed([1; 32]);
        let key = secret.public();
        let now =
            Now { boot: Instant::new(Duration::from_secs(1000)), wall: Duration::from_secs(1) };
        let config = Config {
            identities: vec![secret.into()],
            limits: limits(),
            seed: [7; 32],
            suites: Suites::all(Cipher::Aes256Gcm),
            reachable: true,
            exclusive: true,
            part: egtp_proto::Part::WHOLE,
        };
        Self {
            endpoint: Endpoint::new(config, now).expect("the key is good"),
            key,
            now,
            room: 1 << 20,
            strangers: [Stranger::new(2, key), Stranger::new(3, key)],
            paths: [Vec::new(), Vec::new()],
            paths_made: 0,
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            ended: BTreeSet::new(),
            tokens: 0,
            replies: 0,
            sent: Vec::new(),
        }
    }

    /// Gives the endpoint the packet that a stranger makes, if it makes one and has a path.
    pub fn send(&mut self, which: usize, make: impl FnOnce(&mut Stranger, Now) -> Option<Vec<u8>>) {
        let Some(path) = self.path(which) else { return };
        if let Some(packet) = make(&mut self.strangers[which], self.now) {
            self.endpoint.receive(self.now, path, BytesMut::from(&packet[..]));
        }
    }

    /// Gives the endpoint `bytes` (a header, then what follows the check bytes) as a packet: with a
    /// correct MAC and shroud, or only the shroud, or that of a stranger, as `how` says.
    pub fn inject(&mut self, which: usize, how: u8, bytes: &[u8]) {
        let Some(path) = self.path(which) else { return };
        let key = if how & 1 == 0 { self.key } else { self.strangers[which].key() };
        let shroud = Shroud::new(&key);
        let Some((head, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return };
        let mut packet = [&head[..], &[0; 4], rest].concat();
        let header = Header::decode(head);
        if how & 2 == 0 {
            packet.extend_from_slice(&shroud.mac(&[&packet]));
        }
        shroud.cover(&mut packet, header.map_or(0, |header| header.masked_bytes()));
        self.endpoint.receive(self.now, path, BytesMut::from(&packet[..]));
    }

    /// Gives the endpoint a packet of its own back, the newest first.
    pub fn reflect(&mut self, which: usize, back: usize) {
        let Some(path) = self.path(which) else { return };
        if let Some(packet) = self.sent.iter().rev().nth(back) {
            self.endpoint.receive(self.now, path, BytesMut::from(&packet[..]));
        }
    }

    /// Lets time pass on both clocks.
    pub fn wait(&mut self, millis: u32) {
        let span = Duration::from_millis(millis.into());
        self.now.boot = self.now.boot.after(span);
        self.now.wall += span;
        self.endpoint.tick(self.now);
    }

    /// Lets time pass until the endpoint wants to be called.
    pub fn wait_for_deadline(&mut self) {
        let Some(deadline) = self.endpoint.deadline() else { return };
        let span = deadline.since(self.now.boot);
        self.now.boot = self.now.boot.max(deadline);
        self.now.wall += span;
        self.endpoint.tick(self.now);
    }

    /// Asks or tells a stranger something.
    pub fn submit(&mut self, which: usize, how: u8, bytes: u16) {
        let token = self.tokens;
        self.tokens += 1;
        let class = if how & 1 == 0 { MessageClass::Request } else { MessageClass::Send };
        let submission = Submission {
            token,
            identity: IdentityId(u16::from(how & 0x80 != 0)),
            to: if how & 0x40 == 0 { self.strangers[which].key() } else { self.key },
            class,
            kind: Kind::new("test/1").expect("a kind"),
            body: vec![how; usize::from(bytes)].into(),
            room: (how & 2 != 0).then_some(usize::from(bytes)),
            soft: (how & 4 != 0).then(|| Duration::from_secs(1)),
            hard: Duration::from_secs(u64::from(how >> 3)),
            hard_max: Duration::ZERO,
            wants: egtp_proto::StoreKind::Ram,
            keep: None,
            post_quantum: false,
        };
        if let Ok((code, _)) = self.endpoint.submit(self.now, submission) {
            assert!(!self.open.values().any(|known| *known == code), "a code names one message");
            self.open.insert(token, code);
        }
    }

    /// Answers, refuses or ignores the oldest query; often one that is closed already.
    pub fn reply(&mut self, how: u8, bytes: u16) {
        let Some(query) = self.waiting.pop_front() else { return };
        let body = Bytes::from(vec![how; usize::from(bytes)]);
        match how % 3 {
            0 => self.endpoint.reply(self.now, query, Ok(body)),
            1 => self.endpoint.reply(self.now, query, Err(RefusedWhy::from_status(how))),
            _ => self.endpoint.ignore(query),
        }
        if how & 0x80 != 0 {
            self.waiting.push_back(query);
        }
    }

    /// Wants nothing more of an open message.
    pub fn cancel(&mut self, index: usize) {
        let Some((token, code)) = self.open.iter().nth(index) else { return };
        let (token, code) = (*token, *code);
        self.endpoint.cancel(code);
        self.open.remove(&token);
        self.ended.insert(token);
    }

    /// Breaks a stranger's newest path.
    pub fn path_down(&mut self, which: usize, lost: Lost) {
        if let Some((path, _)) = self.paths[which].pop() {
            self.endpoint.path_down(self.now, path, lost);
        }
    }

    /// Gives a stranger one more path, opened by either side, verified or not, direct or relayed.
    pub fn path_up(&mut self, which: usize, how: u8) {
        if self.paths[which].len() >= PATHS_MAX {
            self.path_down(which, Lost::Closed);
        }
        self.paths_made += 1;
        let path = PathId(self.paths_made);
        let lane = if how & 4 == 0 { Lane::Direct } else { Lane::Relay };
        let source = if how & 2 == 0 { Source::Verified } else { Source::Claimed(vec![how]) };
        let peer = (how & 1 != 0).then(|| self.strangers[which].key());
        self.endpoint.path_up(path, IdentityId(0), peer, source, lane);
        self.paths[which].push((path, lane));
    }

    /// The lane of a stranger's newest path.
    pub fn lane(&self, which: usize) -> Lane {
        self.paths[which].last().map_or(Lane::Direct, |(_, lane)| *lane)
    }

    /// Does the driver's part until nothing happens any more, and checks what was promised.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            while let Some(event) = self.endpoint.next_event() {
                self.take_event(event);
            }
            let mut sink = Outbound { room: self.room, sent: Vec::new() };
            self.endpoint.transmit(self.now, &mut sink);
            if sink.sent.is_empty() {
                self.check();
                return;
            }
            for (path, packet) in sink.sent {
                assert!(packet.len() <= PACKET_BYTES_MAX);
                if let Some(which) = self.stranger_at(path) {
                    self.strangers[which].receive(self.now, &packet);
                }
                self.sent.push(packet);
            }
        }
        panic!("the endpoint sends without end");
    }

    /// Closes the endpoint: everything of ours must have ended.
    pub fn close(&mut self) {
        self.endpoint.close();
        self.settle();
        assert!(self.open.is_empty(), "without outcome: {:?}", self.open);
        assert_eq!(self.endpoint.sizes().open, 0);
    }

    /// What the endpoint has counted.
    pub const fn counters(&self) -> &Counters {
        self.endpoint.counters()
    }

    /// How much the endpoint holds.
    pub fn sizes(&self) -> Sizes {
        self.endpoint.sizes()
    }

    /// All packets that the endpoint sent.
    pub fn sent(&self) -> &[Vec<u8>] {
        &self.sent
    }

    /// How many of its requests were answered.
    pub const fn replies(&self) -> usize {
        self.replies
    }

    fn stranger_at(&self, path: PathId) -> Option<usize> {
        self.paths.iter().position(|paths| paths.iter().any(|(known, _)| *known == path))
    }

    fn path(&self, which: usize) -> Option<PathId> {
        self.paths[which].last().map(|(path, _)| *path)
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Query(query) => {
                assert!(query.message.body.len() <= limits().message_bytes_max);
                self.waiting.push_back(query.query);
            }
            Event::Message { query, message, .. } => {
                assert!(message.body.len() <= limits().message_bytes_max);
                // Given back like a query: by a reply that goes nowhere, or without one.
                self.waiting.push_back(query);
            }
            Event::Outcome { token, outcome } => {
                self.replies += usize::from(matches!(outcome, Outcome::Reply { .. }));
                assert!(self.open.remove(&token).is_some(), "an outcome of nothing open: {token}");
                assert!(self.ended.insert(token), "a second outcome of {token}");
            }
            Event::Connect { identity, peer } => {
                let known = self.strangers.iter().position(|stranger| stranger.key() == peer);
                let which = known.expect("nobody else was ever addressed");
                if self.paths[which].len() < PATHS_MAX {
                    self.path_up(which, 1);
                } else {
                    let why = NotSent::Unreachable;
                    self.endpoint.connect_failed(self.now, identity, &peer, why);
                }
            }
            _ => {}
        }
    }

    fn check(&self) {
        let (sizes, limits, counters) = (self.endpoint.sizes(), limits(), self.endpoint.counters());
        // One more for a flight that has not been answered yet.
        let per_peer = SESSIONS_PER_PEER + PROVISIONAL_PER_PEER + ATTEMPTS_PER_PEER + 1;
        assert!(sizes.peers <= limits.peers_max, "{sizes:?}");
        assert!(sizes.sessions <= sizes.peers * per_peer, "{sizes:?}");
        assert!(sizes.open <= limits.open_max, "{sizes:?}");
        let in_hand = sizes.queries + sizes.held;
        assert!(in_hand <= sizes.peers * limits.queries_per_peer, "{sizes:?}");
        assert!(sizes.dialogs <= limits.dialogs_max, "{sizes:?}");
        assert_eq!(sizes.open, self.open.len());
        assert!(counters.dropped.total() <= counters.packets_received, "{counters:?}");
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// Small, so that a script reaches them.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes_max = 40_000;
    limits.reply_bytes_max = 40_000;
    limits.open_max = 6;
    limits.open_bytes_per_peer = 100_000;
    limits.queries_per_peer = 3;
    limits.query_bytes_per_peer = 60_000;
    limits.reassembly_bytes_per_peer = 50_000;
    limits.dialogs_max = 3;
    limits.dialogs_per_peer = 2;
    limits.peers_max = 2;
    limits.provisional_max = 2;
    limits.flights_per_prekey = 4;
    limits.prekeys_max = 2;
    limits.answers_max = 2;
    limits.unverified_per_second = 2;
    limits.verified_per_second = 8;
    limits
}

/// Paths that a stranger has at once.
const PATHS_MAX: usize = 3;
/// An endpoint whose peers are silent has nothing more to say after a few.
const ROUNDS_MAX: usize = 200;
