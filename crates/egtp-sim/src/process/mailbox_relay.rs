//! A relay with mailboxes in a process of its own, honest or with a mistake that its users must notice.
//!
//! Its key, its port and its store stay when it is killed. Knows nobody who uses it. Invariant: an honest one is made of
//! what every relay is made of; a mistake lies in its store, around which nothing else is different.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use egtp::mailbox::{
    ACK, Ack, GET, Get, LetterName, Letters, decode_acks, encode_acks, encode_count,
};
use egtp::store::{Ran, RunHandler, Saved, SqliteStore, Store, StoreError, Values, Write};
use egtp::{Allowed, Kind, PublicKey, QueryEvent, Refusal, StartError};
use egtp_services::mailbox::{Limits, Mailboxes};

use super::failure::{Failure, trying};
use super::report::say;
use super::server::node_in;

/// What is wrong with a relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mistake {
    /// It says what it has done before that is on its disk.
    Early,
    /// It says that letters are deleted, and deletes none.
    DeletesNone,
    /// It deletes one letter more than was acknowledged: the next one.
    DeletesNext,
}

impl Mistake {
    /// The word for it, as a process of this program is called with it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::DeletesNone => "deletes-none",
            Self::DeletesNext => "deletes-next",
        }
    }

    /// What this word says: [`HONEST`] that there is none.
    ///
    /// # Errors
    /// [`Failure::Usage`] if it says nothing.
    pub fn from_word(word: &str) -> Result<Option<Self>, Failure> {
        let all = [Self::Early, Self::DeletesNone, Self::DeletesNext];
        let found = all.into_iter().find(|mistake| mistake.word() == word);
        if found.is_none() && word != HONEST {
            return Err(Failure::Usage(format!("{word:?} is no mistake of a relay")));
        }
        Ok(found)
    }
}

/// The word for a relay without a mistake.
pub const HONEST: &str = "honest";

/// Keeps letters for anybody, as many as there are, until the process is killed.
///
/// # Errors
/// [`Failure`] if it cannot begin, or if the node closes.
pub async fn keep_letters(
    folder: &Path,
    port: &str,
    mistake: Option<Mistake>,
) -> Result<(), Failure> {
    let (mailboxes, announcer) = Mailboxes::new(boundless(), Allowed::Anybody);
    let [deposits, collects, _] = mailboxes.routers(Allowed::Anybody, Allowed::from_iter([]))?;
    let builder = node_in(folder, port, deposits)?.serve(collects);
    let disk = SqliteStore::open(folder.join(STORE)).map_err(StartError::from)?;
    let node = match mistake {
        None => builder.store(disk).start().await?,
        Some(mistake) => {
            let front = folder.join("front");
            // There is none before the first start, and what is in it is to be lost.
            let _ = fs::remove_dir_all(&front);
            trying("make a folder", fs::create_dir(&front))?;
            let mistaken = Mistaken {
                mistake,
                disk: (folder.join(STORE), disk),
                front: (front.join("front.db"), None),
                owed: Vec::new(),
                commits: 0,
            };
            builder.store(mistaken).start().await?
        }
    };
    say(format_args!("ready {}", node.ticket()));
    announcer.run(node).await;
    Err(Failure::Gone)
}

/// The limits are not what is looked at.
fn boundless() -> Limits {
    let mut limits = Limits::default();
    limits.mailbox_letters_max = u32::MAX;
    limits.share_letters_max = u32::MAX;
    limits.mailbox_bytes_max = limits.bytes_max;
    limits.share_bytes_max = limits.bytes_max;
    limits
}

/// A store with a mistake.
#[derive(Debug)]
struct Mistaken {
    mistake: Mistake,
    disk: (PathBuf, SqliteStore),
    /// What an early one answers from: it begins as the disk is, and no later run looks at it.
    front: (PathBuf, Option<SqliteStore>),
    /// What is in front and not yet on the disk.
    owed: Vec<(PublicKey, Write)>,
    commits: u32,
}

impl Mistaken {
    fn commit_early(
        &mut self,
        rows: &[(PublicKey, Write)],
        run: &mut RunHandler<'_>,
    ) -> Result<Vec<Ran>, StoreError> {
        let front = self.front.1.as_mut();
        let front = front.ok_or(StoreError::Unavailable { why: "it was not loaded" })?;
        let ran = front.commit(rows, run)?;
        self.owed.extend_from_slice(rows);
        self.commits += 1;
        if self.commits.is_multiple_of(LATE) {
            self.disk.1.commit(&self.owed, run)?;
            self.owed.clear();
        }
        Ok(ran)
    }
}

impl Store for Mistaken {
    fn load(&mut self, identity: &PublicKey) -> Result<Saved, StoreError> {
        let saved = self.disk.1.load(identity)?;
        if self.mistake == Mistake::Early {
            let (from, to) = (&self.disk.0, &self.front.0);
            for extension in ["db", "db-wal"] {
                let (from, to) = (from.with_extension(extension), to.with_extension(extension));
                let copied = fs::copy(&from, to);
                let io = |source| StoreError::Io { action: "copy", path: from, source };
                copied.map_err(io)?;
            }
            let mut front = SqliteStore::open(to)?;
            front.load(identity)?;
            self.front.1 = Some(front);
        }
        Ok(saved)
    }

    fn commit(
        &mut self,
        rows: &[(PublicKey, Write)],
        run: &mut RunHandler<'_>,
    ) -> Result<Vec<Ran>, StoreError> {
        match self.mistake {
            Mistake::Early => self.commit_early(rows, run),
            Mistake::DeletesNone => {
                let mut run = |values: &mut dyn Values, query: &QueryEvent| match acks(query) {
                    Some(acks) => {
                        let count = u32::try_from(acks.len()).unwrap_or(u32::MAX);
                        Ok(Bytes::copy_from_slice(&encode_count(count)))
                    }
                    None => run(values, query),
                };
                self.disk.1.commit(rows, &mut run)
            }
            Mistake::DeletesNext => {
                let mut run = |values: &mut dyn Values, query: &QueryEvent| {
                    let answer = run(values, query)?;
                    if let Some(last) = acks(query).and_then(|acks| acks.last().copied()) {
                        delete_next(values, query, last.position, run)?;
                    }
                    Ok(answer)
                };
                self.disk.1.commit(rows, &mut run)
            }
        }
    }
}

/// What is acknowledged, if anything is.
fn acks(query: &QueryEvent) -> Option<Vec<Ack>> {
    let is_ack = query.message.kind.as_str() == ACK;
    is_ack.then(|| decode_acks(&query.message.body)).flatten()
}

fn delete_next(
    values: &mut dyn Values,
    query: &QueryEvent,
    after: u64,
    run: &mut RunHandler<'_>,
) -> Result<(), Refusal> {
    let mut ask = |kind: &str, body: Bytes| {
        let mut asked = query.clone();
        asked.message.kind = Kind::new(kind).map_err(|_| Refusal::Failed)?;
        asked.message.body = body;
        asked.room = ROOM;
        run(values, &asked)
    };
    let there = ask(GET, Get { largest: u32::MAX, after }.encode())?;
    let there = Letters::decode(&there).ok_or(Refusal::Failed)?;
    if let Some(next) = there.letters.first() {
        let ack = Ack { position: next.position, name: LetterName::of(&next.bytes) };
        ask(ACK, encode_acks(&[ack]))?;
    }
    Ok(())
}

/// So that whoever judges its disk knows it.
const STORE: &str = "store.db";
/// An early store writes when so many commits were answered.
const LATE: u32 = 8;
/// Bytes of one letter at least.
const ROOM: usize = 64 * 1024;
