//! The contacts of others that a directory holds.
//!
//! Reads the file that the lookup searches; changes nothing. Invariant: of several contacts of one
//! key the newest counts, and a line that is no contact harms no other.

use egtp::lookup::FileLookup;
use egtp::{Contact, NodeId};

use crate::directory::Directory;
use crate::failure::Failure;
use crate::{output, text_file};

/// The newest contact of each key, in the order of the file.
///
/// # Errors
/// When the file cannot be read at all.
pub(crate) fn all(directory: &Directory) -> Result<Vec<Contact>, Failure> {
    let text = text_file::read(&directory.contacts())?.unwrap_or_default();
    let mut newest: Vec<Contact> = Vec::new();
    // What is no contact is reported by others; it may be about anybody.
    for contact in text_file::lines(&text).filter_map(|(_, line)| line.parse::<Contact>().ok()) {
        match newest.iter_mut().find(|known| known.key() == contact.key()) {
            Some(known) if contact.supersedes(known) => *known = contact,
            Some(_) => {}
            None => newest.push(contact),
        }
    }
    Ok(newest)
}

/// The newest contact with this peer id.
///
/// # Errors
/// As [`all`].
pub(crate) fn by_id(directory: &Directory, id: &NodeId) -> Result<Option<Contact>, Failure> {
    Ok(all(directory)?.into_iter().find(|contact| contact.key().node_id() == *id))
}

/// Tells which lines of the file are of no use, and how many there are.
///
/// # Errors
/// As [`all`].
pub(crate) async fn report_damage(directory: &Directory) -> Result<usize, Failure> {
    let path = directory.contacts();
    let damaged = FileLookup::new(&path).damaged_lines().await?;
    for line in &damaged {
        let (number, error) = (line.number, line.error);
        output::warn(format_args!("{}: line {number} is skipped: {error}", path.display()));
    }
    Ok(damaged.len())
}
