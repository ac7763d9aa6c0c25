//! Live cards that a program keeps over its restarts.

mod common;

use std::time::Duration;

use common::{Flight, World, millis, secs};
use egtp_proto::{IdentityId, PeerCard, StoreKind};

const US: IdentityId = IdentityId(0);

/// Machine 0 has asked machine 1, which has been there for a while, and keeps what it heard, as bytes.
fn kept(world: &mut World) -> Vec<u8> {
    heard(world).unwrap().encode()
}

fn heard(world: &mut World) -> Option<PeerCard> {
    world.run(secs(10));
    world.request(0, 1, b"first");
    world.run(secs(1));
    let (now, peer) = (world.at(0), world.key(1));
    world.machines[0].endpoint.peer_card(now, US, &peer)
}

fn learn(world: &mut World, bytes: &[u8]) -> bool {
    let now = world.at(0);
    world.machines[0].endpoint.learn_peer_card(now, US, &PeerCard::decode(bytes).unwrap())
}

fn begin_anew(world: &mut World, machine: usize, generation: u8) {
    world.kill(machine);
    world.restart(machine, generation);
}

/// How long a request of machine 0 takes, and how many packets it sends before the reply is there.
fn ask(world: &mut World, body: &[u8]) -> (Duration, usize) {
    let (began, sent) = (world.now, world.recorded.len());
    let token = world.request(0, 1, body);
    assert!(world.run_until(secs(20), |world| world.outcome(0, token).is_some()));
    assert_eq!(world.reply_of(0, token).unwrap(), body);
    // What it sends because of the reply is not on its way to it.
    let before = |flight: &&Flight| flight.from == 0 && flight.at < world.now.after(world.delay);
    let packets = world.recorded[sent..].iter().filter(before).count();
    (world.now.since(began), packets)
}

/// Proves H-4 over a restart: with the card the first packet carries the request, and the reply is there
/// after one round trip; without it a knock goes first.
#[test]
fn with_the_kept_card_the_first_request_takes_one_round_trip() {
    let round_trip = |world: &World| world.delay * 2;
    let mut world = World::new(2);
    let bytes = kept(&mut world);
    begin_anew(&mut world, 0, 1);
    assert!(learn(&mut world, &bytes));
    let (took, packets) = ask(&mut world, b"with");
    assert_eq!(packets, 1);
    assert!(took < round_trip(&world) + millis(10), "{took:?}");

    begin_anew(&mut world, 0, 2);
    let (took, packets) = ask(&mut world, b"without");
    assert_eq!(packets, 2);
    assert!(took >= round_trip(&world) * 2, "{took:?}");
}

/// Proves RTY-1: the peer has begun a new life as well, and says so; the request is taken once. Two packets
/// before the reply: a flight to the life that is gone, and one to the present one. What we keep on our disk goes
/// there for the new life first: the second flight leaves without it, and a third packet brings it.
#[test]
fn a_card_of_a_life_that_is_gone_costs_a_round_trip_and_nothing_else() {
    let mut world = World::new(2);
    let bytes = kept(&mut world);
    begin_anew(&mut world, 1, 1);
    begin_anew(&mut world, 0, 1);
    // Its age, in whole seconds, shows that it is older than the request.
    world.run(secs(5));
    assert!(learn(&mut world, &bytes));
    let (wanted, round_trips) = if world.wants == StoreKind::Durable { (3, 3) } else { (2, 2) };
    let (took, packets) = ask(&mut world, b"only once");
    assert_eq!(packets, wanted);
    assert!(took < world.delay * 2 * round_trips + millis(10), "{took:?}");
    world.run(secs(60));
    assert_eq!(world.executions(1, b"only once"), 1);
}

/// Proves X-13: who cannot be told for certain from an earlier life of itself is asked first. Its next life would
/// leave the request in doubt.
#[test]
fn of_a_peer_that_states_no_age_nothing_is_kept() {
    let mut world = World::with(2, |config| config.exclusive = false);
    assert_eq!(heard(&mut world), None);
}

#[test]
fn a_kept_card_waits_for_its_use_as_long_as_its_prekey_lives() {
    let mut world = World::new(2);
    let bytes = kept(&mut world);
    begin_anew(&mut world, 0, 1);
    assert!(learn(&mut world, &bytes));
    world.run(secs(3_600));
    let (_, packets) = ask(&mut world, b"an hour later");
    assert_eq!(packets, 1);

    begin_anew(&mut world, 0, 2);
    // It would make a session of its own, to say what it owes.
    world.kill(1);
    assert!(learn(&mut world, &bytes));
    world.run(secs(7_300));
    assert_eq!(
        world.machines[0].endpoint.sizes().peers,
        0,
        "nobody is kept for a card that is over"
    );
}

#[test]
fn a_card_is_of_no_use_when_its_time_is_over_or_something_newer_was_heard() {
    let mut world = World::new(2);
    let bytes = kept(&mut world);
    assert!(!learn(&mut world, &bytes), "this life has heard the peer itself");
    begin_anew(&mut world, 0, 1);
    world.run(secs(7_300));
    assert!(!learn(&mut world, &bytes), "the prekey is forgotten");
    ask(&mut world, b"all the same");
}
