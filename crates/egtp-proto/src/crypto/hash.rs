//! Key derivation and keyed hashing: BLAKE3, with one context string for each purpose.
//!
//! Invariant: no two purposes share a context, so no value made for one can stand in for another.

use zeroize::Zeroizing;

/// A 32-byte key for `purpose` from the concatenation of `parts`.
///
/// Callers keep the concatenation unambiguous: every part but the last has a fixed length.
pub fn derive(purpose: &str, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut context = String::from("EGTP v2 2026 ");
    context.push_str(purpose);
    let mut hasher = blake3::Hasher::new_derive_key(&context);
    for part in parts {
        hasher.update(part);
    }
    Zeroizing::new(*hasher.finalize().as_bytes())
}

/// The keyed hash of the concatenation of `parts`.
pub fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// The first `N` (at most 32) bytes of the keyed hash.
pub fn keyed_prefix<const N: usize>(key: &[u8; 32], parts: &[&[u8]]) -> [u8; N] {
    let mut prefix = [0; N];
    for (to, from) in prefix.iter_mut().zip(keyed(key, parts)) {
        *to = from;
    }
    prefix
}

/// An endless pad, applied by exclusive or. The first 64 bytes cost one hash.
pub struct Mask(blake3::OutputReader);

impl Mask {
    /// The pad that belongs to `key` and `input`.
    pub fn new(key: &[u8; 32], input: &[u8]) -> Self {
        Self(blake3::Hasher::new_keyed(key).update(input).finalize_xof())
    }

    /// Masks or unmasks `bytes` with the next part of the pad.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        let mut pad = [0; 64];
        for chunk in bytes.chunks_mut(pad.len()) {
            let pad = pad.get_mut(..chunk.len()).unwrap_or_default();
            self.0.fill(pad);
            for (byte, pad) in chunk.iter_mut().zip(pad) {
                *byte ^= *pad;
            }
        }
    }
}
