//! ML-KEM-768 (FIPS 203): a secret that is not lost when X25519 is broken one day.
//!
//! Key pairs and secrets follow from random bytes that the caller brings. Invariant: nothing is
//! encapsulated to a key with a coefficient out of range; a broken ciphertext is no error but gives
//! another secret, so that nobody learns from it whether it was broken.

use libcrux_ml_kem::mlkem768::{
    self, MlKem768Ciphertext, MlKem768PrivateKey, MlKem768PublicKey, validate_public_key,
};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of an encapsulation key.
pub const ENCAPSULATION_KEY_BYTES: usize = 1184;

/// Bytes of a ciphertext.
pub const CIPHERTEXT_BYTES: usize = 1088;

/// Random bytes that a key pair is made of.
pub const SEED_BYTES: usize = 64;

/// The bytes are no encapsulation key: a coefficient is out of range.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an encapsulation key")]
pub struct KemError;

/// A secret made for one handshake, and the key that belongs to it. Wiped when dropped.
pub struct DecapsulationKey {
    secret: Box<MlKem768PrivateKey>,
    public: [u8; ENCAPSULATION_KEY_BYTES],
}

impl DecapsulationKey {
    /// The pair of a seed that nobody else knows and that is used once.
    pub fn from_seed(seed: [u8; SEED_BYTES]) -> Self {
        let (secret, public) = mlkem768::generate_key_pair(seed).into_parts();
        Self { secret: Box::new(secret), public: public.into() }
    }

    /// What the other side encapsulates to.
    pub const fn encapsulation_key(&self) -> &[u8; ENCAPSULATION_KEY_BYTES] {
        &self.public
    }

    /// The secret inside `ciphertext`; an unguessable other one if it was not made for this key.
    pub fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT_BYTES]) -> Zeroizing<[u8; 32]> {
        let ciphertext = MlKem768Ciphertext::from(ciphertext);
        Zeroizing::new(mlkem768::decapsulate(&self.secret, &ciphertext))
    }
}

impl Drop for DecapsulationKey {
    fn drop(&mut self) {
        self.secret[0..].zeroize();
    }
}

impl std::fmt::Debug for DecapsulationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DecapsulationKey")
    }
}

/// The key of another side.
pub struct EncapsulationKey(Box<MlKem768PublicKey>);

impl EncapsulationKey {
    /// Checks bytes from anywhere.
    ///
    /// # Errors
    /// [`KemError`]: nobody made this key.
    pub fn from_bytes(bytes: &[u8; ENCAPSULATION_KEY_BYTES]) -> Result<Self, KemError> {
        let key = Box::new(MlKem768PublicKey::from(bytes));
        if validate_public_key(&key) { Ok(Self(key)) } else { Err(KemError) }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; ENCAPSULATION_KEY_BYTES] {
        self.0.as_slice()
    }

    /// A ciphertext and the secret inside, from random bytes that are used once.
    pub fn encapsulate(
        &self,
        randomness: [u8; 32],
    ) -> ([u8; CIPHERTEXT_BYTES], Zeroizing<[u8; 32]>) {
        let (ciphertext, secret) = mlkem768::encapsulate(&self.0, randomness);
        (ciphertext.into(), Zeroizing::new(secret))
    }
}

impl std::fmt::Debug for EncapsulationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncapsulationKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_the_same_secret() {
        let key = DecapsulationKey::from_seed([1; 64]);
        let theirs = EncapsulationKey::from_bytes(key.encapsulation_key()).unwrap();
        let (ciphertext, secret) = theirs.encapsulate([2; 32]);
        assert_eq!(key.decapsulate(&ciphertext), secret);
        assert_ne!(theirs.encapsulate([3; 32]).1, secret, "other randomness, another secret");
    }

    /// Proves H-27: implicit rejection.
    #[test]
    fn each_flipped_bit_of_a_ciphertext_gives_another_secret() {
        let key = DecapsulationKey::from_seed([1; 64]);
        let theirs = EncapsulationKey::from_bytes(key.encapsulation_key()).unwrap();
        let (ciphertext, secret) = theirs.encapsulate([2; 32]);
        for bit in 0..CIPHERTEXT_BYTES * 8 {
            let mut broken = ciphertext;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(key.decapsulate(&broken), secret, "bit {bit}");
        }
    }

    #[test]
    fn a_key_with_a_coefficient_out_of_range_is_refused() {
        let mut bytes = *DecapsulationKey::from_seed([1; 64]).encapsulation_key();
        // The first coefficient, twelve bits: the field has 3,329 elements.
        bytes[0] = 0x01;
        bytes[1] = (bytes[1] & 0xf0) | 0x0d;
        assert_eq!(EncapsulationKey::from_bytes(&bytes).unwrap_err(), KemError);
        bytes[0] = 0x00;
        EncapsulationKey::from_bytes(&bytes).unwrap();
    }
}
