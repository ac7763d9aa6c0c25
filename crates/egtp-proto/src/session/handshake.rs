//! The live handshake: `IKpsk0` bound to a prekey of the responder's present life, and with a hybrid
//! suite `IKpsk0+psk2`, whose second key comes from ML-KEM.
//!
//! Makes and reads the two messages, given keys and payloads; knows no tables, budgets or paths.
//! Invariant: both sides hash header, target and the responder's Ed25519 key, so that a first
//! flight means one thing to one identity.

use zeroize::Zeroizing;

use crate::card::{LiveCard, PrekeyCard};
use crate::crypto::{
    CIPHERTEXT_BYTES, DecapsulationKey, DhKey, ENCAPSULATION_KEY_BYTES, EncapsulationKey, Noise,
    NoiseError, Random, Role, Suite, derive,
};
use crate::key::{KeyError, PublicKey, SecretKey};
use crate::limits::{HANDSHAKE_PAYLOAD_MAX, INI_BYTES_MIN, INI_BYTES_MIN_HYBRID};
use crate::wire::packet::Ini;
use crate::wire::{Header, Reader, VERSION, WireError, Writer};

/// Our identity in the form that handshakes use.
pub struct LocalKeys {
    /// The public key.
    pub public: PublicKey,
    /// The X25519 pair that follows from it.
    pub dh: DhKey,
    /// The first bytes of the node id, which first flights name us by.
    pub target: [u8; 8],
}

impl LocalKeys {
    /// Derives them. `None` only if the library refuses the key.
    pub fn new(secret: &SecretKey) -> Option<Self> {
        let public = secret.public();
        let dh = DhKey::from_secret(&secret.x25519_secret()).ok()?;
        Some(Self { public, dh, target: target(&public) })
    }
}

/// The first eight bytes of a key's node id.
pub fn target(key: &PublicKey) -> [u8; 8] {
    key.node_id().as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Why a handshake message was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HandshakeError {
    /// The Noise message does not authenticate.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// It authenticates, but its payload is not what it should be.
    #[error("the handshake's payload is damaged: {0}")]
    Payload(#[from] WireError),
    /// The initiator's key is not an identity.
    #[error("the initiator's key is not an identity")]
    Key(#[from] KeyError),
    /// A key agreement was refused.
    #[error("a key agreement was refused")]
    Agreement,
}

/// What the initiator says about itself in its first flight.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    /// Whether it can be called: a *client* cannot.
    pub client: bool,
    /// Its live card.
    pub card: LiveCard,
    /// The sequence number of its newest contact; 0: none.
    pub contact_sequence: u64,
}

/// What the responder says inside its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Welcome {
    /// Its id for the session.
    pub session: u32,
    /// Whether it is a client.
    pub client: bool,
    /// Its live card.
    pub card: LiveCard,
    /// The suites it takes, in order of preference.
    pub suites: Vec<u8>,
    /// The sequence number of its newest contact; 0: none.
    pub contact_sequence: u64,
}

/// Root and handshake hash of a finished handshake.
pub type Root = (Zeroizing<[u8; 32]>, [u8; 32]);

/// The initiator's side between first flight and answer.
#[derive(Debug)]
pub struct Initiator {
    noise: Noise,
    /// With a hybrid suite.
    kem: Option<DecapsulationKey>,
}

impl Initiator {
    /// Writes the first message. Returns the pending side and the Noise message without its
    /// ephemeral key. `ini` is the header that the packet will carry. Draws from `random` only for a
    /// hybrid suite.
    ///
    /// # Errors
    /// [`HandshakeError::Agreement`] if the prekey is of small order.
    pub fn start(
        local: &LocalKeys,
        (remote, prekey): (&PublicKey, &PrekeyCard),
        (suite, ini): (Suite, &Header),
        ephemeral: DhKey,
        (hello, frames): (&Hello, &[u8]),
        random: &mut Random,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let shared = ephemeral.agree(&prekey.key).map_err(|_| HandshakeError::Agreement)?;
        let psk = psk(&shared, ephemeral.public(), prekey.id, &prekey.key);
        let mut noise = Noise::new(
            Role::Initiator,
            suite,
            &local.dh,
            ephemeral,
            Some(&remote.to_x25519()),
            &psk,
            &prologue(ini, remote),
        )?;
        let kem = suite.is_hybrid().then(|| DecapsulationKey::from_seed(random.bytes()));
        let (key, least): (&[u8], usize) = match &kem {
            Some(kem) => (kem.encapsulation_key(), INI_BYTES_MIN_HYBRID),
            None => (&[], INI_BYTES_MIN),
        };
        let mut payload = Zeroizing::new(Vec::with_capacity(128 + key.len() + frames.len()));
        payload.put(key);
        payload.put_u8(local.public.sign_bit());
        payload.put_u8(u8::from(hello.client));
        hello.card.encode(&mut payload);
        payload.put_u64(hello.contact_sequence);
        payload.put(frames);
        // Padding frames are zero bytes: up to the shortest first flight.
        let padded = payload.len().max(least - Ini::packet_bytes(SEALING_BYTES));
        payload.resize(padded, 0);
        let message = noise.write(&payload)?;
        let rest = message.get(32..).unwrap_or_default().to_vec();
        Ok((Self { noise, kem }, rest))
    }

    /// Reads the answer: the responder's ephemeral key, and the rest of its packet. A refused one changes
    /// nothing: the genuine one is still welcome.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn read(
        &mut self,
        ephemeral: &[u8; 32],
        rest: &[u8],
    ) -> Result<(Welcome, Zeroizing<Vec<u8>>), HandshakeError> {
        let rest = match &self.kem {
            Some(kem) => {
                let (ciphertext, rest) =
                    rest.split_first_chunk::<CIPHERTEXT_BYTES>().ok_or(WireError::Truncated)?;
                // A broken ciphertext gives another key, with which the message does not open.
                let shared = kem.decapsulate(ciphertext);
                let psk = kem_psk(&shared, ciphertext, kem.encapsulation_key());
                self.noise.set_second_psk(&psk)?;
                rest
            }
            None => rest,
        };
        bound(rest)?;
        let payload = self.noise.read(&[&ephemeral[..], rest].concat())?;
        let mut reader = Reader::new(&payload);
        let session = reader.u32()?;
        let client = flag(&mut reader)?;
        let card = LiveCard::decode(&mut reader)?;
        let suites = reader.prefixed(SUITES_MAX)?.to_vec();
        let contact_sequence = reader.u64()?;
        let frames = Zeroizing::new(reader.take_rest().to_vec());
        Ok((Welcome { session, client, card, suites, contact_sequence }, frames))
    }

    /// The session's root, after [`Initiator::read`] succeeded.
    ///
    /// # Errors
    /// [`HandshakeError::Noise`] before that.
    pub fn finish(self) -> Result<Root, HandshakeError> {
        root(self.noise)
    }
}

/// What a first flight brought.
pub struct FirstFlight {
    /// Who sent it.
    pub remote: PublicKey,
    /// What the sender says about itself.
    pub hello: Hello,
    /// Its frames.
    pub frames: Zeroizing<Vec<u8>>,
}

/// The responder's side between first flight and answer.
#[derive(Debug)]
pub struct Responder {
    noise: Noise,
    ephemeral: [u8; 32],
    /// The initiator's, with a hybrid suite.
    kem: Option<EncapsulationKey>,
}

impl Responder {
    /// Reads a first flight: who it is from, what it says, and its frames.
    ///
    /// # Errors
    /// [`HandshakeError`]; nothing may be remembered of the flight then.
    pub fn read(
        local: &LocalKeys,
        (prekey_id, prekey): (u32, &DhKey),
        (suite, ini): (Suite, &Header),
        remote_ephemeral: &[u8; 32],
        rest: &[u8],
        ephemeral: DhKey,
    ) -> Result<(Self, FirstFlight), HandshakeError> {
        bound(rest)?;
        let shared = prekey.agree(remote_ephemeral).map_err(|_| HandshakeError::Agreement)?;
        let psk = psk(&shared, remote_ephemeral, prekey_id, prekey.public());
        let public = *ephemeral.public();
        let mut noise = Noise::new(
            Role::Responder,
            suite,
            &local.dh,
            ephemeral,
            None,
            &psk,
            &prologue(ini, &local.public),
        )?;
        let payload = noise.read(&[&remote_ephemeral[..], rest].concat())?;
        let mut reader = Reader::new(&payload);
        let kem = if suite.is_hybrid() {
            let key = reader.array::<ENCAPSULATION_KEY_BYTES>()?;
            Some(EncapsulationKey::from_bytes(&key).map_err(|_| HandshakeError::Agreement)?)
        } else {
            None
        };
        let sign = reader.u8()?;
        let remote = noise.remote_static().ok_or(NoiseError::OutOfOrder)?;
        let remote = PublicKey::from_x25519(&remote, sign)?;
        let client = flag(&mut reader)?;
        let card = LiveCard::decode(&mut reader)?;
        let contact_sequence = reader.u64()?;
        let frames = Zeroizing::new(reader.take_rest().to_vec());
        let hello = Hello { client, card, contact_sequence };
        Ok((Self { noise, ephemeral: public, kem }, FirstFlight { remote, hello, frames }))
    }

    /// Writes the answer: our ephemeral key, the rest of the packet's body, and the session's root. Draws
    /// from `random` only for a hybrid suite.
    ///
    /// # Errors
    /// [`HandshakeError::Noise`] if the payload is too long.
    pub fn finish(
        mut self,
        welcome: &Welcome,
        frames: &[u8],
        random: &mut Random,
    ) -> Result<([u8; 32], Vec<u8>, Root), HandshakeError> {
        let mut rest = Vec::new();
        if let Some(key) = &self.kem {
            let (ciphertext, shared) = key.encapsulate(random.bytes());
            let psk = kem_psk(&shared, &ciphertext, key.as_bytes());
            self.noise.set_second_psk(&psk)?;
            rest.extend_from_slice(&ciphertext);
        }
        let mut payload = Zeroizing::new(Vec::with_capacity(128 + frames.len()));
        payload.put_u32(welcome.session);
        payload.put_u8(u8::from(welcome.client));
        welcome.card.encode(&mut payload);
        payload.put_prefixed(&welcome.suites);
        payload.put_u64(welcome.contact_sequence);
        payload.put(frames);
        let message = self.noise.write(&payload)?;
        rest.extend_from_slice(message.get(32..).unwrap_or_default());
        Ok((self.ephemeral, rest, root(self.noise)?))
    }
}

/// Bytes that sealing adds to a first flight's payload: the static key and two tags.
const SEALING_BYTES: usize = 64;

/// Suites that a list may name.
pub const SUITES_MAX: usize = 16;

/// A payload of at most 32 KiB, sealed.
fn bound(noise: &[u8]) -> Result<(), WireError> {
    let fits = noise.len() <= HANDSHAKE_PAYLOAD_MAX + SEALING_BYTES;
    if fits { Ok(()) } else { Err(WireError::TooLarge) }
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, WireError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::Forbidden),
    }
}

/// What both sides hash before the first message. Cookie and puzzle are left out: a first flight
/// stays the same transmission when it is repeated with one.
fn prologue(ini: &Header, responder: &PublicKey) -> Vec<u8> {
    let header = match *ini {
        Header::Ini { suite, initiator_session, prekey, .. } => Header::Ini {
            version: VERSION,
            suite,
            initiator_session,
            prekey,
            cookie: false,
            puzzle: false,
        },
        other => other,
    };
    [&b"EGTP2 live"[..], &header.encode(), &target(responder), responder.as_bytes()].concat()
}

fn psk(shared: &[u8; 32], ephemeral: &[u8; 32], id: u32, prekey: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    derive("prekey", &[shared, ephemeral, prekey, &id.to_le_bytes()])
}

/// What a hybrid suite mixes in at the end of the second message. Key and ciphertext enter it, so that it
/// belongs to this handshake alone.
fn kem_psk(
    shared: &[u8; 32],
    ciphertext: &[u8; CIPHERTEXT_BYTES],
    key: &[u8; ENCAPSULATION_KEY_BYTES],
) -> Zeroizing<[u8; 32]> {
    derive("kem", &[shared, ciphertext, key])
}

fn root(noise: Noise) -> Result<Root, HandshakeError> {
    let hash = noise.hash();
    let [forth, back] = &*noise.split()?;
    Ok((derive("root", &[forth, back, &hash]), hash))
}
