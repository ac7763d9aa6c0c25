//! LOOK-3, LOOK-4, STR-6, B-13, B-22: every lookup passes the same tests, and asking is bounded.

// The lints spare test functions only, and the helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use egtp::lookup::{
    BoxFuture, FileLookup, LineError, Lookup, LookupError, MemoryLookup, resolve_first,
};
use egtp_proto::{Contact, ContactDraft, PublicKey, SecretKey};

const LIMIT: Duration = Duration::from_secs(2);

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn contact(seed: u8, sequence: u64) -> Contact {
    let draft = ContactDraft {
        sequence,
        strategies: vec!["tcp/192.0.2.1:7700".parse().unwrap()],
        suites: vec![1, 2],
        mailbox_prekey: None,
        letter_store: None,
        instance: 1,
        message_bytes_max: 100_000,
        idle_out_seconds: 3_600,
        expiry_day: 20_010,
        parent: None,
    };
    draft.sign(&secret(seed), 20_000).unwrap()
}

/// A directory of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("egtp-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn contacts(&self) -> PathBuf {
        self.0.join("contacts.txt")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The tests that every lookup passes. `other` is a second handle to the same place.
async fn passes_the_common_tests(lookup: &dyn Lookup, other: &dyn Lookup) {
    assert!(!lookup.name().is_empty());
    let (alice, bob) = (secret(1).public(), secret(2).public());
    assert_eq!(lookup.resolve(alice).await.unwrap(), None, "nobody knows is no error");

    lookup.publish(contact(1, 5)).await.unwrap();
    lookup.publish(contact(2, 9)).await.unwrap();
    assert_eq!(other.resolve(alice).await.unwrap(), Some(contact(1, 5)));
    assert_eq!(other.resolve(bob).await.unwrap(), Some(contact(2, 9)));

    other.publish(contact(1, 6)).await.unwrap();
    assert_eq!(lookup.resolve(alice).await.unwrap(), Some(contact(1, 6)), "the newer replaces");
    lookup.publish(contact(1, 4)).await.unwrap();
    lookup.publish(contact(1, 6)).await.unwrap();
    assert_eq!(other.resolve(alice).await.unwrap(), Some(contact(1, 6)), "the older never does");
    assert_eq!(other.resolve(bob).await.unwrap(), Some(contact(2, 9)));
    assert_eq!(lookup.resolve(secret(3).public()).await.unwrap(), None);
}

#[tokio::test]
async fn look_4_memory_passes_the_common_tests() {
    let lookup = MemoryLookup::new();
    passes_the_common_tests(&lookup, &lookup.clone()).await;
}

#[tokio::test]
async fn look_4_a_file_passes_the_common_tests() {
    let folder = Folder::new("common");
    let (first, second) = (FileLookup::new(folder.contacts()), FileLookup::new(folder.contacts()));
    passes_the_common_tests(&first, &second).await;
}

#[tokio::test]
async fn an_edit_counts_at_once_and_a_damaged_line_harms_no_other() {
    let folder = Folder::new("edit");
    let lookup = FileLookup::new(folder.contacts());
    let alice = secret(1).public();
    fs::write(folder.contacts(), format!("# friends\r\n\r\n{}\r\n", contact(1, 5).to_text()))
        .unwrap();
    assert_eq!(lookup.resolve(alice).await.unwrap(), Some(contact(1, 5)));

    let forged = contact(2, 7).to_text().replacen("AB", "AC", 1).replacen('a', "b", 1);
    let text = format!(
        "not a contact\n{forged}\n# {}\n{}",
        contact(3, 1).to_text(),
        contact(1, 6).to_text()
    );
    let mut bytes = text.into_bytes();
    bytes.extend(b"\n\xff\xfe\n");
    fs::write(folder.contacts(), bytes).unwrap();
    assert_eq!(lookup.resolve(alice).await.unwrap(), Some(contact(1, 6)));
    assert_eq!(lookup.resolve(secret(2).public()).await.unwrap(), None, "forged");
    assert_eq!(lookup.resolve(secret(3).public()).await.unwrap(), None, "commented out");
    let damaged = lookup.damaged_lines().await.unwrap();
    let numbers: Vec<usize> = damaged.iter().map(|line| line.number).collect();
    assert_eq!(numbers, [1, 2, 5]);
    assert_eq!(damaged[2].error, LineError::NotText);

    fs::remove_file(folder.contacts()).unwrap();
    assert_eq!(lookup.resolve(alice).await.unwrap(), None);
}

#[tokio::test]
async fn publishing_keeps_what_people_wrote() {
    let folder = Folder::new("keep");
    let lookup = FileLookup::new(folder.contacts());
    let (old, other) = (contact(1, 5).to_text(), contact(2, 1).to_text());
    fs::write(folder.contacts(), format!("# Alice\n{old}\nbroken\n# Bob\n{other}\n{old}")).unwrap();
    lookup.publish(contact(1, 6)).await.unwrap();
    lookup.publish(contact(3, 1)).await.unwrap();
    let (new, third) = (contact(1, 6).to_text(), contact(3, 1).to_text());
    let expected = format!("# Alice\n{new}\nbroken\n# Bob\n{other}\n{third}\n");
    assert_eq!(fs::read_to_string(folder.contacts()).unwrap(), expected);
}

#[tokio::test]
async fn two_who_publish_in_one_file_at_once_lose_nothing() {
    let folder = Folder::new("at-once");
    let lookups = [FileLookup::new(folder.contacts()), FileLookup::new(folder.contacts())];
    let mut publishing = tokio::task::JoinSet::new();
    for seed in 1..=20 {
        let lookup = lookups[usize::from(seed) % 2].clone();
        publishing.spawn(async move { lookup.publish(contact(seed, 1)).await });
    }
    assert!(publishing.join_all().await.into_iter().all(|published| published.is_ok()));
    for seed in 1..=20 {
        let found = lookups[0].resolve(secret(seed).public()).await.unwrap();
        assert_eq!(found, Some(contact(seed, 1)));
    }
}

#[tokio::test]
async fn b_13_a_file_that_cannot_be_read_is_reported() {
    let folder = Folder::new("unreadable");
    fs::create_dir(folder.contacts()).unwrap();
    let lookup = FileLookup::new(folder.contacts());
    let failed = lookup.resolve(secret(1).public()).await;
    assert!(matches!(failed, Err(LookupError::File { .. })), "{failed:?}");
}

/// A lookup that says what a test wants, after a while.
#[derive(Debug)]
struct Told {
    after: Duration,
    answer: fn() -> Result<Option<Contact>, LookupError>,
}

impl Lookup for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn resolve(&self, _: PublicKey) -> BoxFuture<'_, Result<Option<Contact>, LookupError>> {
        Box::pin(async {
            let deadline = tokio::time::Instant::now() + self.after;
            drop(tokio::time::timeout_at(deadline, std::future::pending::<()>()).await);
            (self.answer)()
        })
    }

    fn publish(&self, _: Contact) -> BoxFuture<'_, Result<(), LookupError>> {
        Box::pin(async { Ok(()) })
    }
}

fn told(
    milliseconds: u64,
    answer: fn() -> Result<Option<Contact>, LookupError>,
) -> Arc<dyn Lookup> {
    Arc::new(Told { after: Duration::from_millis(milliseconds), answer })
}

#[tokio::test(start_paused = true)]
async fn look_3_the_newest_answer_wins_and_an_answer_about_another_key_is_dropped() {
    let lookups = [
        told(10, || Ok(Some(contact(1, 5)))),
        told(20, || Ok(Some(contact(1, 7)))),
        told(30, || Ok(Some(contact(1, 6)))),
        told(0, || Ok(Some(contact(2, 99)))),
    ];
    let found = resolve_first(&lookups, secret(1).public(), LIMIT).await.unwrap();
    assert_eq!(found, Some(contact(1, 7)));
}

#[tokio::test(start_paused = true)]
async fn b_22_a_lookup_that_hangs_delays_neither_an_answer_nor_the_end() {
    let start = tokio::time::Instant::now();
    let hanging = told(3_600_000, || Ok(None));
    let knowing = told(10, || Ok(Some(contact(1, 5))));
    let found = resolve_first(&[Arc::clone(&hanging), knowing], secret(1).public(), LIMIT).await;
    assert_eq!(found.unwrap(), Some(contact(1, 5)));
    assert!(start.elapsed() < Duration::from_millis(200));

    let start = tokio::time::Instant::now();
    let failed = resolve_first(&[hanging, told(0, || Ok(None))], secret(1).public(), LIMIT).await;
    assert!(matches!(failed, Err(LookupError::TimedOut { lookup }) if lookup == "told"));
    assert!(start.elapsed() <= LIMIT + Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn b_13_nobody_knows_and_the_asking_failed_are_different_answers() {
    let key = secret(1).public();
    assert_eq!(resolve_first(&[], key, LIMIT).await.unwrap(), None);
    let ignorant = told(5, || Ok(None));
    assert_eq!(resolve_first(&[Arc::clone(&ignorant)], key, LIMIT).await.unwrap(), None);
    let broken = told(1, || panic!("a lookup with a fault"));
    let failed = resolve_first(&[Arc::clone(&ignorant), Arc::clone(&broken)], key, LIMIT).await;
    assert!(matches!(failed, Err(LookupError::Stopped)));
    let knowing = told(50, || Ok(Some(contact(1, 1))));
    let found = resolve_first(&[broken, knowing, ignorant], key, LIMIT).await.unwrap();
    assert_eq!(found, Some(contact(1, 1)));
}
