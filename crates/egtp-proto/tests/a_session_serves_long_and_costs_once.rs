//! What a session costs, and for how long and how much it then serves.
//!
//! Key agreements and bytes are counted; time is moved. How many microseconds a handshake takes is printed
//! by the example `handshake_cost`.

mod common;

use std::collections::BTreeMap;

use common::{World, millis, secs};
use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::wire::Header;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::{Event, IdentityId, Lost};

/// Public-key operations of a machine.
fn operations(world: &World, machine: usize) -> (u64, u64) {
    let counters = world.machines[machine].endpoint.counters();
    (counters.agreements, counters.encapsulations)
}

fn handshakes(world: &World) -> u64 {
    world.machines.iter().map(|one| one.endpoint.counters().handshakes_finished).sum()
}

/// Asks, and waits for the reply.
fn ask(world: &mut World, from: usize, to: usize, body: &[u8]) {
    let token = world.request(from, to, body);
    let done = |world: &World| world.reply_of(from, token).is_some();
    assert!(world.run_until(secs(10), done), "{from} to {to}");
}

/// Eight sessions, none used for twenty minutes: nothing is negotiated again.
/// Proves LIF-1.
#[test]
fn a_session_that_nobody_used_for_twenty_minutes_still_serves() {
    let mut world = World::new(9);
    for other in 1..9 {
        ask(&mut world, 0, other, b"first");
    }
    world.run(secs(20 * 60));
    let before: Vec<_> = (0..9).map(|machine| operations(&world, machine)).collect();
    for other in 1..9 {
        ask(&mut world, 0, other, b"later");
        ask(&mut world, other, 0, b"and back");
    }
    let after: Vec<_> = (0..9).map(|machine| operations(&world, machine)).collect();
    assert_eq!(after, before);
    assert_eq!((handshakes(&world), world.machines[0].endpoint.sizes().confirmed), (8, 8));
}

/// The control: memory for four peers. Those that were heard from last keep their sessions, the others cost
/// one handshake each.
/// Proves LIF-1.
#[test]
fn only_memory_ends_a_session_earlier() {
    let mut world = World::with(9, |config| config.limits.peers_max = 4);
    for other in 1..9 {
        ask(&mut world, other, 0, b"first");
    }
    world.run(secs(20 * 60));
    let before = handshakes(&world);
    for other in 5..9 {
        ask(&mut world, other, 0, b"remembered");
    }
    assert_eq!(handshakes(&world), before);
    for other in 1..5 {
        ask(&mut world, other, 0, b"forgotten");
    }
    assert_eq!(handshakes(&world), before + 4);
}

/// A session in use goes on until it is two hours old. Then the next message goes on it as ever, a new one is
/// made beside, and a record of the old one that was held up still opens.
/// Proves LIF-1, S-15.
#[test]
fn after_two_hours_of_use_a_new_session_takes_over_and_the_old_one_still_receives() {
    let mut world = World::new(2);
    ask(&mut world, 0, 1, b"first");
    for minute in 1..120_u8 {
        world.run(secs(60));
        ask(&mut world, 0, 1, &[minute]);
    }
    assert_eq!(handshakes(&world), 1, "within two hours of use");
    world.tamper = |_| false;
    world.request(0, 1, b"held up");
    let held = world.recorded.last().unwrap().clone();
    world.tamper = |_| true;
    world.run(secs(70));

    let before = world.now;
    ask(&mut world, 0, 1, b"at two hours");
    assert_eq!(world.now, before.after(world.delay * 2), "it does not wait for the new session");
    world.run(secs(1));
    assert_eq!(handshakes(&world), 2);
    assert_eq!(world.machines[1].endpoint.sizes().confirmed, 2);
    let opened = world.machines[1].endpoint.counters().records_opened;
    world.inject(1, held.path, &held.packet);
    assert_eq!(world.machines[1].endpoint.counters().records_opened, opened + 1);
    assert_eq!(world.executions(1, b"held up"), 1);
}

/// Thirty peers: each request, given nothing but a key, goes out on the one path of that peer, under keys
/// that are there; when a peer comes over another path, the entry follows, and the session stays.
/// Proves LIF-4.
#[test]
fn a_key_alone_finds_the_session_and_the_path() {
    const PEERS: usize = 30;
    let mut world = World::new(31);
    for peer in 1..=PEERS {
        ask(&mut world, 0, peer, b"first");
    }
    let connects = |world: &World| {
        let events = world.machines[0].events.iter();
        events.filter(|event| matches!(event, Event::Connect { .. })).count()
    };
    assert_eq!((connects(&world), handshakes(&world)), (PEERS, 30));
    let before = operations(&world, 0);
    for peer in (1..=PEERS).rev() {
        world.run(secs(1));
        world.recorded.clear();
        ask(&mut world, 0, peer, b"second");
        let there = world.recorded.iter().filter(|flight| flight.from == 0);
        let there: Vec<_> = there.map(|flight| flight.to).collect();
        assert_eq!(there, [peer], "one packet, to it alone");
    }
    assert_eq!((connects(&world), operations(&world, 0)), (PEERS, before));

    world.cut(7, Lost::Closed);
    let (_, path) = world.connect(7, 0);
    ask(&mut world, 7, 0, b"from elsewhere");
    world.run(secs(1));
    world.recorded.clear();
    ask(&mut world, 0, 7, b"to there");
    let back = world.links[&(0, path)];
    assert!(
        world.recorded.iter().filter(|one| one.from == 0).all(|one| (one.to, one.path) == back)
    );
    assert_eq!((connects(&world), operations(&world, 0)), (PEERS, before));
    let keys: Vec<_> = (1..=PEERS).map(|peer| world.key(peer)).collect();
    assert!(keys.iter().all(|key| world.machines[0].endpoint.identity_of(key).is_none()));
    assert_eq!(world.machines[0].endpoint.identity_of(&world.key(0)), Some(IdentityId(0)));
}

/// Ten thousand requests, each in a packet of its own, and their replies: after the one handshake there is no
/// public-key operation on either side, whichever suite.
/// Proves LIF-5.
#[test]
fn ten_thousand_packets_cost_no_key_agreement() {
    let classical = World::with(2, |config| config.suites = Suites::classical(Cipher::Aes256Gcm));
    for mut world in [classical, World::new(2)] {
        ask(&mut world, 0, 1, b"first");
        world.run(secs(1));
        let before = [0, 1].map(|machine| operations(&world, machine));
        let sealed = |world: &World, machine: usize| {
            world.machines[machine].endpoint.counters().records_sealed
        };
        let records = [0, 1].map(|machine| sealed(&world, machine));
        for number in 0..10_000_u32 {
            let token = world.request(0, 1, &number.to_le_bytes());
            world.run(millis(20));
            assert!(world.reply_of(0, token).is_some(), "number {number}");
            world.recorded.clear();
            world.machines.iter_mut().for_each(|one| one.events.clear());
        }
        assert_eq!([0, 1].map(|machine| operations(&world, machine)), before);
        for (machine, records) in records.into_iter().enumerate() {
            assert!(sealed(&world, machine) - records >= 10_000, "machine {machine}");
        }
        assert_eq!(handshakes(&world), 1);
    }
}

/// What one session costs until its first reply is there: bytes on the wire and public-key operations.
#[derive(Debug, Eq, PartialEq)]
struct Cost {
    /// Bytes by packet: knock, RETRY, first flight, answer.
    packets: BTreeMap<&'static str, usize>,
    /// Key agreements and ML-KEM operations of either side.
    operations: [(u64, u64); 2],
}

/// The cost of a first request to a peer that is not known, and of one to a peer whose card is fresh.
fn costs(mut world: World) -> [Cost; 2] {
    let shrouds = [0, 1].map(|machine| Shroud::new(&world.key(machine)));
    [b"unknown", b"fresh  "].map(|body| {
        let before = [0, 1].map(|machine| operations(&world, machine));
        world.recorded.clear();
        ask(&mut world, 0, 1, body);
        let mut packets = BTreeMap::new();
        for flight in &world.recorded {
            let mut heads = shrouds.iter().filter_map(|one| one.uncovered_prefix(&flight.packet));
            let header = heads.find_map(|bytes| Header::decode(&bytes).ok());
            let name = match header {
                Some(Header::Ini { prekey: 0, .. }) => "knock",
                Some(Header::Ini { .. }) => "first flight",
                Some(Header::Rsp { .. }) => "answer",
                Some(Header::Retry { .. }) => "retry",
                _ => continue,
            };
            packets.insert(name, flight.packet.len());
        }
        let after = [0, 1].map(|machine| operations(&world, machine));
        let spent = |machine: usize| {
            (after[machine].0 - before[machine].0, after[machine].1 - before[machine].1)
        };
        // Until nothing is sent on it any more; the card is good for two hours, less what it has lived.
        world.run(secs(3_700));
        Cost { packets, operations: [spent(0), spent(1)] }
    })
}

/// The secret has 256 bits (two Noise keys and the hash of what was said, in one root of 32 bytes). What it
/// takes: 5 key agreements on each side and 2 packets of less than 600 bytes; one more of each for a peer
/// that is not known. A hybrid suite adds 3 operations of ML-KEM in all and 2.3 KiB.
/// Proves LIF-6.
#[test]
fn setting_up_a_session_costs_a_few_operations_and_a_few_hundred_bytes() {
    let classical = World::with(2, |config| config.suites = Suites::classical(Cipher::Aes256Gcm));
    let hybrid = World::new(2);
    for (world, kem, most) in [(classical, [0, 0], 600), (hybrid, [2, 1], 2_900)] {
        let [unknown, fresh] = costs(world);
        println!("{unknown:?}\n{fresh:?}");
        let both = |agreements: u64| kem.map(|kem| (agreements, kem));
        assert_eq!((unknown.operations, fresh.operations), (both(6), both(5)));
        assert_eq!(unknown.packets.len(), 4, "{unknown:?}");
        assert_eq!(fresh.packets.keys().copied().collect::<Vec<_>>(), ["answer", "first flight"]);
        assert_eq!(unknown.packets["knock"], 256);
        assert!(unknown.packets["retry"] <= 200);
        assert!(fresh.packets.values().sum::<usize>() <= most, "{fresh:?}");
    }
}
