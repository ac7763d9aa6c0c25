//! The short name under which an identity is looked up.
//!
//! Knows nothing about who stores what. Invariant: nothing is ever *authenticated* by a node id;
//! whoever finds a record under an id checks the key and the signature in it.

use std::fmt;
use std::str::FromStr;

use sha1::{Digest, Sha1};

use crate::key::PublicKey;

/// SHA-1 of a public key and `egtp2`: also the target of its record in the BitTorrent DHT.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId([u8; 20]);

impl NodeId {
    /// The id of a key.
    pub fn of(key: &PublicKey) -> Self {
        Self(mutable_item_target(key.as_bytes(), SALT))
    }

    /// Takes the 20 bytes of an id, as another node sent them. Every value is an id.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    /// Reads 40 hexadecimal digits in small letters.
    ///
    /// # Errors
    /// [`NodeIdError`] for everything else: copy the id again.
    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NodeIdError) };
        let pairs: &[[u8; 2]; 20] = pairs.try_into().map_err(|_| NodeIdError)?;
        let mut bytes = [0_u8; 20];
        for (slot, [high, low]) in bytes.iter_mut().zip(pairs) {
            *slot = (digit(*high)? << 4) | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

/// The text is no node id. Copy it again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a node id has 40 digits from 0-9 and a-f; copy the whole id again")]
pub struct NodeIdError;

fn digit(character: u8) -> Result<u8, NodeIdError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(NodeIdError),
    }
}

/// The only use of SHA-1, and why it is fine: the DHT demands it, and we only *find* records by it.
/// Two keys with one id could only be made by one attacker for himself (a collision); a second key
/// for somebody else's id would need 2^160 tries, and even that key could sign only its own records.
fn mutable_item_target(public_key: &[u8; 32], salt: &[u8]) -> [u8; 20] {
    Sha1::new().chain_update(public_key).chain_update(salt).finalize().into()
}

/// The fixed string that separates our ids from all other uses of the same key.
const SALT: &[u8] = b"egtp2";

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of both mutable items in the test vectors of BEP 44.
    const KEY: [u8; 32] = [
        0x77, 0xff, 0x84, 0x90, 0x5a, 0x91, 0x93, 0x63, 0x67, 0xc0, 0x13, 0x60, 0x80, 0x31, 0x04,
        0xf9, 0x24, 0x32, 0xfc, 0xd9, 0x04, 0xa4, 0x35, 0x11, 0x87, 0x6d, 0xf5, 0xcd, 0xf3, 0xe7,
        0xe5, 0x48,
    ];

    /// Proves ID-1.
    #[test]
    fn targets_are_those_of_bep_44() {
        for (salt, target) in [
            (&b""[..], "4a533d47ec9c7d95b1ad75f576cffc641853b750"),
            (b"foobar", "411eba73b6f087ca51a3795d9c8c938d365e32c1"),
        ] {
            assert_eq!(NodeId(mutable_item_target(&KEY, salt)).to_string(), target);
        }
    }

    #[test]
    fn id_1_a_node_id_is_the_hash_of_key_and_fixed_string() {
        let key = PublicKey::from_bytes(KEY).unwrap();
        let together = [&KEY[..], b"egtp2"].concat();
        assert_eq!(key.node_id().as_bytes()[..], Sha1::digest(together)[..]);
    }

    /// Proves I-3.
    #[test]
    fn a_node_id_has_one_text() {
        let id = PublicKey::from_bytes(KEY).unwrap().node_id();
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        let first = char::from(text.as_bytes()[0]);
        let wrong =
            [text.trim_start_matches(first), &text.to_uppercase(), &format!("{text}0"), "", "xy"];
        for wrong in wrong.into_iter().filter(|wrong| *wrong != text) {
            assert_eq!(wrong.parse::<NodeId>(), Err(NodeIdError), "{wrong}");
        }
    }
}
