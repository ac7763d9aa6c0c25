//! Any bytes as a contact: as they are, and as a value that its owner has signed, so that mutations
//! get behind the signature. What is accepted keeps its bytes, and a draft of it that is signed
//! again reads back.
//!
//! The first byte is the sequence number of the signed form, the rest its value.
//
// Reaches: Contact::decode.

use egtp_proto::{Contact, ContactDraft, MailboxPrekey, SecretKey, Strategy};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    check(data);
    if let Some((sequence, value)) = data.split_first() {
        check(&signed(u64::from(*sequence), value));
    }
}

fn check(bytes: &[u8]) {
    let Ok(contact) = Contact::decode(bytes) else { return };
    assert!(bytes.len() <= Contact::BYTES_MAX);
    assert_eq!(contact.encode(), bytes);
    assert_eq!(contact.to_text().parse().as_ref(), Ok(&contact));
    assert!(!contact.supersedes(&contact));
    assert!(!contact.suites().is_empty() && contact.sequence() > 0);
    // Parts of later versions are not in the draft, so only what is known can be compared.
    let draft = contact.draft();
    if contact.key() == owner().public()
        && let Ok(again) = draft.sign(&owner(), draft.expiry_day)
    {
        assert_eq!(again.draft(), draft);
    }
}

/// The record of `value`, signed as a mutable item of the DHT.
pub(super) fn signed(sequence: u64, value: &[u8]) -> Vec<u8> {
    let head = format!("4:salt5:egtp23:seqi{sequence}e1:v{}:", value.len());
    let signature = owner().sign(&[head.as_bytes(), value].concat());
    let key = owner().public();
    [&key.as_bytes()[..], &signature, &sequence.to_le_bytes(), value].concat()
}

fn owner() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

/// The smallest contact, and one with everything in it.
pub(super) fn examples() -> [(&'static str, Contact); 2] {
    let client = ContactDraft {
        sequence: 1,
        strategies: Vec::new(),
        suites: vec![1, 2],
        mailbox_prekey: None,
        letter_store: None,
        instance: 5,
        message_bytes_max: 1 << 20,
        idle_out_seconds: 3_600,
        expiry_day: 20_090,
        parent: None,
    };
    let strategies = ["tcp/192.0.2.1:7700", "udp/[2001:db8::1]:7700", "quic/example.org:443"];
    let strategies = strategies.map(|text| text.parse().expect("a strategy"));
    let relay = Strategy::Relay { relay: SecretKey::from_seed([2; 32]).public(), at: None };
    let full = ContactDraft {
        sequence: 7,
        strategies: strategies.into_iter().chain([relay]).collect(),
        mailbox_prekey: Some(MailboxPrekey { id: 5, key: [6; 32] }),
        letter_store: Some(7),
        parent: Some(SecretKey::from_seed([3; 32]).public()),
        ..client.clone()
    };
    [("client", client), ("full", full)]
        .map(|(name, draft)| (name, draft.sign(&owner(), 20_000).expect("a contact")))
}

/// Both examples whole, and their values behind a sequence number.
pub fn seeds() -> Vec<Seed> {
    let [(_, client), (_, full)] = examples();
    vec![
        ("client", client.encode().to_vec()),
        ("client-value", [&[1], client.value()].concat()),
        ("full-value", [&[7], full.value()].concat()),
    ]
}
