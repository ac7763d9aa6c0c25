//! What a client may send and is sent, where an operator wants weak links to be spared.

mod common;

use common::{World, secs};
use egtp_proto::{Config, MessageClass, NotSent, Outcome, RefusedWhy};

const KIB: usize = 1024;

fn server(config: &mut Config) {
    config.limits.from_client_bytes_max = 20 * KIB;
    config.limits.to_client_bytes_max = 100 * KIB;
}

fn client(config: &mut Config) {
    config.reachable = false;
}

/// Machines 0 and 1 can be called, machine 2 is a client; all have spoken with machine 1.
fn world() -> World {
    let mut world = World::with(3, server);
    world.machines[2].config = client;
    world.restart(2, 1);
    world.callable[2] = false;
    for from in [0, 2] {
        world.request(from, 1, b"hello");
    }
    world.run(secs(1));
    world
}

fn ask(world: &mut World, from: usize, to: usize, bytes: usize) -> Result<usize, Outcome> {
    let token = world.submit(from, to, &vec![7; bytes], MessageClass::Request, None, secs(60));
    world.run(secs(30));
    match world.outcome(from, token).unwrap() {
        Outcome::Reply { body, .. } => Ok(body.len()),
        other => Err(other.clone()),
    }
}

/// Proves SIZ-1, SIZ-2: 20 KB from a client, 100 KB to one, 2 MB between others.
#[test]
fn siz_2_each_role_has_a_limit_of_its_own() {
    let mut world = world();
    assert_eq!(ask(&mut world, 2, 1, 20 * KIB), Ok(20 * KIB));
    let refused = Err(Outcome::Refused(RefusedWhy::TooLarge));
    for bytes in [20 * KIB + 1, 300 * KIB] {
        assert_eq!(ask(&mut world, 2, 1, bytes), refused, "{bytes} bytes from a client");
    }
    assert_eq!(ask(&mut world, 1, 2, 100 * KIB), Ok(100 * KIB));
    let (bytes, limit) = (100 * KIB + 1, 100 * KIB);
    let not_sent = Err(Outcome::NotSent(NotSent::TooLarge { bytes, limit }));
    assert_eq!(ask(&mut world, 1, 2, bytes), not_sent, "to a client");
    assert_eq!(ask(&mut world, 0, 1, 2_048 * KIB), Ok(2_048 * KIB), "between peers");
}

/// Proves SIZ-2: nor is a client sent a longer reply; it is told so.
#[test]
fn a_reply_to_a_client_has_its_limit() {
    let mut world = world();
    world.machines[1].handler = common::Handler::Hold;
    for (bytes, is_fine) in [(100 * KIB, true), (100 * KIB + 1, false)] {
        let token = world.request(2, 1, b"give");
        world.run(secs(2));
        let (query, _) = world.machines[1].waiting.pop_front().unwrap();
        world.answer(1, query, Ok(vec![7; bytes].into()));
        world.run(secs(10));
        let too_large = Outcome::Refused(RefusedWhy::TooLarge);
        assert_eq!(world.outcome(2, token) != Some(&too_large), is_fine, "{bytes} bytes");
    }
}
