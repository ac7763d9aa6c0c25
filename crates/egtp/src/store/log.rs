//! What must be there of a store's log, looked at before the database is: `SQLite` takes a log that is
//! missing, cut short or damaged for one that was never longer.
//!
//! The file itself says in its header whether a log belongs to it ([`IN_USE`]). Nothing here writes.
//! Invariant: what a loss of power can leave is never called damage, and whatever else is missing is, but
//! for the end of the log: the newest batch cannot be told from one that was cut off while it was written,
//! nor what was longer than [`LOG_BYTES`] from a log of that length.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Says that a file is ours, and that all of it is in it: `EGTP` in big-endian order.
pub(super) const AT_REST: i32 = 0x4547_5450;
/// Says that a file is ours, and that a log belongs to it: `EGTW` in big-endian order.
pub(super) const IN_USE: i32 = 0x4547_5457;

/// The length that a log has at least while the file says [`IN_USE`]: what `SQLite` lets it grow to before
/// it begins again at its start, 1,000 pages. Most of it is a hole that takes no room.
pub(super) const LOG_BYTES: u64 = 32 + 1000 * (4096 + 24);

/// What is there in place of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A database, and its log if it needs one.
    Database {
        /// Whether the file itself says that a log belongs to it.
        in_use: bool,
    },
}

/// The log of a store.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    PathBuf::from(log)
}

/// Looks at a store without touching it.
///
/// # Errors
/// [`StoreError::Damaged`] if a part of it is missing, [`StoreError::Io`] if it cannot be looked at.
pub(super) fn look(path: &Path) -> Result<Found, StoreError> {
    let log = log_of(path);
    let damaged = |why: String| StoreError::Damaged { path: path.to_owned(), why };
    let shown = log.display();
    let length = match log.metadata() {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(cannot_look(&log, error)),
    };
    let Some(begins) = beginning(path).map_err(|error| cannot_look(path, error))? else {
        return match length {
            0 => Ok(Found::Nothing),
            _ => Err(damaged(format!("it is missing, although its log {shown} is there"))),
        };
    };
    let application =
        begins.strip_prefix(MAGIC).and_then(|rest| rest.get(APPLICATION_AFTER_MAGIC..));
    let Some(application) = application.and_then(|rest| rest.first_chunk()) else {
        let log = if length == 0 {
            String::new()
        } else {
            format!(", although its log {shown} is there")
        };
        let what = if begins.is_empty() { "it is empty" } else { "it is no database" };
        return Err(damaged(format!("{what}{log}")));
    };
    let in_use = i32::from_be_bytes(*application) == IN_USE;
    if in_use && length < LOG_BYTES {
        let state = if length == 0 { "missing or empty" } else { "cut short" };
        let why = format!(
            "it was not closed, and its log {shown} is {state}: what was written last is lost"
        );
        return Err(damaged(why));
    }
    if length > 0 {
        match File::open(&log).and_then(|file| inspect(BufReader::new(file))) {
            Ok(Log::Sound) => {}
            // Before a file says that it needs a log, what is in the log has been told to nobody.
            Ok(Log::Headless) if !in_use => {}
            Ok(Log::Headless | Log::Broken) => {
                return Err(damaged(format!("its log {shown} is not as it was written")));
            }
            Err(error) => return Err(cannot_look(&log, error)),
        }
    }
    Ok(Found::Database { in_use })
}

/// What a log is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Log {
    /// Whole, but for a batch at its end that may have been cut off.
    Sound,
    /// Without a header that fits.
    Headless,
    /// Something is wrong in it, and batches follow.
    Broken,
}

/// The first bytes of a file, or `None` if nothing has its name. A link that leads nowhere is not nothing.
fn beginning(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if path.symlink_metadata().is_ok() { Err(error) } else { Ok(None) };
        }
        opened => opened?,
    };
    let mut begins = Vec::new();
    file.take(HEADER_BYTES).read_to_end(&mut begins)?;
    Ok(Some(begins))
}

/// Reads a log from its start. Each of its frames has a sum over all before it; the salts of the header are
/// in each frame that was written since the log began anew.
fn inspect(mut log: impl Read) -> io::Result<Log> {
    let mut header = [0; 32];
    if !fill(&mut log, &mut header)? {
        return Ok(Log::Headless);
    }
    let [magic, _version, page, _checkpoint, salts @ .., sum_1, sum_2] = words::<8>(&header);
    let order = match magic {
        LOG_MAGIC => u32::from_le_bytes,
        LOG_MAGIC_BIG => u32::from_be_bytes,
        _ => return Ok(Log::Headless),
    };
    let mut sum = Sum { order, so_far: (0, 0) };
    let (summed, _) = header.split_at(24);
    sum.add(summed);
    if sum.so_far != (sum_1, sum_2) || !(512..=65_536).contains(&page) {
        return Ok(Log::Headless);
    }
    let mut page = vec![0; usize::try_from(page).unwrap_or_default()];
    let mut frame = [0; 24];
    let (mut fits, mut batch_ended) = (true, false);
    while fill(&mut log, &mut frame)? && fill(&mut log, &mut page)? {
        let [_page, pages_after, salt_1, salt_2, sum_1, sum_2] = words::<6>(&frame);
        let is_of_now = salts == [salt_1, salt_2];
        if fits {
            let (summed, _) = frame.split_at(8);
            sum.add(summed);
            sum.add(&page);
            fits = is_of_now && sum.so_far == (sum_1, sum_2);
            if fits {
                continue;
            }
        } else if batch_ended && is_of_now {
            // A batch is begun when the one before is on the disk.
            return Ok(Log::Broken);
        }
        // Only the last frame of a batch says how many pages the database has after it.
        batch_ended |= is_of_now && pages_after != 0;
    }
    Ok(Log::Sound)
}

/// The sum that `SQLite` keeps over its log.
struct Sum {
    order: fn([u8; 4]) -> u32,
    so_far: (u32, u32),
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let (mut one, mut two) = self.so_far;
        for [first, second] in bytes.as_chunks::<4>().0.as_chunks::<2>().0 {
            one = one.wrapping_add((self.order)(*first)).wrapping_add(two);
            two = two.wrapping_add((self.order)(*second)).wrapping_add(one);
        }
        self.so_far = (one, two);
    }
}

/// Numbers in big-endian order.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = bytes.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word));
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

/// Whether there was as much to read.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn cannot_look(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { action: "read", path: path.to_owned(), source }
}

/// What every file of `SQLite` begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The header of such a file, and the place of the application's number in it, counted from the magic.
const HEADER_BYTES: u64 = 100;
const APPLICATION_AFTER_MAGIC: usize = 68 - MAGIC.len();
/// What every log begins with, by the order of bytes in which its sums are made.
const LOG_MAGIC: u32 = 0x377f_0682;
const LOG_MAGIC_BIG: u32 = 0x377f_0683;
