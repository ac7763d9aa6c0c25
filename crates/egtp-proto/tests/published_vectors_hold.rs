//! Published test vectors, run through the primitives as this project uses them: RFC 8032 and
//! Wycheproof. Each test prints how many vectors it ran.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use egtp_proto::{PublicKey, SecretKey};
use wycheproof::TestResult;
use wycheproof::{aead, eddsa, xdh};

/// Seed, public key, message, signature: RFC 8032, section 7.1, without the one of 1,023 bytes.
const RFC_8032: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
         5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
         18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589\
         09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
];

#[test]
fn ed25519_signs_and_verifies_as_rfc_8032_says() {
    for [seed, public, message, signature] in RFC_8032 {
        let secret = SecretKey::from_seed(unhex(seed).try_into().unwrap());
        let message = unhex(message);
        let signature: [u8; 64] = unhex(signature).try_into().unwrap();
        assert_eq!(secret.public().as_bytes()[..], unhex(public)[..]);
        assert_eq!(secret.sign(&message), signature);
        assert_eq!(secret.public().verify(&message, &signature), Ok(()));
    }
    println!("RFC 8032: {} vectors", RFC_8032.len());
}

#[test]
fn ed25519_verifies_as_wycheproof_says() {
    let mut count = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::from_bytes(group.key.pk.as_ref().try_into().unwrap()).unwrap();
        for test in group.tests {
            // A signature of another length cannot even be given to us.
            let accepted = <[u8; 64]>::try_from(test.sig.as_ref())
                .is_ok_and(|signature| key.verify(&test.msg, &signature).is_ok());
            assert_eq!(accepted, test.result == TestResult::Valid, "test {}", test.tc_id);
            count += 1;
        }
    }
    println!("Wycheproof Ed25519: {count} vectors");
    assert!(count > 100);
}

#[test]
fn x25519_agrees_as_wycheproof_says_and_refuses_a_shared_zero() {
    let (mut count, mut zeros) = (0, 0);
    for group in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let secret = PrivateKey::from_private_key(&X25519, &test.private_key).unwrap();
            let public = UnparsedPublicKey::new(&X25519, test.public_key.as_ref());
            let found = agree(&secret, public, (), |shared| Ok(shared.to_vec()));
            if test.shared_secret.iter().all(|byte| *byte == 0) {
                assert_eq!(found, Err(()), "test {}", test.tc_id);
                zeros += 1;
            } else {
                assert_eq!(
                    found.as_deref(),
                    Ok(test.shared_secret.as_ref()),
                    "test {}",
                    test.tc_id
                );
            }
            count += 1;
        }
    }
    println!("Wycheproof X25519: {count} vectors, of which {zeros} refused as zero");
    assert!(count > 500 && zeros > 0);
}

#[test]
fn aes_256_gcm_seals_and_opens_as_wycheproof_says() {
    let (count, skipped) = run_aead(aead::TestName::AesGcm, &AES_256_GCM);
    println!("Wycheproof AES-256-GCM: {count} vectors, {skipped} of other lengths left out");
    assert!(count > 50);
}

#[test]
fn chacha20_poly1305_seals_and_opens_as_wycheproof_says() {
    let (count, skipped) = run_aead(aead::TestName::ChaCha20Poly1305, &CHACHA20_POLY1305);
    println!("Wycheproof ChaCha20-Poly1305: {count} vectors, {skipped} of other lengths left out");
    assert!(count > 300);
}

/// How many vectors were run, and how many left out.
fn run_aead(set: aead::TestName, algorithm: &'static Algorithm) -> (usize, usize) {
    let (mut count, mut skipped) = (0, 0);
    for group in aead::TestSet::load(set).unwrap().test_groups {
        for test in group.tests {
            // Other key, nonce and tag lengths do not occur in the protocol.
            let (Ok(nonce), 256, 128) =
                (<[u8; 12]>::try_from(test.nonce.as_ref()), group.key_size, group.tag_size)
            else {
                skipped += 1;
                continue;
            };
            let key = LessSafeKey::new(UnboundKey::new(algorithm, &test.key).unwrap());
            let nonce = || Nonce::assume_unique_for_key(nonce);
            let mut sealed = [test.ct.as_ref(), test.tag.as_ref()].concat();
            let written = sealed.clone();
            let opened = key.open_in_place(nonce(), Aad::from(&test.aad), &mut sealed);
            if test.result == TestResult::Valid {
                assert_eq!(opened.unwrap(), test.pt.as_ref(), "test {}", test.tc_id);
                let mut plain = test.pt.to_vec();
                key.seal_in_place_append_tag(nonce(), Aad::from(&test.aad), &mut plain).unwrap();
                assert_eq!(plain, written, "test {}", test.tc_id);
            } else {
                assert!(opened.is_err(), "test {}", test.tc_id);
            }
            count += 1;
        }
    }
    (count, skipped)
}

fn unhex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "{text}");
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect()
}
