//! A backup brings back what belongs to its owner, and nothing that would make two of one store.

mod folder;

use std::time::Duration;

use bytes::Bytes;
use egtp::store::{
    MessageName, SavedAsk, SavedDialog, SavedMailboxPrekey, SavedOutbox, SqliteStore, Store,
    StoreError, Values, Write, restore,
};
use egtp::{Kind, PublicKey, Refusal, SecretKey};
use egtp_proto::wire::Serials;
use egtp_proto::{
    Assurance, IdentityId, MessageClass, MessageEvent, MessageId, Outcome, QueryEvent, QueryId,
    StoreKind,
};
use folder::Folder;

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

fn ask() -> SavedAsk {
    SavedAsk {
        name: MessageName { peer: key(2), dialog: 7, serial: 0 },
        id: MessageId::from_bytes([6; 32]),
        class: MessageClass::Request,
        kind: Kind::new("pay/1").unwrap(),
        body: Bytes::from_static(b"ten nanobux"),
        room: 100,
        expires: Duration::from_secs(2_000_000_000),
        post_quantum: false,
        hints: Vec::new(),
        binding: None,
    }
}

/// A message whose handler puts or reads a value.
fn run(serial: u64) -> Write {
    let message = MessageEvent {
        identity: IdentityId(0),
        from: key(2),
        kind: Kind::new("take/1").unwrap(),
        body: Bytes::new(),
        assurance: Assurance::Confirmed,
        id: MessageId::from_bytes([1; 32]),
    };
    let patience = Duration::ZERO;
    let query = QueryId(1);
    let event = QueryEvent { query, message, room: 100, patience, redelivered: false };
    let name = MessageName { peer: key(2), dialog: 1, serial };
    Write::Run(Box::new(egtp::store::Run { name, wants_reply: false, event }))
}

fn put(values: &mut dyn Values, _: &QueryEvent) -> Result<Bytes, Refusal> {
    values.put(b"balance", b"90")?;
    Ok(Bytes::new())
}

fn read(values: &mut dyn Values, _: &QueryEvent) -> Result<Bytes, Refusal> {
    Ok(values.get(b"balance")?.unwrap_or_default().into())
}

/// Proves X-35: values and files come back; the store's life, its dialogs and what it has open do not.
#[test]
fn a_restored_store_is_a_new_one() {
    let folder = Folder::made("backup");
    let (path, file) = (folder.0.join("store.db"), folder.0.join("backup"));
    let mut store = SqliteStore::open(&path).unwrap();
    let life = store.load(&key(1)).unwrap().store;
    let (floor, highest, taken) = (0, 1, Serials::below(5));
    let dialog = |store| SavedDialog {
        store,
        peer: key(2),
        dialog: 1,
        floor,
        highest,
        taken: taken.clone(),
    };
    let prekey = SavedMailboxPrekey { id: 1, secret: [7; 32].into(), made: Duration::ZERO };
    let outbox = SavedOutbox { peer: key(2), dialog: 7, next_serial: 1 };
    let rows = [
        Write::Dialog(dialog(StoreKind::Durable)),
        run(0),
        Write::Outbox(outbox),
        Write::Ask(ask()),
        Write::Letters { store: 5, floor: 0 },
        Write::MailboxPrekey(prekey),
        Write::Dialog(dialog(StoreKind::Letter)),
    ]
    .map(|write| (key(1), write));
    store.commit(&rows, &mut put).unwrap();
    let files = vec![("key".to_owned(), b"secret".to_vec())];
    store.back_up(&file, &files).unwrap();
    let again = store.back_up(&file, &files);
    assert!(matches!(again, Err(StoreError::Io { .. })), "it replaces nothing: {again:?}");

    let elsewhere = folder.0.join("restored.db");
    assert_eq!(restore(&file, &elsewhere).unwrap(), files);
    let mut restored = SqliteStore::open(&elsewhere).unwrap();
    let saved = restored.load(&key(1)).unwrap();
    assert_ne!(saved.store, life);
    assert!(saved.dialogs.is_empty() && saved.asks.is_empty() && saved.outboxes.is_empty());
    assert_eq!(saved.letters, None, "letters to the one that was backed up are not read by both");
    let secret = [7; 32];
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(32).any(|window| window == secret));
    assert_eq!(saved.outcomes.len(), 1);
    assert_eq!(saved.outcomes[0].id, ask().id);
    assert_eq!(saved.outcomes[0].outcome, Outcome::Unknown { attempts: 0 });
    let ran = restored.commit(&[(key(1), run(1))], &mut read).unwrap();
    assert_eq!(ran[0].answer.body, "90");
    assert!(matches!(restore(&file, &elsewhere), Err(StoreError::Io { .. })), "nor a store");
}

/// What is no backup, or damaged, is refused before anything is made.
#[test]
fn a_damaged_backup_is_refused() {
    let folder = Folder::made("backup-damaged");
    let (path, file) = (folder.0.join("store.db"), folder.0.join("backup"));
    let mut store = SqliteStore::open(&path).unwrap();
    store.load(&key(1)).unwrap();
    store.back_up(&file, &[("key".to_owned(), b"secret".to_vec())]).unwrap();
    let change = "UPDATE file SET bytes = x'00'";
    rusqlite::Connection::open(&file).unwrap().execute_batch(change).unwrap();
    drop(store);
    let elsewhere = folder.0.join("restored.db");
    for from in [&file, &path] {
        let refused = restore(from, &elsewhere);
        assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
        assert!(!elsewhere.exists());
    }
}
