//! The rules of the inbox, one by one.

use std::time::Duration;

use super::*;
use crate::key::SecretKey;
use crate::time::Instant;

fn at(seconds: u64) -> Now {
    Now { boot: Instant::new(Duration::from_secs(seconds)), wall: Duration::from_secs(seconds) }
}

fn peer(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

struct Bench {
    inbox: Inbox,
    now: Now,
}

impl Bench {
    fn new(adjust: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        adjust(&mut limits);
        let mut random = Random::from_seed([5; 32]);
        Self { inbox: Inbox::new(StoreKind::Ram, &mut random, &limits, at(0), true), now: at(0) }
    }

    fn head(&self, dialog: u64) -> DialogHead {
        let card = self.inbox.card(&self.now);
        DialogHead {
            kind: StoreKind::Ram,
            dialog,
            store: card.id,
            generation: card.generation,
            low_water: 0,
        }
    }

    fn take(&mut self, seed: u8, head: &DialogHead, serial: u64) -> Verdict {
        match self.inbox.place(&peer(seed), head) {
            Ok(place) => self.inbox.take(&self.now, &peer(seed), head, place, serial),
            Err(why) => Verdict::Refuse(why),
        }
    }
}

fn is_take(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Take(_))
}

/// Proves MSG-9: what was taken is known, whatever else was taken since.
#[test]
fn a_serial_is_taken_once() {
    let mut bench = Bench::new(|_| {});
    let head = bench.head(1);
    for serial in [0, 2, 1, 63] {
        assert!(is_take(bench.take(1, &head, serial)));
    }
    for serial in [0, 1, 2, 63] {
        assert!(matches!(bench.take(1, &head, serial), Verdict::Known(_)));
    }
}

#[test]
fn another_life_or_a_generation_never_issued_is_stale() {
    let mut bench = Bench::new(|_| {});
    let head = bench.head(1);
    let stale = Verdict::Refuse(Refusal::Stale);
    let other_life = DialogHead { store: head.store ^ 1, ..head };
    let future = DialogHead { generation: head.generation + 1, ..head };
    assert_eq!(bench.take(1, &other_life, 0), stale);
    assert_eq!(bench.take(1, &future, 0), stale);
    assert!(bench.inbox.is_empty(), "a refused message makes nothing");
}

/// Proves MSG-9, RTY-3: forgetting a dialog never lets anything of it be taken again.
#[test]
fn what_was_forgotten_is_refused_for_ever() {
    let mut bench = Bench::new(|limits| limits.dialogs_max = 3);
    let old = bench.head(7);
    assert!(is_take(bench.take(1, &old, 0)));
    for seed in 2..20 {
        let head = bench.head(1);
        assert!(is_take(bench.take(seed, &head, 0)), "newcomers are heard");
        assert!(bench.inbox.len() <= 3);
    }
    for serial in 0..64 {
        assert_eq!(bench.take(1, &old, serial), Verdict::Refuse(Refusal::Stale));
    }
    // With a new binding the same sender is heard again.
    let new = bench.head(7);
    assert!(new.generation > old.generation);
    assert!(is_take(bench.take(1, &new, 1)));
    // An older message with the old binding is still refused, although the dialog is known.
    assert_eq!(bench.take(1, &old, 2), Verdict::Refuse(Refusal::Stale));
}

#[test]
fn a_peer_displaces_only_its_own_dialogs() {
    let mut bench = Bench::new(|_| {});
    let head = bench.head(1);
    assert!(is_take(bench.take(9, &head, 0)));
    for dialog in 0..40 {
        let head = bench.head(dialog);
        assert!(is_take(bench.take(1, &head, 0)));
    }
    assert_eq!(bench.inbox.len(), 5, "four of the busy peer and the one of the other");
    assert!(matches!(bench.take(9, &head, 0), Verdict::Known(_)));
}

#[test]
fn a_dialog_with_open_queries_is_not_forgotten() {
    let mut bench = Bench::new(|limits| limits.dialogs_max = 1);
    let head = bench.head(1);
    let Verdict::Take(code) = bench.take(1, &head, 0) else { panic!("not taken") };
    bench.inbox.dialog_mut(code).unwrap().open = 1;
    let other = bench.head(2);
    assert_eq!(bench.take(2, &other, 0), Verdict::Refuse(Refusal::Busy));
    bench.inbox.dialog_mut(code).unwrap().open = 0;
    assert!(is_take(bench.take(2, &other, 0)));
}

#[test]
fn serials_outside_the_window_are_refused_until_it_moves() {
    let mut bench = Bench::new(|_| {});
    let head = bench.head(1);
    assert_eq!(bench.take(1, &head, 64), Verdict::Refuse(Refusal::Window), "first contact: 64");
    assert!(is_take(bench.take(1, &head, 0)));
    assert!(is_take(bench.take(1, &head, 1024)));
    assert_eq!(bench.take(1, &head, 1025), Verdict::Refuse(Refusal::Window));
    // The sender's low-water mark moves the window even when nothing was taken in between.
    let moved = DialogHead { low_water: 500, ..head };
    assert!(is_take(bench.take(1, &moved, 1500)));
}

#[test]
fn a_window_that_passes_quickly_doubles_up_to_its_bound() {
    let mut bench = Bench::new(|_| {});
    let head = bench.head(1);
    for serial in 0..200_000 {
        assert!(is_take(bench.take(1, &head, serial)));
    }
    assert!(is_take(bench.take(1, &head, 200_000 + 65_535)));
    assert_eq!(bench.take(1, &head, 200_000 + 65_536), Verdict::Refuse(Refusal::Window));
}

#[test]
fn a_withdrawn_serial_is_void() {
    let mut bench = Bench::new(|_| {});
    let head = bench.head(1);
    assert!(is_take(bench.take(1, &head, 0)));
    let mut closed = Serials::below(1);
    closed.insert(5);
    bench.inbox.close(&peer(1), 1, &closed);
    assert!(matches!(bench.take(1, &head, 5), Verdict::Known(_)));
    assert!(is_take(bench.take(1, &head, 1)));
}
