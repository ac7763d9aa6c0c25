//! Letters between the endpoint and the program: those to be carried, and those that were brought.
//!
//! Invariant: each letter that the endpoint has made is spoken for, by whoever carries it or at once; and whoever brings
//! one hears of it when it is on the disk.

use std::collections::HashMap;

use bytes::Bytes;
use egtp_proto::time::Now;
use egtp_proto::{Contact, Event, IdentityId, LetterError, OwnMailbox, Posted, PublicKey};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info};

use super::Driver;
use crate::letters::{Letter, LetterRead};
use crate::slot::Slot;

/// Who waits to hear what has become of a letter.
pub(crate) type Brought = oneshot::Sender<Result<LetterRead, LetterError>>;

/// What the driver knows of letters.
#[derive(Debug, Default)]
pub(super) struct Post {
    /// Who carries letters to others.
    carrier: Option<mpsc::UnboundedSender<Letter>>,
    /// Letters that were read and are not on the disk yet.
    reading: HashMap<u64, (PublicKey, Brought)>,
    /// Who wants to know what our contact is to list.
    listing: Vec<watch::Sender<Option<OwnMailbox>>>,
}

impl Driver {
    /// From now on somebody carries letters.
    pub(super) fn carry_letters(&mut self, carrier: mpsc::UnboundedSender<Letter>) {
        self.post.carrier = Some(carrier);
        self.endpoint.send_letters(IdentityId::default(), egtp_proto::Letters::Wanted);
    }

    pub(super) fn open_mailbox(&mut self, now: Now, listing: watch::Sender<Option<OwnMailbox>>) {
        self.post.listing.push(listing);
        self.endpoint.open_mailbox(now, IdentityId::default());
    }

    /// A letter was brought.
    pub(super) fn read_letter(&mut self, now: Now, letter: &Bytes, brought: Brought) {
        match self.endpoint.receive_letter(now, IdentityId::default(), letter) {
            Ok(reading) => {
                self.post.reading.insert(reading.number, (reading.from, brought));
            }
            Err(error) => {
                // Who brought it may have gone, and brings it again.
                let _ = brought.send(Err(error));
            }
        }
    }

    /// What the endpoint says of letters.
    pub(super) fn letter_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Letter { to, number, letter, .. } => self.carry(now, to, (number, letter)),
            Event::LetterRead { number, all_taken } => {
                if let Some((from, brought)) = self.post.reading.remove(&number) {
                    // Who brought it may have gone, and brings it again.
                    let _ = brought.send(Ok(LetterRead { from, all_taken }));
                }
            }
            Event::Stored { token } => {
                debug!(token, "stored for its receiver");
                self.stored(now, token);
                self.with_slot(token, Slot::stored);
            }
            Event::Mailbox { mailbox, .. } => {
                self.post.listing.retain(|listing| listing.send(Some(mailbox)).is_ok());
            }
            Event::Contact { contact, .. } => {
                info!(peer = %contact.key().short(), "heard a contact");
                self.reach.learn(*contact);
            }
            _ => {}
        }
    }

    fn carry(&mut self, now: Now, to: PublicKey, letter: (u64, Bytes)) {
        let contact: Option<Box<Contact>> = self.reach.contact(&to).cloned().map(Box::new);
        let number = letter.0;
        let letter = Letter::new((to, contact), letter, self.commands.clone());
        let Some(carrier) = &self.post.carrier else {
            return self.endpoint.posted(now, number, Posted::Failed);
        };
        if carrier.send(letter).is_err() {
            // The letter has said so itself by being dropped.
            self.post.carrier = None;
            self.endpoint.send_letters(IdentityId::default(), egtp_proto::Letters::Unwanted);
        }
    }
}
