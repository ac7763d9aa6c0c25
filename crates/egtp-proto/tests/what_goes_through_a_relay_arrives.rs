//! A path through a relay is a path like others: sessions are made, lost and found again on it. Its packets are smaller,
//! and a path that needs no relay is not left for it.

mod common;

use common::{Flight, World, secs};
use egtp_proto::limits::RELAYED_PACKET_MAX;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, Lane};
use egtp_proto::{Lost, MessageClass};

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
