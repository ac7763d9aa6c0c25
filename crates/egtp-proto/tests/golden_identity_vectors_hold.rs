//! The bytes and texts of identities, as written down in `vectors/`. They may never change: other
//! implementations and stored contacts depend on them.

use egtp_proto::wire::Reader;
use egtp_proto::{
    Contact, ContactDraft, LiveCard, MailboxPrekey, PrekeyCard, SecretKey, StoreCard, StoreKind,
    Strategy, Ticket,
};

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn strategies() -> Vec<Strategy> {
    let relay = Strategy::Relay { relay: secret(0x02).public(), at: None };
    ["tcp/192.0.2.1:7700", "udp/[2001:db8::1]:7700", "quic/example.org:443", &relay.to_string()]
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// Proves ID-1.
/// Proves I-3, I-4.
#[test]
fn id_1_golden_node_ids_and_keys_hold() {
    let mut lines = Vec::new();
    for seed in [0x00, 0x01, 0xff] {
        let secret = secret(seed);
        let public = secret.public();
        lines.push(format!("seed {}", hex(&[seed; 32])));
        lines.push(format!("secret {}", *secret.to_text()));
        lines.push(format!("public {}", hex(public.as_bytes())));
        lines.push(format!("text {public}"));
        lines.push(format!("x25519 {} {}", hex(&public.to_x25519()), public.sign_bit()));
        lines.push(format!("node_id {}", public.node_id()));
    }
    assert_eq!(lines, vectors(include_str!("../../../vectors/node_id.txt")));
}

/// Proves I-6.
#[test]
fn golden_contacts_hold() {
    let client = ContactDraft {
        sequence: 1,
        strategies: Vec::new(),
        suites: vec![0x01, 0x02],
        mailbox_prekey: None,
        letter_store: None,
        instance: 0x0102_0304_0506_0708,
        message_bytes_max: 1_048_576,
        idle_out_seconds: 3_600,
        expiry_day: 20_090,
        parent: None,
    };
    let full = ContactDraft {
        sequence: 7,
        strategies: strategies(),
        suites: vec![0x12, 0x11, 0x02, 0x01],
        mailbox_prekey: Some(MailboxPrekey { id: 5, key: [0x06; 32] }),
        letter_store: Some(0x1112_1314_1516_1718),
        parent: Some(secret(0x03).public()),
        ..client.clone()
    };
    let mut lines = Vec::new();
    for (name, draft) in [("client", client), ("full", full)] {
        let contact = draft.sign(&secret(0x01), 20_000).unwrap();
        assert_eq!(Contact::decode(contact.encode()).as_ref(), Ok(&contact));
        lines.push(format!("{name} {}", hex(contact.encode())));
        lines.push(format!("{name}_text {}", contact.to_text()));
    }
    assert_eq!(lines, vectors(include_str!("../../../vectors/contact.txt")));
}

#[test]
fn golden_tickets_hold() {
    let key = secret(0x01).public();
    let mut lines = Vec::new();
    for (name, strategies) in [("bare", Vec::new()), ("full", strategies())] {
        let ticket = Ticket { key, strategies };
        assert_eq!(ticket.to_string().parse().as_ref(), Ok(&ticket));
        lines.push(format!("{name} {ticket}"));
    }
    assert_eq!(lines, vectors(include_str!("../../../vectors/ticket.txt")));
}

#[test]
fn golden_live_cards_hold() {
    let ram = StoreCard { kind: StoreKind::Ram, id: 0x0102_0304_0506_0708, generation: 9, age: 10 };
    let durable = StoreCard { kind: StoreKind::Durable, id: 11, generation: 12, age: 0xffff };
    let prekey = PrekeyCard { id: 0x0d0e_0f10, key: [0x11; 32], lifetime: 7_200 };
    let cards = [
        ("caller", LiveCard { prekey: None, stores: vec![ram] }),
        ("ram", LiveCard { prekey: Some(prekey), stores: vec![ram] }),
        ("durable", LiveCard { prekey: Some(prekey), stores: vec![durable] }),
        ("both", LiveCard { prekey: Some(prekey), stores: vec![ram, durable] }),
    ];
    let mut lines = Vec::new();
    for (name, card) in cards {
        let mut bytes = Vec::new();
        card.encode(&mut bytes);
        assert_eq!(LiveCard::decode(&mut Reader::new(&bytes)), Ok(card));
        lines.push(format!("{name} {}", hex(&bytes)));
    }
    assert_eq!(lines, vectors(include_str!("../../../vectors/live_card.txt")));
}

fn vectors(file: &str) -> Vec<&str> {
    file.lines().filter(|line| !line.starts_with('#')).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
