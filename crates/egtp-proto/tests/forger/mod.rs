//! The handshake written a second time, from its description: for an attacker who records, and for
//! a responder who forges what its peer would have sent.
//!
//! Knows the suite of AES-256-GCM only. Unlike the product it takes each key agreement as a number,
//! so it does not matter from which of the two sides that was computed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use egtp_proto::crypto::{AeadKey, DhKey, Suite, derive};
use egtp_proto::session::handshake::LocalKeys;
use egtp_proto::wire::frame::{Class, DialogHead, Frame, MessageHead};
use egtp_proto::wire::packet::Ini;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, VERSION, Writer};
use egtp_proto::{LiveCard, PrekeyCard, PublicKey, StoreCard, StoreKind};

/// `IKpsk0` as one side, or as both.
pub(crate) struct Noise {
    chain: [u8; 32],
    hash: [u8; 32],
    key: [u8; 32],
    counter: u64,
}

impl Noise {
    pub(crate) fn begin(prologue: &[u8], responder: &[u8; 32]) -> Self {
        // Exactly as long as a hash, so it is used as it is.
        let name = *b"Noise_IKpsk0_25519_AESGCM_SHA256";
        let mut noise = Self { chain: name, hash: name, key: [0; 32], counter: 0 };
        noise.mix_hash(prologue);
        noise.mix_hash(responder);
        noise
    }

    /// The first message without its ephemeral key, from what both sides compute.
    pub(crate) fn write_first(
        &mut self,
        ephemeral: &[u8; 32],
        [psk, es, initiator, ss]: [&[u8; 32]; 4],
        payload: &[u8],
    ) -> Vec<u8> {
        self.enter(ephemeral, psk, es);
        let fixed = self.seal(initiator);
        self.mix_key(ss);
        [fixed, self.seal(payload)].concat()
    }

    /// The payload of the first message, for whoever has the responder's identity key and a guess
    /// of the pre-shared key.
    pub(crate) fn read_first(
        &mut self,
        ephemeral: &[u8; 32],
        rest: &[u8],
        responder: &DhKey,
        psk: &[u8; 32],
    ) -> Option<Vec<u8>> {
        self.enter(ephemeral, psk, &*responder.agree(ephemeral).ok()?);
        let (fixed, payload) = rest.split_at_checked(48)?;
        let initiator = self.open(fixed)?;
        self.mix_key(&*responder.agree(initiator.first_chunk()?).ok()?);
        self.open(payload)
    }

    /// The payload of the second message, from both ephemeral secrets and the initiator's public
    /// key.
    pub(crate) fn read_second(
        &mut self,
        rest: &[u8],
        ephemeral: &DhKey,
        answer: &DhKey,
        initiator: &[u8; 32],
    ) -> Option<Vec<u8>> {
        self.mix_hash(answer.public());
        self.mix_key(answer.public());
        self.mix_key(&*answer.agree(ephemeral.public()).ok()?);
        self.mix_key(&*answer.agree(initiator).ok()?);
        self.open(rest)
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Root and hash.
    pub(crate) fn finish(self) -> ([u8; 32], [u8; 32]) {
        let [forth, back, _] = self.expand(&[]);
        (*derive("root", &[&forth, &back, &self.hash]), self.hash)
    }

    fn enter(&mut self, ephemeral: &[u8; 32], psk: &[u8; 32], es: &[u8; 32]) {
        let [chain, middle, key] = self.expand(psk);
        (self.chain, self.key, self.counter) = (chain, key, 0);
        self.mix_hash(&middle);
        self.mix_hash(ephemeral);
        self.mix_key(ephemeral);
        self.mix_key(es);
    }

    fn mix_hash(&mut self, bytes: &[u8]) {
        let hash = digest(&SHA256, &[&self.hash[..], bytes].concat());
        self.hash = hash.as_ref().try_into().unwrap();
    }

    fn mix_key(&mut self, material: &[u8]) {
        let [chain, key, _] = self.expand(material);
        (self.chain, self.key, self.counter) = (chain, key, 0);
    }

    fn expand(&self, material: &[u8]) -> [[u8; 32]; 3] {
        let mac = |key: &[u8], bytes: &[u8]| -> [u8; 32] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            hmac::sign(&key, bytes).as_ref().try_into().unwrap()
        };
        let key = mac(&self.chain, material);
        let one = mac(&key, &[1]);
        let two = mac(&key, &[&one[..], &[2]].concat());
        let three = mac(&key, &[&two[..], &[3]].concat());
        [one, two, three]
    }

    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.counter.to_be_bytes());
        self.counter += 1;
        nonce
    }

    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut bytes = plain.to_vec();
        let key = AeadKey::new(Suite::Aes256Gcm, &self.key).unwrap();
        let tag = key.seal(self.nonce(), &self.hash, &mut bytes).unwrap();
        bytes.extend_from_slice(&tag);
        self.mix_hash(&bytes);
        bytes
    }

    fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = sealed.to_vec();
        let key = AeadKey::new(Suite::Aes256Gcm, &self.key)?;
        let nonce = self.nonce();
        let plain = key.open(nonce, &self.hash, &mut bytes).ok()?.to_vec();
        self.mix_hash(sealed);
        Some(plain)
    }
}

/// A packet that looks as if `alice` had sent it, made with the responder's secrets alone, and the
/// handshake behind it.
pub(crate) fn first_flight(
    alice: &PublicKey,
    bob: &LocalKeys,
    (prekey, secret): (&PrekeyCard, &DhKey),
    ephemeral: &DhKey,
    frames: &[u8],
) -> (Vec<u8>, Noise) {
    let header = Header::Ini {
        version: VERSION,
        suite: Suite::Aes256Gcm.id(),
        initiator_session: 7,
        prekey: prekey.id,
        cookie: false,
        puzzle: false,
    };
    let mut payload = vec![alice.sign_bit(), 0];
    LiveCard { prekey: None, stores: vec![store(99)] }.encode(&mut payload);
    payload.put_u64(0);
    payload.put(frames);
    payload.resize(payload.len().max(96), 0);

    let (public, static_key) = (*ephemeral.public(), alice.to_x25519());
    let psk = psk(&secret.agree(&public).unwrap(), &public, prekey);
    let (es, ss) = (bob.dh.agree(&public).unwrap(), bob.dh.agree(&static_key).unwrap());
    let mut handshake = Noise::begin(&prologue(&header, bob), bob.dh.public());
    let noise = handshake.write_first(&public, [&psk, &es, &static_key, &ss], &payload);
    let (target, puzzle, cookie, mac) = (bob.target, [0; 8], [1; 16], [0; 16]);
    let ini = Ini { ephemeral: public, target, puzzle, cookie, noise: &noise, mac };
    (ini.encode(&header, &Shroud::new(&bob.public)), handshake)
}

/// The frames of a request, bound to the store with this id.
pub(crate) fn request(store: u64, body: &[u8]) -> Vec<u8> {
    let head = DialogHead { kind: StoreKind::Ram, dialog: 5, store, generation: 1, low_water: 0 };
    let class = Class::Request { code: 3, hard_ms: 30_000, room: 1_000 };
    let message = MessageHead { serial: 0, class, kind: "test/1" };
    let mut frames = Vec::new();
    Frame::Dialog(head).encode(&mut frames);
    Frame::Message(message, body).encode(&mut frames);
    frames
}

pub(crate) fn store(id: u64) -> StoreCard {
    StoreCard { kind: StoreKind::Ram, id, generation: 1, age: 0 }
}

pub(crate) fn psk(shared: &[u8; 32], ephemeral: &[u8; 32], prekey: &PrekeyCard) -> [u8; 32] {
    *derive("prekey", &[shared, ephemeral, &prekey.key, &prekey.id.to_le_bytes()])
}

pub(crate) fn prologue(header: &Header, bob: &LocalKeys) -> Vec<u8> {
    [b"EGTP2 live", &header.encode()[..], &bob.target, bob.public.as_bytes()].concat()
}
