//! What is said, to whom, and what comes back.

use std::time::Duration;

use bytes::Bytes;
use egtp_proto::{Contact, Kind, PublicKey, Strategy, Ticket};

use crate::error::Refusal;

/// A message: its kind and its body.
#[derive(Clone, Debug)]
pub struct Message {
    /// What handlers are registered by, such as `block.get/1`.
    pub kind: Kind,
    /// Bytes; what they mean is the kind's business.
    pub body: Bytes,
}

impl Message {
    /// A message of a kind that was checked before.
    pub fn new(kind: Kind, body: impl Into<Bytes>) -> Self {
        Self { kind, body: body.into() }
    }
}

/// Whom to address: a key, perhaps with hints where to reach it.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The name.
    pub key: PublicKey,
    /// Where it may be reached. Only hints: nothing is believed of them but the key's own proof.
    pub hints: Vec<Strategy>,
}

impl From<PublicKey> for Recipient {
    fn from(key: PublicKey) -> Self {
        Self { key, hints: Vec::new() }
    }
}

impl From<Ticket> for Recipient {
    fn from(ticket: Ticket) -> Self {
        Self { key: ticket.key, hints: ticket.strategies }
    }
}

impl From<&Ticket> for Recipient {
    fn from(ticket: &Ticket) -> Self {
        ticket.clone().into()
    }
}

impl From<&Contact> for Recipient {
    fn from(contact: &Contact) -> Self {
        Self { key: contact.key(), hints: contact.strategies().to_vec() }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Its body. A small one may share up to 2 KiB of memory with those that came beside it: who keeps many of few
    /// bytes for long copies them.
    pub body: Bytes,
    /// How long it took, from the start of the request.
    pub took: Duration,
    /// How the peer is reached, where that is known.
    pub via: Option<Strategy>,
    /// How often the request was transmitted.
    pub attempts: u32,
}

/// What became of a send: the receiver has taken it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// How long it took.
    pub took: Duration,
    /// How often it was transmitted.
    pub attempts: u32,
}

/// What a handler may answer with.
pub trait IntoReply {
    /// The reply's body, or why there is none.
    ///
    /// # Errors
    /// The refusal that the asker will see.
    fn into_reply(self) -> Result<Bytes, Refusal>;
}

impl IntoReply for Bytes {
    fn into_reply(self) -> Result<Bytes, Refusal> {
        Ok(self)
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Result<Bytes, Refusal> {
        Ok(self.into())
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Result<Bytes, Refusal> {
        Ok(self.into())
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Result<Bytes, Refusal> {
        Ok(Bytes::from_static(self.as_bytes()))
    }
}

impl IntoReply for Refusal {
    fn into_reply(self) -> Result<Bytes, Refusal> {
        Err(self)
    }
}

impl<T: IntoReply> IntoReply for Result<T, Refusal> {
    fn into_reply(self) -> Result<Bytes, Refusal> {
        self.and_then(T::into_reply)
    }
}
