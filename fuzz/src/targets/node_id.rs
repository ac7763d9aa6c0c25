//! Any text as a node id: what is accepted prints as the same text. Any 20 bytes are one.

use egtp_proto::{NodeId, SecretKey};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(id) = text.parse::<NodeId>()
    {
        assert_eq!(id.to_string(), text);
    }
    if let Some(bytes) = data.first_chunk() {
        let id = NodeId::from_bytes(*bytes);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

/// The id of a key, as text and as bytes.
pub fn seeds() -> Vec<Seed> {
    let id = SecretKey::from_seed([1; 32]).public().node_id();
    vec![("bytes", id.as_bytes().to_vec()), ("text", id.to_string().into_bytes())]
}
