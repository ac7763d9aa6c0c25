//! A store of which a part is gone: it is refused with the reason, and never begins anew.

mod folder;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use egtp::store::{
    MessageName, Saved, SavedAnswer, SavedQuery, SqliteStore, Store, StoreError, Values, Write,
};
use egtp::{PublicKey, SecretKey};
use egtp_proto::{MessageId, QueryEvent, RefusedWhy};
use folder::Folder;

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

/// A query with an answer of some pages.
fn answered(serial: u64) -> [(PublicKey, Write); 2] {
    let name = MessageName { peer: key(2), dialog: 7, serial };
    let query = SavedQuery {
        name,
        store: egtp_proto::StoreKind::Durable,
        code: 1,
        id: MessageId::from_bytes([8; 32]),
        room: 1 << 20,
        patience: Duration::from_mins(1),
        offer: None,
    };
    let body = Bytes::from(vec![u8::try_from(serial).unwrap(); 9_000]);
    let answer = Write::Answer { name, answer: SavedAnswer { status: 0, body } };
    [(key(1), Write::Query(query)), (key(1), answer)]
}

fn no_handler(_: &mut dyn Values, _: &QueryEvent) -> Result<Bytes, RefusedWhy> {
    unreachable!("no row runs one")
}

/// What a node that was killed leaves behind.
struct Killed {
    folder: Folder,
    /// What was durable after each batch, the first being none.
    states: Vec<Saved>,
    file: Vec<u8>,
    log: Vec<u8>,
}

fn killed(name: &str, batches: u64) -> Killed {
    let folder = Folder::made(&format!("lost-{name}"));
    let live = folder.0.join("live.db");
    let mut store = SqliteStore::open(&live).unwrap();
    let mut states = vec![store.load(&key(1)).unwrap()];
    for serial in 0..batches {
        store.commit(&answered(serial), &mut no_handler).unwrap();
        states.push(store.load(&key(1)).unwrap());
    }
    let file = std::fs::read(&live).unwrap();
    let log = std::fs::read(log_of(&live)).unwrap();
    Killed { folder, states, file, log }
}

impl Killed {
    /// A copy in which these are the file and its log.
    fn with(&self, file: Option<&[u8]>, log: Option<&[u8]>) -> PathBuf {
        let path = self.folder.0.join("store.db");
        for (path, bytes) in [(&path, file), (&log_of(&path), log)] {
            drop(std::fs::remove_file(path));
            if let Some(bytes) = bytes {
                std::fs::write(path, bytes).unwrap();
            }
        }
        path
    }
}

fn log_of(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

fn contents(path: &Path) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    (std::fs::read(path).ok(), std::fs::read(log_of(path)).ok())
}

fn loaded(path: &Path) -> Result<Saved, StoreError> {
    SqliteStore::open(path).and_then(|mut store| store.load(&key(1)))
}

fn refused_untouched(path: &Path, name: &str) {
    let before = contents(path);
    let refused = loaded(path);
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{name}: {refused:?}");
    assert_eq!(contents(path), before, "{name}");
}

/// Proves PRO-7 and PER-4: a killed node's log is not optional: without it, or with a part of it, the store
/// would have gone back behind what others were told.
#[test]
fn a_log_that_is_missing_or_cut_short_is_noticed() {
    let killed = killed("log", 3);
    let (file, log) = (killed.file.as_slice(), killed.log.as_slice());
    let whole = killed.with(Some(file), Some(log));
    assert_eq!(loaded(&whole).unwrap(), killed.states[3]);
    refused_untouched(&killed.with(Some(file), None), "missing");
    let frame = 4096 + 24;
    for length in [0, 1, 31, 32, 32 + frame, 32 + 5 * frame, log.len() - 1] {
        let path = killed.with(Some(file), log.get(..length));
        refused_untouched(&path, &format!("cut to {length} bytes"));
    }
}

/// Proves PRO-7 and PER-4: nothing that is there in place of a store becomes a new one.
#[test]
fn a_file_cut_to_any_length_is_never_a_new_store() {
    let folder = Folder::made("lost-cut");
    let path = folder.0.join("store.db");
    let mut store = SqliteStore::open(&path).unwrap();
    store.load(&key(1)).unwrap();
    store.commit(&answered(1), &mut no_handler).unwrap();
    drop(store);
    assert!(!log_of(&path).exists(), "a node that has ended leaves no log");
    let sound = std::fs::read(&path).unwrap();
    let pages = (0..sound.len()).step_by(4096);
    for length in [1, 15, 16, 99, 100, 511, 512, 4095, sound.len() - 1].into_iter().chain(pages) {
        std::fs::write(&path, &sound[..length]).unwrap();
        refused_untouched(&path, &format!("cut to {length} bytes"));
    }
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(loaded(&path).unwrap().queries.len(), 1);
}

/// Proves PRO-7: whichever bit of the log is wrong, the store is refused or read as it was written, but for
/// the batch that was written last: it is not to be told from one whose writing a loss of power cut off.
#[test]
fn a_flipped_bit_in_the_log_is_noticed() {
    let killed = killed("flipped", 4);
    let [.., before, all] = killed.states.as_slice() else { panic!("four batches") };
    let used = killed.log.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut refused, mut harmless, mut last) = (0, 0, 0);
    for bit in (0..used * 8).step_by(1_511).chain((0..64 * 8).step_by(3)) {
        let mut log = killed.log.clone();
        log[bit / 8] ^= 1 << (bit % 8);
        match loaded(&killed.with(Some(&killed.file), Some(&log))) {
            Err(StoreError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("bit {bit}: {other}"),
            Ok(read) if read == *all => harmless += 1,
            Ok(read) => {
                assert_eq!(read, *before, "bit {bit} of {}", used * 8);
                last += 1;
            }
        }
    }
    println!("{refused} refused, {harmless} read as written, {last} without the last batch");
    assert!(refused > 100, "{refused} refused, {harmless} read as written");
}

/// Proves PRO-7: what a loss of power leaves of the batch that was being written is no damage.
#[test]
fn a_batch_that_was_cut_off_is_as_if_it_had_never_been() {
    let killed = killed("torn", 4);
    let used = killed.log.iter().rposition(|byte| *byte != 0).unwrap();
    // Sectors of the newest batch that the disk had not written yet, in any order.
    for gone in [512, 1024, 4096, 9000] {
        let mut log = killed.log.clone();
        log[used - gone..used - gone + 512].fill(0);
        let path = killed.with(Some(&killed.file), Some(&log));
        assert_eq!(loaded(&path).unwrap(), killed.states[3], "{gone} bytes from the end");
    }
}

/// Proves PRO-7: a link to a disk that is not there is not nothing.
#[test]
fn a_link_that_leads_nowhere_is_no_new_store() {
    let folder = Folder::made("lost-link");
    let path = folder.0.join("store.db");
    std::os::unix::fs::symlink(folder.0.join("away/store.db"), &path).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Io { .. })));
    std::fs::create_dir(folder.0.join("away")).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Io { .. })));
    assert_eq!(std::fs::read_dir(folder.0.join("away")).unwrap().count(), 0);
}

/// Proves PRO-7: what a refused start, or one that was cut off, leaves behind is a whole store or none.
#[test]
fn a_store_is_made_whole() {
    let folder = Folder::made("lost-made");
    let path = folder.0.join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let names = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.filter(|name| name != "store.db-wal").collect();
    assert_eq!(names.pop().unwrap(), "store.db");
    assert!(names.is_empty(), "{names:?}");
    assert!(std::fs::metadata(&path).unwrap().len() > 4096, "its tables are in it");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}
