//! Any bytes as each body that is said to a mailbox, or by one: what is accepted is written again as the same bytes.
//!
//! The first byte chooses which body. The forms are built from the library's own files, so that nothing else of it (its
//! runtime, its database) is built for fuzzing.

/// What the library calls `egtp::mailbox`.
#[path = "../../../crates/egtp/src/mailbox/mod.rs"]
pub mod forms;

use bytes::Bytes;
use egtp_proto::SecretKey;

use self::forms::{
    ACKS_MAX, Ack, Deposit, DepositRefused, Get, Held, Letter, LetterName, Letters, Mailbox,
    Measure, decode_acks, decode_count, decode_mailboxes, decode_put, encode_acks, encode_count,
    encode_mailboxes, encode_put,
};
use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let Some((which, body)) = data.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    let again = match which % 8 {
        PUT => decode_put(&body).map(|(recipient, letter)| encode_put(&recipient, &letter)),
        DEPOSIT => Deposit::decode(&body).map(|deposit| {
            assert!(!format!("{deposit:?}").is_empty());
            deposit.encode()
        }),
        GET => Get::decode(&body).map(Get::encode),
        LETTERS => Letters::decode(&body).map(|letters| {
            assert!(letters.letters.len() <= ACKS_MAX);
            assert!(letters.letters.is_sorted_by(|one, next| one.position < next.position));
            letters.encode()
        }),
        ACKS => decode_acks(&body).map(|acks| {
            assert!(acks.len() <= ACKS_MAX);
            encode_acks(&acks)
        }),
        COUNT => decode_count(&body).map(|count| encode_count(count).to_vec().into()),
        HELD => Held::decode(&body).map(Held::encode),
        // MAILBOXES.
        _ => decode_mailboxes(&body).map(|mailboxes| encode_mailboxes(&mailboxes)),
    };
    if let Some(again) = again {
        assert_eq!(again, body, "one spelling only");
    }
}

/// One body of each kind.
pub fn seeds() -> Vec<Seed> {
    let sender = SecretKey::from_seed([1; 32]).public();
    let letter = |position, bytes: &'static [u8]| Letter {
        position,
        sender,
        age: std::time::Duration::from_secs(3),
        bytes: Bytes::from_static(bytes),
    };
    let letters = Letters { left: 1, letters: vec![letter(1, b"a letter"), letter(3, b"")] };
    let full = DepositRefused::ShareFull { measure: Measure::Bytes, held: 5, limit: 7 };
    let acks = [Ack { position: 1, name: LetterName::of(b"a letter") }; 2];
    let stored = Deposit::Stored { kept: std::time::Duration::from_hours(336) };
    let held = Held { letters: 1, bytes: 2, letters_max: 3, bytes_max: 4 };
    let mailbox = Mailbox { recipient: sender, letters: 1, bytes: 2 };
    [
        ("acks", ACKS, encode_acks(&acks)),
        ("count", COUNT, encode_count(7).to_vec().into()),
        ("full", DEPOSIT, Deposit::Refused(full).encode()),
        ("get", GET, Get { largest: 1 << 20, after: 1 }.encode()),
        ("held", HELD, held.encode()),
        ("letters", LETTERS, letters.encode()),
        ("mailboxes", MAILBOXES, encode_mailboxes(&[mailbox; 2])),
        ("put", PUT, encode_put(&sender, b"a letter")),
        ("stored", DEPOSIT, stored.encode()),
    ]
    .map(|(name, which, body)| (name, [&[which], &body[..]].concat()))
    .to_vec()
}

const PUT: u8 = 0;
const DEPOSIT: u8 = 1;
const GET: u8 = 2;
const LETTERS: u8 = 3;
const ACKS: u8 = 4;
const COUNT: u8 = 5;
const HELD: u8 = 6;
const MAILBOXES: u8 = 7;
