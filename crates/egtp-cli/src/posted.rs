//! That a node with a directory writes letters, and that its relays keep those to it.
//!
//! Invariant: a contact lists a mailbox only if the node reads its letters, and is the last one that was signed.

use std::time::Duration;

use egtp::letters::Mailbox;
use egtp::{Node, Strategy, Ticket};
use egtp_services::mailbox::Mail;
use egtp_services::post::{Courier, Postbox};

use crate::directory::Directory;
use crate::failure::Failure;
use crate::output::Output;
use crate::own_contact::{self, Letters};

/// A node's letters, in and out.
#[derive(Debug)]
pub(crate) struct Posted {
    node: Node,
    directory: Directory,
    output: Output,
    _courier: Courier,
    inward: Option<(Mailbox, Postbox)>,
}

impl Posted {
    /// Carries letters from now on, and collects those that these relays keep. `mail` is what the node serves to hear of
    /// them, and `strategies` how it is reached.
    ///
    /// # Errors
    /// When its last contact is damaged, or a new one cannot be kept.
    pub(crate) async fn begin(
        node: &Node,
        directory: Directory,
        (relays, mail): (&[Ticket], &Mail),
        strategies: &[Strategy],
        output: Output,
    ) -> Result<Self, Failure> {
        // Letters carry it, so that an answer finds its way.
        if let Some(contact) = own_contact::last(&directory, &directory.key()?)? {
            node.learn(contact);
        }
        let courier = Courier::start(node.clone());
        let inward =
            (!relays.is_empty()).then(|| (node.open_mailbox(), Postbox::open(node, relays, mail)));
        let mut posted = Self { node: node.clone(), directory, output, _courier: courier, inward };
        if let Some((mailbox, _)) = &mut posted.inward {
            // As soon as its key is on the disk, which a disk that refuses may put off.
            let listed = tokio::time::timeout(PATIENCE, mailbox.changed());
            if !matches!(listed.await, Ok(Some(_))) {
                output.say("Letters to this node cannot be read until its disk takes their key; it keeps trying.");
            }
            posted.sign(strategies.to_vec())?;
        }
        Ok(posted)
    }

    /// Signs a contact that says how the node is reached now, and where letters go.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub(crate) fn sign(&self, strategies: Vec<Strategy>) -> Result<(), Failure> {
        let listed = self.inward.as_ref().and_then(|(mailbox, _)| mailbox.listed());
        let Some(listed) = listed else { return Ok(()) };
        let key = self.directory.key()?;
        let contact = own_contact::sign(&self.directory, &key, strategies, Letters::To(listed))?;
        self.output.say(format_args!(
            "Letters to this node are kept by its relays while it is away. Who is to write gets its contact: egtp contact \
             export (number {})",
            contact.sequence()
        ));
        self.node.learn(contact);
        Ok(())
    }

    /// Waits until the contact is to list another key.
    pub(crate) async fn changed(&mut self) {
        let is_other = match &mut self.inward {
            Some((mailbox, _)) => mailbox.changed().await.is_some(),
            None => false,
        };
        if !is_other {
            // Nothing is listed, or never again.
            std::future::pending::<()>().await;
        }
    }
}

/// How long the ready line waits for a key on the disk.
const PATIENCE: Duration = Duration::from_secs(5);
