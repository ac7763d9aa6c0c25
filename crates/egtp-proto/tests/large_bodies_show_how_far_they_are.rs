//! Large bodies: how far they have come is told at both ends, earns time, and holds up nobody.

mod common;

use std::time::Duration;

use common::{Handler, World, millis, secs};
use egtp_proto::wire::Header;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::{Event, MessageClass, Outcome, Taken, Way};

const TOTAL: usize = 2 << 20;

/// Two machines that have spoken, a second and a half apart.
fn world() -> World {
    let mut world = World::new(2);
    world.request(0, 1, b"hello");
    world.run(secs(1));
    world.delay = millis(1_500);
    world
}

fn large() -> Vec<u8> {
    (0..TOTAL).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

fn ask(world: &mut World, hard: Duration) -> u64 {
    world.submit(0, 1, &large(), MessageClass::Request, None, hard)
}

/// What the asker was told of one body of a request: bytes, each time.
fn told(world: &World, token: u64, wanted: Way) -> Vec<usize> {
    let events = world.machines[0].events.iter();
    let told = events.filter_map(|event| match event {
        Event::Progress { token: one, way, bytes, total } if *one == token && *way == wanted => {
            assert_eq!(*total, TOTAL);
            Some(*bytes)
        }
        _ => None,
    });
    told.collect()
}

/// What the other one was told while it arrived.
fn arriving(world: &World) -> Vec<usize> {
    let events = world.machines[1].events.iter();
    let told = events.filter_map(|event| match event {
        Event::Arriving(one) => {
            assert_eq!((one.total, one.kind.as_str()), (TOTAL, "test/1"));
            assert_eq!(one.from, world.key(0));
            Some(one.bytes)
        }
        _ => None,
    });
    told.collect()
}

fn grows(told: &[usize]) -> bool {
    told.is_sorted_by(|one, next| one < next) && told.iter().all(|bytes| *bytes <= TOTAL)
}

/// Proves PRG-1: whom a large message is for is known as soon as its first part is there.
#[test]
fn prg_1_the_first_part_says_what_it_is_part_of() {
    let mut world = world();
    ask(&mut world, secs(100));
    assert!(world.run_until(secs(10), |world| !arriving(world).is_empty()));
    assert!(arriving(&world)[0] <= 16 * 1024, "{:?}", arriving(&world));
    assert!(world.machines[1].executed.len() < 2, "and the handler waits for the whole");
}

/// Proves PRG-2: more is told whenever more has come, of both bodies, at both ends.
#[test]
fn prg_2_each_end_is_told_how_far_it_is() {
    let mut world = world();
    let token = ask(&mut world, secs(100));
    world.run(secs(100));
    assert_eq!(world.reply_of(0, token).unwrap().len(), TOTAL);
    let told =
        [arriving(&world), told(&world, token, Way::Sending), told(&world, token, Way::Receiving)];
    for told in told {
        assert!(grows(&told) && told.len() >= 6, "{told:?}");
        assert!(*told.last().unwrap() > TOTAL / 2, "{told:?}");
    }
}

/// Proves PRG-3: while bytes come, the hard timeout begins anew.
#[test]
fn prg_3_progress_puts_the_hard_timeout_off() {
    let mut world = world();
    let in_vain = ask(&mut world, secs(10));
    world.run(secs(120));
    assert_eq!(world.outcome(0, in_vain), Some(&Outcome::TimedOut { taken: Taken::Unknown }));
    world.hard_max = secs(120);
    let token = ask(&mut world, secs(10));
    world.run(secs(120));
    assert_eq!(world.reply_of(0, token).unwrap().len(), TOTAL);
}

/// Proves PRG-3, X-41: it is put off as far as was allowed, and not further.
#[test]
fn a_hard_timeout_is_put_off_up_to_what_was_allowed() {
    let mut world = world();
    world.hard_max = secs(14);
    let token = ask(&mut world, secs(10));
    world.run(millis(13_990));
    assert_eq!(world.outcome(0, token), None);
    world.run(millis(20));
    assert!(matches!(world.outcome(0, token), Some(Outcome::TimedOut { .. })));
}

/// Proves PRG-3: only bytes that were not there before count: a peer that is silent, or repeats itself, earns
/// no time.
#[test]
fn what_does_not_come_on_times_out() {
    let mut world = world();
    world.hard_max = secs(3_600);
    world.machines[1].handler = Handler::Hold;
    let token = ask(&mut world, secs(10));
    assert!(world.run_until(secs(60), |world| world.machines[1].executed.len() == 2));
    world.run(secs(9));
    assert_eq!(world.outcome(0, token), None);
    world.run(secs(10));
    assert_eq!(world.outcome(0, token), Some(&Outcome::TimedOut { taken: Taken::Yes }));
}

/// Proves X-40: what is under way of a large body is a window that the peer's answers move, so that what is
/// small and comes later waits behind little.
#[test]
fn no_more_is_under_way_than_a_window() {
    let mut world = world();
    world.tamper = |flight| flight.from == 0;
    let before = world.recorded.len();
    ask(&mut world, secs(100));
    world.run(secs(1));
    let shroud = Shroud::new(&world.key(1));
    let is_record = |packet: &[u8]| {
        let prefix = shroud.uncovered_prefix(packet);
        prefix.is_some_and(|one| matches!(Header::decode(&one), Ok(Header::Record { .. })))
    };
    let sent =
        world.recorded[before..].iter().filter(|one| one.from == 0 && is_record(&one.packet));
    let bytes: usize = sent.map(|one| one.packet.len()).sum();
    assert!((64 * 1024..=81 * 1024).contains(&bytes), "{bytes} bytes without an answer");
    world.tamper = |_| true;
    world.run(secs(100));
    assert_eq!(world.machines[1].executed.len(), 2, "and it goes on when there are answers");
}
