//! Loss costs time and nothing else.

mod common;

use common::{Flight, World, millis, secs};

/// Loses about every fifth packet, decided by its own last byte, which is as good as random.
fn lossy(flight: &mut Flight) -> bool {
    flight.packet.last().is_some_and(|byte| byte % 5 != 0)
}

/// Proves RTY-1, RTY-3: hundreds of requests over a link that loses a fifth of all packets: every one
/// is answered, and none is executed twice.
#[test]
fn a_fifth_of_all_packets_may_be_lost() {
    for round in 0..20_u64 {
        let mut world = World::new(2);
        world.delay = millis(20 + round);
        world.tamper = lossy;
        let tokens: Vec<u64> =
            (0..300_u32).map(|n| world.request(0, 1, &n.to_le_bytes())).collect();
        world.run(secs(30));
        for (n, token) in (0_u32..).zip(&tokens) {
            let outcome = world.outcome(0, *token);
            assert!(world.reply_of(0, *token).is_some(), "round {round}, {n}: {outcome:?}");
            assert_eq!(world.executions(1, &n.to_le_bytes()), 1);
        }
    }
}

/// Proves EVT-9, B-24: a node waits for a peer that is gone without being woken for nothing.
#[test]
fn waiting_for_a_peer_that_is_gone_costs_hardly_a_wake_up() {
    for lose_all in [|_: &mut Flight| false, |flight: &mut Flight| flight.packet.len() <= 256] {
        let mut world = World::new(2);
        let first = world.request(0, 1, b"first");
        world.run(secs(1));
        assert!(world.reply_of(0, first).is_some());
        world.tamper = lose_all;
        for n in 0..100_u8 {
            world.request(0, 1, &[n]);
            world.request(1, 0, &[n]);
        }
        let before = world.steps;
        world.run(secs(29));
        // Repetitions with growing waits, and a few handshakes.
        assert!(world.steps - before < 400, "{} wake-ups in 29 s", world.steps - before);
    }
}

/// Proves EVT-9: the same when the peer dies in the middle of everything.
#[test]
fn a_peer_that_died_costs_hardly_a_wake_up() {
    let mut world = World::new(2);
    for n in 0..50_u8 {
        world.request(0, 1, &[n]);
        world.request(1, 0, &[n]);
    }
    world.run(millis(45));
    world.kill(1);
    let before = world.steps;
    world.run(secs(60));
    assert!(world.steps - before < 400, "{} wake-ups in a minute", world.steps - before);
    assert_eq!(world.machines[0].endpoint.sizes().open, 0);
}

/// A large message and a large reply that are interrupted again and again go on where they were.
#[test]
fn a_large_body_survives_cut_connections() {
    for room in [40_000, 1 << 20] {
        let mut world = World::new(2);
        world.room = room;
        let body: Vec<u8> = (0..1_500_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let token = world.request(0, 1, &body);
        for _ in 0..20 {
            world.run(millis(65));
            world.cut(0, egtp_proto::Lost::Broken);
        }
        let done = |world: &World| world.outcome(0, token).is_some();
        assert!(world.run_until(secs(20), done), "room {room}");
        assert_eq!(world.reply_of(0, token).unwrap(), body);
        let sent: usize = world.recorded.iter().map(|flight| flight.packet.len()).sum();
        assert!(sent < 30 * body.len(), "{sent} bytes for an echo of {}", body.len());
    }
}
