//! What a stranger sees: uniformly random bytes, whatever the packet.
//!
//! Every packet is masked with a pad made from its receiver's public key and its own last 16 bytes,
//! which are pseudorandom. Four check bytes let a receiver drop junk after one keyed hash;
//! handshakes also carry a MAC under a second derived key. Who does not know the public key can
//! neither make nor recognise a packet; nothing here is an authentication of the sender.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::{Mask, derive, keyed_prefix};
use crate::key::PublicKey;

/// Bytes of the header in front of the check bytes.
pub const HEADER_BYTES: usize = 12;

/// Bytes of header and check together.
pub const PREFIX_BYTES: usize = 16;

/// The two keys that anybody can derive from a public key.
#[derive(Clone)]
pub struct Shroud {
    mask: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
}

impl Shroud {
    /// The shroud of packets to `key` (and of those that `key` sends to somebody unknown).
    pub fn new(key: &PublicKey) -> Self {
        Self { mask: derive("shroud", &[key.as_bytes()]), mac: derive("mac1", &[key.as_bytes()]) }
    }

    /// The 16-byte MAC over `parts`.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 16] {
        keyed_prefix(&self.mac, parts)
    }

    /// Whether `mac` is the MAC over `parts`, in constant time.
    pub fn mac_is(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.mac(parts).ct_eq(mac).into()
    }

    /// The key for cookies that only a receiver who knows our public key can read.
    pub fn cookie_key(&self) -> Zeroizing<[u8; 32]> {
        derive("retry cookie", &[&*self.mac])
    }

    /// Masks the first 16 bytes and `extra` bytes after them. The packet must be complete.
    pub fn cover(&self, packet: &mut [u8], extra: usize) {
        if let Some(check) = packet.get_mut(HEADER_BYTES..PREFIX_BYTES) {
            check.fill(0);
        }
        self.xor(packet, PREFIX_BYTES + extra);
    }

    /// Whether the packet is meant for this key: one keyed hash, nothing is changed.
    pub fn recognises(&self, packet: &[u8]) -> bool {
        self.uncovered_prefix(packet).is_some()
    }

    /// The unmasked header, if the packet is meant for this key. Nothing is changed.
    pub fn uncovered_prefix(&self, packet: &[u8]) -> Option<[u8; HEADER_BYTES]> {
        let mut prefix: [u8; PREFIX_BYTES] = *packet.first_chunk()?;
        let tail: &[u8; 16] = packet.last_chunk()?;
        Mask::new(&self.mask, tail).apply(&mut prefix);
        let [header @ .., a, b, c, d] = prefix;
        (u32::from_le_bytes([a, b, c, d]) == 0).then_some(header)
    }

    /// Unmasks what [`Shroud::cover`] masked.
    pub fn uncover(&self, packet: &mut [u8], extra: usize) {
        self.xor(packet, PREFIX_BYTES + extra);
    }

    fn xor(&self, packet: &mut [u8], count: usize) {
        let Some((head, tail)) = packet.split_last_chunk_mut::<16>() else { return };
        let Some(head) = head.get_mut(..count) else { return };
        Mask::new(&self.mask, tail).apply(head);
    }
}

impl std::fmt::Debug for Shroud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shroud")
    }
}
