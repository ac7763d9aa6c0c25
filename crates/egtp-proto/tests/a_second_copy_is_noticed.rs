//! Two machines that run with one key, and a peer of both.

mod common;

use common::{World, secs};
use egtp_proto::{Config, Event, SecretKey};

/// Machines 0 and 2 have the same key; both ask machine 1.
fn world() -> World {
    let mut world = World::new(3);
    world.machines[2].config = |config: &mut Config| {
        config.identities = vec![SecretKey::from_seed([1; 32]).into()];
    };
    world.restart(2, 1);
    world
}

fn ask(world: &mut World, from: usize) {
    world.request(from, 1, b"hello");
    world.run(secs(30));
}

fn noticed(world: &World) -> usize {
    let key = world.key(0);
    let events = world.machines[1].events.iter();
    events.filter(|event| matches!(event, Event::TwoCopies { peer, .. } if *peer == key)).count()
}

fn heard(world: &World, machine: usize) -> usize {
    let key = world.key(1);
    let events = world.machines[machine].events.iter();
    events.filter(|event| matches!(event, Event::AnotherCopy { from, .. } if *from == key)).count()
}

/// Lets a machine forget its sessions and make new ones, as one does that is in doubt.
fn shake_hands_anew(world: &mut World, machine: usize) {
    world.run(secs(7_300));
    ask(world, machine);
}

/// Proves PRO-6, S-24: a peer notices that both are there, and each of them hears of it.
#[test]
fn pro_6_a_second_running_copy_is_noticed_and_told_to_both() {
    let mut world = world();
    ask(&mut world, 0);
    ask(&mut world, 2);
    assert_eq!(noticed(&world), 0, "that may have been a restart");
    for _ in 0..3 {
        shake_hands_anew(&mut world, 0);
        shake_hands_anew(&mut world, 2);
    }
    assert!(noticed(&world) >= 2, "{}", noticed(&world));
    assert!(heard(&world, 0) >= 1 && heard(&world, 2) >= 1);
}

/// Proves PRO-6: restarts, however many, and sessions that are renewed are no copies.
#[test]
fn restarts_are_no_copies() {
    let mut world = World::new(2);
    for generation in 1..=20 {
        ask(&mut world, 0);
        ask(&mut world, 0);
        if generation % 3 == 0 {
            shake_hands_anew(&mut world, 0);
        }
        world.kill(0);
        world.run(secs(u64::from(generation)));
        world.restart(0, generation);
    }
    assert_eq!((noticed(&world), heard(&world, 0)), (0, 0));
}
