//! What a peer sent to a durable store is taken once, whenever the receiver is killed.

mod common;

use common::{Handler, World, millis, secs};
use egtp_proto::{Event, MessageClass, Outcome, RefusedWhy, StoreKind};

/// Machine 1 has a disk, and the machines have spoken.
fn world() -> World {
    let mut world = World::without_disks(2, |_| {});
    world.give_disk(1);
    world.request(0, 1, b"hello");
    world.run(secs(1));
    world.wants = StoreKind::Durable;
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

fn is_taken(world: &World, token: u64) -> bool {
    let says_so = |event: &Event| matches!(event, Event::Taken { token: one } if *one == token);
    world.machines[0].events.iter().any(says_so)
}

/// Proves MSG-9, X-31: nothing is handed over or acknowledged before it is durable.
#[test]
fn a_message_waits_for_the_disk() {
    let mut world = world();
    world.stick(1, true);
    let token = ask(&mut world, b"slow");
    world.run(secs(5));
    assert_eq!(world.executions(1, b"slow"), 0);
    assert!(!is_taken(&world, token), "not acknowledged");
    // Others do not wait.
    world.wants = StoreKind::Ram;
    let ordinary = ask(&mut world, b"ordinary");
    world.run(secs(1));
    assert!(world.reply_of(0, ordinary).is_some());

    world.stick(1, false);
    world.run(secs(5));
    assert_eq!(world.reply_of(0, token).unwrap(), b"slow"[..]);
    assert_eq!(world.executions(1, b"slow"), 1);
}

/// Whoever wants a disk that its peer does not have is told so, once, and is served all the same.
#[test]
fn who_wants_a_disk_where_there_is_none_is_told_so() {
    for has_disk in [true, false] {
        let mut world = World::without_disks(2, |_| {});
        if has_disk {
            world.give_disk(1);
        }
        world.wants = StoreKind::Durable;
        let token = ask(&mut world, b"hello");
        world.run(secs(1));
        let says_so =
            |event: &&Event| matches!(event, Event::InMemory { token: one } if *one == token);
        let told = world.machines[0].events.iter().filter(says_so).count();
        assert_eq!(told, usize::from(!has_disk));
        assert_eq!(world.reply_of(0, token).unwrap(), b"hello"[..]);
    }
}

/// Proves PRO-7, X-42: a disk that refuses is told to whoever asks meanwhile, and ordinary requests go on. What
/// was on its way to the disk before goes on with it.
#[test]
fn who_asks_while_the_disk_refuses_is_told_so() {
    let mut world = world();
    world.stick(1, true);
    let waiting = ask(&mut world, b"waiting");
    world.run(secs(1));
    world.machines[1].endpoint.disk_refuses();
    let told = ask(&mut world, b"told");
    world.run(secs(1));
    let retry_after = secs(5);
    let busy = Outcome::Refused(RefusedWhy::Busy { retry_after });
    assert_eq!(world.outcome(0, told), Some(&busy));
    world.wants = StoreKind::Ram;
    let ordinary = ask(&mut world, b"ordinary");
    world.run(secs(1));
    assert!(world.reply_of(0, ordinary).is_some());

    world.stick(1, false);
    world.wants = StoreKind::Durable;
    let after = ask(&mut world, b"after");
    world.run(secs(5));
    for (token, body) in [(waiting, &b"waiting"[..]), (after, b"after")] {
        assert_eq!(world.reply_of(0, token).unwrap(), *body);
        assert_eq!(world.executions(1, body), 1);
    }
    assert_eq!(world.executions(1, b"told"), 0);
}

/// Proves RTY-2, MSG-9: killed before the mark was durable, the receiver has not run it.
#[test]
fn what_was_not_durable_when_the_receiver_died_is_taken_afterwards_once() {
    let mut world = world();
    world.stick(1, true);
    let token = ask(&mut world, b"pay");
    world.run(secs(2));
    world.machines[1].disk.as_mut().unwrap().is_stuck = false;
    kill_and_restart(&mut world, 1);
    world.run(secs(20));
    assert_eq!(world.reply_of(0, token).unwrap(), b"pay"[..]);
    assert_eq!(world.executions(1, b"pay"), 1);
}

/// Proves RTY-2, X-32: killed while its handler had it, nobody can know; it does not run again.
#[test]
fn what_was_with_its_handler_when_the_receiver_died_is_unknown_and_not_run_again() {
    let mut world = world();
    world.machines[1].handler = Handler::Hold;
    let token = ask(&mut world, b"pay");
    world.run(secs(1));
    assert!(is_taken(&world, token));
    kill_and_restart(&mut world, 1);
    world.machines[1].handler = Handler::Echo;
    world.run(secs(30));
    assert!(matches!(world.outcome(0, token), Some(Outcome::Unknown { .. })));
    assert_eq!(world.executions(1, b"pay"), 1, "in all its lives");
    world.run(secs(5));
    assert_eq!(world.machines[1].disk.as_ref().unwrap().queries(), 0, "nothing is left of it");
}

/// Proves RTY-2: the reply is stored, and given again by the next life.
#[test]
fn a_reply_that_was_lost_is_given_by_the_next_life() {
    let mut world = world();
    world.tamper = |flight| flight.from != 1;
    let token = ask(&mut world, b"pay");
    world.run(millis(300));
    assert_eq!(world.executions(1, b"pay"), 1);
    assert_eq!(world.outcome(0, token), None);
    world.tamper = |_| true;
    kill_and_restart(&mut world, 1);
    world.run(secs(30));
    assert_eq!(world.reply_of(0, token).unwrap(), b"pay"[..]);
    assert_eq!(world.executions(1, b"pay"), 1, "in all its lives");
}

/// Proves RTY-2, MSG-9, X-31: many messages, killed again and again, each at most once and none without its
/// outcome.
#[test]
fn each_of_many_is_taken_once_over_many_lives() {
    let mut world = world();
    let mut asked = Vec::new();
    for life in 1..=20_u8 {
        for number in 0..10_u8 {
            let body = [life, number];
            asked.push((ask(&mut world, &body), body));
            world.run(millis(7));
        }
        world.stick(1, life % 3 == 0);
        world.run(millis(u64::from(life) * 5));
        world.machines[1].disk.as_mut().unwrap().is_stuck = false;
        kill_and_restart(&mut world, life);
        world.run(secs(6));
    }
    world.run(secs(120));
    let mut replies = 0;
    for (token, body) in asked {
        let runs = world.executions(1, &body);
        match world.outcome(0, token) {
            Some(Outcome::Reply { .. }) => {
                replies += 1;
                assert_eq!(runs, 1, "{body:?}");
            }
            Some(Outcome::Unknown { .. }) => assert!(runs <= 1, "{body:?}"),
            Some(Outcome::NotSent(_)) => assert_eq!(runs, 0, "{body:?}"),
            other => panic!("{body:?} ended as {other:?}"),
        }
    }
    assert!(replies > 150, "{replies} of 200");
}

/// Proves MSG-9: ordinary requests write nothing.
#[test]
fn ordinary_requests_write_nothing() {
    let mut world = world();
    world.wants = StoreKind::Ram;
    for number in 0..50 {
        ask(&mut world, &[number]);
    }
    world.run(secs(5));
    assert_eq!(world.machines[1].disk.as_ref().unwrap().commits, 0);
    world.wants = StoreKind::Durable;
    ask(&mut world, b"durable");
    world.run(secs(5));
    assert!(world.machines[1].disk.as_ref().unwrap().commits > 0, "the count counts");
}
