//! How mailboxes lie in the values of a node's store.
//!
//! Every list is a range of keys, and whatever is asked of one is found by a key or as the first one behind a key.
//! Knows no rules. Invariant: numbers in keys are big-endian, so that keys are in the order of what they say; no key of
//! one list begins with a key of another.

use egtp::PublicKey;
use egtp::mailbox::LetterName;

/// A row's value.
pub(super) trait Row: Sized {
    /// As it is kept.
    fn encode(&self) -> Vec<u8>;

    /// `None` for what nobody has written.
    fn decode(value: &[u8]) -> Option<Self>;
}

/// How much is held: of all, of a mailbox, of somebody's share in one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Load {
    pub letters: u64,
    pub bytes: u64,
}

impl Load {
    pub(super) const fn with(self, bytes: u64) -> Self {
        Self { letters: self.letters.saturating_add(1), bytes: self.bytes.saturating_add(bytes) }
    }

    pub(super) const fn without(self, bytes: u64) -> Self {
        Self { letters: self.letters.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }
}

impl Row for Load {
    fn encode(&self) -> Vec<u8> {
        [self.letters.to_le_bytes(), self.bytes.to_le_bytes()].concat()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let [letters, bytes] = numbers(value)?;
        Some(Self { letters, bytes })
    }
}

/// All mailboxes together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Total {
    pub mailboxes: u64,
    pub load: Load,
}

impl Row for Total {
    fn encode(&self) -> Vec<u8> {
        [&self.mailboxes.to_le_bytes()[..], &self.load.encode()].concat()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let [mailboxes, letters, bytes] = numbers(value)?;
        Some(Self { mailboxes, load: Load { letters, bytes } })
    }
}

/// One mailbox. There is none without letters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Summary {
    /// The position of the letter that came last.
    pub last: u64,
    pub load: Load,
}

impl Row for Summary {
    fn encode(&self) -> Vec<u8> {
        [&self.last.to_le_bytes()[..], &self.load.encode()].concat()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let [last, letters, bytes] = numbers(value)?;
        Some(Self { last, load: Load { letters, bytes } })
    }
}

/// What is known of a letter without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    /// In seconds since the Unix epoch.
    pub stored_at: u64,
    /// The sender's key. Whether it is one is checked when it comes and when it is told, and not each time that somebody
    /// looks how old a letter is: the check takes longer than all else that is done with a row.
    pub sender: [u8; 32],
    pub name: LetterName,
    /// Of the letter.
    pub bytes: u64,
}

impl Row for Head {
    fn encode(&self) -> Vec<u8> {
        let Self { stored_at, sender, name, bytes } = self;
        [&stored_at.to_le_bytes()[..], sender, name.as_bytes(), &bytes.to_le_bytes()].concat()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (stored_at, rest) = value.split_first_chunk()?;
        let (sender, rest) = rest.split_first_chunk()?;
        let (name, rest) = rest.split_first_chunk()?;
        Some(Self {
            stored_at: u64::from_le_bytes(*stored_at),
            sender: *sender,
            name: LetterName::from_bytes(*name),
            bytes: u64::from_le_bytes(rest.try_into().ok()?),
        })
    }
}

/// A letter's place in a mailbox.
impl Row for u64 {
    fn encode(&self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        Some(Self::from_le_bytes(value.try_into().ok()?))
    }
}

/// The key of the [`Total`].
pub(super) fn total() -> Vec<u8> {
    key(b"total", &[])
}

/// The key of a mailbox's [`Summary`].
pub(super) fn summary(recipient: &PublicKey) -> Vec<u8> {
    key(b"mailbox", &[recipient.as_bytes()])
}

/// The key of the [`Load`] that one sender has put into a mailbox.
pub(super) fn share(recipient: &PublicKey, sender: &[u8; 32]) -> Vec<u8> {
    key(b"share", &[recipient.as_bytes(), sender])
}

/// The key of a letter's [`Head`]. In a mailbox they are in the order of their positions.
pub(super) fn head(recipient: &PublicKey, position: u64) -> Vec<u8> {
    key(b"head", &[recipient.as_bytes(), &position.to_be_bytes()])
}

/// The position that such a key says, if it is one of this mailbox.
pub(super) fn position_of(key: &[u8], recipient: &PublicKey) -> Option<u64> {
    let position = u64::from_be_bytes(*key.last_chunk()?);
    (key == head(recipient, position)).then_some(position)
}

/// The key of a letter itself.
pub(super) fn letter(recipient: &PublicKey, position: u64) -> Vec<u8> {
    key(b"letter", &[recipient.as_bytes(), &position.to_be_bytes()])
}

/// The key of a letter's position, by what is in it.
pub(super) fn place(recipient: &PublicKey, sender: &[u8; 32], name: LetterName) -> Vec<u8> {
    key(b"place", &[recipient.as_bytes(), sender, name.as_bytes()])
}

/// A key without a value, for each letter in the order in which they came.
pub(super) fn age(stored_at: u64, recipient: &PublicKey, position: u64) -> Vec<u8> {
    key(b"age", &[&stored_at.to_be_bytes(), recipient.as_bytes(), &position.to_be_bytes()])
}

/// Before all such keys.
pub(super) fn oldest() -> Vec<u8> {
    key(b"age", &[])
}

/// When it came, if it is such a key.
pub(super) fn age_of(key: &[u8]) -> Option<u64> {
    let (stored_at, _) = key.strip_prefix(&oldest()[..])?.split_first_chunk()?;
    Some(u64::from_be_bytes(*stored_at))
}

/// For whom it is, and its position, if it is such a key.
pub(super) fn aged(key: &[u8]) -> Option<(PublicKey, u64)> {
    let (_, rest) = key.strip_prefix(&oldest()[..])?.split_first_chunk::<8>()?;
    let (recipient, position) = rest.split_first_chunk()?;
    let recipient = PublicKey::from_bytes(*recipient).ok()?;
    Some((recipient, u64::from_be_bytes(position.try_into().ok()?)))
}

/// A key without a value, for each mailbox: the one with the most bytes comes first.
pub(super) fn rank(bytes: u64, recipient: &PublicKey) -> Vec<u8> {
    key(b"rank", &[&(!bytes).to_be_bytes(), recipient.as_bytes()])
}

/// Before all such keys.
pub(super) fn largest() -> Vec<u8> {
    key(b"rank", &[])
}

/// Whose mailbox it is, if it is such a key.
pub(super) fn ranked(key: &[u8]) -> Option<PublicKey> {
    let (_, recipient) = key.strip_prefix(&largest()[..])?.split_first_chunk::<8>()?;
    PublicKey::from_bytes(recipient.try_into().ok()?).ok()
}

/// The name of a list, and what is looked for in it.
fn key(list: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut key = [b"egtp.mailbox ", list, b" "].concat();
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

fn numbers<const N: usize>(value: &[u8]) -> Option<[u64; N]> {
    let (numbers, rest) = value.as_chunks::<8>();
    let numbers: &[[u8; 8]; N] = numbers.try_into().ok()?;
    rest.is_empty().then(|| numbers.map(u64::from_le_bytes))
}
