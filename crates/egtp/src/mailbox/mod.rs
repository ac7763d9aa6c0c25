//! What is said about letters that wait for somebody who is away, as bodies of ordinary messages.
//!
//! A mailbox is kept by a relay: *put* leaves a letter there, *get*, *ack* and *held* are its recipient's alone, who is
//! known by the key that asks, *mail* tells that something is there. A letter is bytes that only its recipient can read;
//! nothing here looks into it. Knows no mailboxes; they are in `egtp-services`. Invariant: a body has one spelling, and
//! whatever has another is refused.

mod deposit;
mod letters;

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use egtp_proto::PublicKey;
use egtp_proto::wire::Reader;

pub use self::deposit::{Deposit, DepositRefused, Measure};
pub use self::letters::{Get, Letter, Letters};

/// A request of anybody who may deposit: keep this letter for that recipient. The reply is a [`Deposit`].
pub const PUT: &str = "egtp.mailbox.put/1";
/// A request of the recipient, [`Get`]: what is there? The reply is [`Letters`].
pub const GET: &str = "egtp.mailbox.get/1";
/// A request of the recipient: these letters are taken care of, [`encode_acks`]. The reply is how many were deleted.
pub const ACK: &str = "egtp.mailbox.ack/1";
/// A request of the recipient, with an empty body: how much is there? The reply is [`Held`].
pub const HELD: &str = "egtp.mailbox.held/1";
/// A request of the relay's operator: which mailboxes are the largest, so many at most? The reply is
/// [`encode_mailboxes`].
pub const LARGEST: &str = "egtp.mailbox.largest/1";
/// A hint from a relay to a recipient, with an empty body: something is there.
pub const MAIL: &str = "egtp.mailbox.mail/1";

/// Letters that one *ack* names, and that one reply to *get* holds, at most.
pub const ACKS_MAX: usize = 256;
/// Bytes of a *put* beside the letter.
pub const PUT_AROUND: usize = KEY_BYTES;
/// Bytes of [`Letters`] beside the letters.
pub const LETTERS_AROUND: usize = 4;
/// Bytes of each letter in [`Letters`] beside its own: the position, the sender, the age and its length.
pub const LETTER_AROUND: usize = 8 + KEY_BYTES + 4 + 4;

/// Names a letter by what is in it: the first 16 bytes of its BLAKE3 hash.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LetterName([u8; 16]);

impl LetterName {
    /// The name of this letter.
    pub fn of(letter: &[u8]) -> Self {
        let mut name = [0; 16];
        for (to, from) in name.iter_mut().zip(blake3::hash(letter).as_bytes()) {
            *to = *from;
        }
        Self(name)
    }

    /// A name that was written down.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// To be written down.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The body of [`PUT`].
pub fn encode_put(recipient: &PublicKey, letter: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(PUT_AROUND + letter.len());
    body.put_slice(recipient.as_bytes());
    body.put_slice(letter);
    body.freeze()
}

/// The recipient and the letter; `None` for what nobody writes.
pub fn decode_put(body: &Bytes) -> Option<(PublicKey, Bytes)> {
    let (key, _) = body.split_first_chunk::<KEY_BYTES>()?;
    Some((PublicKey::from_bytes(*key).ok()?, body.slice(KEY_BYTES..)))
}

/// Names a letter in a mailbox, for *ack*: by its place, and by what is in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ack {
    /// [`Letter::position`].
    pub position: u64,
    /// [`LetterName::of`] its bytes.
    pub name: LetterName,
}

/// The body of [`ACK`]; of more than [`ACKS_MAX`] only so many, and the others stay in the mailbox.
pub fn encode_acks(acks: &[Ack]) -> Bytes {
    let mut body = BytesMut::with_capacity(acks.len().min(ACKS_MAX) * ACK_BYTES);
    for Ack { position, name } in acks.iter().take(ACKS_MAX) {
        body.put_u64_le(*position);
        body.put_slice(name.as_bytes());
    }
    body.freeze()
}

/// `None` for what nobody writes.
pub fn decode_acks(body: &[u8]) -> Option<Vec<Ack>> {
    let mut reader = Reader::new(body);
    if body.len() / ACK_BYTES > ACKS_MAX {
        return None;
    }
    let mut acks = Vec::new();
    while !reader.is_empty() {
        let position = reader.u64().ok()?;
        acks.push(Ack { position, name: LetterName(reader.array().ok()?) });
    }
    Some(acks)
}

/// The reply to [`ACK`], and the body of [`LARGEST`].
pub const fn encode_count(count: u32) -> [u8; 4] {
    count.to_le_bytes()
}

/// `None` for what nobody writes.
pub fn decode_count(body: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(body.try_into().ok()?))
}

/// The reply to [`HELD`]: how much is there for the recipient, and how much may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    /// Letters that are held. Some of them may have expired meanwhile.
    pub letters: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Letters that are held at most.
    pub letters_max: u32,
    /// Bytes that are held at most.
    pub bytes_max: u64,
}

impl Held {
    /// 24 bytes.
    pub fn encode(self) -> Bytes {
        let mut body = BytesMut::with_capacity(24);
        body.put_u32_le(self.letters);
        body.put_u64_le(self.bytes);
        body.put_u32_le(self.letters_max);
        body.put_u64_le(self.bytes_max);
        body.freeze()
    }

    /// `None` for what nobody writes.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (letters, bytes) = (reader.u32().ok()?, reader.u64().ok()?);
        let (letters_max, bytes_max) = (reader.u32().ok()?, reader.u64().ok()?);
        reader.finish().ok()?;
        Some(Self { letters, bytes, letters_max, bytes_max })
    }
}

/// A mailbox as an operator sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mailbox {
    /// Whose it is.
    pub recipient: PublicKey,
    /// Letters that are held.
    pub letters: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// The reply to [`LARGEST`]: the one with the most bytes first.
pub fn encode_mailboxes(mailboxes: &[Mailbox]) -> Bytes {
    let mut body = BytesMut::with_capacity(mailboxes.len() * MAILBOX_BYTES);
    for Mailbox { recipient, letters, bytes } in mailboxes {
        body.put_slice(recipient.as_bytes());
        body.put_u32_le(*letters);
        body.put_u64_le(*bytes);
    }
    body.freeze()
}

/// `None` for what nobody writes.
pub fn decode_mailboxes(body: &[u8]) -> Option<Vec<Mailbox>> {
    let mut reader = Reader::new(body);
    let mut mailboxes = Vec::with_capacity(body.len() / MAILBOX_BYTES);
    while !reader.is_empty() {
        let recipient = key(&mut reader)?;
        mailboxes.push(Mailbox {
            recipient,
            letters: reader.u32().ok()?,
            bytes: reader.u64().ok()?,
        });
    }
    Some(mailboxes)
}

fn key(reader: &mut Reader<'_>) -> Option<PublicKey> {
    PublicKey::from_bytes(reader.array().ok()?).ok()
}

fn duration(reader: &mut Reader<'_>) -> Option<Duration> {
    Some(Duration::from_secs(reader.u32().ok()?.into()))
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

const KEY_BYTES: usize = 32;
const ACK_BYTES: usize = 24;
const MAILBOX_BYTES: usize = KEY_BYTES + 4 + 8;

#[cfg(test)]
mod tests {
    use egtp_proto::SecretKey;

    use super::*;

    pub(super) fn somebody(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    /// Neither a shorter nor a longer body is read.
    pub(super) fn one_spelling<T>(body: &[u8], decode: impl Fn(&Bytes) -> Option<T>) {
        assert!(decode(&Bytes::copy_from_slice(body)).is_some());
        for length in 0..body.len() {
            assert!(decode(&Bytes::copy_from_slice(&body[..length])).is_none(), "{length} bytes");
        }
        let longer = [body, &[0]].concat();
        assert!(decode(&longer.into()).is_none(), "with a byte behind it");
    }

    #[test]
    fn what_is_asked_is_read_back_and_nothing_else_is() {
        let put = encode_put(&somebody(1), b"letter");
        assert_eq!(decode_put(&put), Some((somebody(1), Bytes::from("letter"))));
        assert_eq!(decode_put(&Bytes::from_static(&[1; 31])), None);
        let get = Get { largest: 5, after: u64::MAX };
        assert_eq!(Get::decode(&get.encode()), Some(get));
        one_spelling(&get.encode(), |body| Get::decode(body));
        let held = Held { letters: 1, bytes: 2, letters_max: 3, bytes_max: 4 };
        assert_eq!(Held::decode(&held.encode()), Some(held));
        one_spelling(&held.encode(), |body| Held::decode(body));
        let acks = vec![Ack { position: 3, name: LetterName::of(b"letter") }; ACKS_MAX + 1];
        let body = encode_acks(&acks);
        assert_eq!(decode_acks(&body).as_deref(), Some(&acks[1..]));
        assert_eq!(decode_acks(&[&body[..], &body[..24]].concat()), None, "too many");
        assert_eq!(decode_acks(&body[..25]), None);
        assert_eq!(decode_count(&encode_count(9)), Some(9));
        assert_eq!(decode_count(&[0; 5]), None);
        let mailboxes = [Mailbox { recipient: somebody(1), letters: 2, bytes: 3 }; 2];
        let body = encode_mailboxes(&mailboxes);
        assert_eq!(decode_mailboxes(&body).as_deref(), Some(&mailboxes[..]));
        assert_eq!(decode_mailboxes(&body[..45]), None);
    }
}
