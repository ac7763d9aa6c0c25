//! A path through a relay is a path like others: sessions are made, lost and found again on it. Its packets are smaller,
//! and a path that needs no relay is not left for it.

mod common;

use common::{Flight, World, secs};
use egtp_proto::limits::RELAYED_PACKET_MAX;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, Lane};
use egtp_proto::{IdentityId, Lost, MessageClass, PathId};

fn through_a_relay() -> World {
    let mut world = World::new(2);
    world.relayed = true;
    world
}

fn both_ask(world: &mut World, body: &[u8]) -> [(usize, u64); 2] {
    [(0, world.request(0, 1, body)), (1, world.request(1, 0, body))]
}

fn all_have_replies(world: &World, asked: &[(usize, u64)]) -> bool {
    asked.iter().all(|(machine, token)| world.reply_of(*machine, *token).is_some())
}

/// The lanes of all records that were sent.
fn lanes(world: &World) -> Vec<Lane> {
    let lane = |flight: &Flight| {
        let shroud = Shroud::new(&world.key(flight.to));
        match Header::decode(&shroud.uncovered_prefix(&flight.packet)?) {
            Ok(Header::Record { lane, .. }) => Some(lane),
            _ => None,
        }
    };
    world.recorded.iter().filter_map(lane).collect()
}

/// Proves P-13, REL-6.
#[test]
fn packets_of_a_relayed_path_fit_a_record_of_the_relay_and_are_of_its_lane() {
    let largest = |relayed: bool| {
        let mut world = World::new(2);
        world.relayed = relayed;
        let small = both_ask(&mut world, b"small");
        world.run(secs(2));
        assert!(all_have_replies(&world, &small));
        let large = both_ask(&mut world, &vec![7; 300_000]);
        assert!(world.run_until(secs(20), |world| all_have_replies(world, &large)));
        let lane = if relayed { Lane::Relay } else { Lane::Direct };
        let lanes = lanes(&world);
        assert!(lanes.len() > 20 && lanes.iter().all(|one| *one == lane), "{lanes:?}");
        world.recorded.iter().map(|flight| flight.packet.len()).max().unwrap()
    };
    assert!(largest(true) <= RELAYED_PACKET_MAX);
    // The control: other paths take larger ones.
    assert!(largest(false) > RELAYED_PACKET_MAX);
}

/// A first flight that carries what fits, and no more. Proves P-13.
#[test]
fn a_first_flight_through_a_relay_is_no_longer_than_its_packets_may_be() {
    let mut world = through_a_relay();
    let first = both_ask(&mut world, b"first");
    world.run(secs(2));
    assert!(all_have_replies(&world, &first));
    // The card that was heard is fresh, so messages ride in the first flight of the next session.
    world.restart(0, 1);
    world.cut(0, Lost::Broken);
    world.recorded.clear();
    let tokens: Vec<u64> = (0..40).map(|_| world.request(1, 0, &[7; 900])).collect();
    let asked: Vec<(usize, u64)> = tokens.into_iter().map(|token| (1, token)).collect();
    assert!(world.run_until(secs(30), |world| all_have_replies(world, &asked)));
    assert!(world.recorded.iter().all(|flight| flight.packet.len() <= RELAYED_PACKET_MAX));
}

/// The direct path breaks with a first flight on it that no circuit takes, before it has arrived or behind that. Another one
/// is made that fits, at once; what was in both is one message. Proves P-13, H-17.
#[test]
fn a_first_flight_that_is_too_long_for_a_circuit_is_made_anew_at_once() {
    for has_arrived in [false, true] {
        let mut world = World::new(2);
        world.request(1, 0, b"a first flight waits for the card, and so do these");
        let asked: Vec<(usize, u64)> =
            (0..40).map(|_| (1, world.request(1, 0, &[7; 900]))).collect();
        let is_long = |one: &Flight| one.to == 0 && one.packet.len() > RELAYED_PACKET_MAX;
        assert!(world.run_until(secs(1), |world| world.recorded.iter().any(is_long)));
        if has_arrived {
            let has_come = |world: &World| world.executions(0, &[7; 900]) > 0;
            assert!(world.run_until(secs(1), has_come));
        }
        world.relayed = true;
        world.cut(1, Lost::Broken);
        // A relay takes no longer one.
        world.tamper = |flight| flight.packet.len() <= RELAYED_PACKET_MAX;
        world.recorded.clear();
        let begun = world.now;
        assert!(world.run_until(secs(20), |world| all_have_replies(world, &asked)));
        let took = world.now.since(begun);
        assert!(took < secs(2), "arrived: {has_arrived}, {took:?}");
        assert_eq!(world.executions(0, &[7; 900]), 40);
        assert!(world.recorded.iter().all(|flight| flight.packet.len() <= RELAYED_PACKET_MAX));
    }
}

/// Proves SES-2, SES-3, SES-4, SES-6, B-1, B-3: through a relay as well, restarting one of both is enough.
#[test]
fn who_restarts_without_memory_is_found_again_through_a_relay() {
    for who in [vec![0], vec![1], vec![0, 1]] {
        let mut world = through_a_relay();
        let before = both_ask(&mut world, b"before");
        world.run(secs(2));
        assert!(all_have_replies(&world, &before));
        for machine in &who {
            world.kill(*machine);
            world.restart(*machine, 1);
        }
        let after = both_ask(&mut world, b"after");
        assert!(world.run_until(secs(10), |world| all_have_replies(world, &after)), "{who:?}");
        for machine in 0..2 {
            assert_eq!(world.executions(machine, b"after"), 1, "{who:?}");
        }
    }
}

/// The relay has lost both circuits and one side does not know. Proves SES-10.
#[test]
fn a_circuit_that_only_one_side_has_lost_is_made_again() {
    let mut world = through_a_relay();
    let before = both_ask(&mut world, b"before");
    world.run(secs(2));
    assert!(all_have_replies(&world, &before));
    world.tamper = |_| false;
    let mut asked = both_ask(&mut world, b"into the void").to_vec();
    world.run(secs(1));
    world.tamper = |_| true;
    world.cut(0, Lost::Broken);
    asked.extend(both_ask(&mut world, b"after"));
    assert!(world.run_until(secs(10), |world| all_have_replies(world, &asked)));
    let made = world.machines[0].endpoint.counters().handshakes_finished;
    assert_eq!(made, 1, "the session is apart from its path");
}

/// Proves SES-8, SES-9 over relays.
#[test]
fn both_ask_at_once_through_a_relay_and_agree_on_one_session() {
    let mut world = through_a_relay();
    let first = both_ask(&mut world, b"first");
    assert!(world.run_until(secs(10), |world| all_have_replies(world, &first)));
    world.run(secs(20));
    let made: u64 =
        (0..2).map(|machine| world.machines[machine].endpoint.counters().handshakes_finished).sum();
    for number in 0..20_u8 {
        let asked = both_ask(&mut world, &[number]);
        assert!(world.run_until(secs(5), |world| all_have_replies(world, &asked)));
    }
    let later: u64 =
        (0..2).map(|machine| world.machines[machine].endpoint.counters().handshakes_finished).sum();
    assert_eq!(made, later, "what has crossed is not made again");
}

/// Proves P-13.
#[test]
fn a_direct_path_is_not_left_for_a_relay_and_a_relayed_one_is_for_a_direct_one() {
    let mut world = World::new(2);
    let first = world.request(0, 1, b"first");
    world.run(secs(2));
    assert!(world.reply_of(0, first).is_some());
    let direct: Vec<_> = world.links.keys().filter(|(machine, _)| *machine == 1).copied().collect();
    // The other one asks through a relay, and is answered; what is asked of it does not go there.
    world.relayed = true;
    let (_, circuit) = world.connect(1, 0);
    let through = world.request(1, 0, b"through a relay");
    assert!(world.run_until(secs(5), |world| world.reply_of(1, through).is_some()));
    let came_by =
        |world: &World, at| world.recorded.iter().any(|one| one.to == 0 && one.path == at);
    assert!(came_by(&world, circuit), "it did come that way");
    world.recorded.clear();
    let second = world.request(0, 1, b"second");
    world.run(secs(2));
    assert!(world.reply_of(0, second).is_some());
    let sent: Vec<_> =
        world.recorded.iter().filter(|one| one.to == 1).map(|one| (1, one.path)).collect();
    assert!(sent.iter().all(|one| direct.contains(one)), "{sent:?}, not {direct:?}");

    // The control: with no other path, it goes by the relay; and leaves it for a direct one.
    let mut world = through_a_relay();
    let first = world.request(0, 1, b"first");
    world.run(secs(2));
    assert!(world.reply_of(0, first).is_some());
    world.relayed = false;
    world.connect(1, 0);
    let back = world.request(1, 0, b"back");
    world.run(secs(2));
    assert!(world.reply_of(1, back).is_some());
    world.recorded.clear();
    let second = world.submit(0, 1, b"second", MessageClass::Request, None, secs(10));
    world.run(secs(2));
    assert!(world.reply_of(0, second).is_some());
    assert_eq!(lanes(&world)[..1], [Lane::Direct], "{:?}", lanes(&world));
    assert!(lanes(&world).iter().all(|lane| *lane == Lane::Direct));
}

/// Two with a direct path, of which the second one has lost it without a word to the first, and goes by a relay. Returns
/// the circuit as the second one sees it.
fn one_side_has_moved() -> (World, PathId) {
    let mut world = World::new(2);
    let first = world.request(0, 1, b"first");
    world.run(secs(2));
    assert!(world.reply_of(0, first).is_some());
    let direct: Vec<_> = world.links.keys().copied().collect();
    world.links.clear();
    let now = world.at(1);
    for (_, path) in direct.iter().filter(|(machine, _)| *machine == 1) {
        world.machines[1].endpoint.path_down(now, *path, Lost::Broken);
    }
    world.relayed = true;
    let (circuit, _) = world.connect(1, 0);
    world.recorded.clear();
    (world, circuit)
}

/// Proves P-13: its network has changed, and nobody has told the other one that the connection is dead.
#[test]
fn a_direct_path_that_is_silent_is_left_for_the_circuit_that_its_peer_comes_by() {
    let (mut world, circuit) = one_side_has_moved();
    let begun = world.now;
    let asked = world.request(1, 0, b"from elsewhere");
    assert!(world.run_until(secs(10), |world| world.reply_of(1, asked).is_some()));
    assert!(world.now.since(begun) < secs(4), "{:?}", world.now.since(begun));
    // And what it is asked goes there at once.
    let back = world.request(0, 1, b"and back");
    assert!(world.run_until(secs(1), |world| world.reply_of(0, back).is_some()));
    assert_eq!(world.executions(0, b"from elsewhere"), 1);
    assert!(world.recorded.iter().all(|one| one.to == 0 || one.path == circuit));
}

/// Two with a direct path, of which the second one has sent records by a relay that has kept them back.
fn held_back_by_a_relay() -> (World, PathId, Vec<Flight>) {
    let mut world = World::new(2);
    let first = world.request(0, 1, b"first");
    world.run(secs(2));
    assert!(world.reply_of(0, first).is_some());
    world.relayed = true;
    let (_, circuit) = world.connect(1, 0);
    world.tamper = |flight| flight.to != 0;
    world.recorded.clear();
    world.request(1, 0, b"held back");
    world.run(secs(3));
    world.tamper = |_| true;
    let is_kept = |flight: &&Flight| flight.to == 0 && flight.path == circuit;
    let kept: Vec<Flight> = world.recorded.iter().filter(is_kept).cloned().collect();
    assert!(kept.len() > 2, "{}", kept.len());
    world.recorded.clear();
    (world, circuit, kept)
}

fn lane_to_the_second(world: &World) -> Option<Lane> {
    world.machines[0].endpoint.reached_by(IdentityId(0), &world.key(1))
}

/// Whoever passes records on at a time of his choice gets a sign of life asked for, and nothing else. Proves P-13, S-21.
#[test]
fn a_living_direct_path_is_asked_and_not_left_whatever_comes_by_a_circuit() {
    let (mut world, circuit, kept) = held_back_by_a_relay();
    for flight in &kept {
        world.inject(0, circuit, &flight.packet);
        world.run(secs(4));
        assert_eq!(lane_to_the_second(&world), Some(Lane::Direct));
    }
    assert!(world.recorded.iter().any(|one| one.from == 0), "asked");
    assert!(world.recorded.iter().all(|one| one.to == 0 || one.path != circuit));
    assert_eq!(world.executions(0, b"held back"), 1);
    // What was opened once is not opened again, and does not even ask.
    let sealed = |world: &World| world.machines[0].endpoint.counters().records_sealed;
    let before = sealed(&world);
    for flight in &kept {
        world.inject(0, circuit, &flight.packet);
    }
    world.run(secs(4));
    assert_eq!(sealed(&world), before);
}

/// Proves P-13, S-21: also where the direct path is dead, only the newest record of the relay lane counts.
#[test]
fn an_old_record_that_comes_late_by_a_circuit_does_not_lead_there() {
    let (mut world, circuit, kept) = held_back_by_a_relay();
    let [oldest, .., before, newest] = &kept[..] else { panic!("{}", kept.len()) };
    world.inject(0, circuit, &before.packet);
    world.run(secs(4));
    world.links.clear();
    world.inject(0, circuit, &oldest.packet);
    world.run(secs(4));
    assert_eq!(lane_to_the_second(&world), Some(Lane::Direct));
    // The control.
    world.inject(0, circuit, &newest.packet);
    world.run(secs(4));
    assert_eq!(lane_to_the_second(&world), Some(Lane::Relay));
}
