//! Contacts in memory: for one process, and for tests of everything above.
//!
//! Forgets everything when the last clone goes. Invariant: the contact of a key is never replaced
//! by an older one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use egtp_proto::{Contact, PublicKey};

use super::{BoxFuture, Lookup, LookupError};

/// A table of contacts. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryLookup {
    contacts: Arc<Mutex<HashMap<PublicKey, Contact>>>,
}

impl MemoryLookup {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn keep(&self, contact: Contact) -> Result<(), LookupError> {
        let mut contacts = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = contacts.get(&contact.key());
        if known.is_none() && contacts.len() >= CONTACTS_MAX {
            return Err(LookupError::Full { lookup: NAME.into() });
        }
        if known.is_none_or(|known| contact.supersedes(known)) {
            contacts.insert(contact.key(), contact);
        }
        Ok(())
    }

    fn find(&self, key: PublicKey) -> Option<Contact> {
        self.contacts.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }
}

impl Lookup for MemoryLookup {
    fn name(&self) -> &str {
        NAME
    }

    fn resolve(&self, key: PublicKey) -> BoxFuture<'_, Result<Option<Contact>, LookupError>> {
        Box::pin(async move { Ok(self.find(key)) })
    }

    fn publish(&self, contact: Contact) -> BoxFuture<'_, Result<(), LookupError>> {
        Box::pin(async move { self.keep(contact) })
    }
}

const NAME: &str = "memory";

/// At a kilobyte each, 64 MiB.
const CONTACTS_MAX: usize = 65_536;
