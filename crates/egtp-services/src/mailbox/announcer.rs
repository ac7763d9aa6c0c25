//! Tells recipients that something has come for them.
//!
//! Letters come in on the thread of the store, which nothing may hold up: so who is to be told goes through a queue, and
//! what it has no room for is not told, because recipients also look by themselves. Invariant: nobody waits for it.

use bytes::Bytes;
use egtp::mailbox::MAIL;
use egtp::{Kind, Message, Node, PublicKey};
use tokio::sync::mpsc;

/// The end at which letters come in.
#[derive(Clone, Debug)]
pub(super) struct Mail(mpsc::Sender<PublicKey>);

impl Mail {
    /// Something has come for somebody.
    pub(super) fn tell(&self, recipient: PublicKey) {
        // If there is no room, or nobody announces, the recipient finds it when it looks.
        let _ = self.0.try_send(recipient);
    }
}

/// Tells recipients that something has come for them, if they have a session with the relay.
#[derive(Debug)]
#[must_use = "nobody is told that something has come until it runs"]
pub struct Announcer(mpsc::Receiver<PublicKey>);

pub(super) fn new() -> (Mail, Announcer) {
    let (mail, come) = mpsc::channel(WAITING_MAX);
    (Mail(mail), Announcer(come))
}

impl Announcer {
    /// Announces for as long as the node lives; keeps it, so that it ends when it is closed.
    pub async fn run(mut self, node: Node) {
        let Ok(kind) = Kind::new(MAIL) else { return };
        let closed = node.closed();
        tokio::pin!(closed);
        let mut recipients = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                () = &mut closed => return,
                count = self.0.recv_many(&mut recipients, AT_ONCE) => if count == 0 { return },
            }
            // Of several letters one hint tells as much.
            recipients.sort_unstable();
            recipients.dedup();
            for recipient in recipients.drain(..) {
                node.hint(&recipient, Message::new(kind.clone(), Bytes::new()));
            }
        }
    }
}

/// Recipients that wait to be told.
const WAITING_MAX: usize = 1_024;
/// Recipients that are told together.
const AT_ONCE: usize = 256;
