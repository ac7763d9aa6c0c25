//! A node that only asks: how `request` and `ping` start one, and whom they ask.
//!
//! Knows no question. Invariant: without a named directory nothing is written, and the identity
//! ends with the process.

use egtp::lookup::Lookup;
use egtp::path::{Attempts, Became};
use egtp::{Node, NotSent, PublicKey, Recipient, RequestError, Taken};

use crate::context::Context;
use crate::directory::{Directory, Ownership};
use crate::failure::{Code, Failure};
use crate::outcome::NoReply;
use crate::peer::{self, Peer};
use crate::why::{self, Known};

/// A node to ask from, and whom to ask.
#[derive(Debug)]
pub(crate) struct Asker {
    /// From whom.
    pub(crate) node: Node,
    /// Whom.
    pub(crate) to: Recipient,
    attempts: Attempts,
    names: Option<Directory>,
    _ownership: Option<Ownership>,
}

impl Asker {
    /// Starts a node and finds out whom the command line means.
    ///
    /// # Errors
    /// When the peer is unknown or this identity itself, or the directory cannot be used.
    pub(crate) async fn start(
        context: &Context,
        command: &str,
        peer: &Peer,
    ) -> Result<Self, Failure> {
        let names = context.names();
        let to = peer.resolve(names.as_ref())?;
        let attempts = Attempts::default();
        let mut builder = Node::builder().attempts(attempts.clone());
        if let Some(directory) = &names {
            builder = builder.lookup(peer::lookup_in(directory));
        }
        let mut ownership = None;
        if let Some(directory) = context.named_directory() {
            let key = directory.key()?;
            refuse_oneself(&key.public(), &to)?;
            ownership = Some(directory.own(command).map_err(asking_comes_later)?);
            builder = builder.key(key).only_instance();
        }
        let node = builder.start().await?;
        refuse_oneself(&node.key(), &to)?;
        if ownership.is_none() {
            context.output.say(format_args!(
                "Asking from a fresh identity in memory ({}...); --data DIR asks from a kept one.",
                node.key().short()
            ));
        }
        Ok(Self { node, to, attempts, names, _ownership: ownership })
    }

    /// Whether the peer may have taken a request of which nothing was heard yet.
    pub(crate) fn may_have_taken(&self) -> Taken {
        let attempts = self.attempts.of(&self.to.key);
        let is_open = |became| matches!(became, Became::Unproved | Became::Proved);
        // Without a connection nothing of it can have left this machine.
        if attempts.iter().any(|one| is_open(one.became)) { Taken::Unknown } else { Taken::No }
    }

    /// Why there was no reply, and what to do, with what is known of the peer's addresses.
    pub(crate) async fn explain(&self, no_reply: &NoReply) -> Failure {
        let attempts = self.attempts.of(&self.to.key);
        let not_found = NoReply::Outcome(RequestError::NotSent(NotSent::NotFound));
        let mut known = Known::Addresses(self.to.hints.clone());
        if *no_reply == not_found
            && let Some(directory) = &self.names
        {
            match peer::lookup_in(directory).resolve(self.to.key).await {
                Ok(Some(contact)) => known.add(contact.strategies()),
                Ok(None) => {}
                Err(error) => known = Known::NotReadable(error.to_string()),
            }
        }
        why::failure(no_reply, &attempts, &known)
    }
}

fn refuse_oneself(own: &PublicKey, to: &Recipient) -> Result<(), Failure> {
    if *own == to.key {
        return Err(Failure::new(Code::Oneself, Code::Oneself.meaning()));
    }
    Ok(())
}

/// A running node has its identity for itself, until there is a way to ask through it.
fn asking_comes_later(failure: Failure) -> Failure {
    if failure.code != Code::Owned {
        return failure;
    }
    let next = "ask from another identity (another --data, or none), or stop that process; asking \
                from the identity of a running node comes in a later version";
    Failure::with_next(failure.code, failure.message, next)
}
