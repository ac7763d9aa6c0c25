//! Any text as a public and as a secret key: what is accepted has one text, in small letters or
//! all in capitals. Any 32 bytes as a key: what is accepted has one text that reads back, and one
//! X25519 form.

use egtp_proto::{PublicKey, SecretKey};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        if let Ok(key) = text.parse::<PublicKey>() {
            assert_eq!(key.to_string(), text.to_ascii_lowercase());
            assert!(text.to_ascii_uppercase() == text || text.to_ascii_lowercase() == text);
        }
        if let Ok(key) = text.parse::<SecretKey>() {
            assert_eq!(*key.to_text(), text.to_ascii_lowercase());
        }
    }
    if let Some(bytes) = data.first_chunk()
        && let Ok(key) = PublicKey::from_bytes(*bytes)
    {
        assert_eq!(key.as_bytes(), bytes);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(PublicKey::from_x25519(&key.to_x25519(), key.sign_bit()), Ok(key));
    }
}

/// Both texts, one of them in capitals, and a key's bytes.
pub fn seeds() -> Vec<Seed> {
    let secret = SecretKey::from_seed([1; 32]);
    let public = secret.public();
    vec![
        ("bytes", public.as_bytes().to_vec()),
        ("capitals", public.to_string().to_ascii_uppercase().into_bytes()),
        ("public", public.to_string().into_bytes()),
        ("secret", secret.to_text().as_bytes().to_vec()),
    ]
}
