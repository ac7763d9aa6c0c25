//! The durable secret of a pair: what two identities share for as long as they have their keys.

use std::collections::BTreeSet;

use egtp_proto::SecretKey;
use egtp_proto::crypto::DhKey;

/// What the owner of `own` computes alone about `other`, knowing its public key and nothing else.
fn alone(own: &SecretKey, other: &SecretKey) -> [u8; 32] {
    let own = DhKey::from_secret(&own.x25519_secret()).unwrap();
    *own.agree(&other.public().to_x25519()).unwrap()
}

/// Twenty identities: 190 pairs and as many secrets. Either side computes its pair's without a word to the
/// other, and again in each life, since nothing enters but the two keys.
/// Proves SEC-1.
#[test]
fn either_side_of_a_pair_computes_its_durable_secret_alone() {
    let identities: Vec<SecretKey> =
        (1..=20).map(|seed| SecretKey::from_seed([seed; 32])).collect();
    let mut secrets = BTreeSet::new();
    for (index, one) in identities.iter().enumerate() {
        for other in identities.iter().skip(index + 1) {
            let secret = alone(one, other);
            assert_eq!(alone(other, one), secret);
            assert!(secrets.insert(secret), "two pairs with one secret");
        }
    }
    assert_eq!(secrets.len(), 190);
    // A life later, from the same seeds.
    let again = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]));
    assert!(secrets.contains(&alone(&again[0], &again[1])));
}
