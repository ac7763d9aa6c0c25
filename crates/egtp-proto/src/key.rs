//! Who somebody is: an Ed25519 key, and the X25519 key that follows from it.
//!
//! Knows no addresses, no files and no randomness: the caller brings the seed of a new secret key.
//! Invariant: a [`PublicKey`] exists only for a canonical point of prime order, so that two
//! different keys never share a secret and a signature never fits two keys.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::clamp_integer;
use zeroize::Zeroizing;

use crate::key_text::{self, Kind, SECRET_TEXT_BYTES};
use crate::node_id::NodeId;

/// A checked Ed25519 public key: the name of an identity. Its text reads `egtp1…`.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Checks 32 bytes in the encoding of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`] when they are no canonical point of prime order. No honest program
    /// makes such a key: refuse it.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let point = CompressedEdwardsY(bytes).decompress().ok_or(KeyError::NotAKey)?;
        let key = Self::from_point(&point)?;
        // The curve library also reads a y of the field size or more, and a "negative zero" x.
        if key.0 == bytes { Ok(key) } else { Err(KeyError::NotAKey) }
    }

    /// Finds the Ed25519 key again from its X25519 form and from [`PublicKey::sign_bit`].
    ///
    /// # Errors
    /// [`KeyError::NotAKey`] when `u` is not canonical or lies on the twist, when `sign` is above 1,
    /// or when the point has not prime order. The sender is not honest: refuse it.
    pub fn from_x25519(u: &[u8; 32], sign: u8) -> Result<Self, KeyError> {
        if sign > 1 {
            return Err(KeyError::NotAKey);
        }
        let point = MontgomeryPoint(*u).to_edwards(sign).ok_or(KeyError::NotAKey)?;
        let key = Self::from_point(&point)?;
        if point.to_montgomery().0 == *u && key.sign_bit() == sign {
            Ok(key)
        } else {
            Err(KeyError::NotAKey)
        }
    }

    /// The 32 bytes of RFC 8032, which transcripts and records contain.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The X25519 public key of the same identity (the Montgomery u coordinate).
    pub fn to_x25519(&self) -> [u8; 32] {
        let point = CompressedEdwardsY(self.0).decompress();
        // A checked key always decompresses. Were it not so, zero is the key with which every
        // key agreement is refused.
        point.map_or([0; 32], |point| point.to_montgomery().0)
    }

    /// The sign that the X25519 form lost: the top bit of the last byte, 0 or 1.
    pub const fn sign_bit(&self) -> u8 {
        let [.., last] = self.0;
        last >> 7
    }

    /// The id under which this key is looked up.
    pub fn node_id(&self) -> NodeId {
        NodeId::of(self)
    }

    /// Checks an Ed25519 signature over `message`.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`]: the message is not from this key, or was changed. Drop it.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .map_err(|_| KeyError::BadSignature)
    }

    /// The first characters of the text, for logs. Not enough to tell an attacker's key apart.
    pub const fn short(&self) -> ShortKey {
        ShortKey(*self)
    }

    fn from_point(point: &EdwardsPoint) -> Result<Self, KeyError> {
        // The neutral point has no torsion but small order, so both questions are needed.
        if point.is_small_order() || !point.is_torsion_free() {
            return Err(KeyError::NotAKey);
        }
        Ok(Self(point.compress().0))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        key_text::write(Kind::Public, &self.0, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads `egtp1…`.
    ///
    /// # Errors
    /// Every [`KeyError`] of a text: it says what to copy instead.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(*key_text::read(Kind::Public, text)?)
    }
}

/// The beginning of a key's text, made by [`PublicKey::short`].
#[derive(Clone, Copy)]
pub struct ShortKey(PublicKey);

impl fmt::Display for ShortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.SHORT_CHARACTERS$}", self.0.to_string())
    }
}

impl fmt::Debug for ShortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secret of an identity. Wiped when dropped, and shown by nothing but [`SecretKey::to_text`].
///
/// It is deliberately not `Clone`: who needs it twice shares it in an `Arc`.
pub struct SecretKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SecretKey {
    /// Takes 32 bytes, which for a new key must come from the system's random generator.
    ///
    /// Panics only if memory is exhausted.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()) else {
            // The length is right, so only an allocation inside can have failed.
            unreachable!("no memory for a key");
        };
        let public = PublicKey(EdwardsPoint::mul_base_clamped(*scalar(&seed)).compress().0);
        Self { seed, pair, public }
    }

    /// The key that others know.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs with Ed25519. The caller makes sure that no other kind of message reads the same.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(message);
        // Always 64 bytes. Were it not so, zeros are a signature that nobody accepts.
        signature.as_ref().try_into().unwrap_or([0; 64])
    }

    /// The X25519 secret of the same identity, clamped.
    pub fn x25519_secret(&self) -> Zeroizing<[u8; 32]> {
        scalar(&self.seed)
    }

    /// The text `egtp-secret-1…`, for a key file that only its owner can read.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SECRET_TEXT_BYTES));
        // Writing into a string cannot fail.
        let _infallible = key_text::write(Kind::Secret, &self.seed, &mut *text);
        text
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    /// Reads `egtp-secret-1…`.
    ///
    /// # Errors
    /// Every [`KeyError`] of a text: it says what to copy instead, and never shows the text.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self::from_seed(*key_text::read(Kind::Secret, text)?))
    }
}

/// Why something is no key, or not from this key. The same input never becomes right.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are no canonical point of prime order. Refuse whoever sent them.
    #[error("these bytes are no usable public key; ask its owner for the key again")]
    NotAKey,
    /// The signature does not fit. Drop what it was to protect.
    #[error("the signature does not fit: the text was changed or is from somebody else")]
    BadSignature,
    /// The text is damaged. Copy it again.
    #[error("a character of the key is wrong or missing; copy the whole key again")]
    Mistyped,
    /// The text is no key at all.
    #[error("not a key: a public key begins with egtp1, a secret key with egtp-secret-1")]
    WrongPrefix,
    /// A secret key where a public one belongs. It should not have left its file.
    #[error("this is a secret key, where a public key (egtp1...) belongs; show it to nobody")]
    SecretGiven,
    /// A public key where a secret one belongs.
    #[error("this is a public key, where a secret key (egtp-secret-1...) belongs")]
    PublicGiven,
}

/// The scalar of RFC 8032: the first half of the hash of the seed, clamped.
fn scalar(seed: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut hash = digest(&SHA512, seed);
    let mut bytes = Zeroizing::new([0_u8; 32]);
    for (slot, byte) in bytes.iter_mut().zip(hash.as_ref()) {
        *slot = *byte;
    }
    *bytes = clamp_integer(*bytes);
    // The library gives no way to wipe a hash; overwriting it is the best that is left.
    hash = digest(&SHA512, &[]);
    black_box(&hash);
    bytes
}

/// `egtp1` and forty bits.
const SHORT_CHARACTERS: usize = 13;
