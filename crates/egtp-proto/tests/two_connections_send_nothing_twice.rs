//! Two nodes that have called each other at the same moment have two connections between them. Each is heard on
//! the other's, and that is no reason to send anything again.

mod common;

use common::{Handler, World, millis, secs};

/// Both ask at once, so both connect. Later each asks so many times, and all answers leave at one moment.
fn crossed(count: u8, length: usize) -> World {
    let mut world = World::new(2);
    for (from, to) in [(0, 1), (1, 0)] {
        world.request(from, to, b"first");
    }
    world.run(secs(2));
    world.recorded.clear();
    world.machines.iter_mut().for_each(|one| one.handler = Handler::Hold);
    for number in 0..count {
        for (from, to) in [(0, 1), (1, 0)] {
            world.request(from, to, &[number]);
        }
    }
    world.run(millis(100));
    for machine in 0..2 {
        let now = world.at(machine);
        while let Some((query, _)) = world.machines[machine].waiting.pop_front() {
            let body = vec![7; length].into();
            world.machines[machine].endpoint.reply(now, query, Ok(body));
        }
    }
    world.run(secs(20));
    world
}

/// Nothing is lost on the way, so nothing is sent twice, and after the replies both sides are silent.
/// Proves RTY-1, B-7.
#[test]
fn what_crosses_on_two_connections_is_sent_once() {
    // Eight replies of 2,000 bytes fill a record: nothing else finds room in it.
    for (count, length) in [(1, 10), (8, 2_000), (16, 2_000)] {
        let world = crossed(count, length);
        for machine in &world.machines {
            let counters = machine.endpoint.counters();
            assert_eq!(counters.transmissions, u64::from(count) + 1, "{count} of {length}");
            assert_eq!(machine.endpoint.sizes().queries, 0, "{count} of {length}");
        }
        let packets = world.recorded.len();
        assert!(packets <= 8 + 4 * usize::from(count), "{packets} packets for {count} of {length}");
    }
}
