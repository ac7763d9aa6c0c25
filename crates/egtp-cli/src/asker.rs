//! A node that only asks: how `request` and `ping` start one, and whom they ask.
//!
//! Knows no question. Invariant: without a named directory nothing is written, and the identity
//! ends with the process.

use egtp::{Node, PublicKey, Recipient};

use crate::context::Context;
use crate::directory::Ownership;
use crate::failure::{Code, Failure};
use crate::peer::{self, Peer};

/// A node to ask from, and whom to ask.
#[derive(Debug)]
pub(crate) struct Asker {
    /// From whom.
    pub(crate) node: Node,
    /// Whom.
    pub(crate) to: Recipient,
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
        let mut builder = Node::builder();
        if let Some(directory) = &names {
            builder = builder.lookup(peer::lookup_in(directory));
        }
        let mut ownership = None;
        if let Some(directory) = context.named_directory() {
            let key = directory.key()?;
            refuse_oneself(&key.public(), &to)?;
            ownership = Some(directory.own(command)?);
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
        Ok(Self { node, to, _ownership: ownership })
    }
}

fn refuse_oneself(own: &PublicKey, to: &Recipient) -> Result<(), Failure> {
    if *own == to.key {
        return Err(Failure::new(Code::Oneself, Code::Oneself.meaning()));
    }
    Ok(())
}
