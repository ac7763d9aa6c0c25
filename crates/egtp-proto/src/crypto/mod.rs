//! The primitives, each behind the narrowest door that the protocol needs.
//!
//! X25519, AEADs and SHA-256 come from aws-lc-rs, keyed hashing and key derivation from BLAKE3, the
//! handshake patterns from snow. Nothing here knows packets or peers, and nothing draws randomness
//! from the system: all of it comes from a [`Random`] that the caller seeded.

mod aead;
mod dh;
mod hash;
mod noise;
#[cfg(test)]
mod noise_vectors_tests;
mod random;

pub use aead::{AeadKey, Suite, TAG_BYTES};
pub use dh::{DhError, DhKey};
pub use hash::{Mask, derive, keyed, keyed_prefix};
pub use noise::{Noise, NoiseError, Role};
pub use random::Random;
