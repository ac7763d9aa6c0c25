//! Whom a command means by PEER: a ticket, a key, a peer id or a `@name`.
//!
//! Knows the files of a directory, no network. Invariant: whatever the text, the result is one key;
//! a peer id alone is only followed to keys that the owner of the directory knows.

use std::str::FromStr;

use egtp::lookup::{FileLookup, Lookup};
use egtp::{Contact, NodeId, Recipient, Ticket};

use crate::directory::Directory;
use crate::failure::{Code, Failure};
use crate::petnames::{self, Petname, Petnames};
use crate::text_file;

/// A peer, as the command line names it.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// By ticket or key.
    Ticket(Ticket),
    /// By peer id.
    Id(NodeId),
    /// By petname.
    Name(Petname),
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('@') {
            return Ok(Self::Name(text.parse()?));
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let ticket = text.parse().map_err(|error| {
            format!("{error}; a peer is a ticket, a key (egtp1...), a peer id (40 digits) or @name")
        })?;
        Ok(Self::Ticket(ticket))
    }
}

impl Peer {
    /// Whom it means to the owner of `directory`.
    ///
    /// # Errors
    /// [`Code::NotFound`] for an id, [`Code::Usage`] for a name that nobody has.
    pub(crate) fn resolve(&self, directory: Option<&Directory>) -> Result<Recipient, Failure> {
        match self {
            Self::Ticket(ticket) => Ok(ticket.into()),
            Self::Name(name) => {
                let directory = directory.ok_or_else(|| petnames::unknown(name))?;
                Petnames::read(directory)?.find(name).ok_or_else(|| petnames::unknown(name))
            }
            Self::Id(id) => {
                let found = directory.map(|directory| by_id(directory, id)).transpose()?;
                found.flatten().ok_or_else(|| {
                    let next = "an id is no address: use the peer's ticket or key, or import its \
                                contact: egtp contact import";
                    let message = format_args!("no contact or petname here has the peer id {id}");
                    Failure::with_next(Code::NotFound, message, next)
                })
            }
        }
    }
}

/// A place where contacts are kept, if the directory has one.
pub(crate) fn lookup_in(directory: &Directory) -> impl Lookup + use<> {
    FileLookup::new(directory.contacts())
}

fn by_id(directory: &Directory, id: &NodeId) -> Result<Option<Recipient>, Failure> {
    let names = Petnames::read(directory)?;
    if let Some((_, ticket)) = names.entries().iter().find(|(_, one)| one.key.node_id() == *id) {
        return Ok(Some(ticket.into()));
    }
    let text = text_file::read(&directory.contacts())?.unwrap_or_default();
    // A line that cannot be read is reported by the lookup; it may be about anybody.
    let contacts = text_file::lines(&text).filter_map(|(_, line)| line.parse::<Contact>().ok());
    let newest = contacts.filter(|contact| contact.key().node_id() == *id);
    let newest = newest.max_by_key(Contact::sequence);
    Ok(newest.as_ref().map(Recipient::from))
}
