//! Kinds whose requests are handed over again after a crash, or whose handlers run inside the disk's own
//! transaction, whatever their askers know of it.

mod common;

use common::{Handler, World, millis, secs};
use egtp_proto::{Event, MessageClass, Outcome, Policy, StoreKind};

/// Machine 1 has a disk, and the machines have spoken.
fn world(policy: Policy) -> World {
    let mut world = World::new(2);
    world.give_disk(1);
    world.request(0, 1, b"hello");
    world.run(secs(1));
    world.set_policy(1, policy);
    world
}

fn ask(world: &mut World, body: &[u8]) -> u64 {
    world.submit(0, 1, body, MessageClass::Request, None, secs(300))
}

fn kill_and_restart(world: &mut World, generation: u8) {
    world.kill(1);
    world.run(secs(1));
    world.restart(1, generation);
}

fn booked(world: &World, body: &[u8]) -> usize {
    let disk = world.machines[1].disk.as_ref().unwrap();
    disk.booked.iter().filter(|one| *one == body).count()
}

fn redelivered(world: &World) -> Vec<bool> {
    let events = world.machines[1].events.iter();
    let told = events.filter_map(|event| match event {
        Event::Query(query) if query.message.body != b"hello"[..] => Some(query.redelivered),
        Event::Message { redelivered, .. } => Some(*redelivered),
        _ => None,
    });
    told.collect()
}

/// Proves RTY-2, X-37: an asker that knows nothing of disks is sent to the right store by a refusal; the next
/// message of the kind goes there at once.
#[test]
fn a_message_bound_to_memory_is_sent_to_the_disk() {
    for size in [20, 50_000] {
        let mut world = world(Policy::Redeliver);
        let body = vec![7; size];
        let token = ask(&mut world, &body);
        world.run(secs(5));
        assert_eq!(world.reply_of(0, token).unwrap(), body, "{size} bytes");
        assert_eq!(world.executions(1, &body), 1);
        let refusals = |world: &World| world.machines[0].endpoint.counters().transmissions;
        let before = refusals(&world);
        ask(&mut world, b"second");
        world.run(secs(5));
        assert_eq!(refusals(&world) - before, 1, "sent once");
        let saved = &world.machines[1].disk.as_ref().unwrap().saved;
        assert!(saved.dialogs.iter().any(|dialog| dialog.taken.base() > 0));
    }
}

/// Proves RTY-2, X-38: the next life hands it over again, marked, until it is answered.
#[test]
fn what_died_with_its_handler_is_handed_over_again() {
    let mut world = world(Policy::Redeliver);
    world.machines[1].handler = Handler::Hold;
    let token = ask(&mut world, b"pay");
    world.run(secs(1));
    for generation in 1..=3 {
        kill_and_restart(&mut world, generation);
        world.run(secs(2));
    }
    assert_eq!(redelivered(&world), [false, true, true, true]);
    let (query, _) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Ok("paid".into()));
    world.run(secs(30));
    assert_eq!(world.reply_of(0, token).unwrap(), b"paid"[..]);
    kill_and_restart(&mut world, 4);
    world.run(secs(2));
    assert_eq!(redelivered(&world).len(), 4, "and not once it was answered");
    assert!(world.machines[1].disk.as_ref().unwrap().saved.queries.is_empty());
}

/// Proves RTY-2, X-38: so is what wants no reply, whose sender was told that it is accepted; until the
/// application gives it back.
#[test]
fn what_wants_no_reply_is_handed_over_again_too() {
    let mut world = world(Policy::Redeliver);
    world.machines[1].handler = Handler::Hold;
    let told =
        [b"one", b"two"].map(|body| world.submit(0, 1, body, MessageClass::Send, None, secs(300)));
    world.run(secs(1));
    for generation in 1..=3 {
        kill_and_restart(&mut world, generation);
        world.run(secs(2));
    }
    for token in told {
        assert!(matches!(world.outcome(0, token), Some(Outcome::Accepted { .. })), "{token}");
    }
    assert_eq!(redelivered(&world), [false, false, true, true, true, true, true, true]);
    let (query, body) = world.machines[1].waiting.pop_front().unwrap();
    world.machines[1].endpoint.ignore(query);
    world.run(secs(1));
    kill_and_restart(&mut world, 4);
    world.run(secs(2));
    assert_eq!(redelivered(&world).len(), 9, "and not what was given back");
    assert_ne!(world.machines[1].waiting.back().unwrap().1, body);
}

/// Proves RTY-2, X-39: effect, mark and reply are there together, whenever the receiver dies.
#[test]
fn a_transaction_is_booked_exactly_once_wherever_its_receiver_dies() {
    for class in [MessageClass::Request, MessageClass::Send] {
        for (at, is_there) in [(0, false), (0, true), (1, false), (1, true)] {
            let mut world = world(Policy::Transaction);
            world.wants = StoreKind::Durable;
            let disk = world.machines[1].disk.as_mut().unwrap();
            disk.dies_at = Some((disk.commits + at, is_there));
            let token = world.submit(0, 1, b"ten nanobux", class, None, secs(300));
            world.run(secs(2));
            if !world.machines[1].up {
                world.restart(1, 1);
            }
            world.run(secs(60));
            let case = format!("{class:?} {at} {is_there}");
            assert_eq!(booked(&world, b"ten nanobux"), 1, "{case}");
            match (class, world.outcome(0, token)) {
                (MessageClass::Request, Some(Outcome::Reply { body, .. })) => {
                    assert_eq!(body, &b"1"[..], "{case}");
                }
                (MessageClass::Send, Some(Outcome::Accepted { .. })) => {}
                (_, other) => panic!("{case}: {other:?}"),
            }
            assert_eq!(world.executions(1, b"ten nanobux"), 0, "no other handler has it");
        }
    }
}

/// Proves RTY-2, X-39: many of them, their receiver killed again and again: none ends as unknown.
#[test]
fn of_many_transactions_none_is_unknown() {
    let mut world = world(Policy::Transaction);
    let mut asked = Vec::new();
    for life in 1..=25_u8 {
        for number in 0..6_u8 {
            let body = [life, number];
            asked.push((ask(&mut world, &body), body));
            world.run(millis(7));
        }
        world.stick(1, life % 3 == 0);
        world.run(millis(u64::from(life) * 4));
        world.machines[1].disk.as_mut().unwrap().is_stuck = false;
        kill_and_restart(&mut world, life);
        world.run(secs(6));
    }
    world.run(secs(120));
    for (token, body) in asked {
        let wanted = match world.outcome(0, token) {
            Some(Outcome::Reply { .. }) => 1,
            // Asked while nobody was there.
            Some(Outcome::NotSent(_)) => 0,
            other => panic!("{body:?} ended as {other:?}"),
        };
        assert_eq!(booked(&world, &body), wanted, "{body:?}");
    }
    assert!(world.machines[1].disk.as_ref().unwrap().booked.len() > 100);
}

/// A node without a disk takes every kind at most once, and says nothing of other stores.
#[test]
fn without_a_disk_a_policy_changes_nothing() {
    let mut world = World::without_disks(2, |_| {});
    world.set_policy(1, Policy::Transaction);
    let token = ask(&mut world, b"pay");
    world.run(secs(5));
    assert_eq!(world.reply_of(0, token).unwrap(), b"pay"[..]);
}
