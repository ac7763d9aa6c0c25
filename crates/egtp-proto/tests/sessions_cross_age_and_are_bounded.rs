//! Several sessions for one peer: crossings, the list of four, idleness, epochs.

mod common;

use common::{Flight, World, millis, secs};
use egtp_proto::{Config, Event, Lost};

fn handshakes(world: &World) -> u64 {
    world.machines.iter().map(|one| one.endpoint.counters().handshakes_finished).sum()
}

/// Proves SES-8, B-7: a thousand simultaneous openings with all sorts of delays; every message
/// arrives once, and afterwards messages cost records only, no handshakes.
#[test]
fn crossing_handshakes_converge_every_time() {
    for round in 0..1000_u64 {
        let mut world = World::new(2);
        world.delay = millis(1 + round % 97);
        let forth = world.request(0, 1, b"forth");
        world.run(millis(round % 61));
        let back = world.request(1, 0, b"back");
        let done =
            |world: &World| world.reply_of(0, forth).is_some() && world.reply_of(1, back).is_some();
        assert!(world.run_until(secs(10), done), "round {round}");
        world.run(secs(1));
        let before = handshakes(&world);
        let again = [(0, 1), (1, 0)].map(|(from, to)| (from, world.request(from, to, b"again")));
        world.run(secs(1));
        for (from, token) in again {
            assert!(world.reply_of(from, token).is_some(), "round {round}");
        }
        assert_eq!(handshakes(&world), before, "round {round}");
        assert_eq!(world.executions(1, b"forth") + world.executions(0, b"back"), 2);
        assert!(world.machines.iter().all(|one| one.endpoint.sizes().sessions <= 4));
    }
}

/// Drops one packet in six and holds up the others for up to 63 ms, so that they overtake each other.
fn lose_and_reorder(flight: &mut Flight) -> bool {
    // The time counts, too: a packet that is repeated is the same packet.
    let at = u64::try_from(flight.at.since_start().as_millis()).unwrap();
    let by = at * 7919 + u64::from(*flight.packet.last().unwrap());
    flight.at = flight.at.after(millis(by % 64));
    by % 6 != 0
}

/// Proves SCENARIO-6, SES-8, SES-9, SES-12, SES-14, B-7, B-29: the same with loss, packets that overtake each
/// other, and one clock a year wrong.
#[test]
fn crossing_handshakes_converge_on_bad_links_with_a_wrong_clock() {
    for round in 0..1000_u64 {
        let mut world = World::new(2);
        world.tamper = lose_and_reorder;
        world.delay = millis(1 + round % 97);
        world.machines[1].wall_offset = secs(365 * 24 * 3600);
        let forth = world.request(0, 1, &round.to_le_bytes());
        world.run(millis(round % 61));
        let back = world.request(1, 0, &round.to_be_bytes());
        let done =
            |world: &World| world.reply_of(0, forth).is_some() && world.reply_of(1, back).is_some();
        assert!(world.run_until(secs(30), done), "round {round}");
        world.tamper = |_| true;
        world.run(secs(20));
        let before = (handshakes(&world), world.recorded.len());
        let again = [(0, 1), (1, 0)].map(|(from, to)| (from, world.request(from, to, b"again")));
        world.run(secs(1));
        for (from, token) in again {
            assert!(world.reply_of(from, token).is_some(), "round {round}");
        }
        assert_eq!(handshakes(&world), before.0, "round {round}");
        let small = |flight: &Flight| flight.packet.len() <= 150;
        assert!(world.recorded[before.1..].iter().all(small), "round {round}");
        assert!(world.machines.iter().all(|one| one.endpoint.sizes().confirmed <= 4));
    }
}

/// Proves SES-9, SES-12, LIF-5: at most four sessions are kept for a peer, however often it forgets us.
/// Proves S-12.
#[test]
fn at_most_four_sessions_are_kept() {
    let mut world = World::new(2);
    for life in 0..12_u8 {
        let token = world.request(1, 0, &[life]);
        assert!(world.run_until(secs(10), |world| world.reply_of(1, token).is_some()));
        world.kill(1);
        world.run(secs(15));
        world.restart(1, life + 1);
    }
    assert!(world.machines[0].endpoint.sizes().sessions <= 4);
    assert_eq!(world.machines[0].executed.len(), 12);
}

/// Proves SES-11: after an hour in which nothing was received a session is not used for sending.
/// Proves S-14.
#[test]
fn an_idle_session_is_replaced_before_anything_is_sent_on_it() {
    let mut world = World::new(2);
    world.request(0, 1, b"first");
    world.run(secs(3500));
    let fresh = world.request(0, 1, b"within the hour");
    world.run(secs(2));
    assert!(world.reply_of(0, fresh).is_some());
    assert_eq!(handshakes(&world), 1);
    world.run(secs(3700));
    let late = world.request(0, 1, b"after the hour");
    world.run(secs(2));
    assert!(world.reply_of(0, late).is_some());
    assert_eq!(handshakes(&world), 2);
}

/// Proves SEC-2, SES-1: keys change every fifteen minutes of use, without a handshake.
/// Proves S-4.
#[test]
fn keys_move_on_while_the_session_stays() {
    let mut world = World::new(2);
    for minute in 0..90_u8 {
        let token = world.request(0, 1, &[minute]);
        world.run(secs(60));
        assert!(world.reply_of(0, token).is_some(), "minute {minute}");
    }
    assert_eq!(handshakes(&world), 1);
    let shroud = egtp_proto::wire::shroud::Shroud::new(&world.key(1));
    let epochs: std::collections::BTreeSet<u8> = world
        .recorded
        .iter()
        .filter_map(|flight| shroud.uncovered_prefix(&flight.packet))
        .filter_map(|header| egtp_proto::wire::Header::decode(&header).ok())
        .filter_map(|header| match header {
            egtp_proto::wire::Header::Record { epoch, .. } => Some(epoch),
            _ => None,
        })
        .collect();
    assert_eq!(epochs.len(), 6, "{epochs:?}");
}

/// Proves SEC-8: after two hours of use a session is replaced by a new handshake; what was asked
/// under the old one is still answered.
/// Proves S-15.
#[test]
fn a_session_in_use_for_two_hours_is_replaced() {
    let mut world = World::new(2);
    for step in 0..250_u8 {
        let token = world.request(0, 1, &[step]);
        world.run(secs(30));
        assert!(world.reply_of(0, token).is_some(), "step {step}");
    }
    assert_eq!(handshakes(&world), 2);
}

/// Proves SES-1, SEC-9: each side names the session by an id of its own.
#[test]
fn each_side_has_its_own_id_for_a_session() {
    let mut world = World::new(2);
    for body in [b"in the first flight", b"in a record of it! "] {
        world.request(0, 1, body);
        world.run(secs(1));
    }
    let id_to = |machine: usize| {
        let shroud = egtp_proto::wire::shroud::Shroud::new(&world.key(machine));
        let records = world.recorded.iter().filter(|flight| flight.to == machine);
        records
            .filter_map(|flight| shroud.uncovered_prefix(&flight.packet))
            .filter_map(|header| egtp_proto::wire::Header::decode(&header).ok())
            .find_map(|header| match header {
                egtp_proto::wire::Header::Record { session, .. } => Some(session),
                _ => None,
            })
            .unwrap()
    };
    assert_ne!(id_to(0), id_to(1));
}

#[test]
fn a_peer_is_forgotten_when_the_table_is_full_and_found_again() {
    let small = |config: &mut Config| config.limits.peers_max = 3;
    let mut world = World::with(8, small);
    for round in 0..3_u8 {
        for other in 1..8 {
            let token = world.request(other, 0, &[round]);
            let done = |world: &World| world.reply_of(other, token).is_some();
            assert!(world.run_until(secs(10), done), "{round} {other}");
            world.run(secs(1));
        }
    }
    assert!(world.machines[0].endpoint.sizes().peers <= 3);
    assert_eq!(world.machines[0].executed.len(), 21);
}

#[test]
fn losing_the_path_in_the_middle_of_a_handshake_costs_nothing() {
    for cut_after in 0..6 {
        let mut world = World::new(2);
        let token = world.request(0, 1, b"x");
        for _ in 0..cut_after {
            world.run(millis(10));
        }
        world.cut(0, Lost::Broken);
        let done = |world: &World| world.reply_of(0, token).is_some();
        assert!(world.run_until(secs(10), done), "cut after {cut_after} steps");
        assert_eq!(world.executions(1, b"x"), 1);
        let sessions = world.machines[0].events.iter();
        assert!(sessions.filter(|event| matches!(event, Event::Session { .. })).count() <= 2);
    }
}
