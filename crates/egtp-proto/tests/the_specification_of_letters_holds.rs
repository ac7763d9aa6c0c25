//! What section 4.5 and section 7.7 of `docs/spec.md` say of letters, asked of a reader by letters that a second
//! implementation has sealed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

mod common;
mod second_implementation;

use common::{World, millis, secs};
use egtp_proto::crypto::{DhKey, Suite};
use egtp_proto::exchange::durable::Batch;
use egtp_proto::wire::Serials;
use egtp_proto::wire::frame::{Ack, Class, DialogHead, Frame, MessageHead, PartOf};
use egtp_proto::{
    Contact, ContactDraft, Event, IdentityId, LetterError, MailboxPrekey, MessageClass, Outcome,
    PublicKey, SecretKey, StoreKind,
};
use second_implementation::{frames, post};

const DAY: u64 = 24 * 3600;

/// A reader in the small world, and somebody who is not in it and writes to it.
struct Writer {
    world: World,
    secret: SecretKey,
    letters: u8,
}

impl Writer {
    fn new() -> Self {
        let mut world = World::without_disks(2, |_| {});
        for machine in 0..2 {
            world.give_disk(machine);
            world.open_mailbox(machine);
        }
        // The machine with this key stays down: its letters are written by hand.
        world.kill(1);
        let secret = SecretKey::from_seed([world.machines[1].seed; 32]);
        Self { world, secret, letters: 0 }
    }

    fn contact(&self) -> &Contact {
        &self.world.post.contacts[&0]
    }

    fn prekey(&self) -> MailboxPrekey {
        self.contact().mailbox_prekey().unwrap()
    }

    fn head(&self, kind: StoreKind) -> DialogHead {
        let store = self.contact().letter_store().unwrap();
        DialogHead { kind, dialog: 5, store, generation: self.prekey().id, low_water: 0 }
    }

    fn dialog(&self) -> Frame<'static> {
        Frame::Dialog(self.head(StoreKind::Letter))
    }

    fn key(&self) -> PublicKey {
        self.world.key(0)
    }

    fn e(&mut self) -> DhKey {
        self.letters += 1;
        DhKey::from_secret(&[self.letters; 32]).unwrap()
    }

    fn letter(&mut self, contact: &[u8], list: &[Frame<'_>]) -> Vec<u8> {
        let (e, prekey, key) = (self.e(), self.prekey(), self.key());
        let suite = Suite::ChaCha20Poly1305;
        post::seal(&self.secret, (&key, &prekey), suite, &e, contact, &frames(list))
    }

    fn bring(&mut self, letter: &[u8]) -> Result<bool, LetterError> {
        self.world.bring(0, letter)
    }

    fn executed(&self) -> usize {
        self.world.machines[0].executed.len()
    }
}

fn send(serial: u64, body: &[u8]) -> Frame<'_> {
    Frame::Message(MessageHead { serial, class: Class::Send, kind: "test/1" }, body)
}

/// Proves L-1: what a second implementation seals is read, short or with pieces, under either suite; and it reads what is
/// written to it.
#[test]
fn letters_of_a_second_implementation_are_understood() {
    let mut writer = Writer::new();
    let (key, prekey) = (writer.key(), writer.prekey());
    let mut serial = 0;
    for suite in Suite::CLASSICAL {
        for length in [1, 32_000, 33_000, 49_200, 200_000] {
            let (e, body) = (writer.e(), vec![3; length]);
            let list = frames(&[writer.dialog(), send(serial, &body)]);
            let letter = post::seal(&writer.secret, (&key, &prekey), suite, &e, &[], &list);
            assert_eq!(writer.bring(&letter), Ok(true), "{suite:?}, {length} bytes");
            serial += 1;
            assert_eq!(writer.world.machines[0].executed.last().unwrap().len(), length);
        }
    }
    // And back: the reader writes a letter, too, with its contact in front.
    let contact = writer.world.post.contacts[&1].clone();
    writer.world.machines[0].endpoint.learn_contact(&contact);
    writer.world.introduce(0, 1);
    writer.world.callable = vec![false, false];
    (writer.world.wants, writer.world.keeps) = (StoreKind::Durable, true);
    let body = vec![9; 60_000];
    writer.world.submit(0, 1, &body, MessageClass::Send, None, secs(DAY));
    writer.world.run(secs(20));
    let saved = &writer.world.machines[1].disk.as_ref().unwrap().saved;
    let own = &saved.letters.as_ref().unwrap().prekeys[0];
    let pair = DhKey::from_secret(&own.secret).unwrap();
    let of_body = |letter: &(usize, usize, Vec<u8>)| {
        let (from, contact, list) = post::open(&writer.secret, (own.id, &pair), &letter.2).unwrap();
        assert_eq!(from, key);
        assert_eq!(Contact::decode(&contact).unwrap().key(), key);
        second_implementation::read(&list)
            .iter()
            .any(|frame| matches!(frame, Frame::Message(_, bytes) if **bytes == *body))
    };
    assert!(writer.world.post.recorded.iter().any(of_body));
}

/// Proves L-2: bytes that are missing, or that follow, make a letter one that does not open, although all that is sealed
/// is genuine.
#[test]
fn a_letter_opens_as_a_whole_or_changes_nothing() {
    let mut writer = Writer::new();
    let (key, prekey, suite) = (writer.key(), writer.prekey(), Suite::ChaCha20Poly1305);
    let rest = [vec![0], frames(&[writer.dialog(), send(0, &vec![1; 70_000])])].concat();
    let sign = writer.secret.public().sign_bit();
    let whole = u32::try_from(rest.len()).unwrap();
    let mut sealed = |length: u32, sign: u8| {
        let payload = [&[sign][..], &length.to_le_bytes(), &rest].concat();
        let e = writer.e();
        let letter = post::seal_payload(&writer.secret, (&key, &prekey), suite, &e, &payload);
        (writer.bring(&letter), writer.executed())
    };
    assert_eq!(sealed(whole + 1, sign), (Err(LetterError::Damaged), 0));
    assert_eq!(sealed(whole - 1, sign), (Err(LetterError::Damaged), 0));
    assert_eq!(sealed(whole, 2), (Err(LetterError::Damaged), 0));
    assert_eq!(sealed(whole, sign), (Ok(true), 1));
    // A whole piece is gone, the last one, or one more.
    let letter = writer.letter(&[], &[writer.dialog(), send(1, &vec![1; 70_000])]);
    let e = letter.len();
    let last = (70_000 + 60 - 32_768) % 16_384 + 16;
    for cut in [last, last + 16_400, 1] {
        assert!(writer.bring(&letter[..e - cut]).is_err(), "{cut}");
    }
    assert_eq!(writer.executed(), 1);
    assert_eq!(writer.bring(&letter), Ok(true));
}

/// Proves L-3: a frame that has no business in a letter ends the reading, and what came before has its effect.
#[test]
fn a_letter_carries_nothing_that_needs_a_session() {
    let contact = Writer::new().contact().encode().to_vec();
    let strangers = [
        Frame::Ping,
        Frame::Contact(&contact),
        Frame::Partial { dialog: 1, serial: 1, of: PartOf::Message, received: 1 },
        Frame::Hint { kind: "test/1", body: b"hint" },
        Frame::PathChallenge([1; 8]),
        Frame::PathResponse([1; 8]),
        Frame::Close,
    ];
    for stranger in strangers {
        let mut writer = Writer::new();
        let letter = writer.letter(
            &[],
            &[writer.dialog(), send(0, b"before"), stranger.clone(), send(1, b"behind")],
        );
        assert_eq!(writer.bring(&letter), Ok(true), "it will not be different next time");
        assert_eq!(writer.world.machines[0].executed, [&b"before"[..]], "{stranger:?}");
        let is_hint = |event: &Event| matches!(event, Event::Hint(_));
        assert!(!writer.world.machines[0].events.iter().any(is_hint));
    }
    let mut writer = Writer::new();
    let ack = Ack { dialog: 77, serials: Serials::below(1), limit: 9, bytes: 9 };
    let closed = Frame::Closed { dialog: 78, serials: Serials::below(1) };
    let list = [Frame::Pad, Frame::Ack(ack), closed, writer.dialog(), send(0, b"behind")];
    let letter = writer.letter(&[], &list);
    assert_eq!((writer.bring(&letter), writer.executed()), (Ok(true), 1));
}

/// Proves L-4: a contact in a letter is believed if it is the sender's own and its signature holds.
#[test]
fn nobody_brings_the_contact_of_somebody_else() {
    let mut writer = Writer::new();
    let draft = ContactDraft {
        sequence: 40,
        strategies: Vec::new(),
        suites: vec![1, 2],
        mailbox_prekey: Some(MailboxPrekey { id: 4, key: [9; 32] }),
        letter_store: Some(5),
        instance: 1,
        message_bytes_max: 1 << 21,
        idle_out_seconds: 3600,
        expiry_day: 20_000,
        parent: None,
    };
    let own = draft.sign(&writer.secret, 19_990).unwrap().encode().to_vec();
    let somebodys = draft.sign(&SecretKey::from_seed([77; 32]), 19_990).unwrap().encode().to_vec();
    let mut forged = own.clone();
    forged[60] ^= 1;
    let told = |writer: &Writer| {
        let is_told = |event: &&Event| matches!(event, Event::Contact { .. });
        writer.world.machines[0].events.iter().filter(is_told).count()
    };
    // The small world would know nobody of that key: it asks who has told it.
    for contact in [&somebodys, &forged, &vec![1, 2, 3]] {
        let letter = writer.letter(contact, &[writer.dialog(), send(0, b"hello")]);
        assert_eq!((writer.bring(&letter), told(&writer)), (Ok(true), 0));
    }
    let letter = writer.letter(&own, &[]);
    assert_eq!((writer.bring(&letter), told(&writer)), (Ok(true), 1));
}

/// Proves L-11: what is bound to another store than that for letters is refused as stale when a letter brings it.
#[test]
fn a_message_that_is_bound_to_another_store_is_not_taken_from_a_letter() {
    let mut writer = Writer::new();
    let durable = writer.world.machines[0].disk.as_ref().unwrap().saved.store;
    let of = |kind, store, generation| {
        Frame::Dialog(DialogHead { kind, dialog: 6, store, generation, low_water: 0 })
    };
    let store = writer.contact().letter_store().unwrap();
    let newest = writer.prekey().id;
    let stale = [
        of(StoreKind::Durable, durable, 1),
        of(StoreKind::Ram, durable, 1),
        of(StoreKind::Letter, durable, newest),
        of(StoreKind::Letter, store, newest + 1),
        of(StoreKind::Letter, store, 0),
    ];
    for dialog in stale {
        let letter = writer.letter(&[], &[dialog.clone(), send(0, b"stale")]);
        assert_eq!((writer.bring(&letter), writer.executed()), (Ok(true), 0), "{dialog:?}");
    }
    let letter = writer.letter(&[], &[of(StoreKind::Letter, store, newest), send(0, b"good")]);
    assert_eq!((writer.bring(&letter), writer.executed()), (Ok(true), 1));
}

/// Proves L-11: only what outlives its sender's run, and is bound to the letter store, goes by letter, and it is bound so
/// on a path as well.
#[test]
fn only_what_outlives_a_run_goes_by_letter() {
    let mut world = World::without_disks(2, |_| {});
    for machine in 0..2 {
        world.give_disk(machine);
        world.open_mailbox(machine);
    }
    world.introduce(0, 1);
    world.wants = StoreKind::Durable;
    // On a path, from the first message on.
    world.keeps = true;
    world.submit(0, 1, b"kept", MessageClass::Send, None, secs(DAY));
    world.run(secs(5));
    let taken = |world: &World| {
        let letters = world.machines[1].disk.as_ref().unwrap().saved.letters.clone().unwrap();
        letters.dialogs.iter().map(|one| one.taken.base()).sum::<u64>()
    };
    assert_eq!((taken(&world), world.letters_for(1)), (1, 0));
    world.keeps = false;
    world.submit(0, 1, b"not kept", MessageClass::Send, None, secs(DAY));
    world.run(secs(5));
    assert_eq!((taken(&world), world.executions(1, b"not kept")), (1, 1));
    world.kill(1);
    world.callable = vec![false, false];
    world.submit(0, 1, b"for nobody", MessageClass::Send, None, secs(DAY));
    world.run(secs(60));
    assert_eq!(world.letters_for(1), 0);
}

/// Proves L-10: a mailbox prekey is named when it is on the disk, and not before, and so is the store.
#[test]
fn a_mailbox_prekey_is_named_when_it_is_on_the_disk() {
    let mut world = World::without_disks(1, |_| {});
    world.give_disk(0);
    world.machines[0].disk.as_mut().unwrap().is_slow = true;
    world.open_mailbox(0);
    world.run(secs(30 * 60));
    let (machine, id) = (&world.machines[0], IdentityId(0));
    let is_told = |event: &Event| matches!(event, Event::Mailbox { .. });
    assert!(!machine.events.iter().any(is_told));
    assert_eq!(machine.endpoint.mailbox(id), None);
    world.machines[0].disk.as_mut().unwrap().is_slow = false;
    world.run(millis(1));
    let named = world.machines[0].endpoint.mailbox(id).unwrap();
    assert!(world.machines[0].events.iter().any(is_told));
    // The next one, after a week.
    world.machines[0].disk.as_mut().unwrap().is_slow = true;
    world.run(secs(8 * DAY));
    assert_eq!(world.machines[0].endpoint.mailbox(id), Some(named));
    world.machines[0].disk.as_mut().unwrap().is_slow = false;
    world.run(millis(1));
    let next = world.machines[0].endpoint.mailbox(id).unwrap();
    assert_eq!((next.store, next.prekey.id), (named.store, named.prekey.id + 1));
}

/// Proves L-10: whoever comes back after long does not name the mailbox prekey whose time is over.
#[test]
fn a_mailbox_prekey_that_is_erased_is_not_named_again() {
    let mut world = World::without_disks(1, |_| {});
    world.give_disk(0);
    world.open_mailbox(0);
    world.kill(0);
    let first = world.post.contacts[&0].mailbox_prekey().unwrap().id;
    world.run(secs(120 * DAY));
    world.machines[0].events.clear();
    world.restart(0, 1);
    world.open_mailbox(0);
    let named = world.machines[0].events.iter().filter_map(|event| match event {
        Event::Mailbox { mailbox, .. } => Some(mailbox.prekey.id),
        _ => None,
    });
    assert_eq!(named.collect::<Vec<u32>>(), [first + 1]);
}

/// Proves L-10: the secret of a mailbox prekey, and what was taken under it alone, are erased together after 111 days, and
/// the floor is there then.
#[test]
fn a_mailbox_prekey_is_erased_with_what_was_taken_under_it() {
    let mut writer = Writer::new();
    let first = writer.prekey();
    let letter = writer.letter(&[], &[writer.dialog(), send(0, b"old")]);
    assert_eq!(writer.bring(&letter), Ok(true));
    let saved = |writer: &Writer| {
        let disk = writer.world.machines[0].disk.as_ref().unwrap();
        disk.saved.letters.clone().unwrap()
    };
    writer.world.run(secs(110 * DAY));
    assert_eq!((saved(&writer).dialogs.len(), saved(&writer).floor), (1, 0));
    assert_eq!(writer.bring(&letter), Ok(true), "it is known");
    writer.world.run(secs(2 * DAY));
    let letters = saved(&writer);
    assert_eq!((letters.dialogs.len(), letters.floor), (0, first.id));
    assert!(letters.prekeys.iter().all(|one| one.id > first.id));
    assert_eq!(writer.bring(&letter), Err(LetterError::PrekeyErased));
    // The same message in a letter under a newer key.
    let old = bound_to_older(first.id, &writer);
    assert_eq!((writer.bring(&old), writer.executed()), (Ok(true), 1), "it is below the floor");
}

/// A letter to the newest key whose message is bound to the generation of an older one.
fn bound_to_older(generation: u32, writer: &Writer) -> Vec<u8> {
    let head = DialogHead { generation, ..writer.head(StoreKind::Letter) };
    let list = frames(&[Frame::Dialog(head), send(0, b"old")]);
    let (key, prekey) = (writer.key(), writer.prekey());
    let e = DhKey::from_secret(&[200; 32]).unwrap();
    post::seal(&writer.secret, (&key, &prekey), Suite::ChaCha20Poly1305, &e, &[], &list)
}

/// Proves L-5, L-6: what begins a dialog in a letter store that is full stays where it is, is refused to nobody, and takes
/// the place of nobody; what goes on in a dialog is taken.
#[test]
fn a_full_letter_store_forgets_nothing() {
    let mut writer = Writer::new();
    writer.world.machines[0].config = |config| config.limits.letter_dialogs_max = 1;
    writer.world.kill(0);
    writer.world.restart(0, 1);
    writer.world.open_mailbox(0);
    let first = writer.letter(&[], &[writer.dialog(), send(0, b"one")]);
    assert_eq!((writer.bring(&first), writer.executed()), (Ok(true), 1));
    let other = DialogHead { dialog: 6, ..writer.head(StoreKind::Letter) };
    let second = writer.letter(&[], &[Frame::Dialog(other), send(0, b"two")]);
    assert_eq!((writer.bring(&second), writer.executed()), (Ok(false), 1));
    assert_eq!((writer.bring(&first), writer.executed()), (Ok(true), 1), "it is still known");
    let third = writer.letter(&[], &[writer.dialog(), send(65_535, b"three")]);
    assert_eq!((writer.bring(&third), writer.executed()), (Ok(true), 2));
    let fourth = writer.letter(&[], &[writer.dialog(), send(65_537, b"four")]);
    assert_eq!((writer.bring(&fourth), writer.executed()), (Ok(false), 2), "above the window");
}

/// Proves L-5: letters come in any order: the last of a whole window may be the first.
#[test]
fn the_first_letter_of_a_dialog_may_be_a_late_one() {
    let mut writer = Writer::new();
    let above = writer.letter(&[], &[writer.dialog(), send(65_536, b"above")]);
    assert_eq!((writer.bring(&above), writer.executed()), (Ok(false), 0));
    let late = writer.letter(&[], &[writer.dialog(), send(65_535, b"late")]);
    assert_eq!((writer.bring(&late), writer.executed()), (Ok(true), 1));
    let early = writer.letter(&[], &[writer.dialog(), send(0, b"early")]);
    assert_eq!((writer.bring(&early), writer.executed()), (Ok(true), 2));
    assert_eq!((writer.bring(&above), writer.executed()), (Ok(true), 3));
}

/// Proves L-8: of two letters with a message one is refused, and it is not bound anew, because the other may be read.
#[test]
fn one_refused_letter_frees_no_message_of_which_another_is_out() {
    let mut world = World::of_letters();
    let token = world.submit(0, 1, b"once", MessageClass::Send, None, secs(10 * DAY));
    world.run(secs(3_000));
    assert_eq!(world.post.recorded.len(), 2, "it was written again");
    // The second letter is refused by a reader with another store; the first one is still at a mailbox.
    let stale = world.post.recorded[1].2.clone();
    let mut prekeys = world.machines[1].disk.clone().unwrap();
    prekeys.saved.letters.as_mut().unwrap().store ^= 1;
    world.machines[1].disk = Some(prekeys);
    world.restart(1, 1);
    world.open_mailbox(1);
    world.introduce(1, 0);
    assert_eq!(world.bring(1, &stale), Ok(true));
    world.run(secs(20));
    world.fetch(0);
    world.run(secs(60));
    assert!(matches!(world.outcome(0, token), Some(Outcome::Unknown { .. })));
    assert!(world.machines[0].disk.as_ref().unwrap().saved.asks.is_empty());
    assert_eq!(world.executions(1, b"once"), 0);
}

/// Proves L-7: an acknowledgement that nobody keeps is written again, at growing intervals, and then given up.
#[test]
fn an_acknowledgement_that_nobody_keeps_is_no_reason_to_write_without_end() {
    let mut writer = Writer::new();
    let contact = writer.world.post.contacts[&1].encode().to_vec();
    writer.world.callable = vec![false, false];
    writer.world.post.is_closed = true;
    let letter = writer.letter(&contact, &[writer.dialog(), send(0, b"hello")]);
    assert_eq!(writer.bring(&letter), Ok(true));
    let written = |writer: &mut Writer, span| {
        writer.world.run(secs(span));
        writer.world.machines[0].endpoint.counters().letters_sealed
    };
    let first = written(&mut writer, 3_600);
    assert!((5..20).contains(&first), "{first} letters in an hour");
    let all = written(&mut writer, 2 * DAY);
    assert!(all <= 10, "{all} letters in two days");
    let tried = writer.world.machines[0].events.len();
    writer.world.run(secs(DAY));
    assert_eq!(writer.world.machines[0].events.len(), tried, "no path is asked for any more");
}

/// Proves L-6: brought twice while the disk is at work on it, a letter may not be thrown away yet.
#[test]
fn a_letter_that_is_brought_again_waits_for_the_disk_as_well() {
    let mut writer = Writer::new();
    let letter = writer.letter(&[], &[writer.dialog(), send(0, b"slow")]);
    let now = writer.world.at(0);
    let endpoint = &mut writer.world.machines[0].endpoint;
    let read = endpoint.receive_letter(now, IdentityId(0), &letter).unwrap();
    let batch: Batch = endpoint.take_batch().unwrap();
    let again = endpoint.receive_letter(now, IdentityId(0), &letter).unwrap();
    let mut told = Vec::new();
    let mut drain = |endpoint: &mut egtp_proto::Endpoint| {
        while let Some(event) = endpoint.next_event() {
            if let Event::LetterRead { number, all_taken } = event {
                told.push((number, all_taken));
            }
        }
        told.clone()
    };
    assert_eq!(drain(endpoint), []);
    endpoint.committed(now, batch.number, Vec::new());
    assert_eq!(drain(endpoint), [(read.number, true), (again.number, true)]);
}
