//! ML-KEM-768 as this project uses it, through the vectors of Wycheproof. Each test prints how many it ran.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use egtp_proto::crypto::{
    CIPHERTEXT_BYTES, DecapsulationKey, ENCAPSULATION_KEY_BYTES, EncapsulationKey, SEED_BYTES,
};
use wycheproof::TestResult;
use wycheproof::mlkem::{Test, TestName, TestSet};

/// Seed to key pair, and ciphertext to secret. Among them are ciphertexts that were made for no key or
/// changed: each gives the one secret that implicit rejection prescribes.
///
/// Proves H-27.
#[test]
fn keys_follow_from_seeds_and_secrets_from_ciphertexts() {
    let (mut count, mut refused) = (0, 0);
    for test in tests(TestName::MlKem768) {
        // Other lengths cannot even be given to us.
        let (Some(seed), Some(ciphertext)) = (
            bytes::<SEED_BYTES>(test.seed.as_deref()),
            bytes::<CIPHERTEXT_BYTES>(test.ct.as_deref()),
        ) else {
            assert_eq!(test.result, TestResult::Invalid, "test {}", test.tc_id);
            refused += 1;
            continue;
        };
        let key = DecapsulationKey::from_seed(seed);
        let expected = bytes(test.encaps_key.as_deref());
        assert_eq!(Some(*key.encapsulation_key()), expected, "test {}", test.tc_id);
        let secret = key.decapsulate(&ciphertext);
        let is_right = Some(*secret) == bytes(test.shared_secret.as_deref());
        assert_eq!(is_right, test.result == TestResult::Valid, "test {}", test.tc_id);
        count += 1;
    }
    println!("Wycheproof ML-KEM-768, decapsulation: {count} vectors, {refused} of other lengths");
    assert!(count > 150 && refused > 0);
}

/// Proves H-25: what is no key is refused, and what is one gives the ciphertext that is prescribed.
#[test]
fn ciphertexts_follow_from_keys_and_randomness_and_false_keys_are_refused() {
    let (mut count, mut refused) = (0, 0);
    for test in tests(TestName::MlKem768Encaps) {
        let key = bytes::<ENCAPSULATION_KEY_BYTES>(test.encaps_key.as_deref())
            .and_then(|key| EncapsulationKey::from_bytes(&key).ok());
        let Some(key) = key else {
            assert_eq!(test.result, TestResult::Invalid, "test {}", test.tc_id);
            refused += 1;
            continue;
        };
        assert_eq!(test.result, TestResult::Valid, "test {}", test.tc_id);
        let (ciphertext, secret) = key.encapsulate(bytes(test.msg.as_deref()).unwrap());
        assert_eq!(Some(ciphertext), bytes(test.ct.as_deref()), "test {}", test.tc_id);
        assert_eq!(Some(*secret), bytes(test.shared_secret.as_deref()), "test {}", test.tc_id);
        count += 1;
    }
    println!("Wycheproof ML-KEM-768, encapsulation: {count} vectors, {refused} keys refused");
    assert!(count > 100 && refused > 100);
}

#[test]
fn key_pairs_follow_from_seeds() {
    let mut count = 0;
    for test in tests(TestName::MlKem768KeyGenSeed) {
        let Some(seed) = bytes::<SEED_BYTES>(test.seed.as_deref()) else { continue };
        let key = DecapsulationKey::from_seed(seed);
        let expected = bytes(test.encaps_key.as_deref());
        assert_eq!(Some(*key.encapsulation_key()), expected, "test {}", test.tc_id);
        count += 1;
    }
    println!("Wycheproof ML-KEM-768, key pairs: {count} vectors");
    assert!(count > 20);
}

fn tests(name: TestName) -> impl Iterator<Item = Test> {
    TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests)
}

fn bytes<const N: usize>(text: Option<&Vec<u8>>) -> Option<[u8; N]> {
    text?.as_slice().try_into().ok()
}
