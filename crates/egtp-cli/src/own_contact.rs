//! The contact of a directory's own identity: what it says, and which number it has.
//!
//! Knows the file of the last one, no node. Invariant: a number that was signed once is never signed again for something
//! else, also by two processes at the same moment.

use std::time::{Duration, SystemTime};

use egtp::letters::OwnMailbox;
use egtp::{Contact, ContactDraft, Limits, SecretKey, Strategy};
use egtp_proto::crypto::{Cipher, Suites};

use crate::directory::Directory;
use crate::failure::{Code, Failure};
use crate::text_file;

/// What a contact says of letters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Letters {
    /// The same as the last one.
    AsBefore,
    /// That they are read under this prekey.
    To(OwnMailbox),
}

/// Signs a contact with these strategies, or finds that the last one says the same.
///
/// # Errors
/// When the last one is damaged, or the file cannot be written.
pub(crate) fn sign(
    directory: &Directory,
    key: &SecretKey,
    strategies: Vec<Strategy>,
    letters: Letters,
) -> Result<Contact, Failure> {
    // Two that sign at the same time would use the same number twice.
    let _held = text_file::hold(&directory.contact())?;
    let last = last(directory, key)?;
    let (mailbox_prekey, letter_store) = match letters {
        Letters::To(own) => (Some(own.prekey), Some(own.store)),
        Letters::AsBefore => (
            last.as_ref().and_then(Contact::mailbox_prekey),
            last.as_ref().and_then(Contact::letter_store),
        ),
    };
    let today = today()?;
    let mut draft = ContactDraft {
        sequence: last.as_ref().map_or(1, Contact::sequence),
        strategies,
        suites: Suites::all(Cipher::Aes256Gcm).ids(),
        mailbox_prekey,
        letter_store,
        instance: last.as_ref().map_or_else(random, |last| Ok(last.instance()))?,
        message_bytes_max: u32::try_from(Limits::default().message_bytes_max).unwrap_or(u32::MAX),
        idle_out_seconds: u32::try_from(Limits::default().idle_out.as_secs()).unwrap_or(u32::MAX),
        expiry_day: today.saturating_add(DAYS_VALID),
        parent: None,
    };
    if let Some(same) = last.filter(|last| *last.draft() == draft) {
        return Ok(same);
    }
    // The first has the number 1; each change the next one.
    if directory.contact().exists() {
        draft.sequence = draft.sequence.saturating_add(1);
    }
    let signed = draft.sign(key, today);
    let signed = signed.map_err(|error| Failure::new(Code::Internal, error))?;
    let text = format!("{HEADER}{}\n", signed.to_text());
    text_file::replace(&directory.contact(), &text)?;
    Ok(signed)
}

/// What was signed last. Its number can never be used again, so a damaged file is not passed over.
///
/// # Errors
/// When it is damaged, or cannot be read.
pub(crate) fn last(directory: &Directory, key: &SecretKey) -> Result<Option<Contact>, Failure> {
    let path = directory.contact();
    let Some(text) = text_file::read(&path)? else { return Ok(None) };
    let line = text_file::lines(&text).map(|(_, line)| line).collect::<String>();
    let contact: Contact = line.parse().map_err(|error| text_file::damaged(&path, error))?;
    if contact.key() != key.public() {
        return Err(text_file::damaged(&path, "it is the contact of another key"));
    }
    Ok(Some(contact))
}

fn today() -> Result<u32, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u32::try_from(since.as_secs() / SECONDS_PER_DAY).map_err(|_| {
        let message = "this machine's clock is thousands of years ahead";
        Failure::with_next(Code::Usage, message, "set the clock, and export again")
    })
}

fn random() -> Result<u64, Failure> {
    getrandom::u64().map_err(|error| Failure::new(Code::Internal, error))
}

const HEADER: &str = "# The contact that was signed last. The next one gets a higher number.\n";
const DAYS_VALID: u32 = 90;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
