//! Letters: what outlives this node's run, to peers that no path leads to, sealed so that anybody may keep it for them.
//!
//! This side of it knows no mailbox: a program takes [`Letters`] and leaves each where its receiver fetches it, and brings
//! what it has fetched by [`Node::read_letter`](crate::Node::read_letter). Invariant: a letter that was taken and dropped
//! counts as kept by nobody, and what is in it is written again.

use bytes::Bytes;
use egtp_proto::{Contact, Posted, PublicKey};
pub use egtp_proto::{LetterError, OwnMailbox};
use tokio::sync::{mpsc, watch};

use crate::command::{Command, Commands};

/// The letters of a node, for whoever carries them. Got by [`Node::letters`](crate::Node::letters).
#[derive(Debug)]
pub struct Letters(pub(crate) mpsc::UnboundedReceiver<Letter>);

impl Letters {
    /// The next letter, or `None` when the node has closed. Cancel safe. There are at most 64 that have not been said
    /// to be stored, or dropped: what else there is to write waits.
    pub async fn next(&mut self) -> Option<Letter> {
        self.0.recv().await
    }
}

/// A letter to be left somewhere for its receiver.
#[derive(Debug)]
pub struct Letter {
    to: PublicKey,
    contact: Option<Box<Contact>>,
    bytes: Bytes,
    number: u64,
    commands: Commands,
    /// What is said of it when it goes.
    posted: Posted,
}

impl Letter {
    pub(crate) fn new(
        (to, contact): (PublicKey, Option<Box<Contact>>),
        (number, bytes): (u64, Bytes),
        commands: Commands,
    ) -> Self {
        Self { to, contact, bytes, number, commands, posted: Posted::Failed }
    }

    /// For whom it is.
    pub const fn to(&self) -> PublicKey {
        self.to
    }

    /// The newest contact of its receiver that this node has seen: which relays it lists.
    pub fn contact(&self) -> Option<&Contact> {
        self.contact.as_deref()
    }

    /// The letter.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Somebody has promised to keep it for its receiver. It is not certain that it is read: until that is known it is
    /// written again from time to time.
    pub fn stored(mut self) {
        self.posted = Posted::Stored;
    }
}

impl Drop for Letter {
    fn drop(&mut self) {
        // Without a driver it is of no interest.
        let _ = self.commands.push(Command::Posted(self.number, self.posted));
    }
}

/// What a node's contact is to list, so that others write to it. Got by [`Node::open_mailbox`](crate::Node::open_mailbox).
#[derive(Debug)]
pub struct Mailbox(pub(crate) watch::Receiver<Option<OwnMailbox>>);

impl Mailbox {
    /// What to list, if that is on the disk already.
    pub fn listed(&self) -> Option<OwnMailbox> {
        *self.0.borrow()
    }

    /// Waits until there is something to list, or something else than before. `None` when the node has closed.
    pub async fn changed(&mut self) -> Option<OwnMailbox> {
        loop {
            self.0.changed().await.ok()?;
            if let Some(listed) = *self.0.borrow_and_update() {
                return Some(listed);
            }
        }
    }
}

/// What has become of a letter that was brought to its receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LetterRead {
    /// Who has written it.
    pub from: PublicKey,
    /// Whether it may be thrown away: all that is in it was taken, and is on the disk. If not, there was no room for some
    /// of it; bring the same letter again later.
    pub all_taken: bool,
}
