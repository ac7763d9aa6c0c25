//! A store makes room wherever an idle dialog is left, and neither store nor outbox remembers more
//! than it has to, however long they run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as loudly as tests")]

use std::time::Duration;

use egtp_proto::crypto::Random;
use egtp_proto::exchange::inbox::{Inbox, Verdict};
use egtp_proto::exchange::outbox::Outbox;
use egtp_proto::limits::Limits;
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::frame::DialogHead;
use egtp_proto::{MessageClass, PublicKey, SecretKey, StoreKind};

/// The first message of a dialog was refused as `Busy` although a dialog without open queries was
/// there to be forgotten: its place in the order of use was outdated, and only renewed.
#[test]
fn a_new_dialog_displaces_the_idle_one_wherever_it_stands() {
    let mut store = store(2);
    let busy = taken(&mut store, 1, 1, 0);
    let idle = taken(&mut store, 2, 1, 0);
    // Both were used since they were put in order, the first one last.
    assert_eq!(taken(&mut store, 2, 1, 1), idle);
    assert_eq!(taken(&mut store, 1, 1, 1), busy);
    store.dialog_mut(busy).unwrap().open = 1;
    taken(&mut store, 3, 1, 0);
    assert!(store.dialog(idle).is_none() && store.dialog(busy).is_some());
}

/// Whoever begins dialog after dialog displaces its own, and leaves nothing behind: not even where a
/// dialog of somebody else, long unused, stands before all of them.
#[test]
fn dialogs_that_were_displaced_leave_nothing_behind() {
    let mut store = store(1_000);
    taken(&mut store, 1, 1, 0);
    let mut sizes = Vec::new();
    for dialog in 0..20_000 {
        taken(&mut store, 2, dialog, 0);
        if dialog % 10_000 == 9_999 {
            sizes.push(format!("{store:?}").len());
        }
    }
    // Numbers grow by a few digits, and a list that is compacted now and then is not always as short.
    assert!(sizes[1] < sizes[0] + 4_000, "{sizes:?}");
}

/// A peer that never hears from us must not cost memory for each message that was given up.
#[test]
fn messages_that_were_given_up_leave_nothing_behind() {
    let mut outbox = Outbox::new(StoreKind::Ram, 7, &key(1), &key(2));
    let mut sizes = Vec::new();
    for count in 0..20_000_u32 {
        let (serial, _) = outbox.number(MessageClass::Request, "test/1", b"");
        outbox.open(serial, count, 0);
        while outbox.dequeue().is_some() {}
        outbox.close(serial, 0);
        if count % 10_000 == 9_999 {
            sizes.push(format!("{outbox:?}").len());
        }
    }
    assert!(sizes[1] < sizes[0] + 4_000, "{sizes:?}");
    assert!(outbox.has_news(), "the peer is still to be told");
    assert_eq!(outbox.take_news().base(), 20_000);
}

fn store(dialogs_max: usize) -> Inbox {
    let mut limits = Limits::default();
    limits.dialogs_max = dialogs_max;
    Inbox::new(StoreKind::Ram, &mut Random::from_seed([5; 32]), &limits, now(), true)
}

/// Takes a message of the newest generation, and returns the code of its dialog.
fn taken(store: &mut Inbox, peer: u8, dialog: u64, serial: u64) -> u32 {
    let (kind, id, generation) = (StoreKind::Ram, store.card(&now()).id, store.generation());
    let head = DialogHead { kind, dialog, store: id, generation, low_water: 0 };
    let place = store.place(&key(peer), &head).unwrap();
    match store.take(&now(), &key(peer), &head, place, serial) {
        Verdict::Take(code) => code,
        other => panic!("{other:?}"),
    }
}

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

fn now() -> Now {
    let start = Duration::from_secs(9);
    Now { boot: Instant::new(start), wall: start }
}
