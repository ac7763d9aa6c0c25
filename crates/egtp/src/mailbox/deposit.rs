//! What a relay says to whoever has left a letter with it: that it is kept, or why not.
//!
//! Invariant: whoever hears that a letter is not kept hears what can be done about it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use egtp_proto::wire::Reader;

use super::{duration, seconds};

/// What became of a letter that was to be kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deposit {
    /// It is on the relay's disk, perhaps from an earlier *put* of the same sender.
    Stored {
        /// For how long from now, in whole seconds, if its recipient does not collect it.
        kept: Duration,
    },
    /// It is not kept.
    Refused(DepositRefused),
}

/// What a limit of a mailbox counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Measure {
    /// The number of letters.
    Letters,
    /// Their bytes.
    Bytes,
}

/// Why a letter is not kept, and what its sender can do. It was not kept, so that sending it again is safe in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DepositRefused {
    /// Too much waits for this recipient. Try again when it has collected, or use another of its relays.
    #[error(
        "the recipient's mailbox is full ({held} of {limit} {} are held); try again when it has collected, or use \
         another of its relays", words(*.measure)
    )]
    MailboxFull {
        /// What is short.
        measure: Measure,
        /// How much of it is held for the recipient.
        held: u64,
        /// How much of it may be.
        limit: u64,
    },
    /// Too much from this sender waits for this recipient. Try again when it has collected, or use another relay.
    #[error(
        "your share of the recipient's mailbox is full ({held} of {limit} {} are held); try again when it has \
         collected, or use another of its relays", words(*.measure)
    )]
    ShareFull {
        /// What is short.
        measure: Measure,
        /// How much of it is held from this sender for the recipient.
        held: u64,
        /// How much of it may be.
        limit: u64,
    },
    /// The relay keeps no more for anybody, or its disk refuses. Try again later, or use another relay.
    #[error(
        "the relay has no room; try again in {} s, or use another of the recipient's relays", .retry_after.as_secs()
    )]
    RelayFull {
        /// When to try again, in whole seconds.
        retry_after: Duration,
    },
    /// The relay keeps nothing for this recipient, and will not. Use one that the recipient names.
    #[error("the relay keeps no letters for this recipient; use a relay that the recipient names")]
    UnknownRecipient,
    /// The letter is longer than what the relay keeps. Split what is in it, or send it when the recipient is there.
    #[error("the letter is longer than the {limit} bytes that the relay keeps; make it shorter")]
    TooLarge {
        /// Bytes of the longest letter.
        limit: u32,
    },
}

impl Deposit {
    /// One byte for what became of it, and the numbers that belong to that.
    pub fn encode(self) -> Bytes {
        let mut body = BytesMut::with_capacity(18);
        let (tag, detail) = match self {
            Self::Stored { kept } => (STORED, Detail::Number(seconds(kept))),
            Self::Refused(DepositRefused::MailboxFull { measure, held, limit }) => {
                (MAILBOX_FULL, Detail::Full(measure, held, limit))
            }
            Self::Refused(DepositRefused::ShareFull { measure, held, limit }) => {
                (SHARE_FULL, Detail::Full(measure, held, limit))
            }
            Self::Refused(DepositRefused::RelayFull { retry_after }) => {
                (RELAY_FULL, Detail::Number(seconds(retry_after)))
            }
            Self::Refused(DepositRefused::UnknownRecipient) => (UNKNOWN_RECIPIENT, Detail::Nothing),
            Self::Refused(DepositRefused::TooLarge { limit }) => (TOO_LARGE, Detail::Number(limit)),
        };
        body.put_u8(tag);
        match detail {
            Detail::Nothing => {}
            Detail::Number(number) => body.put_u32_le(number),
            Detail::Full(measure, held, limit) => {
                body.put_u8(match measure {
                    Measure::Letters => 0,
                    Measure::Bytes => 1,
                });
                body.put_u64_le(held);
                body.put_u64_le(limit);
            }
        }
        body.freeze()
    }

    /// `None` for what nobody writes.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let deposit = match reader.u8().ok()? {
            STORED => Self::Stored { kept: duration(&mut reader)? },
            MAILBOX_FULL => {
                let (measure, held, limit) = full(&mut reader)?;
                Self::Refused(DepositRefused::MailboxFull { measure, held, limit })
            }
            SHARE_FULL => {
                let (measure, held, limit) = full(&mut reader)?;
                Self::Refused(DepositRefused::ShareFull { measure, held, limit })
            }
            RELAY_FULL => {
                let retry_after = duration(&mut reader)?;
                Self::Refused(DepositRefused::RelayFull { retry_after })
            }
            UNKNOWN_RECIPIENT => Self::Refused(DepositRefused::UnknownRecipient),
            TOO_LARGE => Self::Refused(DepositRefused::TooLarge { limit: reader.u32().ok()? }),
            _ => return None,
        };
        reader.finish().ok()?;
        Some(deposit)
    }
}

/// What stands behind the first byte of a [`Deposit`].
enum Detail {
    Nothing,
    Number(u32),
    Full(Measure, u64, u64),
}

fn full(reader: &mut Reader<'_>) -> Option<(Measure, u64, u64)> {
    let measure = match reader.u8().ok()? {
        0 => Measure::Letters,
        1 => Measure::Bytes,
        _ => return None,
    };
    Some((measure, reader.u64().ok()?, reader.u64().ok()?))
}

const fn words(measure: Measure) -> &'static str {
    match measure {
        Measure::Letters => "letters",
        Measure::Bytes => "bytes",
    }
}

const STORED: u8 = 0;
const MAILBOX_FULL: u8 = 1;
const SHARE_FULL: u8 = 2;
const RELAY_FULL: u8 = 3;
const UNKNOWN_RECIPIENT: u8 = 4;
const TOO_LARGE: u8 = 5;

#[cfg(test)]
mod tests {
    use super::super::tests::one_spelling;
    use super::*;

    #[test]
    fn what_became_of_a_letter_is_read_back_and_nothing_else_is() {
        let (held, limit) = (5, u64::MAX);
        let minute = Duration::from_mins(1);
        let refusals = [
            DepositRefused::MailboxFull { measure: Measure::Letters, held, limit },
            DepositRefused::ShareFull { measure: Measure::Bytes, held, limit },
            DepositRefused::RelayFull { retry_after: minute },
            DepositRefused::UnknownRecipient,
            DepositRefused::TooLarge { limit: 7 },
        ];
        let refusals = refusals.map(Deposit::Refused);
        for deposit in refusals.into_iter().chain([Deposit::Stored { kept: minute }]) {
            assert_eq!(Deposit::decode(&deposit.encode()), Some(deposit));
            one_spelling(&deposit.encode(), |body| Deposit::decode(body));
        }
        assert_eq!(Deposit::decode(&[6, 0, 0, 0, 0]), None);
        let strange = [&[MAILBOX_FULL, 2][..], &[0; 16]].concat();
        assert_eq!(Deposit::decode(&strange), None, "full of what?");
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let full = DepositRefused::MailboxFull { measure: Measure::Bytes, held: 5, limit: 7 };
        let said = "the recipient's mailbox is full (5 of 7 bytes are held); try again when it has collected, or \
                    use another of its relays";
        assert_eq!(full.to_string(), said);
    }
}
