//! The bytes of letters, as written down in `vectors/letters.txt`. They may never change: other implementations depend on
//! them. Two implementations write the same, and read what the other writes.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

mod second_implementation;

use egtp_proto::crypto::{DhKey, Suite};
use egtp_proto::session::handshake::LocalKeys;
use egtp_proto::session::letter::{self, Contents};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::{MailboxPrekey, SecretKey};
use second_implementation::post;

const FILE: &str = include_str!("../../../vectors/letters.txt");
const PREKEY: u32 = 6;

/// Proves L-1.
#[test]
fn golden_letters_hold() {
    let mut found = Vec::new();
    for suite in Suite::CLASSICAL {
        let id = suite.id();
        found.push(format!("short_{id:02x} {}", hex(&letter(suite, b"", &[0; 3]))));
        found.push(format!("contact_{id:02x} {}", hex(&letter(suite, b"whoever", &[0; 3]))));
        let long: Vec<u8> = (0..=250).cycle().take(60_000).collect();
        let sealed = letter(suite, b"", &long);
        found.push(format!("hash_of_long_{id:02x} {}", blake3::hash(&sealed).to_hex()));
    }
    let expected: Vec<&str> = FILE.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(found == expected, "{}", found.join("\n"));
}

fn letter(suite: Suite, contact: &[u8], frames: &[u8]) -> Vec<u8> {
    let (from, to) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let (e, pair) = (dh(3), dh(4));
    let prekey = MailboxPrekey { id: PREKEY, key: *pair.public() };
    let local = LocalKeys::new(&from).unwrap();
    let (whom, shroud) = (to.public(), Shroud::new(&to.public()));
    let contents = Contents { contact, frames };
    let sealed =
        letter::seal(&local, (&whom, &prekey), suite, e.clone(), contents, &shroud).unwrap();
    assert_eq!(post::seal(&from, (&whom, &prekey), suite, &e, contact, frames), sealed);
    let opened = post::open(&to, (PREKEY, &pair), &sealed).unwrap();
    assert_eq!(opened, (from.public(), contact.to_vec(), frames.to_vec()));
    let mut plain = sealed.clone();
    shroud.uncover(&mut plain, 32);
    let reader = LocalKeys::new(&to).unwrap();
    let opened = letter::open(&reader, (suite, (PREKEY, &pair)), &plain).unwrap();
    assert_eq!((opened.from, &opened.contact[..]), (from.public(), contact));
    assert_eq!(**opened.frames, *frames);
    sealed
}

fn dh(seed: u8) -> DhKey {
    DhKey::from_secret(&[seed; 32]).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
