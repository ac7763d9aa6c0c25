//! A hint is sealed and cannot be replayed, and for its arrival nobody vouches: it goes with the next record, or not at
//! all, and nothing is opened, tried or kept for its sake.

mod common;

use bytes::Bytes;
use common::{World, millis, secs};
use egtp_proto::limits::{HINT_BYTES_MAX, HINTS_BYTES_PER_PEER};
use egtp_proto::{Event, IdentityId, Kind, Lost, NotSent};

fn hint(world: &mut World, from: usize, to: usize, body: Bytes) -> Result<(), NotSent> {
    let (now, key) = (world.at(from), world.key(to));
    let kind = Kind::new("news/1").unwrap();
    world.machines[from].endpoint.hint(now, IdentityId(0), &key, kind, body)
}

/// Bodies of the hints that a machine has heard, in order.
fn heard(world: &World, machine: usize) -> Vec<Bytes> {
    let events = world.machines[machine].events.iter();
    let hints = events.filter_map(|event| match event {
        Event::Hint(hint) if hint.kind.as_str() == "news/1" => Some(hint.body.clone()),
        _ => None,
    });
    hints.collect()
}

fn acquainted() -> World {
    let mut world = World::new(2);
    let first = world.request(0, 1, b"first");
    world.run(secs(2));
    assert!(world.reply_of(0, first).is_some());
    world
}

#[test]
fn hints_arrive_in_order_and_once_also_when_their_packets_are_repeated() {
    let mut world = acquainted();
    world.recorded.clear();
    for body in ["one", "two", "three"] {
        hint(&mut world, 0, 1, body.into()).unwrap();
    }
    world.run(secs(1));
    assert_eq!(heard(&world, 1), ["one", "two", "three"]);
    let packets = world.recorded.clone();
    assert!(!packets.is_empty());
    for flight in packets.iter().filter(|flight| flight.to == 1) {
        world.inject(1, flight.path, &flight.packet);
    }
    assert_eq!(heard(&world, 1).len(), 3);
}

#[test]
fn a_hint_to_somebody_without_a_session_is_not_sent_and_calls_nobody() {
    let mut world = World::new(2);
    assert_eq!(hint(&mut world, 0, 1, "early".into()), Err(NotSent::Unreachable));
    world.run(secs(5));
    assert!(world.recorded.is_empty() && world.links.is_empty());
    // Nor when there was one, and the path is gone.
    let mut world = acquainted();
    world.cut(0, Lost::Closed);
    assert_eq!(hint(&mut world, 0, 1, "late".into()), Err(NotSent::Unreachable));
    world.run(secs(5));
    assert!(world.links.is_empty());
}

#[test]
fn a_hint_that_is_lost_is_lost() {
    let mut world = acquainted();
    world.tamper = |_| false;
    hint(&mut world, 0, 1, "lost".into()).unwrap();
    world.run(secs(1));
    world.tamper = |_| true;
    hint(&mut world, 0, 1, "found".into()).unwrap();
    let next = world.request(0, 1, b"next");
    world.run(secs(10));
    assert!(world.reply_of(0, next).is_some());
    assert_eq!(heard(&world, 1), ["found"]);
}

#[test]
fn hints_that_wait_are_bounded_and_go_when_there_is_room() {
    let mut world = acquainted();
    let large = Bytes::from(vec![7; HINT_BYTES_MAX]);
    let too_large = Bytes::from(vec![7; HINT_BYTES_MAX + 1]);
    let refused = NotSent::TooLarge { bytes: HINT_BYTES_MAX + 1, limit: HINT_BYTES_MAX };
    assert_eq!(hint(&mut world, 0, 1, too_large), Err(refused));
    world.room = 0;
    let mut taken = 0;
    while hint(&mut world, 0, 1, large.clone()).is_ok() {
        taken += 1;
    }
    assert_eq!(hint(&mut world, 0, 1, large.clone()), Err(NotSent::Busy));
    assert_eq!(taken, HINTS_BYTES_PER_PEER / (HINT_BYTES_MAX + "news/1".len()));
    let key = world.key(1);
    let room = world.machines[0].endpoint.hint_room(IdentityId(0), &key);
    assert!(room < large.len(), "{room} bytes");
    world.room = 1 << 20;
    world.run(secs(1));
    assert_eq!(heard(&world, 1).len(), taken);
    assert_eq!(world.machines[0].endpoint.hint_room(IdentityId(0), &key), HINTS_BYTES_PER_PEER);
}

/// At a relay many may be slow at once. Those who take nothing share what there is, and one who has little waiting is still
/// served.
#[test]
fn hints_that_wait_for_all_together_are_bounded_and_nobody_is_shut_out() {
    const ALL: usize = 4 * 1024 * 1024;
    let mut world = World::with(41, |config| config.limits.hint_bytes_max = ALL);
    for peer in 1..41 {
        let first = world.request(0, peer, b"first");
        world.run(secs(2));
        assert!(world.reply_of(0, first).is_some());
    }
    let large = Bytes::from(vec![7; HINT_BYTES_MAX]);
    let size = large.len() + "news/1".len();
    world.room = 0;
    let mut taken = Vec::new();
    for peer in 1..41 {
        let before = taken.len();
        while hint(&mut world, 0, peer, large.clone()).is_ok() {
            taken.push(peer);
        }
        assert_eq!(hint(&mut world, 0, peer, large.clone()), Err(NotSent::Busy));
        assert!(taken.len() > before, "nothing for {peer}");
    }
    assert!(taken.len() * size <= ALL, "{}", taken.len() * size);
    let of = |peer| taken.iter().filter(|one| **one == peer).count();
    assert_eq!(of(1), HINTS_BYTES_PER_PEER / size, "while there was enough");
    assert!((1..40).all(|peer| of(peer) >= of(peer + 1)), "{taken:?}");
    // What is forgotten with a path makes room for the others.
    let room = |world: &World, peer: usize| {
        let key = world.key(peer);
        world.machines[0].endpoint.hint_room(IdentityId(0), &key)
    };
    let before = room(&world, 40);
    for peer in 1..20 {
        world.cut(peer, Lost::Closed);
    }
    assert!(before < size && room(&world, 40) > 10 * size, "{before}, {}", room(&world, 40));
    world.room = 1 << 20;
    world.run(secs(1));
    for peer in 20..41 {
        assert_eq!(heard(&world, peer).len(), of(peer));
        assert_eq!(room(&world, peer), HINTS_BYTES_PER_PEER);
    }
}

#[test]
fn hints_that_wait_for_a_path_that_breaks_are_forgotten() {
    let mut world = acquainted();
    world.room = 0;
    hint(&mut world, 0, 1, "stale".into()).unwrap();
    world.cut(0, Lost::Broken);
    world.room = 1 << 20;
    let next = world.request(0, 1, b"next");
    world.run(secs(10));
    assert!(world.reply_of(0, next).is_some());
    assert!(heard(&world, 1).is_empty());
}

/// The path stands, but nothing comes back on it, and another one is taken: for a hint that is as if it had broken. A
/// relay would otherwise be given packets of circuits that have ended since.
#[test]
fn hints_that_wait_for_a_path_that_is_left_for_its_silence_are_forgotten() {
    for is_renewed in [false, true] {
        let mut world = acquainted();
        if is_renewed {
            // A session this old is renewed, and the path left when nobody answers the handshake.
            for number in 0..8 {
                let asked = world.request(0, 1, &[number]);
                world.run(secs(15 * 60));
                assert!(world.reply_of(0, asked).is_some());
            }
            // So it is not for silence that the path is left.
            world.delay = secs(7);
            world.request(1, 0, b"still here");
            world.delay = millis(10);
        }
        world.tamper = |_| false;
        let asked = world.request(0, 1, b"into the void");
        world.room = 0;
        hint(&mut world, 0, 1, "stale".into()).unwrap();
        let paths = world.links.len();
        world.run(secs(9));
        assert!(world.links.len() > paths, "another path was taken");
        world.tamper = |_| true;
        world.room = 1 << 20;
        // It is told that there is room, and has time to shake hands.
        world.run(secs(1));
        world.run(secs(10));
        assert!(world.reply_of(0, asked).is_some());
        assert_eq!(heard(&world, 1), [""; 0], "renewed: {is_renewed}");
        // The control: the new path takes hints.
        hint(&mut world, 0, 1, "fresh".into()).unwrap();
        world.run(secs(1));
        assert_eq!(heard(&world, 1), ["fresh"]);
    }
}

/// It goes through in one packet, or it would hold up all that come behind it.
#[test]
fn a_hint_through_a_relay_fits_what_a_relay_passes_on() {
    let mut world = World::new(2);
    world.relayed = true;
    let first = world.request(0, 1, b"first");
    world.run(secs(2));
    assert!(world.reply_of(0, first).is_some());
    let refused = hint(&mut world, 0, 1, Bytes::from(vec![7; HINT_BYTES_MAX]));
    let Err(NotSent::TooLarge { limit, .. }) = refused else { panic!("{refused:?}") };
    assert!(limit < HINT_BYTES_MAX);
    hint(&mut world, 0, 1, Bytes::from(vec![7; limit])).unwrap();
    hint(&mut world, 0, 1, "behind it".into()).unwrap();
    world.run(secs(1));
    assert_eq!(heard(&world, 1).len(), 2);
}
