//! Leaves a letter with a relay.
//!
//! Invariant: whoever hears [`Stored`] may forget the letter; whoever hears anything else may send it again, because a
//! relay keeps the same letter of the same sender once.

use std::time::Duration;

use egtp::mailbox::{Deposit, DepositRefused, PUT, encode_put};
use egtp::{Node, PublicKey, Recipient, Refusal, RequestError};

/// A letter is on the relay's disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stored {
    /// For how long from now, if its recipient does not collect it.
    pub kept: Duration,
}

/// Why a letter is not known to be kept. Sending it again, to this relay or another one, is safe in any case.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DepositError {
    /// The relay does not keep it, and says why.
    #[error(transparent)]
    Refused(#[from] DepositRefused),
    /// The relay could not be asked, or did not answer.
    #[error("the relay was not asked, or did not answer: {0}")]
    Request(#[source] RequestError),
    /// The relay's answer is none that is known here: it is of another version.
    #[error("the relay's answer is not understood; its version is another one")]
    Answer,
}

/// Leaves a letter with a relay for somebody who collects there. Waits until it is on the relay's disk.
///
/// # Errors
/// [`DepositError`]; the letter may be sent again.
pub async fn deposit(
    node: &Node,
    relay: impl Into<Recipient>,
    recipient: &PublicKey,
    letter: &[u8],
) -> Result<Stored, DepositError> {
    match super::ask(node, relay, PUT, encode_put(recipient, letter)).await {
        Ok(reply) => match Deposit::decode(&reply).ok_or(DepositError::Answer)? {
            Deposit::Stored { kept } => Ok(Stored { kept }),
            Deposit::Refused(why) => Err(why.into()),
        },
        // Its disk takes nothing, or it has too much to do.
        Err(RequestError::Refused(Refusal::Busy { retry_after })) => {
            Err(DepositRefused::RelayFull { retry_after: retry_after.max(SOON) }.into())
        }
        Err(why) => Err(DepositError::Request(why)),
    }
}

/// When to try again if a relay that is busy does not say.
const SOON: Duration = Duration::from_secs(1);
