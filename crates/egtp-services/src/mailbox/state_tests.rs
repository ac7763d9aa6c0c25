//! Mailboxes in a map, against a list that is searched from end to end.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::LazyLock;

use egtp::SecretKey;
use egtp::store::{Entry, StoreFailed};
use proptest::prelude::*;

use super::*;

/// Values as a store has them, and how often one was looked at or changed.
#[derive(Debug, Default)]
struct Rows {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    touched: usize,
}

impl Values for Rows {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
        self.touched += 1;
        Ok(self.rows.get(key).cloned())
    }

    fn next(&mut self, after: &[u8]) -> Result<Option<Entry>, StoreFailed> {
        self.touched += 1;
        let mut behind = self.rows.range::<[u8], _>((Bound::Excluded(after), Bound::Unbounded));
        Ok(behind.next().map(|(key, value)| (key.clone(), value.clone())))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreFailed> {
        self.touched += 1;
        self.rows.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), StoreFailed> {
        self.touched += 1;
        self.rows.remove(key);
        Ok(())
    }
}

fn key(seed: u8) -> PublicKey {
    // Made once: that takes longer than everything else here.
    static KEYS: LazyLock<Vec<PublicKey>> =
        LazyLock::new(|| (0..64).map(|seed| SecretKey::from_seed([seed; 32]).public()).collect());
    KEYS[usize::from(seed)]
}

/// So few that everything that has expired is swept at once.
fn few() -> Limits {
    Limits {
        mailbox_letters_max: 6,
        mailbox_bytes_max: 40,
        share_letters_max: 4,
        share_bytes_max: 30,
        mailboxes_max: 3,
        letters_max: 12,
        bytes_max: 90,
        letter_bytes_max: 20,
        kept: Duration::from_secs(10),
    }
}

const ALL: Get = Get { largest: u32::MAX, after: 0 };

/// Mailboxes at a time.
fn at<T>(rows: &mut Rows, limits: &Limits, now: u64, run: impl FnOnce(&mut State<'_>) -> T) -> T {
    run(&mut State::new(rows, limits, Duration::from_secs(now)))
}

fn stored(state: &mut State<'_>, sender: u8, letter: &[u8]) {
    let deposit = state.deposit(key(sender), key(1), letter).unwrap();
    assert!(matches!(deposit, Deposit::Stored { .. }), "{deposit:?}");
}

fn bytes_of(letters: &Letters) -> Vec<&[u8]> {
    letters.letters.iter().map(|one| &one.bytes[..]).collect()
}

fn ack(letter: &Letter) -> Ack {
    Ack { position: letter.position, name: LetterName::of(&letter.bytes) }
}

/// Proves P-19.
#[test]
fn letters_come_oldest_first_as_many_as_there_is_room_for() {
    let (mut rows, limits) = (Rows::default(), few());
    at(&mut rows, &limits, 5, |state| {
        for letter in [&b"first letter"[..], b"2nd", b"third"] {
            stored(state, 2, letter);
        }
    });
    at(&mut rows, &limits, 7, |state| {
        let all = state.get(&key(1), ALL, 1_000).unwrap();
        assert_eq!(bytes_of(&all), [&b"first letter"[..], b"2nd", b"third"]);
        assert_eq!(all.letters[0].age, Duration::from_secs(2));
        assert_eq!(all.letters[0].sender, key(2));
        let whole = all.encode().len();
        // In what the asker wants and in what it has room for alike.
        for (largest, room) in [(whole - 1, 1_000), (1_000, whole - 1)] {
            let get = Get { largest: u32::try_from(largest).unwrap(), after: 0 };
            let some = state.get(&key(1), get, room).unwrap();
            assert_eq!(bytes_of(&some), [&b"first letter"[..], b"2nd"]);
            assert_eq!(some.left, 1);
        }
        let behind = Get { after: all.letters[0].position, ..ALL };
        let behind = state.get(&key(1), behind, 1_000).unwrap();
        assert_eq!((bytes_of(&behind), behind.left), (vec![&b"2nd"[..], b"third"], 1));
        let short = LETTERS_AROUND + LETTER_AROUND + 11;
        let one = state.get(&key(1), ALL, short).unwrap();
        assert_eq!(bytes_of(&one), [&b"2nd"[..]], "one that is too large hides no others");
        let none = state.get(&key(1), ALL, 0).unwrap();
        assert_eq!((none.letters.len(), none.left), (0, 3));
    });
}

/// Proves P-17.
#[test]
fn a_mailbox_that_is_empty_is_as_one_that_never_was() {
    let (mut rows, limits) = (Rows::default(), few());
    at(&mut rows, &limits, 5, |state| {
        stored(state, 2, b"letter");
        let all = state.get(&key(1), ALL, 1_000).unwrap();
        assert_eq!(state.acknowledge(&key(1), &[ack(&all.letters[0])]), Ok(1));
        let answers = |state: &mut State<'_>, recipient| {
            (state.get(&recipient, ALL, 1_000).unwrap(), state.held(&recipient).unwrap())
        };
        assert_eq!(answers(state, key(1)), answers(state, key(9)));
    });
    assert_eq!(rows.rows.keys().collect::<Vec<_>>(), [&rows::total()], "nothing stays");
    assert_eq!(Total::decode(&rows.rows[&rows::total()]), Some(Total::default()));
}

#[test]
fn an_operation_costs_as_many_rows_among_thousands_of_letters_as_among_few() {
    let mut limits = Limits { mailbox_letters_max: 5_000, ..Limits::default() };
    limits.share_letters_max = limits.mailbox_letters_max;
    let mut rows = Rows::default();
    let mut costs = Vec::new();
    for number in 0..3_000_u64 {
        rows.touched = 0;
        at(&mut rows, &limits, number, |state| stored(state, 2, &number.to_le_bytes()));
        costs.push(rows.touched);
    }
    assert!(costs.iter().skip(1).all(|cost| *cost == costs[1]), "{costs:?}");
    assert!(costs[1] <= 24, "{} rows for a deposit", costs[1]);
    let one = LETTERS_AROUND + LETTER_AROUND + 8;
    rows.touched = 0;
    let letters = at(&mut rows, &limits, 0, |state| state.get(&key(1), ALL, one).unwrap());
    assert!(rows.touched <= 4, "{} rows for one letter", rows.touched);
    rows.touched = 0;
    at(&mut rows, &limits, 0, |state| {
        assert_eq!(state.acknowledge(&key(1), &[ack(&letters.letters[0])]), Ok(1));
    });
    assert!(rows.touched <= 16, "{} rows for an ack", rows.touched);
    // When all of them expire at once, nobody pays for all.
    rows.touched = 0;
    at(&mut rows, &limits, 1 << 40, |state| stored(state, 3, b"new"));
    assert!(rows.touched <= 600, "{} rows for sweeping", rows.touched);
}

#[test]
fn what_has_expired_makes_room_first_in_the_mailbox_that_is_full() {
    let limits = Limits { letters_max: 1_000, mailboxes_max: 1_000, ..few() };
    let mut rows = Rows::default();
    at(&mut rows, &limits, 0, |state| {
        for recipient in 10..60 {
            state.deposit(key(2), key(recipient), b"").unwrap();
        }
    });
    at(&mut rows, &limits, 1, |state| (0..4).for_each(|letter| stored(state, 2, &[letter])));
    // More have expired elsewhere, and before, than one deposit sweeps.
    at(&mut rows, &limits, 11, |state| stored(state, 2, b"new"));
}

/// What a list of letters amounts to, looked at from end to end.
#[derive(Debug, Default)]
struct Model {
    letters: Vec<Kept>,
    /// The position of the letter that came last, for each recipient.
    last: BTreeMap<u8, u64>,
}

#[derive(Clone, Debug)]
struct Kept {
    recipient: u8,
    sender: u8,
    position: u64,
    stored_at: u64,
    bytes: Vec<u8>,
}

impl Model {
    fn is_expired(one: &Kept, now: u64) -> bool {
        now - one.stored_at >= few().kept.as_secs()
    }

    fn load(&self, of: impl Fn(&Kept) -> bool) -> (u64, u64) {
        let of = self.letters.iter().filter(|one| of(one));
        of.fold((0, 0), |(letters, bytes), one| (letters + 1, bytes + one.bytes.len() as u64))
    }

    fn deposit(&mut self, now: u64, (sender, recipient): (u8, u8), bytes: &[u8]) -> Deposit {
        let limits = few();
        if bytes.len() > 20 {
            return Deposit::Refused(DepositRefused::TooLarge { limit: 20 });
        }
        self.letters.retain(|one| !Self::is_expired(one, now));
        let same =
            |one: &&Kept| (one.recipient, one.sender, &one.bytes[..]) == (recipient, sender, bytes);
        if let Some(same) = self.letters.iter().find(same) {
            return Deposit::Stored { kept: Duration::from_secs(10 - (now - same.stored_at)) };
        }
        let more = bytes.len() as u64;
        let over = |(letters, held): (u64, u64), letters_max: u64, bytes_max: u64| {
            if letters + 1 > letters_max {
                return Some((Measure::Letters, letters, letters_max));
            }
            (held + more > bytes_max).then_some((Measure::Bytes, held, bytes_max))
        };
        let share = self.load(|one| (one.recipient, one.sender) == (recipient, sender));
        if let Some((measure, held, limit)) = over(share, 4, 30) {
            return Deposit::Refused(DepositRefused::ShareFull { measure, held, limit });
        }
        let mailbox = self.load(|one| one.recipient == recipient);
        if let Some((measure, held, limit)) = over(mailbox, 6, 40) {
            return Deposit::Refused(DepositRefused::MailboxFull { measure, held, limit });
        }
        let mut mailboxes: Vec<u8> = self.letters.iter().map(|one| one.recipient).collect();
        mailboxes.extend([recipient]);
        mailboxes.sort_unstable();
        mailboxes.dedup();
        if mailboxes.len() > 3 || over(self.load(|_| true), 12, 90).is_some() {
            return Deposit::Refused(DepositRefused::RelayFull { retry_after: RETRY_AFTER });
        }
        let last = self.last.entry(recipient).or_default();
        if mailbox.0 == 0 {
            *last = 0;
        }
        *last += 1;
        let position = *last;
        let bytes = bytes.to_vec();
        self.letters.push(Kept { recipient, sender, position, stored_at: now, bytes });
        Deposit::Stored { kept: limits.kept }
    }

    fn get(&self, now: u64, recipient: u8) -> Letters {
        let mailbox = self.letters.iter().filter(|one| one.recipient == recipient);
        let there = mailbox.clone().filter(|one| !Self::is_expired(one, now));
        let letters: Vec<Letter> = there
            .map(|one| Letter {
                position: one.position,
                sender: key(one.sender),
                age: Duration::from_secs(now - one.stored_at),
                bytes: one.bytes.clone().into(),
            })
            .collect();
        Letters { left: (mailbox.count() - letters.len()).try_into().unwrap(), letters }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// From somebody to somebody, a letter of so many bytes of this value.
    Deposit(u8, u8, u8, usize),
    /// Of a mailbox this position, with the name of the letter there or of another one.
    Ack(u8, u64, bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..4_u8, 10..14_u8, 0..6_u8, 0..23_usize)
            .prop_map(|(from, to, value, bytes)| Step::Deposit(from, to, value, bytes)),
        2 => (10..14_u8, 1..6_u64, prop::bool::weighted(0.8))
            .prop_map(|(of, position, fits)| Step::Ack(of, position, fits)),
        1 => (0..7_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mailboxes_hold_what_a_list_that_is_searched_from_end_to_end_would(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let (mut rows, limits, mut model) = (Rows::default(), few(), Model::default());
        let mut now = 1_000;
        for step in steps {
            match step {
                Step::Deposit(from, to, value, bytes) => {
                    let letter = vec![value; bytes];
                    let deposit = at(&mut rows, &limits, now, |state| {
                        state.deposit(key(from), key(to), &letter).unwrap()
                    });
                    prop_assert_eq!(deposit, model.deposit(now, (from, to), &letter));
                }
                Step::Ack(of, position, fits) => {
                    let is_it = |one: &Kept| (one.recipient, one.position) == (of, position);
                    let there = model.letters.iter().find(|one| is_it(one));
                    let name = match there {
                        Some(one) if fits => LetterName::of(&one.bytes),
                        _ => LetterName::of(b"another"),
                    };
                    let deleted = at(&mut rows, &limits, now, |state| {
                        state.acknowledge(&key(of), &[Ack { position, name }; 2]).unwrap()
                    });
                    prop_assert_eq!(deleted == 1, there.is_some() && fits);
                    model.letters.retain(|one| !(fits && is_it(one)));
                }
                Step::Wait(seconds) => now += seconds,
            }
            let mut loads = Vec::new();
            for recipient in 10..14 {
                let (letters, held) = at(&mut rows, &limits, now, |state| {
                    let recipient = key(recipient);
                    (state.get(&recipient, ALL, 1_000).unwrap(), state.held(&recipient).unwrap())
                });
                prop_assert_eq!(letters, model.get(now, recipient));
                let (letters, bytes) = model.load(|one| one.recipient == recipient);
                let letters = small(letters);
                prop_assert_eq!((held.letters, held.bytes), (letters, bytes));
                if letters > 0 {
                    loads.push(Mailbox { recipient: key(recipient), letters, bytes });
                }
            }
            loads.sort_by_key(|one| (Reverse(one.bytes), one.recipient));
            let largest = at(&mut rows, &limits, now, |state| state.largest(9).unwrap());
            prop_assert_eq!(&largest, &loads);
            let first = at(&mut rows, &limits, now, |state| state.largest(1).unwrap());
            prop_assert_eq!(first.first(), loads.first());
        }
        for one in model.letters {
            let name = LetterName::of(&one.bytes);
            at(&mut rows, &limits, now, |state| {
                state.acknowledge(&key(one.recipient), &[Ack { position: one.position, name }]).unwrap()
            });
        }
        rows.rows.remove(&rows::total());
        prop_assert!(rows.rows.is_empty(), "nothing stays of letters that are gone: {rows:?}");
    }
}
