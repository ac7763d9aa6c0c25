//! Sealing and opening in place.
//!
//! Knows keys and nonces, not who chose them: that a nonce is never used twice is the session's
//! business. Invariant: a failed opening returns nothing of the plaintext.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;

use super::{Cipher, Suite};

/// How many bytes sealing adds.
pub const TAG_BYTES: usize = 16;

/// An expanded key, ready to seal or to open.
pub struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Expands a 32-byte key for the cipher of `suite`. `None` only if the library refuses the key, which it
    /// does not for 32 bytes.
    pub fn new(suite: Suite, key: &[u8; 32]) -> Option<Self> {
        let algorithm = match suite.cipher() {
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Cipher::Aes256Gcm => &AES_256_GCM,
        };
        UnboundKey::new(algorithm, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Encrypts `bytes` in place and returns the tag, which also covers `header`.
    ///
    /// # Errors
    /// [`Unspecified`] if `bytes` is longer than the cipher allows (64 GiB).
    pub fn seal(
        &self,
        nonce: [u8; 12],
        header: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Unspecified> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(header), bytes)?;
        <[u8; TAG_BYTES]>::try_from(tag.as_ref()).map_err(|_| Unspecified)
    }

    /// Decrypts `bytes` (ciphertext and tag) in place and returns the plaintext.
    ///
    /// # Errors
    /// [`Unspecified`] if tag, header, key and nonce do not belong together.
    pub fn open<'a>(
        &self,
        nonce: [u8; 12],
        header: &[u8],
        bytes: &'a mut [u8],
    ) -> Result<&'a mut [u8], Unspecified> {
        self.0.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(header), bytes)
    }
}

impl std::fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AeadKey")
    }
}
