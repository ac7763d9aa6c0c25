//! A store in a file: what was committed is read back, and what cannot be right is refused untouched.

mod folder;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use egtp::store::{
    Binding, MessageName, Offer, Run, Saved, SavedAnswer, SavedAsk, SavedDialog, SavedLetters,
    SavedMailboxPrekey, SavedOutbox, SavedOutcome, SavedQuery, SqliteStore, Store, StoreError,
    Values, Write,
};
use egtp::{Kind, PublicKey, SecretKey};
use egtp_proto::wire::Serials;
use egtp_proto::{
    Assurance, IdentityId, MessageClass, MessageEvent, MessageId, NotSent, Outcome, QueryEvent,
    QueryId, RefusedWhy, StoreKind, Taken,
};
use folder::Folder;
use zeroize::Zeroizing;

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

fn dialog(peer: u8, number: u64) -> SavedDialog {
    let mut taken = Serials::below(number);
    taken.insert_range(number + 3, number + 9);
    let store = StoreKind::Durable;
    SavedDialog { store, peer: key(peer), dialog: u64::MAX - number, floor: 2, highest: 9, taken }
}

/// A dialog in the store for letters.
fn letter_dialog(peer: u8, number: u64) -> SavedDialog {
    SavedDialog { store: StoreKind::Letter, ..dialog(peer, number) }
}

fn prekey(id: u32) -> SavedMailboxPrekey {
    let secret = Zeroizing::new([id.to_le_bytes()[0]; 32]);
    SavedMailboxPrekey { id, secret, made: Duration::from_millis(1_700_000_000_123) }
}

fn query(peer: u8, serial: u64) -> SavedQuery {
    SavedQuery {
        name: MessageName { peer: key(peer), dialog: 1 << 63, serial },
        store: StoreKind::Durable,
        code: u32::MAX,
        id: MessageId::from_bytes([peer; 32]),
        room: 2 << 20,
        patience: Duration::from_millis(1_500),
        offer: (serial != 7).then(|| Offer {
            wants_reply: serial != 8,
            kind: Kind::new("pay/1").unwrap(),
            body: Bytes::from(vec![8; 300]),
            assurance: Assurance::Confirmed,
        }),
    }
}

fn ask(peer: u8, serial: u64) -> SavedAsk {
    SavedAsk {
        name: MessageName { peer: key(peer), dialog: u64::MAX - 1, serial },
        id: MessageId::from_bytes([40 + peer; 32]),
        class: MessageClass::Request,
        kind: Kind::new("größe/1").unwrap(),
        body: Bytes::from(vec![peer; 9_000]),
        room: 1 << 20,
        expires: Duration::from_millis(1_800_000_000_123),
        post_quantum: serial == 6,
        hints: vec!["tcp/127.0.0.1:7700".parse().unwrap(), "tcp/[::1]:7".parse().unwrap()],
        binding: None,
    }
}

fn outcomes() -> Vec<SavedOutcome> {
    let outcomes = [
        Outcome::Reply { body: Bytes::from_static(b"paid"), attempts: 3, path: None },
        Outcome::Accepted { attempts: 1, path: None },
        Outcome::Refused(RefusedWhy::NotAllowed),
        Outcome::Refused(RefusedWhy::Busy { retry_after: Duration::from_millis(500) }),
        Outcome::Refused(RefusedWhy::Other(200)),
        Outcome::NotSent(NotSent::NotFound),
        Outcome::NotSent(NotSent::NoHybridSuite),
        Outcome::TimedOut { taken: Taken::Yes },
        Outcome::TimedOut { taken: Taken::No },
        Outcome::TimedOut { taken: Taken::Unknown },
        Outcome::Unknown { attempts: 7 },
    ];
    let named =
        |(number, outcome)| SavedOutcome { id: MessageId::from_bytes([number; 32]), outcome };
    (0..).zip(outcomes).map(named).collect()
}

/// Commits rows among which no handler is.
fn commit(store: &mut SqliteStore, rows: &[(PublicKey, Write)]) {
    let mut none = |_: &mut dyn Values, _: &QueryEvent| -> Result<Bytes, RefusedWhy> {
        panic!("no handler is among them")
    };
    assert!(store.commit(rows, &mut none).unwrap().is_empty());
}

/// A new directory for a test, and the file in it.
fn place(name: &str) -> (Folder, PathBuf) {
    let folder = Folder::made(&format!("store-{name}"));
    let path = folder.0.join("store.db");
    (folder, path)
}

fn filled(path: &Path) -> Saved {
    let mut store = SqliteStore::open(path).unwrap();
    let mut expected = store.load(&key(1)).unwrap();
    let answer = SavedAnswer { status: 0, body: Bytes::from_static(b"paid") };
    let writes = [
        Write::Dialog(dialog(2, 5)),
        Write::Dialog(dialog(3, 7)),
        Write::Query(query(2, 5)),
        Write::Query(query(2, 6)),
        Write::Query(query(3, 7)),
        Write::Query(query(2, 8)),
        Write::Answer { name: query(2, 6).name, answer: answer.clone() },
        Write::Store { generation: 10, floor: 9 },
        Write::Forget { store: StoreKind::Durable, peer: key(3), dialog: dialog(3, 7).dialog },
        Write::Dialog(dialog(4, 1)),
        Write::Dialog(SavedDialog { highest: 10, ..dialog(2, 5) }),
        Write::Done(query(3, 7).name),
    ];
    commit(&mut store, &writes.map(|write| (key(1), write)));
    let binding = Binding { kind: StoreKind::Durable, store: u64::MAX, generation: 3 };
    let outbox = |next_serial| SavedOutbox { peer: key(2), dialog: u64::MAX - 1, next_serial };
    let over = |(serial, outcome): (u64, SavedOutcome)| {
        let ended = ask(3, 10 + serial);
        let name = ended.name;
        [Write::Ask(ended), Write::Over { name, outcome: Some(outcome) }]
    };
    let writes = [
        Write::Outbox(outbox(5)),
        Write::Ask(ask(2, 5)),
        Write::Outbox(outbox(7)),
        Write::Ask(ask(2, 6)),
        Write::Bind { name: ask(2, 6).name, binding: Binding { generation: 1, ..binding } },
        Write::Bind { name: ask(2, 6).name, binding },
        Write::Ask(ask(3, 1)),
        Write::Over { name: ask(3, 1).name, outcome: None },
        Write::Collected(MessageId::from_bytes([77; 32])),
    ];
    let writes = (0..).zip(outcomes()).flat_map(over).chain(writes);
    let writes: Vec<_> = writes.map(|write| (key(1), write)).collect();
    commit(&mut store, &writes);
    expected.outboxes = vec![outbox(7)];
    expected.asks = vec![ask(2, 5), SavedAsk { binding: Some(binding), ..ask(2, 6) }];
    expected.outcomes = outcomes();
    (expected.generation, expected.floor) = (10, 9);
    expected.dialogs = vec![dialog(4, 1), SavedDialog { highest: 10, ..dialog(2, 5) }];
    // What is answered is not handed over again.
    let answered = SavedQuery { offer: None, ..query(2, 6) };
    expected.queries = vec![(query(2, 5), None), (answered, Some(answer)), (query(2, 8), None)];
    let by_letter = SavedQuery { store: StoreKind::Letter, ..query(4, 20) };
    let writes = [
        Write::Letters { store: u64::MAX - 7, floor: 0 },
        Write::MailboxPrekey(prekey(3)),
        Write::MailboxPrekey(prekey(4)),
        Write::MailboxPrekey(prekey(5)),
        Write::Dialog(letter_dialog(2, 5)),
        Write::Dialog(letter_dialog(3, 5)),
        Write::Query(by_letter.clone()),
        Write::Letters { store: u64::MAX - 7, floor: 3 },
        Write::Forget { store: StoreKind::Letter, peer: key(2), dialog: dialog(2, 5).dialog },
        Write::ErasePrekey(3),
    ];
    commit(&mut store, &writes.map(|write| (key(1), write)));
    expected.queries.push((by_letter, None));
    expected.letters = Some(SavedLetters {
        store: u64::MAX - 7,
        floor: 3,
        dialogs: vec![letter_dialog(3, 5)],
        prekeys: vec![prekey(4), prekey(5)],
    });
    expected
}

/// The same as versions left it that knew no letters.
fn without_letters(saved: Saved) -> Saved {
    let mut queries = saved.queries;
    queries.retain(|(query, _)| query.store != StoreKind::Letter);
    Saved { queries, letters: None, ..saved }
}

/// Proves PER-4: what was written is what is read, in the order of use, each identity's own.
#[test]
fn what_was_committed_is_read_back() {
    let (_folder, path) = place("read-back");
    let expected = filled(&path);
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.load(&key(1)).unwrap(), expected);
    let other = store.load(&key(9)).unwrap();
    assert_eq!(other, Saved::new(other.store));
    assert_ne!(other.store, expected.store, "a life of its own");
}

/// Proves LNG-2: an outcome is kept until it is taken.
#[test]
fn an_outcome_that_was_taken_is_gone() {
    let (_folder, path) = place("collected");
    filled(&path);
    let mut store = SqliteStore::open(&path).unwrap();
    let taken = Write::Collected(outcomes()[0].id);
    commit(&mut store, &[(key(1), taken)]);
    assert_eq!(store.load(&key(1)).unwrap().outcomes, outcomes()[1..]);
}

/// Proves LNG-2: outcomes that nobody takes do not fill the disk: so many bytes of replies are kept, the
/// newest ones.
#[test]
fn outcomes_that_nobody_takes_are_dropped_in_the_end() {
    let (_folder, path) = place("untaken");
    let mut store = SqliteStore::open(&path).unwrap();
    store.load(&key(1)).unwrap();
    let body = Bytes::from(vec![7; 1 << 20]);
    for number in 0..512_u64 {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let body = if number % 5 == 0 { body.clone() } else { Bytes::new() };
        let outcome = Outcome::Reply { body, attempts: 1, path: None };
        let outcome = Some(SavedOutcome { id: MessageId::from_bytes(id), outcome });
        commit(&mut store, &[(key(1), Write::Over { name: ask(2, number).name, outcome })]);
    }
    let kept = store.load(&key(1)).unwrap().outcomes;
    let first = u64::from_le_bytes(kept[0].id.as_bytes()[..8].try_into().unwrap());
    assert_eq!(u64::try_from(kept.len()).unwrap(), 512 - first, "the newest without a gap");
    let bytes = |one: &SavedOutcome| match &one.outcome {
        Outcome::Reply { body, .. } => body.len(),
        _ => 0,
    };
    let total: usize = kept.iter().map(bytes).sum();
    assert!(total <= 64 << 20 && total > 60 << 20, "{total} bytes");
}

/// The life of the store that was frozen as the fifth version left it.
const FROZEN_5: u64 = 14_924_397_526_523_331_074;

/// A store as a version has left it, and a copy of it that may be used.
fn frozen(version: u8) -> (Folder, PathBuf) {
    let (folder, path) = place(&format!("version-{version}"));
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::copy(fixtures.join(format!("store-{version}.db")), &path).unwrap();
    (folder, path)
}

fn without_offer(
    (query, answer): (SavedQuery, Option<SavedAnswer>),
) -> (SavedQuery, Option<SavedAnswer>) {
    (SavedQuery { offer: None, ..query }, answer)
}

/// What handlers keep in a store.
fn values(store: &mut SqliteStore) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    let mut read = |values: &mut dyn Values, _: &QueryEvent| -> Result<Bytes, RefusedWhy> {
        found.extend(["balance", "nothing"].map(|key| values.get(key.as_bytes()).unwrap()));
        Ok(Bytes::new())
    };
    store.commit(&[(key(1), run())], &mut read).unwrap();
    found
}

/// A row that runs a handler.
fn run() -> Write {
    let message = MessageEvent {
        identity: IdentityId(0),
        from: key(5),
        kind: Kind::new("pay/1").unwrap(),
        body: Bytes::new(),
        assurance: Assurance::Confirmed,
        id: MessageId::from_bytes([55; 32]),
    };
    let name = MessageName { peer: key(5), dialog: 5, serial: 5 };
    let (query, patience) = (QueryId(1), Duration::from_secs(1));
    let event = QueryEvent { query, message, room: 0, patience, redelivered: false };
    Write::Run(Box::new(Run { name, wants_reply: false, event }))
}

/// Proves PRO-8: a store of the fifth version, the present one, is understood as it was frozen.
#[test]
fn pro_8_a_store_of_the_fifth_version_is_understood() {
    let (_folder, path) = frozen(5);
    let mut store = SqliteStore::open(&path).unwrap();
    let saved = store.load(&key(1)).unwrap();
    let (_other_folder, other) = place("present-version");
    assert_eq!(saved, Saved { store: FROZEN_5, ..filled(&other) });
    assert_eq!(values(&mut store), [Some(b"990 nanobux".to_vec()), None]);
}

/// Proves PRO-8: a store of the fourth version is understood as it was frozen, and takes letters from now on.
#[test]
fn pro_8_a_store_of_the_fourth_version_is_brought_up() {
    let (_folder, path) = frozen(4);
    let mut store = SqliteStore::open(&path).unwrap();
    let saved = store.load(&key(1)).unwrap();
    let (_other_folder, other) = place("fourth-version");
    let expected = Saved { store: saved.store, ..without_letters(filled(&other)) };
    assert_eq!(saved.store, 7_914_639_775_243_225_413);
    assert_eq!(saved, expected);
    assert_eq!(values(&mut store), [Some(b"990 nanobux".to_vec()), None]);
    let made = [Write::Letters { store: 1, floor: 0 }, Write::MailboxPrekey(prekey(1))];
    commit(&mut store, &made.map(|write| (key(1), write)));
    let letters = SavedLetters { prekeys: vec![prekey(1)], ..SavedLetters::new(1) };
    assert_eq!(store.load(&key(1)).unwrap().letters, Some(letters));
}

/// Proves PRO-8: a store of the first version is understood as it was frozen, and keeps its life.
#[test]
fn pro_8_a_store_of_the_first_version_is_brought_up() {
    let (_folder, path) = frozen(1);
    let mut store = SqliteStore::open(&path).unwrap();
    let saved = store.load(&key(1)).unwrap();
    let (_other_folder, other) = place("second-version");
    let received = without_letters(filled(&other));
    let expected = Saved {
        store: 17_390_237_679_802_549_760,
        outboxes: Vec::new(),
        asks: Vec::new(),
        outcomes: Vec::new(),
        // Of messages without a reply it knew nothing.
        queries: received.queries.iter().take(2).cloned().map(without_offer).collect(),
        ..received
    };
    assert_eq!(saved, expected);
    // It takes rows of this version, and is of this version from now on.
    commit(&mut store, &[(key(1), Write::Ask(ask(2, 6)))]);
    drop(store);
    assert_eq!(SqliteStore::open(&path).unwrap().load(&key(1)).unwrap().asks, [ask(2, 6)]);
    let version = "PRAGMA user_version";
    let raw = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(raw.query_row(version, [], |row| row.get::<_, i64>(0)).unwrap(), 5);
}

/// Proves PER-4: a store has one owner.
#[test]
fn a_store_that_is_open_elsewhere_is_refused() {
    let (_folder, path) = place("in-use");
    let first = SqliteStore::open(&path).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::InUse { .. })));
    drop(first);
    SqliteStore::open(&path).unwrap();
}

/// Proves PER-4: a newer store, another program's, and one that is no database are refused, and are left
/// as they are.
#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let spoiled = |name: &str, spoil: &dyn Fn(&Path)| {
        let (_folder, path) = place(name);
        filled(&path);
        spoil(&path);
        let before = std::fs::read(&path).unwrap();
        let refused = SqliteStore::open(&path).expect_err(name);
        assert_eq!(std::fs::read(&path).unwrap(), before, "{name}");
        refused
    };
    let pragma = |text: &'static str| {
        move |path: &Path| {
            rusqlite::Connection::open(path).unwrap().execute_batch(text).unwrap();
        }
    };
    let newer = spoiled("newer", &pragma("PRAGMA user_version = 7"));
    assert!(matches!(newer, StoreError::Newer { found: 7, known: 5, .. }), "{newer}");
    let other = spoiled("other", &pragma("PRAGMA application_id = 7"));
    assert!(matches!(other, StoreError::Damaged { .. }), "{other}");
    let junk = spoiled("junk", &|path| std::fs::write(path, [7; 5_000]).unwrap());
    assert!(matches!(junk, StoreError::Damaged { .. }), "{junk}");
}

/// Proves PER-4: a row whose values have changed is noticed.
#[test]
fn a_changed_value_is_noticed() {
    for (index, change) in [
        "UPDATE store SET floor = 0",
        "UPDATE store SET life = 1",
        "UPDATE dialog SET floor = 0",
        "UPDATE dialog SET taken = zeroblob(8)",
        "UPDATE query SET serial = 9 WHERE serial = 5",
        "UPDATE query SET room = 1",
        "UPDATE answer SET body = x'00'",
        "UPDATE answer SET status = 1",
        "UPDATE offer SET body = x'00'",
        "UPDATE query SET store = 1 WHERE serial = 20",
        "UPDATE query SET store = 2 WHERE serial = 5",
        "UPDATE letter_store SET floor = 0",
        "UPDATE letter_dialog SET highest = 1",
        "INSERT INTO letter_dialog SELECT * FROM dialog",
        "UPDATE mailbox_prekey SET id = 9 WHERE id = 4",
        "UPDATE mailbox_prekey SET secret = zeroblob(32) WHERE id = 5",
        "UPDATE mailbox_prekey SET made_ms = 1",
        "UPDATE offer SET assurance = 0",
        "UPDATE outbox SET next_serial = 0",
        "UPDATE ask SET body = zeroblob(9000) WHERE serial = 5",
        "UPDATE ask SET expires_ms = 1 WHERE serial = 5",
        "UPDATE ask SET class = 1 WHERE serial = 5",
        "UPDATE ask SET post_quantum = 0 WHERE serial = 6",
        "UPDATE ask SET hints = '' WHERE serial = 6",
        "UPDATE binding SET generation = 1",
        "UPDATE binding SET serial = 5",
        "UPDATE outcome SET number = 4 WHERE outcome = 0",
        "UPDATE outcome SET detail = 1 WHERE outcome = 4",
    ]
    .into_iter()
    .enumerate()
    {
        let (_folder, path) = place(&format!("changed-{index}"));
        filled(&path);
        rusqlite::Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let loaded = SqliteStore::open(&path).unwrap().load(&key(1));
        assert!(matches!(loaded, Err(StoreError::Damaged { .. })), "{change}: {loaded:?}");
    }
}

/// Proves PER-4: with a log beside it, whatever is wrong with the file itself, both are left as they are.
#[test]
fn a_damaged_file_with_a_log_is_left_alone_with_it() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 4] = [
        ("text", |path| std::fs::write(path, "no database at all").unwrap()),
        ("empty", |path| std::fs::write(path, "").unwrap()),
        ("missing", |path| std::fs::remove_file(path).unwrap()),
        ("junk", |path| std::fs::write(path, [7; 8192]).unwrap()),
    ];
    for (name, spoil) in spoils {
        let (folder, path) = place(&format!("log-{name}"));
        // Copied while it is open, as a killed process leaves it.
        let (live, log) = (folder.0.join("live.db"), folder.0.join("store.db-wal"));
        let mut store = SqliteStore::open(&live).unwrap();
        store.load(&key(1)).unwrap();
        std::fs::copy(&live, &path).unwrap();
        std::fs::copy(folder.0.join("live.db-wal"), &log).unwrap();
        assert!(std::fs::metadata(&log).unwrap().len() > 0);
        spoil(&path);
        let state = || (std::fs::read(&path).ok(), std::fs::read(&log).ok());
        let before = state();
        let refused = SqliteStore::open(&path);
        assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{name}: {refused:?}");
        drop(refused);
        assert_eq!(state(), before, "{name}");
    }
}

/// Proves PER-4: whichever bit of the file is wrong, the store is refused, or read as it was written. Every
/// 199th bit is tried: over all eight places in a byte, and all pages.
#[test]
fn a_flipped_bit_is_never_read_as_something_else() {
    let (_folder, path) = place("flipped");
    let expected = filled(&path);
    let sound = std::fs::read(&path).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for bit in (0..sound.len() * 8).step_by(199) {
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, bytes).unwrap();
        match SqliteStore::open(&path).and_then(|mut store| store.load(&key(1))) {
            Ok(loaded) => {
                assert_eq!(loaded, expected, "bit {bit}");
                harmless += 1;
            }
            Err(_) => refused += 1,
        }
        drop(std::fs::remove_file(path.with_extension("db-wal")));
    }
    assert!(refused > 50, "{refused} refused, {harmless} read as written");
    println!("{refused} refused, {harmless} read as written");
}
