//! A key exists only checked, has one text, and is never confused with a secret one.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use egtp_proto::{KeyError, PublicKey, SecretKey};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

/// Proves ID-2: no second encoding of the same point, and no point that shares its secrets.
/// Proves I-1.
#[test]
fn id_2_only_canonical_points_of_prime_order_are_keys() {
    let good = *SecretKey::from_seed([1; 32]).public().as_bytes();
    let point = CompressedEdwardsY(good).decompress().unwrap();
    assert!(PublicKey::from_bytes(good).is_ok());
    for torsion in EIGHT_TORSION {
        let small = torsion.compress().0;
        assert_eq!(PublicKey::from_bytes(small), Err(KeyError::NotAKey));
        let mixed = (point + torsion).compress().0;
        assert_eq!(PublicKey::from_bytes(mixed).is_ok(), mixed == good);
    }
    // y = p + 0 .. p + 18 are second spellings of 0 .. 18.
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            assert_eq!(PublicKey::from_bytes(bytes), Err(KeyError::NotAKey));
        }
    }
    // "Negative zero" x.
    let mut bytes = [0; 32];
    (bytes[0], bytes[31]) = (1, 0x80);
    assert_eq!(PublicKey::from_bytes(bytes), Err(KeyError::NotAKey));
}

/// Proves I-2.
#[test]
fn a_forged_montgomery_form_is_refused() {
    let key = SecretKey::from_seed([1; 32]).public();
    let u = key.to_x25519();
    assert_eq!(PublicKey::from_x25519(&u, 2), Err(KeyError::NotAKey));
    let mut high = u;
    high[31] |= 0x80;
    assert_eq!(PublicKey::from_x25519(&high, key.sign_bit()), Err(KeyError::NotAKey));
    for torsion in EIGHT_TORSION {
        for sign in [0, 1] {
            let small = torsion.to_montgomery().0;
            assert_eq!(PublicKey::from_x25519(&small, sign), Err(KeyError::NotAKey));
        }
    }
    // u = 2 lies on the twist; p + 9 is a second spelling of the base point's u.
    let mut base = [0xff; 32];
    (base[0], base[31]) = (0xed + 9, 0x7f);
    let mut twist = [0; 32];
    twist[0] = 2;
    for sign in [0, 1] {
        assert_eq!(PublicKey::from_x25519(&twist, sign), Err(KeyError::NotAKey));
        assert_eq!(PublicKey::from_x25519(&base, sign), Err(KeyError::NotAKey));
    }
}

#[test]
fn a_secret_shows_itself_only_when_asked_for_its_text() {
    let secret = SecretKey::from_seed([1; 32]);
    let text = secret.to_text();
    assert!(text.starts_with("egtp-secret-1"));
    assert_eq!(format!("{secret:?}"), "SecretKey(..)");
    let public = secret.public().to_string();
    assert!(public.starts_with("egtp1"));
    assert!(public.starts_with(&secret.public().short().to_string()));
}

#[test]
fn public_and_secret_text_are_never_confused() {
    let secret = SecretKey::from_seed([1; 32]);
    let (hidden, shown) = (secret.to_text(), secret.public().to_string());
    assert_eq!(hidden.parse::<PublicKey>(), Err(KeyError::SecretGiven));
    assert_eq!(shown.parse::<SecretKey>().unwrap_err(), KeyError::PublicGiven);
    assert_eq!(shown.to_uppercase().parse(), Ok(secret.public()), "as QR codes prefer it");
    for (text, error) in [
        ("", KeyError::WrongPrefix),
        ("egtp", KeyError::WrongPrefix),
        ("é", KeyError::WrongPrefix),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", KeyError::WrongPrefix),
        ("egtp1", KeyError::Mistyped),
        ("egtp1é", KeyError::Mistyped),
        (&format!("{shown} "), KeyError::Mistyped),
        (&format!("{shown}\n"), KeyError::Mistyped),
        (&shown.replacen('p', "P", 1), KeyError::Mistyped),
        (&"egtp1".repeat(40), KeyError::Mistyped),
    ] {
        assert_eq!(text.parse::<PublicKey>(), Err(error), "{text:?}");
    }
}

/// The two forms of a key must have the same secret behind them, or nobody could answer.
#[test]
fn the_x25519_secret_belongs_to_the_x25519_form() {
    for seed in 0..16 {
        let secret = SecretKey::from_seed([seed; 32]);
        let public = MontgomeryPoint::mul_base_clamped(*secret.x25519_secret()).0;
        assert_eq!(public, secret.public().to_x25519());
        let key = PublicKey::from_x25519(&public, secret.public().sign_bit());
        assert_eq!(key, Ok(secret.public()));
        // The other sign is another key with the same u, which is why transcripts name the key.
        let other = PublicKey::from_x25519(&public, 1 - secret.public().sign_bit()).unwrap();
        assert_ne!(other, secret.public());
    }
}

proptest! {
    #[test]
    fn every_key_reads_back_from_its_texts(seed: [u8; 32]) {
        let secret = SecretKey::from_seed(seed);
        let public = secret.public();
        prop_assert_eq!(PublicKey::from_bytes(*public.as_bytes()), Ok(public));
        prop_assert_eq!(public.to_string().parse(), Ok(public));
        let again: SecretKey = secret.to_text().parse().unwrap();
        prop_assert_eq!(again.public(), public);
        prop_assert!(public.verify(b"text", &again.sign(b"text")).is_ok());
    }

    #[test]
    fn any_bytes_that_are_a_key_are_its_only_bytes(bytes: [u8; 32], sign in 0_u8..2) {
        if let Ok(key) = PublicKey::from_bytes(bytes) {
            prop_assert_eq!(key.as_bytes(), &bytes);
        }
        if let Ok(key) = PublicKey::from_x25519(&bytes, sign) {
            prop_assert_eq!((key.to_x25519(), key.sign_bit()), (bytes, sign));
        }
    }

    /// Proves I-4.
    #[test]
    fn a_damaged_text_is_refused(position in 0_usize..71, with in any::<char>(), cut in 0_usize..71) {
        let secret = SecretKey::from_seed([1; 32]);
        let text = secret.to_text();
        let mut changed: Vec<char> = text.chars().collect();
        changed[position] = with;
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(changed.parse::<SecretKey>().is_ok(), changed == *text);
        let shorter: String = text.chars().take(cut).collect();
        prop_assert!(shorter.parse::<SecretKey>().is_err());
        let longer: String = text.chars().chain([with]).collect();
        prop_assert!(longer.parse::<SecretKey>().is_err());
    }

    #[test]
    fn a_flipped_bit_breaks_the_signature(byte in 0_usize..64, bit in 0_u8..8) {
        let secret = SecretKey::from_seed([1; 32]);
        let mut signature = secret.sign(b"text");
        signature[byte] ^= 1 << bit;
        let found = secret.public().verify(b"text", &signature);
        prop_assert_eq!(found, Err(KeyError::BadSignature));
    }
}
