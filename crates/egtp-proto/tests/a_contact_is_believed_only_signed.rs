//! A contact cannot exist unless its key signed exactly these bytes, and never goes backwards.

use egtp_proto::wire::Writer;
use egtp_proto::{
    Contact, ContactDraft, ContactError, KeyError, MailboxPrekey, SecretKey, Strategy,
};
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

const TODAY: u32 = 20_000;

fn secret() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn client() -> ContactDraft {
    ContactDraft {
        sequence: 1,
        strategies: Vec::new(),
        suites: vec![1, 2],
        mailbox_prekey: None,
        letter_store: None,
        instance: 3,
        message_bytes_max: 1 << 20,
        idle_out_seconds: 3_600,
        expiry_day: TODAY + 90,
        parent: None,
    }
}

fn full() -> ContactDraft {
    let relay = SecretKey::from_seed([2; 32]).public();
    let mut strategies: Vec<Strategy> =
        ["tcp/192.0.2.1:7700", "udp/[2001:db8::1]:7700", "quic/example.org:443"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
    strategies.push(Strategy::Relay { relay, at: None });
    ContactDraft {
        strategies,
        mailbox_prekey: Some(MailboxPrekey { id: 5, key: [6; 32] }),
        letter_store: Some(7),
        parent: Some(SecretKey::from_seed([3; 32]).public()),
        ..client()
    }
}

/// Signs a value that no draft of this version makes, as a later version or a liar would.
fn signed_by_hand(sequence: u64, value: &[u8]) -> Vec<u8> {
    let head = format!("4:salt5:egtp23:seqi{sequence}e1:v{}:", value.len());
    let mut bytes = secret().public().as_bytes().to_vec();
    bytes.put(&secret().sign(&[head.as_bytes(), value].concat()));
    bytes.put_u64(sequence);
    bytes.put(value);
    bytes
}

#[test]
fn a_contact_reads_back_from_bytes_and_text() {
    for draft in [client(), full()] {
        let contact = draft.sign(&secret(), TODAY).unwrap();
        assert_eq!(contact.key(), secret().public());
        assert_eq!(contact.draft(), &draft);
        let again = Contact::decode(contact.encode()).unwrap();
        assert_eq!(again, contact);
        assert_eq!(again.draft(), &draft);
        assert_eq!(contact.to_text().parse(), Ok(contact.clone()));
        let (key, sequence) = (contact.key(), contact.sequence().to_le_bytes());
        let parts = [key.as_bytes(), contact.signature(), &sequence, contact.value()];
        assert_eq!(parts.concat(), contact.encode());
    }
}

/// Proves B-30: the type tells a client from a node that can be announced.
#[test]
fn b_30_a_contact_without_strategies_says_that_it_is_a_client() {
    assert!(client().sign(&secret(), TODAY).unwrap().is_client());
    assert!(!full().sign(&secret(), TODAY).unwrap().is_client());
}

/// Proves LOOK-3, B-21.
/// Proves I-6.
#[test]
fn look_3_a_contact_for_somebody_elses_key_is_refused() {
    let genuine = full().sign(&secret(), TODAY).unwrap();
    let liar = SecretKey::from_seed([9; 32]);
    let forged = full().sign(&liar, TODAY).unwrap();
    let claimed = [&genuine.encode()[..32], &forged.encode()[32..]].concat();
    let refused = Err(ContactError::Key(KeyError::BadSignature));
    assert_eq!(Contact::decode(&claimed), refused);
}

/// Proves PRO-4: who strips a suite from a contact has no contact any more.
#[test]
fn pro_4_a_contact_with_a_suite_stripped_is_refused() {
    let genuine = full().sign(&secret(), TODAY).unwrap();
    let stripped = ContactDraft { suites: vec![1], ..full() }.sign(&secret(), TODAY).unwrap();
    let spliced = [&genuine.encode()[..104], stripped.value()].concat();
    let refused = Err(ContactError::Key(KeyError::BadSignature));
    assert_eq!(Contact::decode(&spliced), refused);
}

/// Proves STR-6, PRO-4.
/// Proves I-8.
#[test]
fn str_6_an_older_contact_never_replaces_a_newer() {
    let old = client().sign(&secret(), TODAY).unwrap();
    let new = ContactDraft { sequence: 2, ..client() }.sign(&secret(), TODAY).unwrap();
    let twin = ContactDraft { instance: 4, ..client() }.sign(&secret(), TODAY).unwrap();
    let stranger = ContactDraft { sequence: 3, ..client() };
    let stranger = stranger.sign(&SecretKey::from_seed([9; 32]), TODAY).unwrap();
    assert!(new.supersedes(&old));
    assert!(!old.supersedes(&new));
    assert!(!old.supersedes(&old));
    assert!(!stranger.supersedes(&old), "another key replaces nothing");
    assert_ne!(old.supersedes(&twin), twin.supersedes(&old), "equal numbers: one of them wins");
}

/// Proves STR-5: what a later version adds neither disturbs us nor gets lost when we pass it on.
/// Proves I-7.
#[test]
fn str_5_parts_of_a_later_version_are_kept_and_stepped_over() {
    let contact = client().sign(&secret(), TODAY).unwrap();
    let (head, no_strategies) = contact.value().split_at(contact.value().len() - 1);
    assert_eq!(no_strategies, [0]);
    let later_strategy = [1, 99, 2, 0xaa, 0xbb];
    let later_fields = [200, 1, 0xcc, 255, 0];
    let bytes = signed_by_hand(1, &[head, &later_strategy, &later_fields].concat());
    let read = Contact::decode(&bytes).unwrap();
    assert_eq!(read.encode(), bytes);
    assert_eq!(read.strategies(), []);
    assert!(!read.is_client(), "it can be reached, though not by us");
    assert_eq!(read.suites(), [1, 2]);
}

/// Proves W-2.
#[test]
fn a_signed_contact_with_a_second_spelling_is_refused() {
    let contact = client().sign(&secret(), TODAY).unwrap();
    let field = |tag, body: &[u8]| {
        let mut bytes = vec![tag];
        bytes.put_prefixed(body);
        bytes
    };
    let store = field(2, &[7; 8]);
    for tail in [
        [field(200, &[]), store.clone()].concat(),
        [store.clone(), store].concat(),
        field(2, &[7; 9]),
        field(2, &[7; 7]),
        field(0, &[]),
        field(1, &[0; 36]),
        field(3, secret().public().as_bytes()),
        field(3, &[0; 32]),
        [field(255, &[]), field(255, &[])].concat(),
        vec![200],
        vec![200, 0x80, 0x00],
    ] {
        let bytes = signed_by_hand(1, &[contact.value(), &tail].concat());
        assert!(Contact::decode(&bytes).is_err(), "{tail:?}");
    }
    for sequence in [0, 1 << 63, u64::MAX] {
        let refused = Err(ContactError::Sequence);
        assert_eq!(Contact::decode(&signed_by_hand(sequence, contact.value())), refused);
    }
    let mut later = contact.value().to_vec();
    later[0] = 2;
    let refused = Err(ContactError::Version(2));
    assert_eq!(Contact::decode(&signed_by_hand(1, &later)), refused);
}

#[test]
fn a_draft_that_must_not_be_signed_says_which_field_to_change() {
    let itself = Strategy::Relay { relay: secret().public(), at: None };
    let nowhere: Strategy = "tcp/192.0.2.1:0".parse().unwrap();
    let somewhere: Strategy = "tcp/192.0.2.1:1".parse().unwrap();
    let long: Strategy = format!("tcp/{}a:1", "a.".repeat(120)).parse().unwrap();
    for (draft, error) in [
        (ContactDraft { sequence: 0, ..client() }, ContactError::Sequence),
        (ContactDraft { sequence: u64::MAX, ..client() }, ContactError::Sequence),
        (ContactDraft { suites: vec![], ..client() }, ContactError::Suites),
        (ContactDraft { suites: vec![1, 2, 1], ..client() }, ContactError::Suites),
        (ContactDraft { suites: (0..17).collect(), ..client() }, ContactError::Suites),
        (ContactDraft { strategies: vec![itself], ..client() }, ContactError::Strategies),
        (ContactDraft { strategies: vec![nowhere], ..client() }, ContactError::Strategies),
        (ContactDraft { strategies: vec![somewhere; 17], ..client() }, ContactError::Strategies),
        (ContactDraft { strategies: vec![long; 4], ..client() }, ContactError::TooLong),
        (ContactDraft { idle_out_seconds: 0, ..client() }, ContactError::IdleOut),
        (ContactDraft { idle_out_seconds: 86_401, ..client() }, ContactError::IdleOut),
        (ContactDraft { expiry_day: TODAY + 91, ..client() }, ContactError::Expiry),
        (ContactDraft { expiry_day: TODAY - 1, ..client() }, ContactError::Expiry),
        (ContactDraft { parent: Some(secret().public()), ..client() }, ContactError::Parent),
        (
            ContactDraft {
                mailbox_prekey: Some(MailboxPrekey { id: 0, key: [1; 32] }),
                ..client()
            },
            ContactError::Prekey,
        ),
    ] {
        assert_eq!(draft.sign(&secret(), TODAY), Err(error));
    }
}

#[test]
fn the_text_survives_spaces_and_line_breaks_but_no_change() {
    let contact = full().sign(&secret(), TODAY).unwrap();
    let text = contact.to_text();
    let wrapped: String = text.chars().flat_map(|character| [character, '\n', ' ']).collect();
    assert_eq!(wrapped.parse(), Ok(contact));
    for (damaged, error) in [
        (String::new(), ContactError::NotAContact),
        ("egtp1qqqq".to_owned(), ContactError::NotAContact),
        (text.replace(';', ""), ContactError::Mistyped),
        (text.replace(';', "=;"), ContactError::Mistyped),
        (text.replace(';', "*;"), ContactError::Mistyped),
        (format!("{text};"), ContactError::Mistyped),
        (text.replace(';', &format!("{};", "A".repeat(9_000))), ContactError::Mistyped),
    ] {
        assert_eq!(damaged.parse::<Contact>(), Err(error));
    }
}

proptest! {
    #[test]
    fn a_cut_extended_or_flipped_contact_is_refused(cut in 0_usize..300, bit in 0_usize..2_000, more: u8) {
        let contact = full().sign(&secret(), TODAY).unwrap();
        let bytes = contact.encode();
        let cut = cut % bytes.len();
        prop_assert!(Contact::decode(&bytes[..cut]).is_err());
        prop_assert!(Contact::decode(&[bytes, &[more]].concat()).is_err());
        let mut flipped = bytes.to_vec();
        let bit = bit % (8 * bytes.len());
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Contact::decode(&flipped).is_err());
    }

    #[test]
    fn a_changed_character_of_the_text_is_refused(position in 0_usize..400, with in any::<char>()) {
        let text = full().sign(&secret(), TODAY).unwrap().to_text();
        let position = position % text.len();
        let mut changed: Vec<char> = text.chars().collect();
        changed[position] = with;
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(changed.parse::<Contact>().is_ok(), changed == text);
    }

    /// Even a value that is properly signed must not make a reader panic or accept two spellings.
    #[test]
    fn any_signed_value_is_refused_or_kept_as_it_is(
        position in 0_usize..200, with: u8, tail in prop::collection::vec(0_u8..40, 0..60),
    ) {
        let contact = full().sign(&secret(), TODAY).unwrap();
        let mut value = [contact.value(), &tail].concat();
        let position = position % value.len();
        value[position] = with;
        let bytes = signed_by_hand(1, &value);
        if let Ok(read) = Contact::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
            // What this version knows of it can be signed again.
            let again = read.draft().sign(&secret(), read.expiry_day());
            prop_assert!(again.is_ok_and(|again| again.draft() == read.draft()));
        }
    }
}
