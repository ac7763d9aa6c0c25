//! `IKpsk0` and `IKpsk0+psk2` through snow, with the primitives of aws-lc-rs.
//!
//! Two things that snow's own resolvers do not offer: the ephemeral key is chosen by us before the
//! first message is written (the pre-shared key depends on it), and our static key stays imported
//! between handshakes. Invariant: the raw split is read only from a finished handshake.

use std::cell::RefCell;

use aws_lc_rs::digest;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random as NoiseRandom};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use super::{AeadKey, Cipher as SuiteCipher, DhKey, Suite, TAG_BYTES};

/// Why a handshake message was refused or could not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoiseError {
    /// The message is not what the peer's keys and ours would make: altered, or for somebody else.
    #[error("the handshake message does not authenticate")]
    Refused,
    /// Our own side asked for something that the pattern does not allow.
    #[error("the handshake was used out of order")]
    OutOfOrder,
}

/// Which side of the handshake we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// We send the first message.
    Initiator,
    /// We answer it.
    Responder,
}

/// One handshake under way.
pub struct Noise(HandshakeState);

impl Noise {
    /// Prepares the handshake of `suite`.
    ///
    /// `ours` is our static key, `ephemeral` a key made for this handshake alone, `theirs` the
    /// responder's static key (the initiator must know it, the responder learns the other's).
    ///
    /// # Errors
    /// [`NoiseError::OutOfOrder`] if a key that the role needs is missing.
    pub fn new(
        role: Role,
        suite: Suite,
        ours: &DhKey,
        ephemeral: DhKey,
        theirs: Option<&[u8; 32]>,
        psk: &[u8; 32],
        prologue: &[u8],
    ) -> Result<Self, NoiseError> {
        Self::of_name(live(suite), role, suite, (ours, ephemeral), theirs, psk, prologue)
    }

    /// Prepares a letter: one message, and nothing comes back. Its writer has an ephemeral key, its reader has none.
    ///
    /// # Errors
    /// [`NoiseError::OutOfOrder`] if a key that the role needs is missing, or for a hybrid suite.
    pub fn letter(
        suite: Suite,
        (ours, ephemeral): (&DhKey, Option<DhKey>),
        theirs: Option<&[u8; 32]>,
        psk: &[u8; 32],
        prologue: &[u8],
    ) -> Result<Self, NoiseError> {
        let name = letter(suite).ok_or(NoiseError::OutOfOrder)?;
        let role = if ephemeral.is_some() { Role::Initiator } else { Role::Responder };
        let ephemeral = ephemeral.unwrap_or_else(|| ours.clone());
        Self::of_name(name, role, suite, (ours, ephemeral), theirs, psk, prologue)
    }

    fn of_name(
        name: &str,
        role: Role,
        suite: Suite,
        (ours, ephemeral): (&DhKey, DhKey),
        theirs: Option<&[u8; 32]>,
        psk: &[u8; 32],
        prologue: &[u8],
    ) -> Result<Self, NoiseError> {
        let out_of_order = |_| NoiseError::OutOfOrder;
        let params: NoiseParams = name.parse().map_err(out_of_order)?;
        let resolver =
            Resolver { suite, next: RefCell::new([Some(ephemeral), Some(ours.clone())].into()) };
        // The static secret is already inside the resolver; snow insists on some bytes to set.
        let unused = [0; 32];
        let mut builder = Builder::with_resolver(params, Box::new(resolver))
            .prologue(prologue)
            .and_then(|builder| builder.local_private_key(&unused))
            .and_then(|builder| builder.psk(0, psk))
            .map_err(out_of_order)?;
        if let Some(theirs) = theirs {
            builder = builder.remote_public_key(theirs).map_err(out_of_order)?;
        }
        match role {
            Role::Initiator => builder.build_initiator(),
            Role::Responder => builder.build_responder(),
        }
        .map(Self)
        .map_err(out_of_order)
    }

    /// Sets the pre-shared key that a hybrid suite mixes in at the end of the second message. It takes
    /// part when that message is written or read next, and may be set anew after a refusal.
    ///
    /// # Errors
    /// [`NoiseError::OutOfOrder`] does not happen for 32 bytes.
    pub fn set_second_psk(&mut self, psk: &[u8; 32]) -> Result<(), NoiseError> {
        self.0.set_psk(SECOND_PSK, psk).map_err(|_| NoiseError::OutOfOrder)
    }

    /// Writes the next message around `payload`: ephemeral key first (32 bytes).
    ///
    /// # Errors
    /// [`NoiseError::OutOfOrder`] if it is not our turn or the result would exceed 65,535 bytes.
    pub fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, NoiseError> {
        // 32 ephemeral, 48 sealed static key, 16 tag: the most that a message of this pattern adds.
        let mut message = vec![0; payload.len() + 96];
        let length =
            self.0.write_message(payload, &mut message).map_err(|_| NoiseError::OutOfOrder)?;
        message.truncate(length);
        Ok(message)
    }

    /// Reads the other side's message and returns its payload. A refused message changes nothing:
    /// the genuine one can still be read afterwards.
    ///
    /// # Errors
    /// [`NoiseError::Refused`].
    pub fn read(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoiseError> {
        let mut payload = Zeroizing::new(vec![0; message.len()]);
        let length = self.0.read_message(message, &mut payload).map_err(|_| NoiseError::Refused)?;
        payload.truncate(length);
        Ok(payload)
    }

    /// The other side's static X25519 key, once it is known.
    pub fn remote_static(&self) -> Option<[u8; 32]> {
        self.0.get_remote_static().and_then(|key| key.try_into().ok())
    }

    /// The hash of the whole conversation so far.
    pub fn hash(&self) -> [u8; 32] {
        self.0.get_handshake_hash().try_into().unwrap_or_default()
    }

    /// The two keys of a finished handshake: initiator to responder, and back.
    ///
    /// # Errors
    /// [`NoiseError::OutOfOrder`] before the last message was written or read.
    pub fn split(mut self) -> Result<Zeroizing<[[u8; 32]; 2]>, NoiseError> {
        if !self.0.is_handshake_finished() {
            return Err(NoiseError::OutOfOrder);
        }
        let (one, two) = self.0.dangerously_get_raw_split();
        Ok(Zeroizing::new([one, two]))
    }
}

#[cfg(test)]
impl Noise {
    /// A handshake of any pattern, for published vectors: `name` as Noise spells it, all else as in
    /// [`Noise::new`], with one pre-shared key for each position.
    pub(super) fn of_pattern(
        name: &str,
        role: Role,
        suite: Suite,
        (ours, ephemeral): (Option<&DhKey>, DhKey),
        theirs: Option<&[u8; 32]>,
        psks: &[(u8, [u8; 32])],
        prologue: &[u8],
    ) -> Result<Self, snow::Error> {
        // Snow asks for a static key even where the pattern has none, and does not use it then.
        let fixed = ours.unwrap_or(&ephemeral).clone();
        let resolver =
            Resolver { suite, next: RefCell::new([Some(ephemeral), Some(fixed)].into()) };
        let mut builder = Builder::with_resolver(name.parse()?, Box::new(resolver));
        builder = builder.prologue(prologue)?;
        if ours.is_some() {
            builder = builder.local_private_key(&[0; 32])?;
        }
        if let Some(theirs) = theirs {
            builder = builder.remote_public_key(theirs)?;
        }
        for (position, psk) in psks {
            builder = builder.psk(*position, psk)?;
        }
        match role {
            Role::Initiator => builder.build_initiator(),
            Role::Responder => builder.build_responder(),
        }
        .map(Self)
    }

    /// What snow makes of the handshake, for vectors that go on with transport messages.
    pub(super) fn into_inner(self) -> HandshakeState {
        self.0
    }
}

impl std::fmt::Debug for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Noise")
    }
}

/// What a live handshake of a suite is called.
const fn live(suite: Suite) -> &'static str {
    match suite {
        Suite::ChaCha20Poly1305 => "Noise_IKpsk0_25519_ChaChaPoly_SHA256",
        Suite::Aes256Gcm => "Noise_IKpsk0_25519_AESGCM_SHA256",
        Suite::HybridChaCha20Poly1305 => "Noise_IKpsk0+psk2_25519_ChaChaPoly_SHA256",
        Suite::HybridAes256Gcm => "Noise_IKpsk0+psk2_25519_AESGCM_SHA256",
    }
}

/// What a letter of a suite is called, if it has any: nobody answers, so a second key has no place.
const fn letter(suite: Suite) -> Option<&'static str> {
    match suite {
        Suite::ChaCha20Poly1305 => Some("Noise_Xpsk0_25519_ChaChaPoly_SHA256"),
        Suite::Aes256Gcm => Some("Noise_Xpsk0_25519_AESGCM_SHA256"),
        Suite::HybridChaCha20Poly1305 | Suite::HybridAes256Gcm => None,
    }
}

/// Where the pattern of a hybrid suite has its second pre-shared key.
const SECOND_PSK: usize = 2;

/// Hands out our keys in the order in which snow asks: the static one, then the ephemeral one.
struct Resolver {
    suite: Suite,
    next: RefCell<Vec<Option<DhKey>>>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn NoiseRandom>> {
        Some(Box::new(NoRandom))
    }

    fn resolve_dh(&self, _choice: &DHChoice) -> Option<Box<dyn Dh>> {
        let key = self.next.borrow_mut().pop().flatten()?;
        Some(Box::new(LoadedDh(key)))
    }

    fn resolve_hash(&self, _choice: &HashChoice) -> Option<Box<dyn Hash>> {
        Some(Box::new(Sha256(digest::Context::new(&digest::SHA256))))
    }

    fn resolve_cipher(&self, _choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::new(NoiseCipher { suite: self.suite, key: AeadKey::new(self.suite, &[0; 32])? }))
    }
}

/// All keys are made by us, so a request for randomness is a mistake and fails.
struct NoRandom;

impl NoiseRandom for NoRandom {
    fn try_fill_bytes(&mut self, _dest: &mut [u8]) -> Result<(), snow::Error> {
        Err(snow::Error::Rng)
    }
}

struct LoadedDh(DhKey);

impl Dh for LoadedDh {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, _privkey: &[u8]) {}

    fn generate(&mut self, _rng: &mut dyn NoiseRandom) -> Result<(), snow::Error> {
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.0.public()
    }

    fn privkey(&self) -> &[u8] {
        &[]
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public = pubkey.first_chunk::<32>().ok_or(snow::Error::Dh)?;
        let shared = self.0.agree(public).map_err(|_| snow::Error::Dh)?;
        out.get_mut(..32).ok_or(snow::Error::Dh)?.copy_from_slice(&*shared);
        Ok(())
    }
}

struct Sha256(digest::Context);

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = digest::Context::new(&digest::SHA256);
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        for (to, from) in out.iter_mut().zip(self.0.clone().finish().as_ref()) {
            *to = *from;
        }
    }
}

struct NoiseCipher {
    suite: Suite,
    key: AeadKey,
}

impl NoiseCipher {
    /// Noise counts little-endian for ChaCha20-Poly1305 and big-endian for AES-GCM.
    fn nonce(&self, counter: u64) -> [u8; 12] {
        let counter = match self.suite.cipher() {
            SuiteCipher::ChaCha20Poly1305 => counter.to_le_bytes(),
            SuiteCipher::Aes256Gcm => counter.to_be_bytes(),
        };
        let mut nonce = [0; 12];
        for (to, from) in nonce.iter_mut().skip(4).zip(counter) {
            *to = from;
        }
        nonce
    }
}

impl Cipher for NoiseCipher {
    fn name(&self) -> &'static str {
        match self.suite.cipher() {
            SuiteCipher::ChaCha20Poly1305 => "ChaChaPoly",
            SuiteCipher::Aes256Gcm => "AESGCM",
        }
    }

    fn set(&mut self, key: &[u8; 32]) {
        if let Some(key) = AeadKey::new(self.suite, key) {
            self.key = key;
        }
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let Some((text, rest)) = out.split_at_mut_checked(plaintext.len()) else { return 0 };
        let Some(room) = rest.first_chunk_mut::<TAG_BYTES>() else { return 0 };
        text.copy_from_slice(plaintext);
        let Ok(tag) = self.key.seal(self.nonce(nonce), authtext, text) else { return 0 };
        *room = tag;
        plaintext.len() + TAG_BYTES
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        let mut bytes = Zeroizing::new(ciphertext.to_vec());
        let plain = self
            .key
            .open(self.nonce(nonce), authtext, &mut bytes)
            .map_err(|_| snow::Error::Decrypt)?;
        out.get_mut(..plain.len()).ok_or(snow::Error::Decrypt)?.copy_from_slice(plain);
        Ok(plain.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(suite: Suite, psk_of_responder: [u8; 32]) -> (Noise, Noise) {
        let a = DhKey::from_secret(&[1; 32]).unwrap();
        let b = DhKey::from_secret(&[2; 32]).unwrap();
        let e = |byte| DhKey::from_secret(&[byte; 32]).unwrap();
        let one =
            Noise::new(Role::Initiator, suite, &a, e(3), Some(b.public()), &[9; 32], b"p").unwrap();
        let two =
            Noise::new(Role::Responder, suite, &b, e(4), None, &psk_of_responder, b"p").unwrap();
        (one, two)
    }

    #[test]
    fn both_sides_end_with_the_same_keys_and_hash() {
        for suite in Suite::ALL {
            let (mut a, mut b) = pair(suite, [9; 32]);
            for side in [&mut a, &mut b] {
                side.set_second_psk(&[7; 32]).unwrap();
            }
            let first = a.write(b"hello").unwrap();
            assert_eq!(&first[..32], DhKey::from_secret(&[3; 32]).unwrap().public());
            assert_eq!(**b.read(&first).unwrap(), *b"hello");
            assert_eq!(b.remote_static().unwrap(), *DhKey::from_secret(&[1; 32]).unwrap().public());
            let second = b.write(b"welcome").unwrap();
            assert_eq!(**a.read(&second).unwrap(), *b"welcome");
            assert_eq!(a.hash(), b.hash());
            assert_eq!(*a.split().unwrap(), *b.split().unwrap());
        }
    }

    #[test]
    fn an_altered_answer_is_refused_and_the_genuine_one_still_read() {
        let (mut a, mut b) = pair(Suite::Aes256Gcm, [9; 32]);
        b.read(&a.write(b"").unwrap()).unwrap();
        let genuine = b.write(b"yes").unwrap();
        let mut altered = genuine.clone();
        altered[40] ^= 1;
        assert_eq!(a.read(&altered).unwrap_err(), NoiseError::Refused);
        assert_eq!(**a.read(&genuine).unwrap(), *b"yes");
    }

    #[test]
    fn another_pre_shared_key_is_refused() {
        let (mut a, mut b) = pair(Suite::ChaCha20Poly1305, [8; 32]);
        assert_eq!(b.read(&a.write(b"").unwrap()).unwrap_err(), NoiseError::Refused);
    }

    #[test]
    fn another_second_key_is_refused_and_the_right_one_can_follow() {
        let (mut a, mut b) = pair(Suite::HybridAes256Gcm, [9; 32]);
        b.read(&a.write(b"").unwrap()).unwrap();
        assert_eq!(b.write(b"yes").unwrap_err(), NoiseError::OutOfOrder, "none is set yet");
        b.set_second_psk(&[7; 32]).unwrap();
        let second = b.write(b"yes").unwrap();
        a.set_second_psk(&[6; 32]).unwrap();
        assert_eq!(a.read(&second).unwrap_err(), NoiseError::Refused);
        a.set_second_psk(&[7; 32]).unwrap();
        assert_eq!(**a.read(&second).unwrap(), *b"yes");
    }

    #[test]
    fn an_unfinished_handshake_gives_no_keys() {
        let (a, _) = pair(Suite::ChaCha20Poly1305, [9; 32]);
        assert_eq!(a.split().unwrap_err(), NoiseError::OutOfOrder);
    }
}
