//! What a recipient asks of its mailbox, and the letters that it is given.
//!
//! Invariant: letters come in the order of their positions, and no position comes twice.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use egtp_proto::PublicKey;
use egtp_proto::wire::Reader;

use super::{ACKS_MAX, LETTER_AROUND, LETTERS_AROUND, duration, key, seconds};

/// The body of [`GET`](super::GET).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Get {
    /// Bytes of the largest reply that is welcome.
    pub largest: u32,
    /// Only letters behind this position; 0 for all. So that letters which are left where they are hide no others.
    pub after: u64,
}

impl Get {
    /// 12 bytes.
    pub fn encode(self) -> Bytes {
        let mut body = BytesMut::with_capacity(12);
        body.put_u32_le(self.largest);
        body.put_u64_le(self.after);
        body.freeze()
    }

    /// `None` for what nobody writes.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let get = Self { largest: reader.u32().ok()?, after: reader.u64().ok()? };
        reader.finish().ok()?;
        Some(get)
    }
}

/// A letter that waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Letter {
    /// Its place in the mailbox. A later one has a higher position; none has 0.
    pub position: u64,
    /// Who has left it: the relay says so, and knows it by the key that *put* came from.
    pub sender: PublicKey,
    /// How long it has been there, in whole seconds by the relay's clock.
    pub age: Duration,
    /// What the sender has left.
    pub bytes: Bytes,
}

/// The reply to [`GET`](super::GET).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Letters {
    /// Letters of the mailbox, older or younger, that are not among these. Some of them may have expired meanwhile.
    pub left: u32,
    /// The oldest ones that were asked for, oldest first, as many as the reply has room for.
    pub letters: Vec<Letter>,
}

impl Letters {
    /// The number that is left, then each letter with its length before it.
    pub fn encode(&self) -> Bytes {
        let bytes: usize = self.letters.iter().map(|one| LETTER_AROUND + one.bytes.len()).sum();
        let mut body = BytesMut::with_capacity(LETTERS_AROUND + bytes);
        body.put_u32_le(self.left);
        for Letter { position, sender, age, bytes } in &self.letters {
            body.put_u64_le(*position);
            body.put_slice(sender.as_bytes());
            body.put_u32_le(seconds(*age));
            // No letter is that long: it has come in a message.
            body.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            body.put_slice(bytes);
        }
        body.freeze()
    }

    /// `None` for what nobody writes. The letters share the memory of the body.
    pub fn decode(body: &Bytes) -> Option<Self> {
        let mut reader = Reader::new(body);
        let left = reader.u32().ok()?;
        let mut letters = Vec::new();
        while !reader.is_empty() {
            if letters.len() == ACKS_MAX {
                return None;
            }
            let position = reader.u64().ok()?;
            let is_later = letters.last().is_none_or(|one: &Letter| one.position < position);
            if position == 0 || !is_later {
                return None;
            }
            let sender = key(&mut reader)?;
            let age = duration(&mut reader)?;
            let length = usize::try_from(reader.u32().ok()?).ok()?;
            let bytes = body.slice_ref(reader.bytes(length).ok()?);
            letters.push(Letter { position, sender, age, bytes });
        }
        Some(Self { left, letters })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::somebody;
    use super::*;

    #[test]
    fn letters_are_read_back_in_their_order_and_in_no_other() {
        let letter = |position, bytes: &'static str| Letter {
            position,
            sender: somebody(2),
            age: Duration::from_secs(3),
            bytes: bytes.into(),
        };
        let letters = Letters { left: 7, letters: vec![letter(1, ""), letter(9, "letter")] };
        let body = letters.encode();
        assert_eq!(Letters::decode(&body), Some(letters));
        assert_eq!(body.len(), LETTERS_AROUND + 2 * LETTER_AROUND + 6);
        for positions in [[0, 1], [2, 1], [1, 1]] {
            let letters = positions.map(|position| letter(position, "")).to_vec();
            assert_eq!(Letters::decode(&Letters { left: 0, letters }.encode()), None);
        }
        for cut in 1..LETTER_AROUND + 6 {
            assert_eq!(Letters::decode(&body.slice(..body.len() - cut)), None, "{cut} bytes less");
        }
        let many = (1..=257).map(|position| letter(position, "")).collect();
        assert_eq!(Letters::decode(&Letters { left: 0, letters: many }.encode()), None);
    }
}
