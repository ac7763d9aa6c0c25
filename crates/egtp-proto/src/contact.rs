//! A contact: what a key says about itself, signed, so that it does not matter who hands it over.
//!
//! The same bytes serve the DHT, trackers, friends and paste. Knows no clock: the caller says which
//! day it is. Invariant: a [`Contact`] cannot exist unless its signature was checked, and it keeps
//! the bytes that were signed, parts of later versions included.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::contact_value::{ContactDraft, ContactValue, MailboxPrekey, VALUE_BYTES_MAX};
use crate::key::{KeyError, PublicKey, SecretKey};
use crate::strategy::Strategy;
use crate::wire::{Reader, WireError};

impl ContactDraft {
    /// Signs what the draft says, on the given day (counted since 1970, UTC).
    ///
    /// # Errors
    /// The [`ContactError`] of the field that has to be changed.
    pub fn sign(&self, secret: &SecretKey, signing_day: u32) -> Result<Contact, ContactError> {
        let ahead = self.expiry_day.checked_sub(signing_day);
        if ahead.is_none_or(|days| days > DAYS_AHEAD_MAX) {
            return Err(ContactError::Expiry);
        }
        let value = self.encode_value();
        if value.len() > VALUE_BYTES_MAX {
            return Err(ContactError::TooLong);
        }
        let checked = ContactValue::decode(secret.public(), self.sequence, &value)?;
        let signature = secret.sign(&mutable_item(SALT, self.sequence, &value));
        let key = secret.public();
        let sequence = self.sequence.to_le_bytes();
        let bytes = [&key.as_bytes()[..], &signature, &sequence, &value].concat();
        Ok(Contact { key, value: checked, bytes: bytes.into() })
    }
}

/// The signed record of a key. Cheap to compare, safe to pass on.
#[derive(Clone)]
pub struct Contact {
    key: PublicKey,
    value: ContactValue,
    bytes: Arc<[u8]>,
}

impl Contact {
    /// The longest encoding.
    pub const BYTES_MAX: usize = HEAD_BYTES + VALUE_BYTES_MAX;

    /// Checks bytes from anywhere: key, signature, every field.
    ///
    /// # Errors
    /// Every [`ContactError`] of a record. Whoever sent it is broken or dishonest, except with
    /// [`ContactError::Version`]; ask somebody else.
    pub fn decode(bytes: &[u8]) -> Result<Self, ContactError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(ContactError::TooLong);
        }
        let mut reader = Reader::new(bytes);
        let key = reader.array()?;
        let signature = reader.array()?;
        let sequence = reader.u64()?;
        let value = reader.take_rest();
        let key = PublicKey::from_bytes(key)?;
        key.verify(&mutable_item(SALT, sequence, value), &signature)?;
        let value = ContactValue::decode(key, sequence, value)?;
        Ok(Self { key, value, bytes: bytes.into() })
    }

    /// The whole record: key (32 bytes), signature (64), sequence (8), value.
    pub fn encode(&self) -> &[u8] {
        &self.bytes
    }

    /// The signature alone, as a mutable item of the DHT carries it.
    pub fn signature(&self) -> &[u8] {
        self.bytes.get(32..96).unwrap_or_default()
    }

    /// The signed value alone, as a mutable item of the DHT carries it (without its length).
    pub fn value(&self) -> &[u8] {
        self.bytes.get(HEAD_BYTES..).unwrap_or_default()
    }

    /// Whether this record replaces `other`: same key, and a higher sequence number. If the numbers
    /// are equal, the larger SHA-256 decides, so that all readers end with the same record.
    pub fn supersedes(&self, other: &Self) -> bool {
        let rank = |contact: &Self| {
            let hash = digest(&SHA256, &contact.bytes);
            (contact.sequence(), hash.as_ref().to_vec())
        };
        self.key == other.key && rank(self) > rank(other)
    }

    /// Whether it names no way to be reached, known to this version or not: its owner can call
    /// others and answer them, but must not be announced to directories.
    pub fn is_client(&self) -> bool {
        self.value.known.strategies.is_empty() && self.value.unknown_strategies == 0
    }

    /// The text `EGTP2-CONTACT:…;` for mails and chats.
    pub fn to_text(&self) -> String {
        format!("{TEXT_BEGIN}{}{TEXT_END}", URL_SAFE_NO_PAD.encode(&self.bytes))
    }

    /// Everything it says, as the start of the draft that will follow it.
    pub const fn draft(&self) -> &ContactDraft {
        &self.value.known
    }

    /// Whose contact it is.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Its number; a reader never goes back to a lower one.
    pub const fn sequence(&self) -> u64 {
        self.value.known.sequence
    }

    /// How to reach the key, best first, without the ways that only later versions know.
    pub fn strategies(&self) -> &[Strategy] {
        &self.value.known.strategies
    }

    /// The ids of the understood cipher suites, best first; never empty.
    pub fn suites(&self) -> &[u8] {
        &self.value.known.suites
    }

    /// The key to which mailbox letters are sealed.
    pub const fn mailbox_prekey(&self) -> Option<MailboxPrekey> {
        self.value.known.mailbox_prekey
    }

    /// The id of the store that remembers which letters were read.
    pub const fn letter_store(&self) -> Option<u64> {
        self.value.known.letter_store
    }

    /// Which running copy of the identity signed.
    pub const fn instance(&self) -> u64 {
        self.value.known.instance
    }

    /// The longest message that is accepted, in bytes.
    pub const fn message_bytes_max(&self) -> u32 {
        self.value.known.message_bytes_max
    }

    /// After how long without receiving a session is not used any more.
    pub fn idle_out(&self) -> Duration {
        Duration::from_secs(self.value.known.idle_out_seconds.into())
    }

    /// The last day of validity, in days since 1970 (UTC). Only directories and trackers look at it.
    pub const fn expiry_day(&self) -> u32 {
        self.value.known.expiry_day
    }

    /// The key for which this one says it may act. It proves nothing without a delegation.
    pub const fn parent(&self) -> Option<PublicKey> {
        self.value.known.parent
    }
}

impl PartialEq for Contact {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Contact {}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact")
            .field("key", &self.key.short())
            .field("sequence", &self.sequence())
            .field("strategies", &self.strategies())
            .finish_non_exhaustive()
    }
}

impl FromStr for Contact {
    type Err = ContactError;

    /// Reads `EGTP2-CONTACT:…;`, whatever spaces and line breaks were put in on the way.
    ///
    /// # Errors
    /// [`ContactError::NotAContact`] and [`ContactError::Mistyped`] for the text, and those of
    /// [`Contact::decode`].
    fn from_str(text: &str) -> Result<Self, ContactError> {
        let solid = text.chars().filter(|character| !character.is_whitespace());
        // One character more than fits, so that a longer text is noticed and not cut.
        let solid: String = solid.take(TEXT_CHARACTERS_MAX + 1).collect();
        let inner = solid.strip_prefix(TEXT_BEGIN).ok_or(ContactError::NotAContact)?;
        let inner = inner.strip_suffix(TEXT_END).ok_or(ContactError::Mistyped)?;
        let bytes = URL_SAFE_NO_PAD.decode(inner).map_err(|_| ContactError::Mistyped)?;
        Self::decode(&bytes)
    }
}

/// Why something is no contact, or must not become one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ContactError {
    /// The bytes are damaged. Ask for the contact again.
    #[error("the contact is damaged ({0}); ask for it again")]
    Wire(#[from] WireError),
    /// A key or the signature is wrong. Believe nothing of it.
    #[error("the contact is not to be believed ({0})")]
    Key(#[from] KeyError),
    /// Made by a later version. Update this program to read it.
    #[error("the contact has format {0}, which this version cannot read; update the program")]
    Version(u8),
    /// The sequence number is out of range.
    #[error("a contact's sequence number lies between 1 and 2^63-1; use the last one plus 1")]
    Sequence,
    /// The list of suites is empty, too long or repeats itself.
    #[error("a contact names one to sixteen cipher suites, each once")]
    Suites,
    /// Too many strategies, or one that leads nowhere.
    #[error("a contact has at most 16 strategies, none with port 0 or through its own key")]
    Strategies,
    /// The idle time is out of range.
    #[error("a contact's idle time lies between 1 second and 24 hours")]
    IdleOut,
    /// The expiry day is too far away or past.
    #[error("a contact is valid at most 90 days from its signing day on; choose an earlier expiry")]
    Expiry,
    /// The mailbox prekey has the id 0.
    #[error("a mailbox prekey needs an id other than 0")]
    Prekey,
    /// The key is its own parent.
    #[error("a key cannot act for itself; leave the parent out")]
    Parent,
    /// More bytes than a contact may have.
    #[error("the contact is longer than {VALUE_BYTES_MAX} bytes of contents; leave out strategies")]
    TooLong,
    /// The text is something else.
    #[error("not a contact: it should begin with {TEXT_BEGIN}")]
    NotAContact,
    /// The text is damaged.
    #[error("the contact's text is damaged; copy it again, from {TEXT_BEGIN} up to the semicolon")]
    Mistyped,
}

/// What BEP 44 has signed for a mutable item. No other text that we sign begins like this.
fn mutable_item(salt: &[u8], sequence: u64, value: &[u8]) -> Vec<u8> {
    let salt_length = salt.len().to_string();
    let salted = [b"4:salt", salt_length.as_bytes(), b":", salt].concat();
    let head = format!("3:seqi{sequence}e1:v{}:", value.len());
    [if salt.is_empty() { &[] } else { &salted[..] }, head.as_bytes(), value].concat()
}

const SALT: &[u8] = b"egtp2";
const HEAD_BYTES: usize = 32 + 64 + 8;
const DAYS_AHEAD_MAX: u32 = 90;
const TEXT_BEGIN: &str = "EGTP2-CONTACT:";
const TEXT_END: char = ';';

/// Four characters for every three bytes, and both ends.
const TEXT_CHARACTERS_MAX: usize = Contact::BYTES_MAX.div_ceil(3) * 4 + TEXT_BEGIN.len() + 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// The signatures of both mutable items in the test vectors of BEP 44.
    /// Proves I-6.
    #[test]
    fn the_signed_bytes_are_those_of_bep_44() {
        let key = array::<32>("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548");
        let key = PublicKey::from_bytes(key).unwrap();
        for (salt, signature) in [
            (
                &b""[..],
                "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
                 1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01",
            ),
            (
                b"foobar",
                "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
                 df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
            ),
        ] {
            let signature = array::<64>(signature);
            let item = mutable_item(salt, 1, b"Hello World!");
            assert_eq!(key.verify(&item, &signature), Ok(()));
            let other = mutable_item(salt, 2, b"Hello World!");
            assert_eq!(key.verify(&other, &signature), Err(KeyError::BadSignature));
        }
        assert_eq!(mutable_item(b"egtp2", 7, b"ab"), b"4:salt5:egtp23:seqi7e1:v2:ab");
    }

    fn array<const N: usize>(hex: &str) -> [u8; N] {
        let pairs = hex.as_bytes().as_chunks::<2>().0;
        let pair = |index: usize| str::from_utf8(&pairs[index]).unwrap();
        std::array::from_fn(|index| u8::from_str_radix(pair(index), 16).unwrap())
    }
}
