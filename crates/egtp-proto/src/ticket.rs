//! A ticket: a key with hints where to find its owner, short enough for a chat line or a QR code.
//!
//! The hints are not signed and nobody should believe them; the key decides who answers.
//! Invariant: what [`Ticket`] prints, it reads.

use std::fmt;
use std::str::FromStr;

use crate::key::{KeyError, PublicKey};
use crate::strategy::{Strategy, StrategyError};

/// A key and where it may be reached, written `egtp:egtp1…?at=tcp/192.0.2.1:7700&at=relay/egtp1…`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ticket {
    /// Whom to reach.
    pub key: PublicKey,
    /// Hints, best first. Only the first [`Ticket::STRATEGIES_MAX`] are written.
    pub strategies: Vec<Strategy>,
}

impl Ticket {
    /// How many hints a ticket carries.
    pub const STRATEGIES_MAX: usize = 8;
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.key)?;
        for (index, strategy) in self.strategies.iter().take(Self::STRATEGIES_MAX).enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            write!(f, "{separator}{HINT}{strategy}")?;
        }
        Ok(())
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    /// Reads a ticket, or a bare key as a ticket without hints.
    ///
    /// # Errors
    /// Every [`TicketError`]: it says which part is wrong and shows how it should look.
    fn from_str(text: &str) -> Result<Self, TicketError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TicketError::TooLong);
        }
        let Some(text) = text.strip_prefix(SCHEME) else {
            return Ok(Self { key: text.parse()?, strategies: Vec::new() });
        };
        let Some((key, hints)) = text.split_once('?') else {
            return Ok(Self { key: text.parse()?, strategies: Vec::new() });
        };
        let key = key.parse()?;
        let mut strategies = Vec::new();
        for (index, hint) in hints.split('&').enumerate() {
            if index == Self::STRATEGIES_MAX {
                return Err(TicketError::TooManyHints);
            }
            let number = index + 1;
            let strategy = hint.strip_prefix(HINT).ok_or(TicketError::Parameter { number })?;
            let strategy = strategy.parse();
            strategies.push(strategy.map_err(|cause| TicketError::Hint { number, cause })?);
        }
        Ok(Self { key, strategies })
    }
}

/// Which part of a ticket is wrong. Copy it again, or repair that part.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The key, or the text is no ticket at all.
    #[error("the key of the ticket cannot be read: {0} (a ticket looks like {EXAMPLE})")]
    Key(#[from] KeyError),
    /// A part after `?` does not begin with `at=`.
    #[error("part {number} after the question mark does not begin with at= (as in {EXAMPLE})")]
    Parameter {
        /// Counted from 1.
        number: usize,
    },
    /// A hint is no strategy.
    #[error("hint {number} of the ticket cannot be read: {cause} (a ticket looks like {EXAMPLE})")]
    Hint {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        cause: StrategyError,
    },
    /// More hints than a ticket may have.
    #[error("the ticket has more than {max} hints; leave out some at= parts", max = Ticket::STRATEGIES_MAX)]
    TooManyHints,
    /// Longer than any ticket.
    #[error("the text is too long for a ticket, which looks like {EXAMPLE}")]
    TooLong,
}

const SCHEME: &str = "egtp:";
const HINT: &str = "at=";
const EXAMPLE: &str = "egtp:egtp1...?at=tcp/192.0.2.1:7700&at=relay/egtp1...";

/// A key and eight of the longest strategies.
const TEXT_BYTES_MAX: usize = 128 + Ticket::STRATEGIES_MAX * 352;

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::key::SecretKey;

    fn key() -> PublicKey {
        SecretKey::from_seed([1; 32]).public()
    }

    #[test]
    fn a_bare_key_is_a_ticket_without_hints() {
        let ticket: Ticket = key().to_string().parse().unwrap();
        assert_eq!(ticket, Ticket { key: key(), strategies: Vec::new() });
        assert_eq!(ticket.to_string().parse(), Ok(ticket));
    }

    #[test]
    fn the_error_names_the_wrong_part_and_shows_an_example() {
        let key = key();
        let secret = SecretKey::from_seed([1; 32]).to_text();
        let many = ["at=tcp/a:1"; 9].join("&");
        for (text, hint) in [
            (String::new(), "egtp:egtp1...?at="),
            ("http://example.org".to_owned(), "egtp:egtp1...?at="),
            (format!("egtp:{key}?"), "part 1"),
            (format!("egtp:{key}?at=tcp/a:1&"), "part 2"),
            (format!("egtp:{key}?at=tcp/a:1&via=x"), "part 2"),
            (format!("egtp:{key}?at=tcp/a:1&at=tcp/b"), "hint 2"),
            (format!("{key}?at=tcp/a:1"), "key of the ticket"),
            (format!("egtp:{key}?{many}"), "more than 8"),
            (format!("egtp:{}", *secret), "show it to nobody"),
            ("x".repeat(5_000), "too long"),
        ] {
            let error = text.parse::<Ticket>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
            assert!(!error.contains(&**secret));
        }
    }

    proptest! {
        #[test]
        fn a_changed_or_missing_character_of_the_key_is_noticed(position in 5_usize..63, with in any::<char>()) {
            let text = format!("egtp:{}?at=tcp/a:1", key());
            let mut changed: Vec<char> = text.chars().collect();
            changed[position + 5] = with;
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(changed.parse::<Ticket>().is_ok(), changed == text);
            let cut: String = text.chars().take(position + 5).collect();
            prop_assert!(cut.parse::<Ticket>().is_err());
        }

        #[test]
        fn an_accepted_text_with_scheme_is_printed_again(text in "egtp:\\PC{0,40}") {
            if let Ok(ticket) = text.parse::<Ticket>() {
                prop_assert_eq!(ticket.to_string(), text.to_lowercase());
            }
        }
    }
}
