//! The primitives, each behind the narrowest door that the protocol needs.
//!
//! X25519, AEADs and SHA-256 come from aws-lc-rs, ML-KEM from libcrux, keyed hashing and key derivation
//! from BLAKE3, the handshake patterns from snow. Nothing here knows packets or peers, and nothing draws
//! randomness from the system: all of it comes from a [`Random`] that the caller seeded.

mod aead;
mod dh;
mod hash;
mod kem;
mod noise;
#[cfg(test)]
mod noise_vectors_tests;
mod random;
mod suite;

pub use aead::{AeadKey, TAG_BYTES};
pub use dh::{DhError, DhKey};
pub use hash::{Mask, derive, keyed, keyed_prefix};
pub use kem::{
    CIPHERTEXT_BYTES, DecapsulationKey, ENCAPSULATION_KEY_BYTES, EncapsulationKey, KemError,
    SEED_BYTES,
};
pub use noise::{Noise, NoiseError, Role};
pub use random::Random;
pub use suite::{Cipher, Suite, Suites};
