//! A second implementation of the wire, made from the text of `docs/spec.md` and from primitives,
//! and a desk at which an endpoint sits and talks to it.
//!
//! It derives each key, masks each packet and takes each payload apart by itself; of the product it
//! uses primitives, headers, cards and frames only. Invariant: where the page and the product
//! disagree, these two do not understand each other.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test file uses its own part; helpers of tests fail as loudly as tests"
)]

pub(crate) mod desk;
pub(crate) mod post;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
pub(crate) use desk::Desk;
use egtp_proto::crypto::{AeadKey, DecapsulationKey, DhKey, Noise, Random, Role, Suite};
use egtp_proto::wire::frame::{Class, DialogHead, Frame, MessageHead};
use egtp_proto::wire::{Header, Lane, Reader, RetryKind, VERSION};
use egtp_proto::{LiveCard, PathId, PrekeyCard, PublicKey, SecretKey, StoreCard, StoreKind};

/// The path that the endpoint accepted.
pub(crate) const PATH: PathId = PathId(1);
/// The path that it opened, once it asked for one.
pub(crate) const DIALED: PathId = PathId(2);
/// The id by which the second implementation calls every session of its own.
const SESSION: u32 = 77;
const SUITE: Suite = Suite::ChaCha20Poly1305;
/// Bytes of the ciphertext of ML-KEM-768.
const CIPHERTEXT: usize = 1088;

/// The store that the second implementation says it has.
pub(crate) const STORE: StoreCard =
    StoreCard { kind: StoreKind::Ram, id: 99, generation: 1, age: 0 };

/// `H(purpose, x)` of the specification.
pub(crate) fn h(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    blake3::derive_key(&format!("EGTP v2 2026 {purpose}"), &parts.concat())
}

/// `K(key, x)` of the specification.
pub(crate) fn k(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    *blake3::keyed_hash(key, &parts.concat()).as_bytes()
}

pub(crate) fn k16(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
    *k(key, parts).first_chunk().unwrap()
}

/// Masks or unmasks the first bytes of a packet for `key` (section 3.1).
pub(crate) fn mask(key: &PublicKey, packet: &mut [u8], count: usize) {
    let tail: [u8; 16] = *packet.last_chunk().unwrap();
    let mut pad = vec![0; count];
    let mask_key = h("shroud", &[key.as_bytes()]);
    blake3::Hasher::new_keyed(&mask_key).update(&tail).finalize_xof().fill(&mut pad);
    packet.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
}

/// Header and unmasked packet, if it is masked for `key`.
pub(crate) fn unmask(key: &PublicKey, packet: &[u8]) -> Option<(Header, Vec<u8>)> {
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
        Header::Rsp { suite: 0x11 | 0x12, .. } => 32 + CIPHERTEXT,
        Header::Rsp { .. } | Header::Letter { .. } => 32,
        Header::Unknown { .. } => 16,
        _ => 0,
    }
}

pub(crate) fn mac(key: &PublicKey, covered: &[u8]) -> [u8; 16] {
    k16(&h("mac1", &[key.as_bytes()]), &[covered])
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A payload of these frames.
pub(crate) fn frames(list: &[Frame<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in list {
        frame.encode(&mut out);
    }
    out
}

pub(crate) fn read(payload: &[u8]) -> Vec<Frame<'_>> {
    let mut reader = Reader::new(payload);
    let mut list = Vec::new();
    while !reader.is_empty() {
        list.push(Frame::decode(&mut reader).unwrap());
    }
    list
}

/// The second implementation: an initiator.
pub(crate) struct Hand {
    pub(crate) secret: SecretKey,
    pub(crate) random: Random,
    pub(crate) theirs: PublicKey,
    pub(crate) card: Option<LiveCard>,
    pub(crate) noise: Option<Noise>,
    /// The key that the responder encapsulates to, with a hybrid suite.
    pub(crate) kem: Option<DecapsulationKey>,
    pub(crate) keys: Option<Keys>,
    pub(crate) suite: u8,
    pub(crate) version: u8,
    pub(crate) cookie: Option<[u8; 16]>,
    /// The first flight that waits: ephemeral key, noise, mac.
    pub(crate) sent: Option<(DhKey, Vec<u8>, [u8; 16])>,
}

/// Epoch 0 of a session.
pub(crate) struct Keys {
    remote: u32,
    ours: AeadKey,
    theirs: AeadKey,
    counter: u64,
}

impl Hand {
    pub(crate) fn new(seed: u8, theirs: PublicKey) -> Self {
        let (secret, random) = (SecretKey::from_seed([seed; 32]), Random::from_seed([seed; 32]));
        let (suite, version) = (SUITE.id(), VERSION);
        let (card, noise, keys, cookie) = (None, None, None, None);
        let (sent, kem) = (None, None);
        Self { secret, random, theirs, card, noise, kem, keys, suite, version, cookie, sent }
    }

    pub(crate) fn fresh(&mut self) -> DhKey {
        DhKey::from_secret(&self.random.bytes()).unwrap()
    }

    pub(crate) fn header(&self, prekey: u32) -> Header {
        let (version, suite, initiator_session) = (self.version, self.suite, SESSION);
        let (cookie, puzzle) = (self.cookie.is_some(), false);
        Header::Ini { version, suite, initiator_session, prekey, cookie, puzzle }
    }

    /// An INI, and its mac.
    pub(crate) fn ini(&mut self, prekey: u32, e: &DhKey, noise: &[u8]) -> (Vec<u8>, [u8; 16]) {
        let target = &self.theirs.node_id().as_bytes()[..8].to_vec();
        let proof =
            self.cookie.map(|cookie| k16(&h("cookie proof", &[&cookie]), &[e.public(), noise]));
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
    pub(crate) fn knock(&mut self, desk: &mut Desk) {
        let (e, noise) = (self.fresh(), self.random.bytes::<160>());
        let (packet, mac) = self.ini(0, &e, &noise);
        assert_eq!(packet.len(), 256);
        let sent = desk.take(&packet);
        self.card = Some(self.advice(&sent[0], &e, &mac).unwrap());
    }

    /// A RETRY to an INI of the endpoint, with the prekey of this id (section 4.2).
    pub(crate) fn advise(&mut self, ini: &[u8], prekey: u32) -> Vec<u8> {
        let own = self.secret.public();
        let (header, plain) = unmask(&own, ini).unwrap();
        let Header::Ini { initiator_session, .. } = header else { unreachable!("{header:?}") };
        let e: [u8; 32] = *plain[16..].first_chunk().unwrap();
        let static_key = DhKey::from_secret(&self.secret.x25519_secret()).unwrap();
        let (salt, shared) = (self.random.bytes::<16>(), static_key.agree(&e).unwrap());
        let key = h("retry", &[&*shared, &salt, &ini[ini.len() - 16..]]);
        let prekey = PrekeyCard { id: prekey, key: *static_key.public(), lifetime: 7000 };
        let mut body = Vec::new();
        LiveCard { prekey: Some(prekey), stores: vec![STORE] }.encode(&mut body);
        body.extend_from_slice(&[1, SUITE.id(), 0, 0, 0, 0, 0, 0, 0, 0]);
        let (session, kind) = (initiator_session, RetryKind::Prekey);
        let head = Header::Retry { session, kind, puzzle_bits: 0 }.encode();
        let key = AeadKey::new(Suite::ChaCha20Poly1305, &key).unwrap();
        let tag = key.seal([0; 12], &head, &mut body).unwrap();
        let mut packet = [&head[..], &[0; 4], &salt, &body, &tag].concat();
        mask(&own, &mut packet, 16);
        packet
    }

    /// The card in a RETRY (section 4.2).
    pub(crate) fn advice(&self, packet: &[u8], e: &DhKey, mac: &[u8; 16]) -> Option<LiveCard> {
        let (header, mut plain) = unmask(&self.theirs, packet)?;
        let Header::Retry { session: SESSION, kind: RetryKind::Prekey, .. } = header else {
            return None;
        };
        let shared = e.agree(&self.theirs.to_x25519()).ok()?;
        let key = h("retry", &[&*shared, &plain[16..32], mac]);
        let head = header.encode();
        let key = AeadKey::new(Suite::ChaCha20Poly1305, &key)?;
        let body = key.open([0; 12], &head, &mut plain[32..]).ok()?;
        let mut reader = Reader::new(body);
        let card = LiveCard::decode(&mut reader).ok()?;
        let suites = reader.prefixed(16).unwrap();
        assert!([self.suite, 0x01, 0x02].iter().all(|id| suites.contains(id)) || self.suite > 0x12);
        assert_eq!(reader.u64(), Ok(0));
        Some(card)
    }

    pub(crate) fn prekey(&self) -> PrekeyCard {
        self.card.as_ref().unwrap().prekey.unwrap()
    }

    /// A first flight with a card of its own and these frames (sections 4.1 and 4.3).
    pub(crate) fn flight(&mut self, payload: &[u8]) -> Vec<u8> {
        let (e, prekey) = (self.fresh(), self.prekey());
        let flags_at_zero = Header::Ini {
            version: self.version,
            suite: self.suite,
            initiator_session: SESSION,
            prekey: prekey.id,
            cookie: false,
            puzzle: false,
        };
        let head = flags_at_zero.encode();
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
        self.kem = suite.is_hybrid().then(|| DecapsulationKey::from_seed(self.random.bytes()));
        let mut text = Vec::new();
        text.extend(self.kem.iter().flat_map(|kem| *kem.encapsulation_key()));
        text.extend_from_slice(&[self.secret.public().sign_bit(), 0]);
        LiveCard { prekey: Some(prekey_card), stores: vec![STORE] }.encode(&mut text);
        text.extend_from_slice(&[0; 8]);
        text.extend_from_slice(payload);
        let least = if suite.is_hybrid() { 1400 } else { 256 };
        text.resize(text.len().max(least - 160), 0);
        let message = noise.write(&text).unwrap();
        self.noise = Some(noise);
        let rest = message[32..].to_vec();
        let (packet, mac) = self.ini(prekey.id, &e, &rest);
        self.sent = Some((e, rest, mac));
        packet
    }

    /// Takes the RSP among these packets: its frames.
    pub(crate) fn answer(&mut self, sent: &[Vec<u8>]) -> Vec<u8> {
        let own = self.secret.public();
        let (header, plain) = sent.iter().find_map(|packet| unmask(&own, packet)).unwrap();
        assert!(matches!(header, Header::Rsp { session: SESSION, .. }), "{header:?}");
        let (covered, tag) = plain.split_last_chunk::<16>().unwrap();
        assert_eq!(mac(&own, covered), *tag);
        let mut noise = self.noise.take().unwrap();
        let mut message = covered[16..].to_vec();
        if let Some(kem) = self.kem.take() {
            let ciphertext: Vec<u8> = message.drain(32..32 + CIPHERTEXT).collect();
            let secret = kem.decapsulate(ciphertext[..].try_into().unwrap());
            let psk = h("kem", &[&secret[..], &ciphertext, kem.encapsulation_key()]);
            noise.set_second_psk(&psk).unwrap();
        }
        let payload = noise.read(&message).unwrap();
        let mut reader = Reader::new(&payload);
        let (remote, client) = (reader.u32().unwrap(), reader.u8().unwrap());
        let card = LiveCard::decode(&mut reader).unwrap();
        assert_eq!((client, card.prekey.unwrap().key), (0, self.prekey().key));
        reader.prefixed(16).unwrap();
        reader.u64().unwrap();
        let hash = noise.hash();
        let split = noise.split().unwrap();
        let root = h("root", &[&split[0], &split[1], &hash]);
        let suite = Suite::from_id(self.suite).unwrap();
        let key = |purpose| AeadKey::new(suite, &h(purpose, &[&root])).unwrap();
        let [ours, theirs] = ["initiator to responder", "responder to initiator"].map(key);
        self.keys = Some(Keys { remote, ours, theirs, counter: 0 });
        reader.take_rest().to_vec()
    }

    /// A record (section 5.1).
    pub(crate) fn record(&mut self, lane: Lane, payload: &[u8]) -> Vec<u8> {
        let keys = self.keys.as_mut().unwrap();
        let (session, counter) = (keys.remote, keys.counter);
        keys.counter += 1;
        let head = Header::Record { lane, epoch: 0, session, counter }.encode();
        let mut body = payload.to_vec();
        let tag = keys.ours.seal(nonce(lane, counter), &head, &mut body).unwrap();
        let mut packet = [&head[..], &[0; 4], &body, &tag].concat();
        mask(&self.theirs, &mut packet, 16);
        packet
    }

    /// The frames of all records among these packets.
    pub(crate) fn open(&self, sent: &[Vec<u8>]) -> Vec<u8> {
        let (own, keys) = (self.secret.public(), self.keys.as_ref().unwrap());
        let mut payload = Vec::new();
        for packet in sent {
            let Some((header, mut plain)) = unmask(&own, packet) else { continue };
            let Header::Record { lane, epoch: 0, session: SESSION, counter } = header else {
                continue;
            };
            let sealed = &mut plain[16..];
            let text = keys.theirs.open(nonce(lane, counter), &header.encode(), sealed).unwrap();
            payload.extend_from_slice(text);
        }
        payload
    }

    /// A confirmed session.
    pub(crate) fn connect(desk: &mut Desk) -> Self {
        let mut hand = Self::new(2, desk.key);
        hand.knock(desk);
        let flight = hand.flight(&[]);
        hand.answer(&desk.take(&flight));
        let confirmation = hand.record(Lane::Direct, &[0]);
        desk.take(&confirmation);
        hand
    }

    pub(crate) fn dialog(&self) -> Frame<'static> {
        let store = self.card.as_ref().unwrap().stores[0];
        let (kind, store, generation) = (store.kind, store.id, store.generation);
        Frame::Dialog(DialogHead { kind, dialog: 50, store, generation, low_water: 0 })
    }
}

pub(crate) fn nonce(lane: Lane, counter: u64) -> [u8; 12] {
    let number = ((u64::from(lane.id()) << 62) | counter).to_le_bytes();
    [&[0; 4][..], &number].concat().try_into().unwrap()
}

pub(crate) fn request(serial: u64, body: &[u8], room: u64) -> Frame<'_> {
    let class = Class::Request { code: 0x0102_0304, hard_ms: 30_000, room };
    Frame::Message(MessageHead { serial, class, kind: "test/1" }, body)
}

/// The first half of the id of a request of kind `test/1` (section 8).
pub(crate) fn message_id(
    from: &PublicKey,
    to: &PublicKey,
    (dialog, serial): (u64, u64),
    body: &[u8],
) -> [u8; 8] {
    let hash = *blake3::hash(body).as_bytes();
    let form = [
        &b"EGTP2 message, canonical form 1\0"[..],
        from.as_bytes(),
        to.as_bytes(),
        &[0],
        &dialog.to_le_bytes(),
        &[0; 23],
        &serial.to_le_bytes(),
        &[0, 0, 6],
        b"test/1",
        &u64::try_from(body.len()).unwrap().to_le_bytes(),
        if body.len() > 4096 { &hash } else { body },
    ];
    *digest(&SHA256, &form.concat()).as_ref().first_chunk().unwrap()
}

/// The cookie in the sealed body of a RETRY (section 4.4).
pub(crate) fn open_cookie(key: &[u8; 32], header: &Header, sealed: &[u8]) -> [u8; 16] {
    let key = AeadKey::new(Suite::ChaCha20Poly1305, key).unwrap();
    let mut sealed = sealed.to_vec();
    let cookie = key.open([0; 12], &header.encode(), &mut sealed).unwrap();
    (&*cookie).try_into().unwrap()
}
