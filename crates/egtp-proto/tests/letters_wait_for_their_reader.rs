//! What outlives its asker reaches a peer that is never up at the same time, by letters that somebody else keeps.

mod common;

use common::{EARLIER, Handler, World, secs};
use egtp_proto::{Event, LetterError, MessageClass, Outcome, Policy};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn send(world: &mut World, body: &[u8]) -> u64 {
    world.submit(0, 1, body, MessageClass::Send, None, secs(10 * DAY))
}

fn ask(world: &mut World, body: &[u8]) -> u64 {
    world.submit(0, 1, body, MessageClass::Request, None, secs(10 * DAY))
}

fn start(world: &mut World, machine: usize, life: u8) {
    world.restart(machine, life);
    world.open_mailbox(machine);
}

fn is_stored(world: &World, token: u64) -> bool {
    let says_so = |event: &Event| matches!(event, Event::Stored { token: one } if *one == token);
    world.machines[0].events.iter().any(says_so)
}

/// Proves REL-4, LNG-5, SPL-2: two that are never up together exchange a thousand messages, each once, and the sender
/// learns in its next life that they have arrived.
#[test]
fn a_thousand_messages_reach_one_who_was_away_each_once() {
    let mut world = World::of_letters();
    // What comes while the disk is busy goes together.
    world.stick(0, true);
    let tokens: Vec<u64> =
        (0_u32..1_000).map(|number| send(&mut world, &number.to_le_bytes())).collect();
    world.stick(0, false);
    world.run(secs(20));
    assert!(tokens.iter().all(|token| is_stored(&world, *token)));
    assert!(world.letters_for(1) < 50, "{} letters", world.letters_for(1));
    world.kill(0);
    start(&mut world, 1, 1);
    assert_eq!(world.fetch(1), []);
    for number in 0_u32..1_000 {
        assert_eq!(world.executions(1, &number.to_le_bytes()), 1, "{number}");
    }
    world.run(secs(60));
    world.kill(1);
    world.run(secs(3 * DAY));
    start(&mut world, 0, 1);
    world.introduce(0, 1);
    assert_eq!(world.fetch(0), []);
    for serial in 0..1_000 {
        let outcome = world.outcome(0, EARLIER + serial);
        assert!(matches!(outcome, Some(Outcome::Accepted { .. })), "{serial}: {outcome:?}");
    }
    // What was sent again in the meantime is known.
    start(&mut world, 1, 2);
    world.fetch(1);
    assert_eq!(world.machines[1].executed.len(), 1_000);
}

/// Proves LNG-5, MSG-10: the reply comes back the same way, to a later life of the asker.
#[test]
fn a_request_by_letter_is_answered_by_letter() {
    let mut world = World::of_letters();
    ask(&mut world, b"what is the time?");
    world.run(secs(20));
    world.kill(0);
    start(&mut world, 1, 1);
    world.fetch(1);
    world.run(secs(60));
    world.kill(1);
    world.run(secs(DAY));
    start(&mut world, 0, 1);
    world.fetch(0);
    assert_eq!(world.reply_of(0, EARLIER).unwrap(), b"what is the time?"[..]);
    assert_eq!(world.executions(1, b"what is the time?"), 1);
}

/// Proves LNG-5: whoever is up again goes on with the same message on a path, and the letter is of no effect then.
#[test]
fn a_message_in_a_letter_goes_on_a_path_when_there_is_one() {
    let mut world = World::of_letters();
    let token = ask(&mut world, b"once");
    world.run(secs(20));
    assert!(is_stored(&world, token));
    start(&mut world, 1, 1);
    world.callable = vec![true, true];
    world.run(secs(120));
    assert_eq!(world.reply_of(0, token).unwrap(), b"once"[..]);
    assert_eq!(world.letters_for(1), 1, "it was not fetched yet");
    world.fetch(1);
    assert_eq!(world.executions(1, b"once"), 1);
}

/// Proves LNG-5: whoever has read a reply says so, also where nothing else is to be said: it is not written again and again.
#[test]
fn a_reply_that_was_read_is_not_written_again() {
    let mut world = World::of_letters();
    let token = ask(&mut world, b"a question");
    world.run(secs(20));
    start(&mut world, 1, 1);
    for _ in 0..4 {
        for machine in [1, 0] {
            world.fetch(machine);
            world.run(secs(60));
        }
    }
    assert_eq!(world.reply_of(0, token).unwrap(), b"a question"[..]);
    let written = |world: &World| world.post.recorded.len();
    let before = written(&world);
    for _ in 0..24 {
        world.run(secs(HOUR));
        (0..2).for_each(|machine| drop(world.fetch(machine)));
    }
    assert_eq!(written(&world), before);
    assert_eq!(world.machines[1].disk.as_ref().unwrap().queries(), 0);
}

/// Proves LNG-5: whoever is started anew for each message goes on in one dialog, so that no letter store has to remember
/// one for each run, and finds no room for the next.
#[test]
fn a_sender_that_is_started_anew_each_day_is_not_locked_out() {
    let mut world = World::of_letters();
    start(&mut world, 1, 1);
    world.kill(0);
    for life in 1..40 {
        start(&mut world, 0, life);
        world.introduce(0, 1);
        world.fetch(0);
        send(&mut world, &[life]);
        world.run(secs(20));
        world.fetch(1);
        world.run(secs(20));
        world.fetch(0);
        assert_eq!(world.machines[0].disk.as_ref().unwrap().saved.asks.len(), 0);
        world.kill(0);
        world.run(secs(DAY));
        assert_eq!(world.executions(1, &[life]), 1, "{life}");
    }
    let saved = &world.machines[1].disk.as_ref().unwrap().saved;
    assert_eq!(saved.letters.as_ref().unwrap().dialogs.len(), 1);
}

/// Proves L-5: copies of a letter, in any number and at any time, have no effect, also after restarts of its reader.
#[test]
fn a_replayed_letter_is_taken_once() {
    for policy in [Policy::AtMostOnce, Policy::Redeliver, Policy::Transaction] {
        let mut world = World::of_letters();
        world.set_policy(1, policy);
        send(&mut world, b"pay 10");
        world.run(secs(20));
        let letter = world.post.recorded[0].2.clone();
        for life in 1..4 {
            start(&mut world, 1, life);
            world.fetch(1);
            for _ in 0..3 {
                assert_eq!(world.bring(1, &letter), Ok(true), "it is read, and may go");
            }
            world.run(secs(DAY));
            world.kill(1);
        }
        let booked = world.machines[1].disk.as_ref().unwrap().booked.len();
        assert_eq!(world.executions(1, b"pay 10") + booked, 1, "{policy:?}");
    }
}

/// Proves L-6: a letter may be thrown away only when what it brought is on the reader's disk.
#[test]
fn a_letter_stays_until_the_disk_has_it() {
    let mut world = World::of_letters();
    send(&mut world, b"slow disk");
    world.run(secs(20));
    start(&mut world, 1, 1);
    world.stick(1, true);
    world.fetch(1);
    assert_eq!((world.letters_for(1), world.executions(1, b"slow disk")), (1, 0));
    world.kill(1);
    world.stick(1, false);
    start(&mut world, 1, 2);
    world.fetch(1);
    assert_eq!((world.letters_for(1), world.executions(1, b"slow disk")), (0, 1));
}

/// Proves L-6: a letter that the reader has no room for stays where it is, and nothing of it is lost or doubled.
#[test]
fn a_letter_without_room_stays_and_is_taken_later() {
    let mut world = World::without_disks(2, |config| config.limits.queries_per_peer = 8);
    for machine in 0..2 {
        world.give_disk(machine);
        world.open_mailbox(machine);
    }
    world.introduce(0, 1);
    world.callable = vec![false, false];
    world.keeps = true;
    world.machines[1].handler = Handler::Hold;
    for number in 0_u8..20 {
        send(&mut world, &[number]);
    }
    world.run(secs(20));
    let mut rounds = 0;
    while world.letters_for(1) > 0 {
        rounds += 1;
        assert!(rounds < 10);
        world.fetch(1);
        while let Some((query, _)) = world.machines[1].waiting.pop_front() {
            world.machines[1].endpoint.ignore(query);
        }
    }
    assert!(rounds > 1);
    assert_eq!(world.machines[1].executed.len(), 20);
    (0_u8..20).for_each(|number| assert_eq!(world.executions(1, &[number]), 1, "{number}"));
}

/// Proves L-7: nobody keeps it: it is written again, at growing intervals, and under the same binding.
#[test]
fn a_letter_that_nobody_keeps_is_written_again() {
    let mut world = World::of_letters();
    world.post.is_closed = true;
    let token = send(&mut world, b"patient");
    world.run(secs(HOUR));
    assert!(!is_stored(&world, token));
    let sealed = world.machines[0].endpoint.counters().letters_sealed;
    assert!((5..20).contains(&sealed), "{sealed} letters in an hour");
    world.post.is_closed = false;
    world.run(secs(HOUR));
    assert!(is_stored(&world, token));
    start(&mut world, 1, 1);
    world.fetch(1);
    assert_eq!(world.executions(1, b"patient"), 1);
}

/// Proves L-8: a reader that has lost its store says so to whoever wrote to it, who learns that it cannot know, or sends
/// it again if nothing but refused letters was sent.
#[test]
fn a_reader_that_lost_its_store_is_sent_the_message_again() {
    let mut world = World::of_letters();
    let token = ask(&mut world, b"to the old store");
    world.run(secs(20));
    // Its disk is gone, and so are the secrets of its mailbox prekeys.
    world.give_disk(1);
    start(&mut world, 1, 1);
    assert_eq!(world.fetch(1), [LetterError::PrekeyErased]);
    world.introduce(0, 1);
    world.run(secs(HOUR));
    world.fetch(1);
    world.run(secs(60));
    world.fetch(0);
    // Its second letter was refused, of the first nobody knows.
    world.run(secs(60));
    assert!(matches!(world.outcome(0, token), Some(Outcome::Unknown { .. })));
    assert_eq!(world.executions(1, b"to the old store"), 0);
}

/// Proves L-9: long messages go in a letter of their own.
#[test]
fn a_long_message_goes_by_letter() {
    let mut world = World::of_letters();
    let long: Vec<u8> = (0..1_500_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    send(&mut world, b"short");
    send(&mut world, &long);
    world.run(secs(20));
    start(&mut world, 1, 1);
    assert_eq!(world.fetch(1), []);
    assert_eq!((world.executions(1, &long), world.executions(1, b"short")), (1, 1));
}
