//! Whom a command means by PEER: a ticket, a key, a peer id or a `@name`.
//!
//! Knows the files of a directory, no network. Invariant: whatever the text, the result is one key;
//! a peer id alone is only followed to keys that the owner of the directory knows.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use egtp::lookup::{FileLookup, Lookup};
use egtp::{NodeId, Recipient, Ticket};
use egtp_proto::TicketError;

use crate::contacts;
use crate::directory::Directory;
use crate::failure::{Code, Failure};
use crate::petnames::{self, Petname, Petnames};

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
        let text = text.trim();
        if text.starts_with('@') {
            return Ok(Self::Name(text.parse()?));
        }
        if let Ok(id) = in_small_letters(text).parse() {
            return Ok(Self::Id(id));
        }
        ticket(text).map(Self::Ticket).map_err(|error| {
            let may_be_name = text.parse::<Petname>().is_ok() && !text.starts_with("egtp");
            let hint = if may_be_name { format!("; a name is written @{text}") } else { String::new() };
            format!(
                "{error}; a peer is a ticket, a key (egtp1...), a peer id (40 digits) or @name{hint}"
            )
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticket(ticket) => ticket.fmt(f),
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Reads a ticket or key as people paste it: spaces around it do not count, and all in capitals, as
/// some QR codes have it, it is the same.
///
/// # Errors
/// Which part is wrong, and how it should look.
pub(crate) fn ticket(text: &str) -> Result<Ticket, String> {
    in_small_letters(text.trim()).parse().map_err(|error: TicketError| error.to_string())
}

/// A text without small letters, in small letters; any other as it is, because mixed letters are a
/// sign of damage.
fn in_small_letters(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.to_ascii_lowercase())
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
    Ok(contacts::by_id(directory, id)?.as_ref().map(Recipient::from))
}
