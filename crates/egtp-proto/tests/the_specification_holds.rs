//! A second implementation of the wire, made from the text of `docs/spec.md` and from primitives,
//! talks to an endpoint.
//!
//! It derives each key, masks each packet and hashes each message by itself; of the endpoint's own
//! code it takes only primitives, headers and frames. Invariant: where the two disagree, a test fails.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::{Bytes, BytesMut};
use egtp_proto::crypto::{AeadKey, DhKey, Noise, Random, Role, Suite};
use egtp_proto::exchange::inbox::{Inbox, Verdict};
use egtp_proto::exchange::outgoing::{Judgement, Outgoing};
use egtp_proto::limits::Limits;
use egtp_proto::message::Canonical;
use egtp_proto::session::epoch::{Epochs, OpenError};
use egtp_proto::session::prekey::Prekeys;
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::frame::{Ack, Class, DialogHead, Frame, MessageHead, Part, Refusal, ReplyHead};
use egtp_proto::wire::{Header, Lane, Reader, RetryKind, Serials, VERSION};
use egtp_proto::{
    Config, Endpoint, Event, IdentityId, Kind, LiveCard, MessageClass, PathId, PrekeyCard,
    PublicKey, SecretKey, Sink, Source, StoreCard, StoreKind, Submission,
};

const PATH: PathId = PathId(1);
const SUITE: Suite = Suite::ChaCha20Poly1305;

/// `H(purpose, x)` of the specification.
fn h(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    blake3::derive_key(&format!("EGTP v2 2026 {purpose}"), &parts.concat())
}

/// `K(key, x)` of the specification.
fn k(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    *blake3::keyed_hash(key, &parts.concat()).as_bytes()
}

fn k16(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
    *k(key, parts).first_chunk().unwrap()
}

/// Masks or unmasks the first bytes of a packet for `key` (section 3.1).
fn mask(key: &PublicKey, packet: &mut [u8], count: usize) {
    let tail: [u8; 16] = *packet.last_chunk().unwrap();
    let mut pad = vec![0; count];
    let mask_key = h("shroud", &[key.as_bytes()]);
    blake3::Hasher::new_keyed(&mask_key).update(&tail).finalize_xof().fill(&mut pad);
    packet.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
}

/// Header and unmasked packet, if it is masked for `key`.
fn unmask(key: &PublicKey, packet: &[u8]) -> Option<(Header, Vec<u8>)> {
    let mut plain = packet.to_vec();
    mask(key, &mut plain, 16);
    let header = Header::decode(plain.first_chunk()?).ok().filter(|_| plain[12..16] == [0; 4])?;
    let mut plain = packet.to_vec();
    mask(key, &mut plain, 16 + masked_after_16(&header));
    Some((header, plain))
}

fn masked_after_16(header: &Header) -> usize {
    match header {
        Header::Ini { .. } => 48,
        Header::Rsp { .. } => 32,
        Header::Unknown { .. } => 16,
        _ => 0,
    }
}

fn mac(key: &PublicKey, covered: &[u8]) -> [u8; 16] {
    k16(&h("mac1", &[key.as_bytes()]), &[covered])
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A payload of these frames.
fn frames(list: &[Frame<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    list.iter().for_each(|frame| frame.encode(&mut out));
    out
}

fn read(payload: &[u8]) -> Vec<Frame<'_>> {
    let mut reader = Reader::new(payload);
    let mut list = Vec::new();
    while !reader.is_empty() {
        list.push(Frame::decode(&mut reader).unwrap());
    }
    list
}

/// The endpoint under test, with its driver's duties.
struct Desk {
    endpoint: Endpoint,
    key: PublicKey,
    now: Instant,
    events: Vec<Event>,
    answers: bool,
    peer: PublicKey,
}

#[derive(Default)]
struct Out(Vec<Vec<u8>>);

impl Sink for Out {
    fn room(&self, _: PathId) -> usize {
        1 << 20
    }

    fn send(&mut self, _: PathId, packet: Vec<u8>) {
        self.0.push(packet);
    }
}

impl Desk {
    fn new(source: Source, adjust: impl FnOnce(&mut Config)) -> Self {
        let secret = SecretKey::from_seed([1; 32]);
        let (key, now) = (secret.public(), Instant::new(secs(1000)));
        let limits = Limits::default();
        let (identities, prefer) = (vec![secret], SUITE);
        let mut config = Config { identities, limits, seed: [9; 32], prefer, reachable: true };
        adjust(&mut config);
        let peer = SecretKey::from_seed([2; 32]).public();
        let mut endpoint = Endpoint::new(config, clocks(now)).unwrap();
        endpoint.path_up(clocks(now), PATH, IdentityId(0), None, source, Lane::Direct);
        Self { endpoint, key, now, events: Vec::new(), answers: true, peer }
    }

    fn plain() -> Self {
        Self::new(Source::Verified, |_| {})
    }

    /// What it sends on receiving a packet.
    fn take(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.endpoint.receive(clocks(self.now), PATH, BytesMut::from(packet));
        self.settle()
    }

    fn settle(&mut self) -> Vec<Vec<u8>> {
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
                        self.endpoint.path_up(now, PathId(2), id, peer, source, lane);
                    }
                    _ => {}
                }
                self.events.push(event);
            }
            self.endpoint.transmit(now, &mut out);
            if !self.endpoint.has_events() {
                return out.0;
            }
        }
    }

    /// What it sends while so much time passes.
    fn wait(&mut self, span: Duration) -> Vec<Vec<u8>> {
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

    fn ask(&mut self, body: &[u8]) -> Vec<Vec<u8>> {
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
        };
        self.endpoint.submit(clocks(self.now), submission).unwrap();
        self.settle()
    }

    fn queries(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Query(_))).count()
    }
}

fn clocks(now: Instant) -> Now {
    Now { boot: now, wall: secs(1_700_000_000) + now.since_start() }
}

/// The second implementation: an initiator.
struct Hand {
    secret: SecretKey,
    random: Random,
    theirs: PublicKey,
    card: Option<LiveCard>,
    noise: Option<Noise>,
    keys: Option<Keys>,
    suite: u8,
    version: u8,
    session: u32,
    cookie: Option<[u8; 16]>,
}

/// Epoch 0 of a session.
struct Keys {
    remote: u32,
    send: AeadKey,
    receive: AeadKey,
    counter: u64,
}

impl Hand {
    fn new(seed: u8, theirs: PublicKey) -> Self {
        let (secret, random) = (SecretKey::from_seed([seed; 32]), Random::from_seed([seed; 32]));
        let (suite, version, session) = (SUITE.id(), VERSION, 77);
        let (card, noise, keys, cookie) = (None, None, None, None);
        Self { secret, random, theirs, card, noise, keys, suite, version, session, cookie }
    }

    fn fresh(&mut self) -> DhKey {
        DhKey::from_secret(&self.random.bytes()).unwrap()
    }

    fn header(&self, prekey: u32) -> Header {
        let (version, suite, initiator_session) = (self.version, self.suite, self.session);
        let (cookie, puzzle) = (self.cookie.is_some(), false);
        Header::Ini { version, suite, initiator_session, prekey, cookie, puzzle }
    }

    /// An INI, and its mac.
    fn ini(&mut self, prekey: u32, e: &DhKey, noise: &[u8]) -> (Vec<u8>, [u8; 16]) {
        let target = &self.theirs.node_id().as_bytes()[..8].to_vec();
        let proof = self.cookie.map(|cookie| {
            k16(&h("cookie proof", &[&cookie]), &[e.public(), noise])
        });
        let cookie = proof.unwrap_or_else(|| self.random.bytes());
        let head = self.header(prekey).encode();
        let parts = [&head[..], &[0; 4], e.public(), target, &[0; 8], &cookie, noise];
        let mut packet = parts.concat();
        let mac = mac(&self.theirs, &packet);
        packet.extend_from_slice(&mac);
        mask(&self.theirs, &mut packet, 64);
        (packet, mac)
    }

    /// Knocks, and takes the card from the RETRY.
    fn knock(&mut self, desk: &mut Desk) {
        let (e, noise) = (self.fresh(), self.random.bytes::<160>());
        let (packet, mac) = self.ini(0, &e, &noise);
        assert_eq!(packet.len(), 256);
        let sent = desk.take(&packet);
        self.card = Some(self.advice(&sent[0], &e, &mac).unwrap());
    }

    /// The card in a RETRY (section 4.2).
    fn advice(&self, packet: &[u8], e: &DhKey, mac: &[u8; 16]) -> Option<LiveCard> {
        let (header, mut plain) = unmask(&self.theirs, packet)?;
        let Header::Retry { session: 77, kind: RetryKind::Prekey, .. } = header else { return None };
        let shared = e.agree(&self.theirs.to_x25519()).ok()?;
        let key = h("retry", &[&*shared, &plain[16..32], mac]);
        let head = header.encode();
        let key = AeadKey::new(Suite::ChaCha20Poly1305, &key)?;
        let body = key.open([0; 12], &head, &mut plain[32..]).ok()?;
        let mut reader = Reader::new(body);
        let card = LiveCard::decode(&mut reader).ok()?;
        assert_eq!(reader.prefixed(16).unwrap(), [SUITE.id(), Suite::Aes256Gcm.id()]);
        assert_eq!(reader.u64(), Ok(0));
        Some(card)
    }

    fn prekey(&self) -> PrekeyCard {
        self.card.as_ref().unwrap().prekey.unwrap()
    }

    /// A first flight with a card of its own and these frames (sections 4.1 and 4.3).
    fn flight(&mut self, payload: &[u8]) -> Vec<u8> {
        let (e, prekey) = (self.fresh(), self.prekey());
        let head = { let cookie = self.cookie.take(); let head = self.header(prekey.id).encode(); self.cookie = cookie; head };
        let target = &self.theirs.node_id().as_bytes()[..8].to_vec();
        let prologue = [&b"EGTP2 live"[..], &head, target, self.theirs.as_bytes()].concat();
        let shared = e.agree(&prekey.key).unwrap();
        let id = prekey.id.to_le_bytes();
        let psk = h("prekey", &[&*shared, e.public(), &prekey.key, &id]);
        let own = DhKey::from_secret(&self.secret.x25519_secret()).unwrap();
        let theirs = self.theirs.to_x25519();
        let (suite, them) = (Suite::from_id(self.suite).unwrap_or(SUITE), Some(&theirs));
        let mut noise =
            Noise::new(Role::Initiator, suite, &own, e.clone(), them, &psk, &prologue).unwrap();
        let prekey_card = PrekeyCard { id: 5, key: *own.public(), lifetime: 7000 };
        let store = StoreCard { kind: StoreKind::Ram, id: 99, generation: 1, age: 0 };
        let mut text = vec![self.secret.public().sign_bit(), 0];
        LiveCard { prekey: Some(prekey_card), stores: vec![store] }.encode(&mut text);
        text.extend_from_slice(&[0; 8]);
        text.extend_from_slice(payload);
        text.resize(text.len().max(96), 0);
        let message = noise.write(&text).unwrap();
        self.noise = Some(noise);
        self.ini(prekey.id, &e, &message[32..]).0
    }

    /// Takes the RSP among these packets: its frames.
    fn answer(&mut self, sent: &[Vec<u8>]) -> Vec<u8> {
        let own = self.secret.public();
        let (header, plain) = sent.iter().find_map(|packet| unmask(&own, packet)).unwrap();
        assert!(matches!(header, Header::Rsp { session: 77, .. }), "{header:?}");
        let (covered, tag) = plain.split_last_chunk::<16>().unwrap();
        assert_eq!(mac(&own, covered), *tag);
        let mut noise = self.noise.take().unwrap();
        let payload = noise.read(&covered[16..]).unwrap();
        let mut reader = Reader::new(&payload);
        let (remote, client) = (reader.u32().unwrap(), reader.u8().unwrap());
        let card = LiveCard::decode(&mut reader).unwrap();
        assert_eq!((client, &card), (0, self.card.as_ref().unwrap()));
        reader.prefixed(16).unwrap();
        reader.u64().unwrap();
        let hash = noise.hash();
        let split = noise.split().unwrap();
        let root = h("root", &[&split[0], &split[1], &hash]);
        let suite = Suite::from_id(self.suite).unwrap();
        let key = |purpose| AeadKey::new(suite, &h(purpose, &[&root])).unwrap();
        let (send, receive) = (key("initiator to responder"), key("responder to initiator"));
        self.keys = Some(Keys { remote, send, receive, counter: 0 });
        reader.take_rest().to_vec()
    }

    /// A record (section 5.1).
    fn record(&mut self, lane: Lane, payload: &[u8]) -> Vec<u8> {
        let keys = self.keys.as_mut().unwrap();
        let (session, counter) = (keys.remote, keys.counter);
        keys.counter += 1;
        let head = Header::Record { lane, epoch: 0, session, counter }.encode();
        let mut body = payload.to_vec();
        let tag = keys.send.seal(nonce(lane, counter), &head, &mut body).unwrap();
        let mut packet = [&head[..], &[0; 4], &body, &tag].concat();
        mask(&self.theirs, &mut packet, 16);
        packet
    }

    /// The frames of all records among these packets.
    fn open(&self, sent: &[Vec<u8>]) -> Vec<u8> {
        let (own, keys) = (self.secret.public(), self.keys.as_ref().unwrap());
        let mut payload = Vec::new();
        for packet in sent {
            let Some((header, mut plain)) = unmask(&own, packet) else { continue };
            let Header::Record { lane, epoch: 0, session: 77, counter } = header else { continue };
            let sealed = &mut plain[16..];
            let text = keys.receive.open(nonce(lane, counter), &header.encode(), sealed).unwrap();
            payload.extend_from_slice(text);
        }
        payload
    }

    /// A confirmed session.
    fn connect(desk: &mut Desk) -> Self {
        let mut hand = Self::new(2, desk.key);
        hand.knock(desk);
        let flight = hand.flight(&[]);
        hand.answer(&desk.take(&flight));
        let confirmation = hand.record(Lane::Direct, &[0]);
        desk.take(&confirmation);
        hand
    }

    fn dialog(&self) -> Frame<'static> {
        let store = self.card.as_ref().unwrap().stores[0];
        let (kind, store, generation) = (store.kind, store.id, store.generation);
        Frame::Dialog(DialogHead { kind, dialog: 50, store, generation, low_water: 0 })
    }
}

fn nonce(lane: Lane, counter: u64) -> [u8; 12] {
    let number = ((u64::from(lane.id()) << 62) | counter).to_le_bytes();
    [&[0; 4][..], &number].concat().try_into().unwrap()
}

fn request(serial: u64, body: &[u8], room: u64) -> Frame<'_> {
    let class = Class::Request { code: 0x0102_0304, hard_ms: 30_000, room };
    Frame::Message(MessageHead { serial, class, kind: "test/1" }, body)
}
