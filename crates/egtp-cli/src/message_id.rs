//! The id of a message, as `request --json`, `events` and the control socket write it.

use std::fmt;
use std::str::FromStr;

use egtp::MessageId;

/// The id of a message, read from its 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Id(pub(crate) MessageId);

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim().as_bytes();
        let mut bytes = [0; 32];
        let is_whole = digits.len() == 2 * bytes.len();
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).and_then(|one| u8::try_from(one).ok());
                *byte = (*byte << 4) | value.ok_or(NOT_AN_ID)?;
            }
        }
        if is_whole { Ok(Self(MessageId::from_bytes(bytes))) } else { Err(NOT_AN_ID.to_owned()) }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const NOT_AN_ID: &str = "the id of a message is 64 hexadecimal digits: see egtp events kept";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = Id(MessageId::from_bytes(std::array::from_fn(|byte| {
            u8::try_from(byte * 7 % 256).unwrap()
        })));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!(" {id}\n").to_uppercase().parse(), Ok(id));
        let text = id.to_string();
        for wrong in [
            "",
            "0",
            &text[1..],
            &format!("{text}0"),
            &text.replace('0', "g"),
            &text.replace('0', "+"),
        ] {
            assert_eq!(wrong.parse::<Id>(), Err(NOT_AN_ID.to_owned()), "{wrong}");
        }
    }
}
