//! Contacts in a text file that people edit: one a line, `#` begins a comment.
//!
//! An edit counts from the next question on. A line that is no contact is reported with its number
//! and skipped, and nothing else suffers. Knows no network. Invariant: at every moment the file is
//! whole, the old or the new one, and lines that are not the published key's stay as they were.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use egtp_proto::{Contact, ContactError, PublicKey};

use super::{BoxFuture, Lookup, LookupError};

/// A file of contacts. Clones are the same file.
#[derive(Clone, Debug)]
pub struct FileLookup {
    file: Arc<ContactFile>,
}

/// A line that was skipped.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DamagedLine {
    /// Its number, counted from 1 as editors do.
    pub number: usize,
    /// What is wrong with it.
    pub error: LineError,
}

/// Why a line was skipped. Correct it, or put a `#` before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Bytes that are no text.
    #[error("not text")]
    NotText,
    /// Text that is no contact.
    #[error("{0}")]
    Contact(ContactError),
}

impl FileLookup {
    /// Uses this file. It need not exist: that is the same as an empty one.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = format!("the file {}", path.display());
        let (read, writing) = (Mutex::default(), Mutex::default());
        Self { file: Arc::new(ContactFile { path, name, read, writing }) }
    }

    /// Reads the file now, and says which lines are of no use.
    ///
    /// # Errors
    /// [`LookupError`] when the file cannot be read at all.
    pub async fn damaged_lines(&self) -> Result<Vec<DamagedLine>, LookupError> {
        let book = self.off_the_loop(ContactFile::look).await?;
        Ok(book.damaged.clone())
    }

    /// Files are slow now and then, so nobody who answers others waits for them.
    async fn off_the_loop<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ContactFile) -> Result<T, LookupError> + Send + 'static,
    ) -> Result<T, LookupError> {
        let file = Arc::clone(&self.file);
        let worked = tokio::task::spawn_blocking(move || work(&file)).await;
        worked.unwrap_or(Err(LookupError::Stopped))
    }
}

impl Lookup for FileLookup {
    fn name(&self) -> &str {
        &self.file.name
    }

    fn resolve(&self, key: PublicKey) -> BoxFuture<'_, Result<Option<Contact>, LookupError>> {
        Box::pin(async move {
            let book = self.off_the_loop(ContactFile::read).await?;
            Ok(book.contacts.get(&key).cloned())
        })
    }

    fn publish(&self, contact: Contact) -> BoxFuture<'_, Result<(), LookupError>> {
        Box::pin(self.off_the_loop(move |file| file.publish(&contact)))
    }
}

#[derive(Debug)]
struct ContactFile {
    path: PathBuf,
    name: String,
    /// What was read last. Compared with the whole file, since a time stamp may miss an edit.
    read: Mutex<Arc<Book>>,
    /// Held while the file is being replaced.
    writing: Mutex<()>,
}

/// A file, understood.
#[derive(Debug, Default)]
struct Book {
    bytes: Vec<u8>,
    contacts: HashMap<PublicKey, Contact>,
    damaged: Vec<DamagedLine>,
}

impl ContactFile {
    /// The file as it is now. What has just become damaged is logged.
    fn read(&self) -> Result<Arc<Book>, LookupError> {
        let last = self.last();
        let book = self.look()?;
        if !Arc::ptr_eq(&last, &book) {
            for DamagedLine { number, error } in &book.damaged {
                let file = self.path.display();
                tracing::warn!(%file, line = number, %error, "skipped a contact");
            }
        }
        Ok(book)
    }

    /// The same for somebody who is told of the damage.
    fn look(&self) -> Result<Arc<Book>, LookupError> {
        let bytes = read_bounded(&self.path).map_err(|source| self.failed(source))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(LookupError::Full { lookup: self.name.clone() });
        }
        let last = self.last();
        if last.bytes == bytes {
            return Ok(last);
        }
        let book = Arc::new(Book::parse(bytes));
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&book);
        Ok(book)
    }

    fn last(&self) -> Arc<Book> {
        Arc::clone(&self.read.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, contact: &Contact) -> Result<(), LookupError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Other processes may publish in the same file.
        let _others = lock(&self.beside(".lock")).map_err(|source| self.failed(source))?;
        let book = self.read()?;
        let known = book.contacts.get(&contact.key());
        if known.is_some_and(|known| !contact.supersedes(known)) {
            return Ok(());
        }
        let bytes = book.with(contact);
        if bytes.len() > FILE_BYTES_MAX {
            return Err(LookupError::Full { lookup: self.name.clone() });
        }
        self.replace(&bytes).map_err(|source| self.failed(source))
    }

    /// Puts a new file in the place of the old one, in one step that survives a loss of power.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let beside = self.beside(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&beside)?;
        file.write_all(bytes)?;
        if let Ok(old) = self.path.metadata() {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        File::open(self.directory())?.sync_all()
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(ending);
        self.path.with_file_name(name)
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        }
    }

    fn failed(&self, source: io::Error) -> LookupError {
        LookupError::File { path: self.path.clone(), source }
    }
}

impl Book {
    fn parse(bytes: Vec<u8>) -> Self {
        let mut book = Self::default();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            match contact_in(line) {
                Ok(Some(contact)) => book.keep_newer(contact),
                Ok(None) => {}
                Err(error) => book.damaged.push(DamagedLine { number: index + 1, error }),
            }
        }
        book.bytes = bytes;
        book
    }

    fn keep_newer(&mut self, contact: Contact) {
        let known = self.contacts.get(&contact.key());
        if known.is_none_or(|known| contact.supersedes(known)) {
            self.contacts.insert(contact.key(), contact);
        }
    }

    /// The file with this contact where its key's first one was, or at the end.
    fn with(&self, contact: &Contact) -> Vec<u8> {
        let mut new_line = Some(contact.to_text().into_bytes());
        let mut out = Vec::with_capacity(self.bytes.len() + Contact::BYTES_MAX * 2);
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            let found = contact_in(line).ok().flatten();
            if found.is_none_or(|found| found.key() != contact.key()) {
                out.extend_from_slice(line);
            } else if let Some(new_line) = new_line.take() {
                out.extend_from_slice(&new_line);
                out.push(b'\n');
            }
        }
        if let Some(new_line) = new_line {
            if out.last().is_some_and(|byte| *byte != b'\n') {
                out.push(b'\n');
            }
            out.extend_from_slice(&new_line);
            out.push(b'\n');
        }
        out
    }
}

fn contact_in(line: &[u8]) -> Result<Option<Contact>, LineError> {
    let line = str::from_utf8(line).map_err(|_| LineError::NotText)?.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    line.parse().map(Some).map_err(LineError::Contact)
}

/// One byte more than may be there, so that a longer file is noticed.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(u64::try_from(FILE_BYTES_MAX + 1).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Waits until no other process replaces the file. Unlocks when dropped.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Some thousands of contacts; more belong into another kind of place.
const FILE_BYTES_MAX: usize = 1024 * 1024;
