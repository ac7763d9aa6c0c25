//! What an asker writes down, so that it outlives its process: what it has begun, what was promised, what came of it.
//!
//! One file in its folder. Of a node it knows how a request goes on and ends. Invariant: a line that a kill has cut off is not read, and spoils none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use egtp::clock::{Clock, SystemClock};
use egtp::{Pending, Progress, RequestError};

use super::failure::{Failure, trying};

/// What was written down, by all processes that had the folder.
#[derive(Debug, Default)]
pub struct Diary {
    /// Bodies, and the boot time at which each was begun.
    pub begun: BTreeMap<String, Duration>,
    /// Ids with their bodies.
    pub kept: BTreeMap<String, String>,
    /// Ids with their outcomes.
    pub ended: BTreeMap<String, BTreeSet<String>>,
    /// Bodies of those that ended with a reply.
    pub replied: BTreeSet<String>,
    /// Outcomes that were told again after a crash.
    pub again: usize,
}

impl Diary {
    /// Reads the file of a folder; an empty one if there is none yet.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be read, or holds what nobody has written.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            read => trying(format!("read {}", path.display()), read)?,
        };
        let mut diary = Self::default();
        for line in text.lines() {
            // What a kill has cut off was never told to anybody.
            let Some(line) = line.strip_suffix(LINE_END) else { continue };
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["begun", at, body] => {
                    let at = at.parse().map(Duration::from_micros);
                    let at = at.map_err(|_| Failure::Usage(format!("{line:?} was never written")));
                    diary.begun.insert(body.to_owned(), at?);
                }
                ["kept", id, body] => {
                    diary.kept.insert(id.to_owned(), body.to_owned());
                }
                ["ended", id, outcome, body] => {
                    let all = diary.ended.entry(id.to_owned()).or_default();
                    diary.again += usize::from(!all.insert(outcome.to_owned()));
                    let known = diary.kept.get(id).cloned();
                    let body = if body == NOBODY { known } else { Some(body.to_owned()) };
                    if outcome == "reply" {
                        diary.replied.extend(body);
                    }
                }
                _ => return Err(Failure::Usage(format!("{line:?} was never written"))),
            }
        }
        Ok(diary)
    }

    /// Whether something has its reply that was begun after this boot time.
    pub fn has_reply_since(&self, since: Duration) -> bool {
        let begun = self.begun.iter().filter(|(_, at)| **at > since);
        begun.into_iter().any(|(body, _)| self.replied.contains(body))
    }
}

/// Writes down that something is begun.
///
/// # Errors
/// [`Failure::System`].
pub fn begun(folder: &Path, body: &str) -> Result<(), Failure> {
    note(folder, &format!("begun {} {body}", SystemClock.boot().as_micros()))
}

fn kept(folder: &Path, id: &str, body: &str) -> Result<(), Failure> {
    note(folder, &format!("kept {id} {body}"))
}

fn ended(folder: &Path, id: &str, outcome: &str, body: Option<&str>) -> Result<(), Failure> {
    note(folder, &format!("ended {id} {outcome} {}", body.unwrap_or(NOBODY)))
}

/// Follows a request to its end, and writes down what is promised and what comes of it before its handle is let go. The
/// body is not known of one that an earlier process has begun.
///
/// # Errors
/// [`Failure::System`].
pub async fn follow(
    folder: PathBuf,
    mut pending: Pending,
    body: Option<String>,
) -> Result<(), Failure> {
    let outcome = loop {
        let progress = pending.progress().await;
        match (progress, &body, pending.id()) {
            (Ok(Progress::Kept), Some(body), Some(id)) => kept(&folder, &id.to_string(), body)?,
            (Ok(Progress::Replied(_)), ..) => break "reply",
            (Ok(_), ..) => {}
            (Err(RequestError::Unknown { .. }), ..) => break "unknown",
            (Err(RequestError::TimedOut { .. }), ..) => break "timed_out",
            (Err(RequestError::NotSent(_)), ..) => break "not_sent",
            (Err(_), ..) => break "other",
        }
    };
    // What never left has no id.
    let id = pending.id().map(|id| id.to_string()).or_else(|| body.clone()).unwrap_or_default();
    ended(&folder, &id, outcome, body.as_deref())
}

/// One line, which shows that it is whole, and begins a new one whatever is before it: a kill can cut a write off
/// where a page of the file ends.
fn note(folder: &Path, line: &str) -> Result<(), Failure> {
    let path = folder.join(FILE);
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    let mut file = trying(format!("open {}", path.display()), opened)?;
    trying("write a line", file.write_all(format!("\n{line}{LINE_END}\n").as_bytes()))
}

const FILE: &str = "told";
/// What a whole line ends with.
const LINE_END: &str = " .";
/// In the place of a body that is not known.
const NOBODY: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::scratch::Scratch;

    #[test]
    fn what_was_written_is_read_and_a_cut_line_is_not() {
        let scratch = Scratch::new("diary").unwrap();
        assert!(Diary::read(scratch.path()).unwrap().begun.is_empty());
        begun(scratch.path(), "a.").unwrap();
        kept(scratch.path(), "01", "a.").unwrap();
        let file = OpenOptions::new().append(true).open(scratch.path().join(FILE));
        file.unwrap().write_all(b"\nended 01 unkn").unwrap();
        ended(scratch.path(), "01", "reply", None).unwrap();
        let diary = Diary::read(scratch.path()).unwrap();
        assert_eq!(diary.ended["01"], BTreeSet::from(["reply".to_owned()]));
        assert!(diary.replied.contains("a.") && diary.has_reply_since(Duration::ZERO));
        assert!(!diary.has_reply_since(SystemClock.boot()));
    }
}
