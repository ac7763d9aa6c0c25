//! Mailboxes: our own mailbox prekeys, and what is known of those of a peer.
//!
//! Invariant: a prekey is named to nobody before its secret is on our disk, and what a message is bound to at a peer's
//! letter store comes from a contact that the peer has signed.

use super::journal::Waiting;
use super::peer::Peer;
use super::{Endpoint, Identity};
use crate::card::StoreKind;
use crate::contact::Contact;
use crate::contact_value::MailboxPrekey;
use crate::exchange::durable::Write;
use crate::exchange::inbox::Inbox;
use crate::exchange::outgoing::{Binding, Outgoing};
use crate::exchange::saved::SavedLetters;
use crate::output::{Event, IdentityId};
use crate::planted::{Bug, is};
use crate::session::mailbox_prekeys::MailboxPrekeys;
use crate::time::Now;

/// How letters reach a peer, as its newest contact says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mailbox {
    /// The number of that contact.
    pub sequence: u64,
    /// To which letters are sealed.
    pub prekey: MailboxPrekey,
    /// The store that remembers which letters were read.
    pub store: u64,
}

/// What our own contact says of letters: [`ContactDraft`](crate::ContactDraft) has a place for each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OwnMailbox {
    /// The newest mailbox prekey.
    pub prekey: MailboxPrekey,
    /// The letter store.
    pub store: u64,
}

impl Peer {
    /// What a message is bound to at first: one that outlives our runs at the peer's letter store, if it has one, so that
    /// it may go by letter; and all others at a store of its live card. What wants a hybrid session never goes by letter.
    pub(super) fn first_binding(&self, one: &Outgoing) -> Option<Binding> {
        let mailbox = self.mailbox.as_deref().filter(|_| one.kept.is_some() && !one.post_quantum);
        match mailbox {
            Some(Mailbox { prekey, store, .. }) => {
                Some(Binding { kind: StoreKind::Letter, store: *store, generation: prekey.id })
            }
            None => self.binding(one.wants),
        }
    }

    /// Our contact, if it says where letters go and the peer has not heard that: it may be away when we are, later. It is
    /// told with this, if so many bytes have room for it.
    pub(super) fn untold<'a>(&mut self, own: Option<&'a Contact>, room: usize) -> Option<&'a [u8]> {
        let own = own.filter(|own| self.told_contact < own.sequence())?;
        let bytes = own.encode();
        (bytes.len() + FRAME_AROUND <= room).then(|| {
            self.told_contact = own.sequence();
            bytes
        })
    }

    /// The peer's newest contact says this of letters.
    pub(super) fn learn_mailbox(&mut self, contact: &Contact) {
        let sequence = contact.sequence();
        if self.mailbox.as_ref().is_some_and(|known| known.sequence > sequence) {
            return;
        }
        let said = contact.mailbox_prekey().zip(contact.letter_store());
        self.mailbox = said.map(|(prekey, store)| Box::new(Mailbox { sequence, prekey, store }));
    }
}

impl Identity {
    /// What is listed of letters: only what is on the disk.
    fn own_mailbox(&self) -> Option<OwnMailbox> {
        let store = self.stores.get(StoreKind::Letter)?.store();
        let prekey = self.mailbox_prekeys.newest()?;
        Some(OwnMailbox { prekey, store })
    }

    /// Our contact, if it says where letters go.
    pub(super) fn listed_contact(&self) -> Option<&Contact> {
        self.contact.as_deref().filter(|contact| contact.letter_store().is_some())
    }
}

impl Endpoint {
    /// A peer does not know the letter store, or the prekey, that its contact named: until there is a newer one, its
    /// letter store is as good as none.
    pub(super) fn forget_mailbox(&mut self, code: u32, stale: Binding) {
        if let Some(peer) = self.peers.get_mut(code) {
            peer.mailbox.take_if(|known| {
                stale.kind == StoreKind::Letter
                    && known.store == stale.store
                    && known.prekey.id <= stale.generation
            });
        }
    }

    /// Takes letters for an identity from now on; [`Event::Mailbox`] says what its contact is to list, as soon as that is
    /// on the disk, and again when the prekey is replaced. Without a durable store nothing happens.
    pub fn open_mailbox(&mut self, now: Now, identity: IdentityId) {
        if !self.can_keep(identity) {
            return;
        }
        if let Some(own) = self.identity_mut(identity) {
            own.takes_letters = true;
        }
        let is_new =
            self.identity(identity).is_some_and(|own| own.stores.get(StoreKind::Letter).is_none());
        if is_new {
            let letters = SavedLetters::new(self.random.u64());
            self.write(identity, Write::Letters { store: letters.store, floor: 0 });
            self.add_letters(now, identity, &letters);
        }
        // One that is replaced now may be erased as well: nothing is listed until the new one can be.
        if !self.replace_mailbox_prekey(now, identity) {
            self.tell_mailbox(identity);
        }
    }

    /// What the contact of an identity is to list, once that is on the disk.
    pub fn mailbox(&self, identity: IdentityId) -> Option<OwnMailbox> {
        self.identity(identity).filter(|own| own.takes_letters)?.own_mailbox()
    }

    /// Adds the letter store of an earlier run.
    pub(super) fn add_letters(&mut self, now: Now, identity: IdentityId, saved: &SavedLetters) {
        let newest = saved.prekeys.iter().map(|one| one.id).max().unwrap_or(saved.floor);
        let inbox = Inbox::restore_letters(saved, newest, &mut self.random, &self.limits, now);
        let Some(own) = self.identity_mut(identity) else { return };
        own.stores.add_letters(inbox);
        own.mailbox_prekeys = MailboxPrekeys::restore(&saved.prekeys);
    }

    /// Makes another mailbox prekey when it is due, and erases secrets whose time is over. Whether there is another one,
    /// which is told when it is on the disk.
    pub(super) fn replace_mailbox_prekey(&mut self, now: Now, identity: IdentityId) -> bool {
        let Self { identities, random, .. } = self;
        let Some(own) = identities.get_mut(usize::from(identity.0)) else { return false };
        let Some(inbox) = own.stores.get_mut(StoreKind::Letter).filter(|_| own.takes_letters)
        else {
            return false;
        };
        let made = own.mailbox_prekeys.replace(random, now.wall);
        let erased = own.mailbox_prekeys.erase(now.wall);
        if let Some(made) = &made {
            inbox.listed(made.id);
        }
        for id in &erased {
            inbox.erase_below(*id);
        }
        let (store, floor) = (inbox.store(), inbox.floor());
        if !erased.is_empty() {
            self.write(identity, Write::Letters { store, floor });
        }
        for id in erased {
            self.write(identity, Write::ErasePrekey(id));
        }
        let Some(made) = made else { return false };
        let id = made.id;
        self.write(identity, Write::MailboxPrekey(made));
        if is(Bug::PrekeyBeforeTheDisk) {
            self.mailbox_prekey_written(identity, id);
        }
        self.wait_for_disk(Waiting::MailboxPrekey { identity, id });
        true
    }

    /// A mailbox prekey is on the disk: others may hear of it.
    pub(super) fn mailbox_prekey_written(&mut self, identity: IdentityId, id: u32) {
        if let Some(own) = self.identity_mut(identity) {
            own.mailbox_prekeys.written(id);
        }
        self.tell_mailbox(identity);
    }

    fn tell_mailbox(&mut self, identity: IdentityId) {
        if let Some(mailbox) = self.mailbox(identity) {
            self.events.push_back(Event::Mailbox { identity, mailbox });
        }
    }
}

/// Bytes of a frame with a contact besides that.
const FRAME_AROUND: usize = 4;
